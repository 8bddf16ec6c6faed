// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import Testing
import VarveCodec
import VarveModel

@testable import VarveEngine

@Suite("decoded frames")
struct FrameCacheTests {
    private let raw = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) }
    private let table: FrameTable
    private let key = FrameCache.Key(pack: 1, frame: 3)

    init() throws {
        let lengths = [UInt32](repeating: 1000, count: 40)
        var digests: [ChunkDigest] = []
        var bytes: [UInt8] = []
        var compressor = try ZstdCompressor()
        table = try raw.withUnsafeBytes { raw in
            SHA256Pieces.digests(
                of: raw, offsets: lengths.indices.map { UInt64(1000 * $0) }, lengths: lengths, into: &digests)
            try FrameEncoder.append(
                kind: .content, raw: raw, digests: digests, lengths: lengths, firstOrdinal: 0, level: 1,
                compressor: &compressor, to: &bytes)
            return try bytes.withUnsafeBytes { bytes in
                let header = try FrameHeader(decoding: bytes)
                return try FrameTable(
                    decoding: UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.byteCount..<header.payloadOffset]),
                    header: header)
            }
        }
    }

    private func decoded(_ wanted: Range<Int>?, damaging place: Int? = nil) throws(VarveError) -> DecodedFrame {
        let id = [UInt8](repeating: 7, count: 16).withUnsafeBytes { PackID(bytes: $0) }
        guard let id else { throw VarveError(.io, "no id") }
        let frame = DecodedFrame(table: table, byteCount: raw.count, wanted: wanted, pack: id, index: 3)
        frame.room.copyBytes(from: raw[..<frame.room.count])
        if let place, place < frame.room.count { frame.room[place] ^= 1 }
        try frame.verify()
        return frame
    }

    @Test("of a frame only the chunks wanted are there, and only those are verified")
    func part() throws {
        let frame = try decoded(4999..<5001, damaging: 3999)
        #expect(frame.covered == 4000..<6000)
        #expect(frame.bytes.count == 6000)
        #expect(frame.covers(4000..<6000) && frame.covers(5500..<5600))
        #expect(!frame.covers(3999..<4001) && !frame.covers(5999..<6001) && !frame.covers(nil))
        #expect(throws: VarveError.self) { try decoded(4999..<5001, damaging: 4000) }
        #expect(throws: VarveError.self) { try decoded(nil, damaging: 3999) }
        #expect(try decoded(0..<40_000).covers(nil))
    }

    @Test("one of which other bytes are here is decoded anew, then wholly")
    func anew() throws {
        let cache = FrameCache(budget: 1 << 20)
        var asked: [Range<Int>?] = []
        func get(_ wanted: Range<Int>?) throws -> DecodedFrame {
            try cache.frame(key, with: wanted) { told throws(VarveError) in
                asked.append(told)
                return try decoded(told)
            }
        }
        #expect(try get(10..<20).covered == 0..<1000)
        #expect(try get(900..<1000).covered == 0..<1000)
        #expect(asked == [10..<20])
        #expect(try get(900..<1001).covers(nil))
        #expect(asked == [10..<20, nil])
        #expect(try get(39_000..<39_001).covers(nil))
        #expect(try get(nil).bytes.elementsEqual(raw))
        #expect(asked == [10..<20, nil])
    }

    @Test("each of several who want other bytes of a frame at once gets his")
    func together() async throws {
        let cache = FrameCache(budget: 1 << 20)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<64 {
                group.addTask { [self] in
                    let wanted = 600 * index..<600 * index + 700
                    let frame = try cache.frame(key, with: wanted) { told throws(VarveError) in try decoded(told) }
                    return frame.covers(wanted) && frame.bytes[wanted].elementsEqual(raw[wanted])
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
    }

    @Test("what is known of a frame is one range; another byte of it means all")
    func extents() {
        var extents = FrameExtents()
        #expect(extents.extent(of: key, with: 0) == nil)
        extents.add(500..<600, of: key)
        extents.add(100..<120, of: key)
        #expect(extents.extent(of: key, with: 300) == 100..<600)
        #expect(extents.extent(of: key, with: 600) == nil)
        #expect(extents.extent(of: FrameCache.Key(pack: 2, frame: 3), with: 300) == nil)
        var frame = 0
        while !extents.isFull {
            frame += 1
            extents.add(0..<1, of: FrameCache.Key(pack: 9, frame: frame))
        }
        #expect(frame < 1 << 12)
    }
}
