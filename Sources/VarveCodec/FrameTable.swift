// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The digests and lengths of a frame's chunks, as they are in the pack and ready to be searched.
///
/// One array of digests and one of offsets, 36 bytes a chunk: tables are cached in numbers.
package struct FrameTable: Sendable, Equatable {
    /// The chunks' digests, 32 bytes each.
    private let digests: [UInt8]
    /// Where each chunk begins in the decoded payload, and where the last one ends.
    private let offsets: [UInt32]
    /// Which earlier bytes the payload was compressed against; empty for a frame that stands alone.
    package let baseList: [UInt8]

    /// Number of chunks.
    package var count: Int { offsets.count - 1 }
    /// Length of the decoded payload.
    package var rawBytes: Int { Int(offsets[count]) }
    /// Memory that the table takes, for caches with a budget.
    package var memoryBytes: Int { digests.count + 4 * offsets.count + baseList.count + MemoryLayout<Self>.stride }

    /// Reads the table, `header.tableBytes` bytes, of the frame that `header` begins.
    /// - Throws: ``CodecError``: `truncated`, `checksumMismatch`, `malformed`, `limitExceeded`.
    package init(decoding bytes: UnsafeRawBufferPointer, header: FrameHeader) throws(CodecError) {
        guard bytes.count == header.tableBytes else {
            throw CodecError(.truncated, "a frame's table has \(header.tableBytes) bytes, \(bytes.count) are here")
        }
        guard crc32c(bytes) == header.tableChecksum else {
            throw CodecError(.checksumMismatch, "a frame's table is damaged")
        }
        var reader = ByteReader(bytes)
        digests = Array(try reader.readBytes(FrameHeader.digestByteCount * header.chunkCount))
        var lengths = ByteReader(try reader.readBytes(header.lengthTableBytes))
        var offsets: [UInt32] = []
        offsets.reserveCapacity(header.chunkCount + 1)
        var total = 0
        offsets.append(0)
        for _ in 0..<header.chunkCount {
            let length = try lengths.readVarint(atMost: UInt64(FrameHeader.chunkByteLimit), "a chunk's length")
            guard length > 0 else { throw CodecError(.malformed, "a chunk of no bytes") }
            total += Int(length)
            guard total <= header.rawBytes else {
                throw CodecError(.malformed, "a frame's chunks are longer than its \(header.rawBytes) bytes")
            }
            offsets.append(UInt32(total))
        }
        guard lengths.isAtEnd, header.chunkCount == 0 || total == header.rawBytes else {
            throw CodecError(.malformed, "a frame's chunks have \(total) bytes instead of \(header.rawBytes)")
        }
        self.offsets = offsets
        baseList = Array(try reader.readBytes(header.baseListBytes))
    }

    /// The digest of chunk `index`, counted within the frame.
    package func digest(_ index: Int) -> ChunkDigest {
        precondition(index >= 0 && index < count, "the frame has no such chunk")
        return digests.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { preconditionFailure("a frame with chunks has digests") }
            return ChunkDigest(loading: base + FrameHeader.digestByteCount * index)
        }
    }

    /// Where chunk `index` lies in the decoded payload.
    package func range(_ index: Int) -> Range<Int> {
        Int(offsets[index])..<Int(offsets[index + 1])
    }

    /// Length of chunk `index` in bytes.
    package func length(_ index: Int) -> Int { range(index).count }

    /// The chunk that holds byte `offset` of the decoded payload; nil if it has no such byte.
    package func chunk(at offset: Int) -> Int? {
        guard offset >= 0, offset < rawBytes else { return nil }
        return offsets.partitionIndex { Int($0) > offset } - 1
    }

    /// The chunks that hold bytes of `range` of the decoded payload; none if it has none of them.
    package func chunks(holding range: Range<Int>) -> Range<Int> {
        let bytes = range.clamped(to: 0..<rawBytes)
        guard !bytes.isEmpty, let first = chunk(at: bytes.lowerBound), let last = chunk(at: bytes.upperBound - 1) else {
            return 0..<0
        }
        return first..<last + 1
    }

    /// Where these chunks lie in the decoded payload.
    package func range(of chunks: Range<Int>) -> Range<Int> {
        Int(offsets[chunks.lowerBound])..<Int(offsets[chunks.upperBound])
    }

    /// Lends the digests, 32 bytes a chunk, in order.
    package func withDigests<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try digests.lend(body)
    }
}

extension Array {
    /// The first index whose element fulfils `predicate`, which all elements behind it must too; `count` if none does.
    func partitionIndex(_ predicate: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
