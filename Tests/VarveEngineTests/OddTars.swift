// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveTestKit

/// Small tars with every odd header that writers make or attackers invent, and ways to make them odder.
enum OddTars {
    /// One block, with a checksum that is right.
    static func header(
        name: String, type: UInt8 = UInt8(ascii: "0"), size: [UInt8], magic: String = "ustar\u{0}00",
        prefix: String = ""
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Sequence<UInt8>, at offset: Int, _ limit: Int) {
            for (index, byte) in bytes.enumerated() where index < limit { block[offset + index] = byte }
        }
        put(name.utf8, at: 0, 100)
        put("0000644\u{0}0000000\u{0}0000000\u{0}".utf8, at: 100, 24)
        put(size, at: 124, 12)
        put("14524675630\u{0}".utf8, at: 136, 12)
        block[156] = type
        put(magic.utf8, at: 257, 8)
        put(prefix.utf8, at: 345, 155)
        sign(&block, at: 0)
        return block
    }

    /// Writes the checksum of the block at `start`.
    static func sign(_ bytes: inout [UInt8], at start: Int) {
        guard start + 512 <= bytes.count else { return }
        for index in 148..<156 { bytes[start + index] = 0x20 }
        let sum = bytes[start..<start + 512].reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        let text = String(repeating: "0", count: 6 - digits.count) + digits
        for (index, byte) in (Array(text.utf8) + [0, 0x20]).enumerated() { bytes[start + 148 + index] = byte }
    }

    static func octal(_ value: Int) -> [UInt8] {
        let digits = String(value, radix: 8)
        return Array((String(repeating: "0", count: max(0, 11 - digits.count)) + digits).utf8) + [0]
    }

    static func base256(_ value: UInt64, leading: [UInt8] = [0x80, 0, 0, 0]) -> [UInt8] {
        leading + (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) }
    }

    static func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
    }

    static func pax(_ records: [String], type: Character = "x") -> [UInt8] {
        let body = records.map { record -> String in
            var length = record.utf8.count + 3
            while "\(length) \(record)\n".utf8.count != length { length = "\(length) \(record)\n".utf8.count }
            return "\(length) \(record)\n"
        }.joined()
        return header(name: "PaxHeaders/x", type: type.asciiValue ?? 0, size: octal(body.utf8.count))
            + padded(Array(body.utf8))
    }

    static func all(_ numbers: inout SeededBytes) -> [[UInt8]] {
        let end = [UInt8](repeating: 0, count: 1024)
        let text = numbers.text(900)
        let more = numbers.text(1300)
        let file = header(name: "a/file", size: octal(text.count)) + padded(text)
        let other = header(name: "b/other", size: octal(more.count)) + padded(more)
        let sparse: [UInt8] = {
            var block = header(name: "sparse", type: UInt8(ascii: "S"), size: octal(more.count), magic: "ustar  \u{0}")
            block[482] = 1
            sign(&block, at: 0)
            var map = [UInt8](repeating: 0, count: 512)
            map[504] = 1
            return block + map + [UInt8](repeating: 0, count: 512) + padded(more)
        }()
        let longName = Array((String(repeating: "long/", count: 60) + "name.pyc\u{0}").utf8)
        return [
            file + other + end,
            end,
            file,
            file + [UInt8](repeating: 0, count: 512) + other + end,
            pax(["path=a/very/long/name.pyc", "size=1300", "mtime=1.5"])
                + header(name: "short", size: octal(more.count)) + padded(more) + end,
            pax(["size=99999999999999999999"]) + other + end,
            pax(["size=-1"]) + other + end,
            pax(["size=18446744073709551615"]) + other + end,
            pax(["comment=x"], type: "g") + file + pax(["GNU.sparse.major=1", "GNU.sparse.minor=0"]) + other + end,
            header(name: "x", type: UInt8(ascii: "x"), size: octal(12)) + padded(Array("99999 path=a\n".utf8)) + file
                + end,
            header(name: "././@LongLink", type: UInt8(ascii: "L"), size: octal(longName.count), magic: "ustar  \u{0}")
                + padded(longName) + other + end,
            header(name: "././@LongLink", type: UInt8(ascii: "K"), size: octal(longName.count), magic: "ustar  \u{0}")
                + padded(longName) + header(name: "l", type: UInt8(ascii: "2"), size: octal(0)) + file + end,
            sparse + file + end,
            header(name: "big", size: base256(UInt64(more.count))) + padded(more) + end,
            header(name: "huge", size: base256(.max)) + more,
            header(name: "huge", size: base256(1 << 62)) + more,
            header(name: "negative", size: base256(.max, leading: [0xff, 0xff, 0xff, 0xff])) + more,
            header(name: "lying", size: octal(0o77777777777)) + more,
            header(name: "link", type: UInt8(ascii: "1"), size: octal(5000)) + file + end,
            header(name: "dir/", type: UInt8(ascii: "5"), size: octal(512)) + file + end,
            header(name: "v7", type: 0, size: octal(text.count), magic: "") + padded(text) + end,
            header(name: "module.pyc", size: octal(text.count)) + padded(text) + other + end,
            header(name: "tiny.pyc", size: octal(7)) + padded(Array("seven__".utf8)) + other + end,
            header(name: "empty", size: octal(0)) + header(name: "empty.pyc", size: octal(0)) + end + end,
            header(name: "unknown", type: UInt8(ascii: "Z"), size: octal(text.count)) + padded(text) + end,
            header(name: String(repeating: "n", count: 100), size: octal(1), prefix: String(repeating: "p", count: 155))
                + padded([1]) + end,
        ]
    }

    /// One to four changes, most of them such that the checksums are right again.
    static func mutated(_ original: [UInt8], _ numbers: inout SeededBytes) -> [UInt8] {
        var bytes = original
        for _ in 0..<numbers.int(1...4) {
            guard !bytes.isEmpty else { return numbers.bytes(numbers.int(0...600)) }
            let at = numbers.int(0...bytes.count - 1)
            let block = at / 512 * 512
            switch numbers.int(0...9) {
            case 0: bytes[at] ^= 1 << UInt8(numbers.int(0...7))
            case 1: bytes.removeSubrange(at..<min(bytes.count, at + numbers.int(1...700)))
            case 2: bytes.insert(contentsOf: numbers.bytes(numbers.int(1...600)), at: at)
            case 3: bytes.removeLast(min(bytes.count, numbers.int(1...1100)))
            case 4: bytes.insert(contentsOf: bytes[block..<min(bytes.count, block + 512)], at: block)
            case 5:
                for index in block..<min(bytes.count, block + 512) { bytes[index] = 0 }
            case 6:
                replace(&bytes, at: block + 124, with: size(&numbers))
                sign(&bytes, at: block)
            case 7:
                replace(&bytes, at: block + 156, with: [UInt8(numbers.int(0...255))])
                sign(&bytes, at: block)
            case 8:
                replace(&bytes, at: block + numbers.int(0...500), with: numbers.bytes(numbers.int(1...12)))
                sign(&bytes, at: block)
            default:
                replace(&bytes, at: block + 148, with: numbers.bytes(8))
            }
        }
        return bytes
    }

    private static func size(_ numbers: inout SeededBytes) -> [UInt8] {
        switch numbers.int(0...4) {
        case 0: octal(numbers.int(0...5000))
        case 1: base256(numbers.next() >> UInt64(numbers.int(0...63)))
        case 2: octal(0o77777777777)
        case 3: numbers.bytes(12)
        default: [UInt8](repeating: 0x20, count: 12)
        }
    }

    private static func replace(_ bytes: inout [UInt8], at offset: Int, with new: [UInt8]) {
        for (index, byte) in new.enumerated() where offset + index < bytes.count { bytes[offset + index] = byte }
    }
}
