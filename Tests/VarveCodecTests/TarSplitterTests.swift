// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveCodec

@Suite("tar splitter")
struct TarSplitterTests {
    // MARK: Ordinary tars

    @Test("files become content, all the rest headers")
    func ordinary() {
        var numbers = SeededNumbers(1)
        let contents = [
            numbers.bytes(1), numbers.bytes(511), numbers.bytes(512), numbers.bytes(513), numbers.bytes(9000),
        ]
        var tar = TarWriter()
        tar.header("dir/", type: "5")
        for (index, content) in contents.enumerated() { tar.file("dir/\(index)", content) }
        tar.file("dir/empty", [])
        tar.header("dir/link", type: "2")
        tar.end()
        let split = SplitStream(tar.bytes)
        #expect(split.isTar)
        #expect(split.files == contents)
        #expect(split.headers.count == tar.bytes.count - contents.reduce(0) { $0 + $1.count })
        #expect(split.all == tar.bytes)
    }

    @Test("the slicing of the input does not matter", arguments: [1, 7, 511, 512, 513, 4096, 100_000])
    func slicing(_ longest: Int) {
        var numbers = SeededNumbers(UInt64(longest))
        let tar = Self.everything(&numbers)
        let whole = SplitStream(tar)
        #expect(whole.all == tar)
        for _ in 0..<5 { #expect(SplitStream(numbers.slices(of: tar, longest: longest)) == whole) }
        #expect(SplitStream(tar.indices.map { tar[$0...$0] }) == whole)
    }

    @Test("entries are counted, records that describe them are not")
    func entryCount() {
        var tar = TarWriter()
        tar.longName("a/long/name")
        tar.file("a", [1])
        tar.pax([("mtime", "1.5")])
        tar.header("d", type: "5")
        tar.pax([("comment", "x")], type: "g")
        tar.end()
        var splitter = TarSplitter()
        tar.bytes.withUnsafeBytes { splitter.push($0) { _ in } }
        #expect(splitter.entryCount == 2)
    }

    @Test("a sink may throw; the error arrives as it is")
    func throwingSink() {
        struct Full: Error {}
        var tar = TarWriter()
        tar.file("a", [1, 2, 3])
        #expect(throws: Full.self) {
            var splitter = TarSplitter()
            try tar.bytes.withUnsafeBytes { try splitter.push($0) { (_) throws(Full) in throw Full() } }
        }
    }

    // MARK: What is a tar

    @Test("without a header in the first 512 bytes the stream is one file")
    func noTar() {
        var numbers = SeededNumbers(2)
        var wrongSum = TarWriter()
        wrongSum.header("a", size: 4, sum: .wrong)
        wrongSum.body([1, 2, 3, 4])
        let streams: [[UInt8]] = [
            numbers.bytes(5000), numbers.bytes(511), numbers.bytes(1), [UInt8](repeating: 0, count: 1024),
            wrongSum.bytes, Array(repeating: 0x20, count: 512),
        ]
        for stream in streams {
            let split = SplitStream(stream)
            #expect(!split.isTar)
            #expect(split.headers.isEmpty)
            #expect(split.files == [stream])
        }
        let empty = SplitStream([UInt8]())
        #expect(!empty.isTar && empty.files.isEmpty && empty.all.isEmpty)
    }

    @Test("old tars without a magic number, and sums over signed bytes, are understood")
    func oldTars() {
        for sum in [TarWriter.Sum.unsigned, .signed] {
            var tar = TarWriter()
            tar.header("caf\u{e9}\u{e9}\u{e9}", size: 3, magic: "", sum: sum)
            tar.body([7, 8, 9])
            tar.end()
            #expect(SplitStream(tar.bytes).files == [[7, 8, 9]])
        }
    }

