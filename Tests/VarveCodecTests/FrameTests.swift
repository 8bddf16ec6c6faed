// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveCodec

@Suite("frames")
struct FrameTests {
    @Test("chunks, digests and lengths come back", arguments: [FrameKind.content, .headers, .correction])
    func roundTrip(_ kind: FrameKind) throws {
        var numbers = SeededNumbers(40)
        for (count, compressible) in [(1, true), (1, false), (40, true), (40, false), (2000, true)] {
            let batch = ChunkBatch(&numbers, count: count, longest: 900, compressible: compressible)
            let bytes = try batch.frame(kind: kind, firstOrdinal: 12_345)
            let frame = try DecodedTestFrame(bytes)
            #expect(frame.raw == batch.raw)
            #expect(frame.header.kind == kind)
            #expect(frame.header.chunkCount == count)
            #expect(frame.header.firstOrdinal == 12_345)
            #expect(frame.header.endOrdinal == 12_345 + UInt32(count))
            #expect(frame.header.frameBytes == bytes.count)
            #expect(frame.table.count == count)
            #expect(frame.table.rawBytes == batch.raw.count)
            #expect((0..<count).map(frame.table.digest) == batch.digests)
            #expect((0..<count).map { UInt32(frame.table.length($0)) } == batch.lengths)
        }
    }

    @Test("a chunk is found by its offset in the payload")
    func chunkAtOffset() throws {
        let batch = ChunkBatch(raw: Array(0..<10), lengths: [3, 1, 6])
        let table = try DecodedTestFrame(try batch.frame()).table
        #expect((0..<10).map { table.chunk(at: $0) } == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2])
        #expect(table.chunk(at: 10) == nil)
        #expect(table.chunk(at: -1) == nil)
        #expect(table.range(2) == 4..<10)
        table.withDigests { #expect($0.count == 96) }
        #expect(table.memoryBytes >= 96 + 16)
    }

    @Test("the chunks that hold bytes of a range, and where those lie")
    func chunksHolding() throws {
        let batch = ChunkBatch(raw: Array(0..<10), lengths: [3, 1, 6])
        let table = try DecodedTestFrame(try batch.frame()).table
        for start in 0..<10 {
            for end in start + 1...10 {
                let chunks = table.chunks(holding: start..<end)
                #expect(chunks == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2][start]..<[1, 1, 1, 2, 3, 3, 3, 3, 3, 3][end - 1])
                #expect(
                    table.range(of: chunks) == table.range(chunks.lowerBound)
                        .lowerBound..<table.range(chunks.upperBound - 1).upperBound)
            }
            #expect(table.chunks(holding: start..<start).isEmpty)
            #expect(table.chunks(holding: start..<Int.max) == table.chunks(holding: start..<10))
        }
        #expect(table.chunks(holding: 10..<12).isEmpty)
        #expect(table.range(of: 1..<1).isEmpty)
    }

    @Test("only the chunks that are named are compared with their digests")
    func someMatch() throws {
        var numbers = SeededNumbers(46)
        var batch = ChunkBatch(&numbers, count: 9)
        let offsets = batch.lengths.indices.map { UInt64(batch.lengths[..<$0].reduce(0, +)) }
        batch.raw.lend { SHA256Pieces.digests(of: $0, offsets: offsets, lengths: batch.lengths, into: &batch.digests) }
        let table = try DecodedTestFrame(try batch.frame()).table
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        for damaged in 0..<9 {
            var raw = batch.raw
            raw[Int(offsets[damaged])] ^= 1
            for first in 0..<9 {
                for end in first...9 {
                    // What lies behind the last one need not be there.
                    let part = raw[..<table.range(of: first..<end).upperBound]
                    var hash = SHA256State()
                    let isWhole = Array(part).lend {
                        SHA256Pieces.matches(table, first..<end, in: $0, absorbing: nothing, into: &hash)
                    }
                    #expect(isWhole == !(first..<end).contains(damaged))
                }
            }
        }
    }

