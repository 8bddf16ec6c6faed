// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A run of consecutive chunks of one pack.
package struct RecipeRun: Sendable, Equatable {
    /// The pack, as an index into the recipe's list of packs.
    package var pack: UInt32
    /// The ordinal of the first chunk in that pack.
    package var firstOrdinal: UInt32
    package var chunkCount: UInt32
    /// Length of all the chunks in bytes.
    package var byteCount: UInt64
    /// Where, in its stream, the run begins.
    package var streamOffset: UInt64

    /// The ordinals of the run's chunks.
    package var ordinals: Range<UInt32> { firstOrdinal..<firstOrdinal + chunkCount }
    /// The bytes of the stream that the run holds.
    package var streamRange: Range<UInt64> { streamOffset..<streamOffset + byteCount }
}

/// The chunks of one stream, in order, as runs.
///
/// A rebuilt layer is a handful of runs, since its chunks lie in their packs in the order in which they were first seen.
package struct RecipeRuns: Sendable, Equatable {
    package private(set) var runs: [RecipeRun] = []
    /// Length of the stream.
    package private(set) var byteCount: UInt64 = 0

    package init() {}

    /// Appends the chunk `ordinal` of pack `pack` (an index into the recipe's list); it joins the last run if it follows it.
    package mutating func append(pack: UInt32, ordinal: UInt32, byteCount count: UInt32) {
        if let last = runs.last, last.pack == pack, last.firstOrdinal &+ last.chunkCount == ordinal,
            last.chunkCount < UInt32.max
        {
            runs[runs.count - 1].chunkCount += 1
            runs[runs.count - 1].byteCount += UInt64(count)
        } else {
            runs.append(
                RecipeRun(
                    pack: pack, firstOrdinal: ordinal, chunkCount: 1, byteCount: UInt64(count),
                    streamOffset: byteCount))
        }
        byteCount += UInt64(count)
    }

    /// Calls `body` with the runs that make up `range` of the stream, in order, each with the part of the run that is
    /// wanted, counted from the run's first byte. What of `range` lies behind the end is left out.
    package func forEachRun<Failure: Error>(
        in range: Range<UInt64>, _ body: (RecipeRun, Range<UInt64>) throws(Failure) -> Void
    ) throws(Failure) {
        let range = range.clamped(to: 0..<byteCount)
        guard !range.isEmpty else { return }
        var index = runs.partitionIndex { $0.streamRange.upperBound > range.lowerBound }
        while index < runs.count, runs[index].streamOffset < range.upperBound {
            let run = runs[index]
            let part = range.clamped(to: run.streamRange)
            try body(run, part.lowerBound - run.streamOffset..<part.upperBound - run.streamOffset)
            index += 1
        }
    }

    // MARK: Coding

    func encode(into writer: inout ByteWriter) {
        writer.writeVarint(UInt64(runs.count))
        for run in runs {
            writer.writeVarint(run.pack)
            writer.writeVarint(run.firstOrdinal)
            writer.writeVarint(run.chunkCount)
            writer.writeVarint(run.byteCount)
        }
    }

    /// - Throws: ``CodecError``: `truncated`, `malformed`, `limitExceeded`.
    init(decoding reader: inout ByteReader, packCount: Int) throws(CodecError) {
        let count = try reader.readCount(bytesEach: 4, "the number of runs")
        runs.reserveCapacity(count)
        for _ in 0..<count {
            let pack = try reader.readVarint(atMost: UInt64(UInt32.max), "a pack's index")
            let ordinal = try reader.readVarint(atMost: UInt64(UInt32.max), "a chunk's ordinal")
            let chunks = try reader.readVarint(atMost: UInt64(UInt32.max), "a run's chunk count")
            let bytes = try reader.readVarint(atMost: WeaveTable.streamByteLimit, "a run's length")
            guard pack < UInt64(packCount) else {
                throw CodecError(.malformed, "a run of pack \(pack), the recipe has \(packCount) packs")
            }
            guard chunks > 0, ordinal + chunks <= UInt64(UInt32.max), bytes >= chunks,
                bytes <= chunks * UInt64(FrameHeader.chunkByteLimit)
            else { throw CodecError(.malformed, "a run of \(chunks) chunks and \(bytes) bytes from chunk \(ordinal)") }
            guard bytes <= WeaveTable.streamByteLimit - byteCount else {
                throw CodecError(.limitExceeded, "a stream of more than \(WeaveTable.streamByteLimit) bytes")
            }
            runs.append(
                RecipeRun(
                    pack: UInt32(pack), firstOrdinal: UInt32(ordinal), chunkCount: UInt32(chunks), byteCount: bytes,
                    streamOffset: byteCount))
            byteCount += bytes
        }
    }
}