    @Test("numbers may be closed by spaces, NULs or the field's end, and be led by spaces")
    func numberForms() {
        let forms = [
            "00000000003\u{0}", "00000000003 ", "000000000003", "          3 ", "3\u{0}         \u{0}",
            " 3 \u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
        ]
        for form in forms {
            var tar = TarWriter()
            tar.header("a", sizeField: Array(form.utf8))
            tar.body([7, 8, 9])
            tar.end()
            #expect(SplitStream(tar.bytes).files == [[7, 8, 9]], "\(form.debugDescription)")
        }
    }

    // MARK: Sizes

    @Test("sizes in base 256 are understood")
    func base256() {
        var tar = TarWriter()
        tar.header("a", sizeField: TarWriter.base256(600))
        tar.body([UInt8](repeating: 5, count: 600))
        tar.file("b", [6])
        tar.end()
        #expect(SplitStream(tar.bytes).files == [[UInt8](repeating: 5, count: 600), [6]])
    }

    @Test(
        "a size that is negative, too large or no number ends the tar",
        arguments: [
            [UInt8](repeating: 0xff, count: 12),  // -1 in base 256
            [0xc0] + [UInt8](repeating: 0, count: 11),
            [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2],  // 2^64 + 2
            [0x80] + [UInt8](repeating: 0xff, count: 11),  // far beyond 64 bits
            TarWriter.base256(.max),
            TarWriter.base256(1 << 62 + 1),
            Array("0000000000x\u{0}".utf8), Array("00000000008\u{0}".utf8), Array("-0000000003\u{0}".utf8),
        ])
    func badSizes(_ field: [UInt8]) {
        var tar = TarWriter()
        tar.file("good", [1, 2])
        let start = tar.bytes.count
        tar.header("bad", sizeField: field)
        tar.body([3, 4])
        tar.file("never seen", [5])
        let split = SplitStream(tar.bytes)
        #expect(split.isTar)
        #expect(split.files == [[1, 2], Array(tar.bytes[start...])])
        #expect(split.all == tar.bytes)
    }

    @Test("the largest size is accepted and waits for content that never comes")
    func hugeSize() {
        var tar = TarWriter()
        tar.header("huge", sizeField: TarWriter.base256(1 << 62))
        tar.bytes += [1, 2, 3]
        #expect(SplitStream(tar.bytes).files == [[1, 2, 3]])
    }

    @Test("links, devices and directories have no data, whatever size they claim")
    func sizesOfLinks() {
        for type: Character in ["1", "2", "3", "4", "5", "6"] {
            var tar = TarWriter()
            tar.header("claims", type: type, size: 5000)
            tar.header("nonsense", type: type, sizeField: [UInt8](repeating: 0xff, count: 12))
            tar.file("a", [1])
            tar.end()
            #expect(SplitStream(tar.bytes).files == [[1]])
        }
    }

    @Test("the size in a pax record goes before the header's, once")
    func paxSize() {
        var tar = TarWriter()
        tar.pax([("size", "700"), ("mtime", "12.5")])
        tar.header("large", size: 0)
        tar.body([UInt8](repeating: 9, count: 700))
        tar.file("small", [1, 2])
        tar.end()
        let split = SplitStream(tar.bytes)
        #expect(split.files == [[UInt8](repeating: 9, count: 700), [1, 2]])
        #expect(split.all == tar.bytes)
    }

    @Test(
        "a pax size that is no number, or too large, is not believed",
        arguments: [
            "", "-1", "1e3", "99999999999999999999999", "4611686018427387905", "12 ",
        ])
    func badPaxSize(_ text: String) {
        var tar = TarWriter()
        tar.pax([("size", text)])
        tar.file("a", [1, 2])
        tar.end()
        #expect(SplitStream(tar.bytes).files == [[1, 2]])
    }

    // MARK: Records

    @Test("pax and long-name records are headers with all they hold")
    func records() {
        var tar = TarWriter()
        tar.pax([("path", String(repeating: "p/", count: 400)), ("SCHILY.xattr.user.a", "b\nc=d")])
        tar.file("a", [1])
        tar.longName(String(repeating: "n/", count: 300))
        tar.longName(String(repeating: "t/", count: 300), type: "K")
        tar.file("b", [2])
        tar.pax([("comment", "all of it")], type: "g")
        tar.file("c", [3])
        tar.end()
        let split = SplitStream(tar.bytes)
        #expect(split.files == [[1], [2], [3]])
        #expect(split.headers.count == tar.bytes.count - 3)
    }