    @Test("the header's bytes are what the format says")
    func headerBytes() throws {
        let bytes = try ChunkBatch(raw: [9, 8, 7], lengths: [1, 2]).frame(kind: .headers, firstOrdinal: 5)
        #expect(Array(bytes[..<8]) == Array("VFRM".utf8) + [2, 0, 0, 0])
        let words = bytes.withUnsafeBytes { bytes in
            (2..<12).map { UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
        }
        #expect(Array(words[..<7]) == [2, 2, 0, 3, 3, 5, 0])
        #expect(words[7] == ([9, 8, 7] as [UInt8]).withUnsafeBytes { crc32c($0) })
        let table = Array(bytes[48..<48 + 66])
        #expect(words[8] == table.withUnsafeBytes { crc32c($0) })
        #expect(words[9] == Array(bytes[..<44]).withUnsafeBytes { crc32c($0) })
        #expect(Array(table[64...]) == [1, 2])
        #expect(Array(bytes[(48 + 66)...]) == [9, 8, 7])
    }

    @Test("what zstd does not make smaller by one byte in 64 is stored")
    func codecChoice() throws {
        var numbers = SeededNumbers(41)
        let noise = ChunkBatch(raw: numbers.bytes(64_000), lengths: [64_000])
        #expect(try DecodedTestFrame(try noise.frame()).header.codec == .stored)
        let tiny = ChunkBatch(raw: [1], lengths: [1])
        #expect(try DecodedTestFrame(try tiny.frame()).header.codec == .stored)
        // Zeros at the end of the noise: zstd saves about their number.
        for (zeros, codec) in [(600, FrameCodec.stored), (1400, .zstd)] {
            let mixed = numbers.bytes(64_000 - zeros) + [UInt8](repeating: 0, count: zeros)
            let header = try DecodedTestFrame(try ChunkBatch(raw: mixed, lengths: [64_000]).frame()).header
            #expect(header.codec == codec)
            if codec == .zstd { #expect(header.payloadBytes <= 63_000) }
        }
    }

    @Test("the largest frame is possible, one byte or chunk more is not")
    func largest() throws {
        let mebibyte = UInt32(FrameHeader.chunkByteLimit)
        let raw = [UInt8](repeating: 7, count: 4 << 20)
        let full = ChunkBatch(raw: raw, lengths: [mebibyte, mebibyte, mebibyte, mebibyte])
        #expect(try DecodedTestFrame(try full.frame()).raw == raw)
        let many = ChunkBatch(raw: [UInt8](repeating: 1, count: 65_536), lengths: [UInt32](repeating: 1, count: 65_536))
        #expect(try DecodedTestFrame(try many.frame()).table.count == 65_536)

        let refused = [
            ChunkBatch(raw: raw + [1], lengths: full.lengths + [1]),
            ChunkBatch(raw: many.raw + [1], lengths: many.lengths + [1]),
            ChunkBatch(raw: [UInt8](repeating: 7, count: 1 << 20 + 1), lengths: [mebibyte + 1]),
            ChunkBatch(raw: [1, 2], lengths: [2, 0]),
        ]
        for batch in refused { #expect(codecErrorCode { _ = try batch.frame() } == .limitExceeded) }
        let contradictions = [
            ChunkBatch(raw: [1, 2], lengths: [1]), ChunkBatch(raw: [1, 2], lengths: [1, 2]),
        ]
        for batch in contradictions { #expect(codecErrorCode { _ = try batch.frame() } == .invalidArgument) }
        #expect(codecErrorCode { _ = try ChunkBatch(raw: [], lengths: []).frame() } == .malformed)
        #expect(codecErrorCode { _ = try ChunkBatch(raw: [1], lengths: [1]).frame(kind: .recipe) } == .invalidArgument)
        #expect(
            codecErrorCode { _ = try ChunkBatch(raw: [1], lengths: [1]).frame(firstOrdinal: .max) } == .malformed)
    }

    @Test("a failed append leaves the output as it was")
    func atomicAppend() throws {
        var output: [UInt8] = [1, 2, 3]
        #expect(throws: CodecError.self) {
            try ChunkBatch(raw: [1], lengths: [1]).append(to: &output, firstOrdinal: .max)
        }
        #expect(output == [1, 2, 3])
        let header = try ChunkBatch(raw: [1], lengths: [1]).append(to: &output)
        #expect(output.count == 3 + header.frameBytes)
        #expect(Array(output[..<3]) == [1, 2, 3])
    }

    @Test("a frame with a base needs its base")
    func base() throws {
        var numbers = SeededNumbers(42)
        let base = numbers.bytes(100_000)
        let batch = ChunkBatch(raw: Array(base[20_000..<90_000]), lengths: [70_000])
        var bytes: [UInt8] = []
        let header = try batch.append(to: &bytes, base: ([1, 2, 3], base))
        #expect(header.baseListBytes == 3)
        #expect(header.payloadBytes < 2000)
        let frame = try DecodedTestFrame(bytes, base: base)
        #expect(frame.raw == batch.raw)
        #expect(frame.table.baseList == [1, 2, 3])
        #expect(codecErrorCode { _ = try DecodedTestFrame(bytes) } == .invalidArgument)
        var other: [UInt8] = []
        #expect(
            codecErrorCode { try batch.append(to: &other, base: ([], base)) } == .invalidArgument)
        let plain = try batch.frame()
        #expect(codecErrorCode { _ = try DecodedTestFrame(plain, base: base) } == .invalidArgument)
    }

    @Test("a recipe frame holds one record and no chunks")
    func recipeFrame() throws {
        var numbers = SeededNumbers(43)
        var compressor = try ZstdCompressor()
        for record in [numbers.text(5000), numbers.bytes(70), numbers.text(9 << 20)] {
            var bytes: [UInt8] = []
            try record.withUnsafeBytes { record in
                _ = try FrameEncoder.append(
                    recipe: record, nextOrdinal: 17, level: 3, compressor: &compressor, to: &bytes)
            }
            let frame = try DecodedTestFrame(bytes)
            #expect(frame.raw == record)
            #expect(frame.header.kind == .recipe && frame.header.chunkCount == 0 && frame.header.firstOrdinal == 17)
            #expect(frame.table.count == 0)
        }
    }

    @Test("only a part of the payload is decoded when that is enough")
    func partial() throws {
        var numbers = SeededNumbers(44)
        for compressible in [true, false] {
            let batch = ChunkBatch(&numbers, count: 100, compressible: compressible)
            let bytes = try batch.frame()
            let header = try DecodedTestFrame(bytes).header
            for count in [0, 1, 1000, batch.raw.count] {
                #expect(
                    try DecodedTestFrame.payload(of: bytes, header: header, count: count)
                        == Array(batch.raw.prefix(count)))
            }
            #expect(
                codecErrorCode {
                    _ = try DecodedTestFrame.payload(of: bytes, header: header, count: batch.raw.count + 1)
                }
                    == .invalidArgument)
        }
    }

    @Test("frames can be given other ordinals once their order is known")
    func ordinals() throws {
        var numbers = SeededNumbers(45)
        let batch = ChunkBatch(&numbers, count: 10)
        var bytes: [UInt8] = [0xff]
        try batch.append(to: &bytes)
        let header = try FrameEncoder.setFirstOrdinal(4000, inFrameAt: 1, of: &bytes)
        #expect(header.firstOrdinal == 4000)
        let expected = try batch.frame(firstOrdinal: 4000)
        #expect(Array(bytes[1...]) == expected)
        #expect(codecErrorCode { try FrameEncoder.setFirstOrdinal(1, inFrameAt: 0, of: &bytes) } == .malformed)
        #expect(codecErrorCode { try FrameEncoder.setFirstOrdinal(1, inFrameAt: -1, of: &bytes) } == .invalidArgument)
        #expect(
            codecErrorCode { try FrameEncoder.setFirstOrdinal(1, inFrameAt: bytes.count, of: &bytes) } == .truncated)
        #expect(
            codecErrorCode { try FrameEncoder.setFirstOrdinal(1, inFrameAt: bytes.count + 1, of: &bytes) }
                == .invalidArgument)
        #expect(codecErrorCode { try FrameEncoder.setFirstOrdinal(.max - 9, inFrameAt: 1, of: &bytes) } == .malformed)
        #expect(Array(bytes[1...]) == expected)
    }

    // MARK: Damage

    @Test("every changed bit of a frame is noticed")
    func everyBit() throws {
        var numbers = SeededNumbers(46)
        let bytes = try ChunkBatch(&numbers, count: 3, longest: 200).frame()
        for bit in 0..<8 * bytes.count {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            let code = codecErrorCode { _ = try DecodedTestFrame(damaged) }
            #expect(code == (bit < 32 ? .malformed : .checksumMismatch), "bit \(bit)")
        }
    }

    @Test("a cut frame is truncated")
    func truncated() throws {
        let bytes = try ChunkBatch(raw: [1, 2, 3, 4], lengths: [2, 2]).frame()
        for count in 0..<bytes.count {
            #expect(codecErrorCode { _ = try DecodedTestFrame(Array(bytes[..<count])) } == .truncated)
        }
    }

    /// Changes a field of a good header and gives it a right checksum.
    private func code(of bytes: [UInt8], field offset: Int, _ value: UInt32) -> CodecError.Code? {
        var header = Array(bytes[..<FrameHeader.byteCount])
        withUnsafeBytes(of: value.littleEndian) { header.replaceSubrange(offset..<offset + 4, with: $0) }
        header = resealed(header)
        return codecErrorCode { try header.withUnsafeBytes { _ = try FrameHeader(decoding: $0) } }
    }

    @Test("header fields beyond the limits, or against one another, are refused before anything is allocated")
    func fields() throws {
        let stored = try ChunkBatch(raw: [1, 2, 3, 4], lengths: [2, 2]).frame()
        #expect(code(of: stored, field: 4, 0x0000_0001) == nil)  // as it is: kind 1, codec 0
        for (word, expected) in [
            (0x0000_0000, CodecError.Code.unsupported), (0x0000_0005, .unsupported), (0x0000_0201, .unsupported),
            (0x0002_0001, .unsupported), (0x0100_0001, .unsupported), (0x0001_0001, .malformed),
            (0x0000_0003, .malformed),
            (0x0000_0101, .malformed),
        ] as [(UInt32, CodecError.Code)] {
            #expect(code(of: stored, field: 4, word) == expected, "\(word)")
        }
        #expect(code(of: stored, field: 8, 0) == .malformed)  // chunk count
        #expect(code(of: stored, field: 8, 3) == .malformed)
        #expect(code(of: stored, field: 8, 65_537) == .limitExceeded)
        #expect(code(of: stored, field: 8, .max) == .limitExceeded)
        #expect(code(of: stored, field: 12, 1) == .malformed)  // length table
        #expect(code(of: stored, field: 12, 7) == .malformed)
        #expect(code(of: stored, field: 12, .max) == .limitExceeded)
        #expect(code(of: stored, field: 16, 1) == .malformed)  // base list
        #expect(code(of: stored, field: 16, .max) == .malformed)
        #expect(code(of: stored, field: 20, 3) == .malformed)  // payload
        #expect(code(of: stored, field: 24, 0) == .malformed)  // raw
        #expect(code(of: stored, field: 24, 5) == .malformed)
        #expect(code(of: stored, field: 24, 4 << 20 + 1) == .limitExceeded)
        #expect(code(of: stored, field: 24, .max) == .limitExceeded)
        #expect(code(of: stored, field: 28, .max - 1) == .malformed)  // ordinal
        #expect(code(of: stored, field: 28, .max - 2) == nil)
        #expect(code(of: stored, field: 32, 1) == .unsupported)  // reserved

        let packed = try ChunkBatch(raw: [UInt8](repeating: 0, count: 1000), lengths: [1000]).frame()
        #expect(code(of: packed, field: 20, 0) == .malformed)
        #expect(code(of: packed, field: 20, 1000) == .malformed)
        #expect(code(of: packed, field: 20, 999) == nil)
    }

    /// A frame whose table was changed and given a right checksum.
    private func code(ofTable change: (inout [UInt8]) -> Void, batch: ChunkBatch) throws -> CodecError.Code? {
        let bytes = try batch.frame()
        var header = try DecodedTestFrame(bytes).header
        var table = Array(bytes[FrameHeader.byteCount..<header.payloadOffset])
        change(&table)
        header.tableChecksum = table.withUnsafeBytes { crc32c($0) }
        header.lengthTableBytes = table.count - 32 * header.chunkCount
        return codecErrorCode { try table.withUnsafeBytes { _ = try FrameTable(decoding: $0, header: header) } }
    }

    @Test("lengths that do not add up are refused")
    func lengths() throws {
        let batch = ChunkBatch(raw: [1, 2, 3, 4], lengths: [2, 2])
        #expect(try code(ofTable: { _ in }, batch: batch) == nil)
        for (lengths, expected) in [
            ([1, 2], CodecError.Code.malformed), ([3, 2], .malformed), ([0, 4], .malformed), ([4, 0], .malformed),
            ([2], .truncated), ([2, 2, 0], .malformed), ([2, 0x80], .truncated),
            ([0xff, 0xff, 0xff, 0x7f, 2], .limitExceeded),
            ([2, 0x82, 0x00], nil),
        ] as [([UInt8], CodecError.Code?)] {
            #expect(
                try code(ofTable: { $0.replaceSubrange(64..., with: lengths) }, batch: batch) == expected, "\(lengths)")
        }
    }

    @Test("lengths whose sum leaves 32 bits are refused at the first that is too much")
    func hugeLengths() throws {
        let count = 5000  // chunks of 1 MiB: more than 4 GiB
        let batch = ChunkBatch(
            raw: [UInt8](repeating: 1, count: count), lengths: [UInt32](repeating: 1, count: count))
        let mebibyte: [UInt8] = [0x80, 0x80, 0x40]
        let lengths = Array(repeatElement(mebibyte, count: count).joined())
        #expect(try code(ofTable: { $0.replaceSubrange((32 * count)..., with: lengths) }, batch: batch) == .malformed)
    }

    @Test("10,000 mutated frames, half of them with right checksums, are refused or decode")
    func mutations() throws {
        var numbers = SeededNumbers(47)
        let originals = [
            try ChunkBatch(&numbers, count: 20, longest: 100).frame(),
            try ChunkBatch(&numbers, count: 5, longest: 50, compressible: false).frame(),
        ]
        var decoded = 0
        for round in 0..<10_000 {
            var bytes = numbers.mutation(of: originals[round % 2])
            if round % 4 < 2, bytes.count >= FrameHeader.byteCount {
                // The checksums of the changed parts are made right, so that what lies behind them is reached.
                bytes.replaceSubrange(
                    ..<FrameHeader.byteCount, with: resealed(Array(bytes.prefix(FrameHeader.byteCount))))
                if var header = bytes.withUnsafeBytes({ try? FrameHeader(decoding: $0) }),
                    header.frameBytes <= bytes.count
                {
                    header.tableChecksum = Array(bytes[FrameHeader.byteCount..<header.payloadOffset])
                        .withUnsafeBytes { crc32c($0) }
                    header.payloadChecksum = Array(bytes[header.payloadOffset..<header.frameBytes])
                        .withUnsafeBytes { crc32c($0) }
                    var writer = ByteWriter()
                    header.encode(into: &writer)
                    bytes.replaceSubrange(..<FrameHeader.byteCount, with: writer.bytes)
                }
            }
            if codecErrorCode({
                let frame = try DecodedTestFrame(bytes)
                #expect(frame.raw.count == frame.header.rawBytes)
                #expect(frame.table.range(frame.table.count - 1).upperBound == frame.raw.count)
            }) == nil {
                decoded += 1
            }
        }
        #expect(decoded > 100 && decoded < 9_900, "seed \(SeededNumbers.seed): \(decoded)")
    }
}
