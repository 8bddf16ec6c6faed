// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A chunk on its way into the index.
package struct ChunkEntry: Sendable, Equatable {
    /// Bytes 0 to 7 of the chunk's digest, read as a little-endian number.
    package var hi: UInt64
    /// Bytes 8 to 15 of the chunk's digest, read as a little-endian number.
    package var lo: UInt64
    /// The chunk's place among the chunks of its pack, from 0.
    package var ordinal: UInt32

    package init(hi: UInt64, lo: UInt64, ordinal: UInt32) {
        self.hi = hi
        self.lo = lo
        self.ordinal = ordinal
    }
}

/// What is known of a pack. Packs are known by a random id everywhere but within one node's index, where a small
/// number stands for it.
package struct PackRow: Sendable, Equatable {
    /// Where a pack is in its life.
    package enum State: UInt8, Sendable {
        /// Being appended to: readable up to `committedBytes`.
        case open = 1
        /// Complete, with footer; never changes again.
        case sealed = 2
        /// About to go: may be read, never newly referenced.
        case condemned = 3
    }

    /// The pack's random id, as in its header.
    package var id: SIMD16<UInt8>
    /// Where it is in its life.
    package var state: State
    /// Bytes of the file that are durable and belong to it.
    package var committedBytes: UInt64
    /// Chunks in those bytes.
    package var chunkCount: UInt32
    /// Frames in those bytes.
    package var frameCount: UInt32
    /// Bytes still referenced, as far as the last collection knew.
    package var liveBytes: UInt64
    /// Bytes no longer referenced, as far as the last collection knew.
    package var deadBytes: UInt64
    /// When it was begun, in seconds since 1970.
    package var createdAt: UInt64

    package init(
        id: SIMD16<UInt8>, state: State = .open, committedBytes: UInt64 = 0, chunkCount: UInt32 = 0,
        frameCount: UInt32 = 0, liveBytes: UInt64 = 0, deadBytes: UInt64 = 0, createdAt: UInt64 = 0
    ) {
        self.id = id
        self.state = state
        self.committedBytes = committedBytes
        self.chunkCount = chunkCount
        self.frameCount = frameCount
        self.liveBytes = liveBytes
        self.deadBytes = deadBytes
        self.createdAt = createdAt
    }
}

extension PackRow: CodedRow {
    static var rowName: StaticString { "pack row" }

    func write(to writer: inout RowWriter) {
        for index in 0..<16 { writer.byte(id[index]) }
        writer.byte(state.rawValue)
        writer.varint(committedBytes)
        writer.varint(UInt64(chunkCount))
        writer.varint(UInt64(frameCount))
        writer.varint(liveBytes)
        writer.varint(deadBytes)
        writer.varint(createdAt)
    }

    init(from reader: inout RowReader) throws(IndexError) {
        var id = SIMD16<UInt8>.zero
        for index in 0..<16 { id[index] = try reader.byte() }
        guard let state = State(rawValue: try reader.byte()) else { throw reader.damaged("an unknown state") }
        self.init(
            id: id, state: state, committedBytes: try reader.varint(), chunkCount: try reader.varint32(),
            frameCount: try reader.varint32(), liveBytes: try reader.varint(), deadBytes: try reader.varint(),
            createdAt: try reader.varint())
    }
}