    @Test("a pax record may be damaged, empty or larger than is read")
    func oddRecords() {
        let bodies: [[UInt8]] = [
            [], Array("junk".utf8), Array("999999999999999999999999 path=a.pyc\n".utf8), Array("0 path=a\n".utf8),
            Array("3 a\n".utf8), Array("12 size=9999".utf8), Array("6 a=b\n7 c".utf8),
            [UInt8](repeating: 0x31, count: 3000),
            TarWriter.paxBody([("comment", String(repeating: "x", count: 300_000)), ("size", "1")]),
        ]
        for body in bodies {
            var tar = TarWriter()
            tar.file("PaxHeaders/a", body, type: "x")
            tar.file("a", [1, 2, 3])
            tar.end()
            let split = SplitStream(tar.bytes)
            #expect(split.files == [[1, 2, 3]])
            #expect(split.all == tar.bytes)
        }
    }

    // MARK: Python bytecode

    @Test("the first 16 bytes of a .pyc are headers, wherever its name stands")
    func bytecode() {
        var numbers = SeededNumbers(3)
        let code = numbers.bytes(100)
        var plain = TarWriter()
        plain.file("lib/m.pyc", code)
        plain.end()
        var old = TarWriter()
        old.header("lib/m.pyc", type: "\0", size: 100, magic: "")
        old.body(code)
        var pax = TarWriter()
        pax.pax([("path", "a/very/long/m.pyc")])
        pax.file("a/very/lo", code)
        var long = TarWriter()
        long.longName("a/very/long/m.pyc")
        long.file("a/very/lo", code)
        var full = TarWriter()
        full.file(String(repeating: "n", count: 96) + ".pyc", code)
        for tar in [plain, old, pax, long, full] {
            let split = SplitStream(tar.bytes)
            #expect(split.files == [Array(code[16...])])
            #expect(split.all == tar.bytes)
        }
        var short = TarWriter()
        short.file("a.pyc", Array(code.prefix(15)))
        short.file("b.pyc", Array(code.prefix(16)))
        short.file("c.pyc", Array(code.prefix(17)))
        short.file("d.py", code)
        short.file("e.pyc", [])
        short.end()
        #expect(SplitStream(short.bytes).files == [Array(code.prefix(15)), [code[16]], code])
    }

    @Test("only a regular file is taken for bytecode, and an announced name counts once and before the header's")
    func noBytecode() {
        let code = [UInt8](repeating: 1, count: 40)
        var tar = TarWriter()
        tar.file("dump.pyc", code, type: "D")
        tar.pax([("path", "m.txt")])
        tar.file("m.pyc", code)
        tar.pax([("path", "n.pyc")])
        tar.header("link", type: "2")
        tar.file("n.txt", code)
        tar.end()
        #expect(SplitStream(tar.bytes).files == [code, code, code])
    }

    // MARK: Sparse files

    @Test("the extension blocks of old GNU sparse files are headers")
    func sparse() {
        for extensions in 0...3 {
            var tar = TarWriter()
            tar.header("sparse", type: "S", size: 1000, magic: "ustar  \u{0}") { if extensions > 0 { $0[482] = 1 } }
            for index in 0..<extensions {
                var block = [UInt8](repeating: 0x31, count: 512)
                block[504] = index + 1 < extensions ? 1 : 0
                tar.bytes += block
            }
            tar.body([UInt8](repeating: 4, count: 1000))
            tar.file("after", [5])
            tar.end()
            let split = SplitStream(tar.bytes)
            #expect(split.files == [[UInt8](repeating: 4, count: 1000), [5]])
            #expect(SplitStream(tar.bytes.indices.map { tar.bytes[$0...$0] }) == split)
        }
    }

    // MARK: Ends

