// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Testing

@testable import varve

@Suite("reading and writing archives")
struct TarIndexTests {
    let directory = TemporaryDirectory()

    @Test("what is written is found again, long names and link targets too")
    func roundTrip() throws {
        let long = "blobs/sha512/" + String(repeating: "ab", count: 64)
        let members: [(String, [UInt8])] = [
            ("oci-layout", Array("{}".utf8)), (long, randomBytes(1000, seed: 1)), ("empty", []),
            ("blobs/sha256/x", randomBytes(512, seed: 2)),
        ]
        let file = try SourceFile(directory.write("a.tar", archive(members)))
        let tar = try #require(try TarIndex(file))
        for (path, content) in members {
            #expect(try tar.source(at: path)?.prefix(.max) == content, "\(path)")
        }
        #expect(tar.source(at: "absent") == nil)
    }

    @Test("GNU tar reads what is written")
    func systemTar() throws {
        let long = "blobs/sha512/" + String(repeating: "cd", count: 64)
        let path = try directory.write("b.tar", archive([("one", [1]), (long, [2, 3])]))
        let (status, output) = try TestTool.system("tar", ["-tvf", path])
        #expect(status == 0)
        #expect(output.contains(long))
    }

    @Test("links are followed, not out of the archive, and not for ever")
    func links() throws {
        let target: [UInt8] = archive([("1/layer.tar", [7, 8, 9])]).dropLast(1024)
        let bytes =
            target + link("2/layer.tar", to: "../1/layer.tar", type: "2") + link("3", to: "1/layer.tar", type: "1")
            + link("loop", to: "loop", type: "2") + link("out", to: "../../etc/passwd", type: "2")
        let tar = try #require(try TarIndex(SourceFile(directory.write("c.tar", Array(bytes)))))
        #expect(try tar.source(at: "2/layer.tar")?.prefix(10) == [7, 8, 9])
        #expect(try tar.source(at: "3")?.prefix(10) == [7, 8, 9])
        #expect(tar.source(at: "loop") == nil)
        #expect(tar.source(at: "out") == nil)
    }

    @Test("a member that reaches past the end of the file is not there")
    func truncated() throws {
        let whole = archive([("a", [1]), ("b", randomBytes(2000, seed: 3))])
        let tar = try #require(try TarIndex(SourceFile(directory.write("d.tar", Array(whole.prefix(2048))))))
        #expect(tar.source(at: "a") != nil)
        #expect(tar.source(at: "b") == nil)
    }

    @Test("what is no archive is none", arguments: [0, 1, 511, 512, 5000])
    func noArchive(_ count: Int) throws {
        #expect(try TarIndex(SourceFile(directory.write("e", randomBytes(count, seed: 4)))) == nil)
        #expect(try TarIndex(SourceFile(directory.write("f", [UInt8](repeating: 0, count: count)))) == nil)
    }

    @Test("10 000 mutated archives neither trap nor give bytes from outside the file")
    func mutations() throws {
        let seed: UInt64 = 0x7a12
        var random = SplitMix(seed: seed)
        let long = "blobs/sha512/" + String(repeating: "ef", count: 64)
        let whole = archive([("a", [1]), (long, randomBytes(30, seed: 5)), ("c", randomBytes(600, seed: 6))])
        for round in 0..<10_000 {
            var bytes = whole
            var blocks: Set<Int> = []
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let offset = Int.random(in: 0..<bytes.count, using: &random)
                bytes[offset] = UInt8.random(in: 0...255, using: &random)
                blocks.insert(offset / 512)
            }
            // The checksum would catch nearly all of it: half of the rounds carry one that fits.
            if round % 2 == 0 { for block in blocks { repairChecksum(&bytes, at: 512 * block) } }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            let file = try SourceFile(directory.write("m\(round).tar", bytes))
            unlink(file.path)
            guard let tar = try TarIndex(file) else { continue }
            for path in ["a", long, "c"] {
                guard let source = tar.source(at: path) else { continue }
                #expect(source.offset + source.size <= file.size, "seed \(seed), round \(round)")
            }
        }
    }

    private func link(_ path: String, to target: String, type: Character) -> [UInt8] {
        var block = TarWriter.header(path: path, size: 0)
        block[156] = type.asciiValue ?? 0
        block.replaceSubrange(157..<157 + target.utf8.count, with: target.utf8)
        repairChecksum(&block, at: 0)
        return block
    }

    private func repairChecksum(_ bytes: inout [UInt8], at start: Int) {
        guard start + 512 <= bytes.count else { return }
        bytes.replaceSubrange(start + 148..<start + 156, with: Array("        ".utf8))
        let sum = bytes[start..<start + 512].reduce(0) { $0 &+ Int($1) }
        let digits = String(sum, radix: 8)
        let field = String(repeating: "0", count: 6 - digits.count) + digits
        bytes.replaceSubrange(start + 148..<start + 154, with: Array(field.utf8))
        bytes[start + 154] = 0
    }
}
