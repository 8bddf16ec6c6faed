// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveCodec

@Suite("forwarding table")
struct ForwardingTableTests {
    /// A table of random runs, in order, for a pack of `chunkCount` chunks.
    private static func randomTable(_ numbers: inout SeededNumbers, chunkCount: UInt32) -> ForwardingTable {
        var entries: [ForwardingTable.Entry] = []
        for _ in 0..<numbers.int(0...5) {
            var runs: [ForwardingTable.Run] = []
            var old = UInt32(numbers.int(0...1000))
            var new = UInt32(numbers.int(0...100))
            for _ in 0..<numbers.int(0...40) {
                let count = UInt32(numbers.int(1...300))
                guard new + count <= chunkCount else { break }
                runs.append(ForwardingTable.Run(oldFirst: old, newFirst: new, count: count))
                old += count + UInt32(numbers.int(1...50))
                new += count + UInt32(numbers.int(0...1) * numbers.int(0...50))
            }
            entries.append(ForwardingTable.Entry(pack: .random(), runs: runs))
        }
        return ForwardingTable(entries)
    }

    private static func decode(_ bytes: [UInt8], chunkCount: UInt32) throws(CodecError) -> ForwardingTable {
        try bytes.lend { bytes throws(CodecError) in try ForwardingTable(decoding: bytes, chunkCount: chunkCount) }
    }

    @Test("comes back as it was")
    func roundTrip() throws {
        var numbers = SeededNumbers(4001)
        for _ in 0..<200 {
            let table = Self.randomTable(&numbers, chunkCount: 9000)
            #expect(try Self.decode(table.encoded(), chunkCount: 9000) == table, "seed \(SeededNumbers.seed)")
        }
        #expect(try ForwardingTable().encoded().isEmpty)
    }

    @Test("lies in the footer of a sealed pack, and the directory is read as without it")
    func inFooter() throws {
        var numbers = SeededNumbers(4002)
        var compressor = try ZstdCompressor()
        var decompressor = try ZstdDecompressor()
        var directory = FrameDirectory()
        var output: [UInt8] = []
        var ordinal: UInt32 = 0
        for _ in 0..<20 {
            let lengths = (0..<50).map { _ in UInt32(numbers.int(1...900)) }
            let raw = numbers.text(Int(lengths.reduce(0, +)))
            let header = try raw.lend { raw throws(CodecError) in
                try FrameEncoder.append(
                    kind: .content, raw: raw, digests: (0..<50).map { digest(of: $0) }, lengths: lengths,
                    firstOrdinal: ordinal, level: 1, compressor: &compressor, to: &output)
            }
            try directory.append(header)
            ordinal += 50
        }
        let table = ForwardingTable([
            .init(pack: .random(), runs: [.init(oldFirst: 7, newFirst: 0, count: 400)]),
            .init(
                pack: .random(),
                runs: [.init(oldFirst: 0, newFirst: 400, count: 1), .init(oldFirst: 9, newFirst: 401, count: 599)]),
        ])
        let seal = try directory.encodedSeal(forwarding: table, compressor: &compressor)
        let end = Array(seal.suffix(PackTrailer.byteCount))
        let trailer = try end.lend { bytes throws(CodecError) in
            try PackTrailer(decoding: bytes, fileBytes: directory.endOffset + UInt64(seal.count))
        }
        let footer = Array(seal.dropLast(PackTrailer.byteCount))
        let (found, read) = try footer.lend { bytes throws(CodecError) in
            (
                try ForwardingTable(decodingFooter: bytes, trailer: trailer),
                try FrameDirectory(decodingFooter: bytes, trailer: trailer, decompressor: &decompressor)
            )
        }
        #expect(found == table)
        #expect(read == directory)
        for index in footer.indices {
            var damaged = footer
            damaged[index] ^= 1 << UInt8(numbers.int(0...7))
            #expect(
                codecErrorCode {
                    try damaged.lend { bytes throws(CodecError) in
                        _ = try ForwardingTable(decodingFooter: bytes, trailer: trailer)
                    }
                } == .checksumMismatch)
        }
    }

    @Test(
        "refuses what is out of order, empty, or behind the pack's end",
        arguments: [
            [.init(oldFirst: 5, newFirst: 0, count: 5), .init(oldFirst: 9, newFirst: 5, count: 5)],
            [.init(oldFirst: 5, newFirst: 9, count: 5), .init(oldFirst: 12, newFirst: 3, count: 5)],
            [.init(oldFirst: 5, newFirst: 9, count: 0)],
        ] as [[ForwardingTable.Run]])
    func badRuns(_ runs: [ForwardingTable.Run]) {
        let table = ForwardingTable([.init(pack: .random(), runs: runs)])
        #expect(codecErrorCode { _ = try table.encoded() } == .invalidArgument)
    }

    @Test("refuses runs that reach behind the pack, or that ought to be one")
    func badBytes() throws {
        let beyond = ForwardingTable([.init(pack: .random(), runs: [.init(oldFirst: 1, newFirst: 90, count: 11)])])
        let bytes = try beyond.encoded()
        #expect(codecErrorCode { _ = try Self.decode(bytes, chunkCount: 100) } == .malformed)
        #expect(try Self.decode(bytes, chunkCount: 101) == beyond)
        let split = try ForwardingTable([
            .init(
                pack: .random(),
                runs: [.init(oldFirst: 1, newFirst: 0, count: 4), .init(oldFirst: 5, newFirst: 4, count: 4)])
        ]).encoded()
        #expect(codecErrorCode { _ = try Self.decode(split, chunkCount: 100) } == .malformed)
    }

    @Test("10,000 mutated tables: an error or a table within its bounds, never a trap")
    func mutations() throws {
        var numbers = SeededNumbers(4003)
        for _ in 0..<100 {
            let bytes = try Self.randomTable(&numbers, chunkCount: 9000).encoded()
            for _ in 0..<100 {
                guard let table = try? Self.decode(numbers.mutation(of: bytes), chunkCount: 9000) else { continue }
                for run in table.entries.flatMap(\.runs) {
                    #expect(UInt64(run.newFirst) + UInt64(run.count) <= 9000, "seed \(SeededNumbers.seed)")
                }
            }
        }
    }
}