    @Test("a truncated tar keeps what is there", arguments: 0...40)
    func truncated(_ step: Int) {
        var numbers = SeededNumbers(4)
        let tar = Self.everything(&numbers)
        let cut = Array(tar.prefix(tar.count * step / 40 + (step % 3) - (step == 40 ? 1 : 0)))
        let split = SplitStream(cut)
        #expect(split.all == cut)
        #expect(!split.hasOpenFile)
    }

    @Test("an incomplete block at the end is content")
    func partialBlock() {
        var tar = TarWriter()
        tar.file("a", [1])
        let split = SplitStream(tar.bytes + [UInt8](repeating: 0, count: 100))
        #expect(split.files == [[1], [UInt8](repeating: 0, count: 100)])
    }

    @Test("zeros behind the end are headers; from the first other byte on all is one file")
    func garbage() {
        var tar = TarWriter()
        tar.file("a", [1])
        tar.end(blocks: 20)
        let clean = SplitStream(tar.bytes)
        #expect(clean.files == [[1]])
        #expect(clean.headers.count == tar.bytes.count - 1)
        tar.bytes += [UInt8](repeating: 0, count: 77)
        let zeros = tar.bytes.count
        tar.bytes += [9] + [UInt8](repeating: 0, count: 1000) + [8]
        let split = SplitStream(tar.bytes)
        #expect(split.files == [[1], Array(tar.bytes[zeros...])])
        #expect(SplitStream(tar.bytes.indices.map { tar.bytes[$0...$0] }) == split)
    }

    @Test("one zero block alone does not end the tar; what is no header does")
    func loneZeroBlock() {
        var tar = TarWriter()
        tar.file("a", [1])
        tar.end(blocks: 1)
        tar.file("b", [2])
        tar.end(blocks: 1)
        tar.file("c", [3])
        let start = tar.bytes.count
        tar.bytes += [UInt8](repeating: 0x41, count: 700)
        let split = SplitStream(tar.bytes)
        #expect(split.files == [[1], [2], [3], Array(tar.bytes[start...])])
    }

    // MARK: Anything

    @Test("10,000 mutated tars come back byte for byte, however they are sliced")
    func mutations() {
        var numbers = SeededNumbers(5)
        let originals = (0..<4).map { _ in Self.everything(&numbers) }
        for round in 0..<10_000 {
            let tar = numbers.mutation(of: originals[round % originals.count])
            let whole = SplitStream(tar)
            #expect(whole.all == tar && !whole.hasOpenFile, "seed \(SeededNumbers.seed), round \(round)")
            #expect(whole.headers.count + whole.files.reduce(0) { $0 + $1.count } == tar.count)
            if round % 10 == 0 {
                #expect(
                    SplitStream(numbers.slices(of: tar, longest: 900)) == whole,
                    "seed \(SeededNumbers.seed), round \(round)")
            }
        }
    }

    /// A small tar with a bit of everything.
    static func everything(_ numbers: inout SeededNumbers) -> [UInt8] {
        var tar = TarWriter()
        tar.header("d/", type: "5")
        tar.file("d/a", numbers.bytes(numbers.int(1...1500)))
        tar.pax([("path", "d/long.pyc"), ("mtime", "1.25")])
        tar.file("d/long", numbers.bytes(100))
        tar.longName("d/" + String(repeating: "x", count: 120))
        tar.file("d/x", numbers.bytes(512))
        tar.header("d/sparse", type: "S", size: 600, magic: "ustar  \u{0}") { $0[482] = 1 }
        tar.bytes += [UInt8](repeating: 0, count: 512)
        tar.body(numbers.bytes(600))
        tar.pax([("size", "20")])
        tar.header("d/sized", size: 3)
        tar.body(numbers.bytes(20))
        tar.header("d/base256", sizeField: TarWriter.base256(33))
        tar.body(numbers.bytes(33))
        tar.file("d/empty", [])
        tar.end(blocks: 3)
        if numbers.int(0...1) == 0 { tar.bytes += numbers.bytes(30) }
        return tar.bytes
    }
}
