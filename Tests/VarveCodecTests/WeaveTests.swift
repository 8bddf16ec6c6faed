// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveCodec

@Suite("weave table")
struct WeaveTests {
    /// Pieces of both streams in plain order; `true` for the header stream.
    typealias Pieces = [(isHeader: Bool, count: UInt64)]

    static func table(_ pieces: Pieces) -> WeaveTable {
        var builder = WeaveBuilder()
        for piece in pieces {
            if piece.isHeader { builder.append(header: piece.count) } else { builder.append(content: piece.count) }
        }
        return builder.finish()
    }

    static func randomPieces(_ numbers: inout SeededNumbers, count: Int) -> Pieces {
        (0..<count).map { _ in
            (isHeader: numbers.int(0...1) == 0, count: numbers.int(0...3) == 0 ? 0 : UInt64(numbers.int(1...5000)))
        }
    }

    /// Where each plain byte comes from, the slow way.
    static func origins(_ pieces: Pieces) -> [(StreamKind, UInt64)] {
        var offsets: [StreamKind: UInt64] = [:]
        var origins: [(StreamKind, UInt64)] = []
        for piece in pieces {
            let stream: StreamKind = piece.isHeader ? .headers : .content
            let start = offsets[stream, default: 0]
            origins += (0..<piece.count).map { (stream, start + $0) }
            offsets[stream] = start + piece.count
        }
        return origins
    }

    static func decode(_ bytes: [UInt8], plainBytes: UInt64) throws(CodecError) -> WeaveTable {
        try bytes.lend { buffer throws(CodecError) in
            var reader = ByteReader(buffer)
            let table = try WeaveTable(decoding: &reader, plainBytes: plainBytes)
            guard reader.isAtEnd else { throw CodecError(.malformed, "bytes are left over") }
            return table
        }
    }

    @Test("every range is found, from any place")
    func ranges() {
        var numbers = SeededNumbers(10)
        for entries in [1, 2, 3, 63, 64, 65, 200, 700] {
            let pieces = Self.randomPieces(&numbers, count: 2 * entries).map {
                (isHeader: $0.isHeader, count: $0.count % 40)
            }
            let table = Self.table(pieces)
            let origins = Self.origins(pieces)
            #expect(table.plainBytes == UInt64(origins.count))
            for _ in 0..<50 {
                let from = numbers.int(0...origins.count)
                let to = numbers.int(from...origins.count)
                var found: [(StreamKind, UInt64)] = []
                var previous: StreamKind?
                table.segments(in: UInt64(from)..<UInt64(to)) { stream, range in
                    #expect(!range.isEmpty)
                    #expect(stream != previous, "neighbours are one segment")
                    previous = stream
                    found += range.map { (stream, $0) }
                }
                #expect(found.elementsEqual(origins[from..<to], by: ==), "seed \(SeededNumbers.seed)")
            }
        }
    }

    @Test("what lies behind the end is left out")
    func behindTheEnd() {
        let table = Self.table([(true, 10), (false, 5)])
        var segments: [Range<UInt64>] = []
        table.segments(in: 12..<UInt64.max) { segments.append($1) }
        #expect(segments == [2..<5])
        table.segments(in: 15..<99) { _, _ in Issue.record("there is nothing") }
        table.segments(in: 3..<3) { _, _ in Issue.record("there is nothing") }
        WeaveTable.contentOnly(byteCount: 0).segments(in: 0..<9) { _, _ in Issue.record("there is nothing") }
    }

    @Test("neighbours become one entry; without headers there are no entries")
    func coalescing() {
        let table = Self.table([(false, 3), (false, 4), (true, 1), (true, 2), (false, 0), (true, 5), (false, 6)])
        #expect(table.entryCount == 2)  // (0, 7), (8, 6)
        #expect(table.headerBytes == 8)
        #expect(table.contentBytes == 13)
        let plain = Self.table([(false, 3), (true, 0), (false, 4)])
        #expect(plain == .contentOnly(byteCount: 7))
        var segments: [Range<UInt64>] = []
        plain.segments(in: 2..<6) { stream, range in
            #expect(stream == .content)
            segments.append(range)
        }
        #expect(segments == [2..<6])
    }

    @Test("tables come back from their bytes")
    func roundTrip() throws {
        var numbers = SeededNumbers(11)
        for count in [0, 1, 2, 129, 1000] {
            let table = Self.table(Self.randomPieces(&numbers, count: count))
            var writer = ByteWriter()
            table.encode(into: &writer)
            #expect(try Self.decode(writer.bytes, plainBytes: table.plainBytes) == table)
            #expect(
                codecErrorCode { _ = try Self.decode(writer.bytes, plainBytes: table.plainBytes + 1) }
                    == (table.entryCount == 0 ? nil : .malformed))
        }
    }

    @Test("sums that overflow, empty parts and counts beyond the bytes are refused")
    func refusals() {
        func code(_ numbers: [UInt64], plain: UInt64) -> CodecError.Code? {
            var writer = ByteWriter()
            for number in numbers { writer.writeVarint(number) }
            return codecErrorCode { _ = try Self.decode(writer.bytes, plainBytes: plain) }
        }
        #expect(code([1, 3, 4], plain: 7) == nil)
        #expect(code([1, 0, 4], plain: 4) == .malformed)  // an entry without headers is content only: no entries
        #expect(code([2, 0, 4, 5, 0], plain: 9) == nil)
        #expect(code([2, 3, 0, 5, 1], plain: 9) == .malformed)
        #expect(code([2, 3, 1, 0, 5], plain: 9) == .malformed)
        #expect(code([1, 3, 4], plain: 8) == .malformed)
        #expect(code([1, 3, 4], plain: 6) == .malformed)
        #expect(code([1, .max, 2], plain: 1) == .malformed)
        #expect(code([2, .max, .max, .max, .max], plain: 1 << 62) == .malformed)
        #expect(code([1_000_000, 1, 1], plain: 2) == .truncated)
        #expect(code([.max], plain: 2) == .truncated)
        #expect(code([0], plain: 1 << 62) == nil)
        #expect(code([0], plain: (1 << 62) + 1) == .limitExceeded)
    }

    @Test("memory stays near the encoded size")
    func memory() {
        var numbers = SeededNumbers(12)
        let table = Self.table((0..<100_000).map { (isHeader: $0 % 2 == 0, count: UInt64(numbers.int(512...20_000))) })
        let bytes = table.encoded.count + table.checkpoints.count * MemoryLayout<WeaveTable.Checkpoint>.stride
        #expect(bytes <= 8 * table.entryCount)
    }

    @Test("10,000 mutated tables are refused or answer every range")
    func mutations() {
        var numbers = SeededNumbers(13)
        let table = Self.table(Self.randomPieces(&numbers, count: 300))
        var writer = ByteWriter()
        table.encode(into: &writer)
        var decoded = 0
        for _ in 0..<10_000 {
            let bytes = numbers.mutation(of: writer.bytes)
            guard let other = try? Self.decode(bytes, plainBytes: table.plainBytes) else { continue }
            decoded += 1
            let from = UInt64.random(in: 0...other.plainBytes, using: &numbers)
            var total: UInt64 = 0
            other.segments(in: from..<other.plainBytes) { total += $1.upperBound - $1.lowerBound }
            #expect(total == other.plainBytes - from, "seed \(SeededNumbers.seed)")
        }
        #expect(decoded < 10_000)
    }
}
