// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Earlier bytes that a frame is compressed against.
package struct FrameBase {
    /// What the frame records about them; its coding is not this module's business. Not empty.
    package var list: [UInt8]
    /// The bytes. Lent for the length of the call.
    package var prefix: UnsafeRawBufferPointer

    package init(list: [UInt8], prefix: UnsafeRawBufferPointer) {
        self.list = list
        self.prefix = prefix
    }
}

/// Makes frames of a pack.
package enum FrameEncoder {
    /// Appends a frame of chunks to `output`.
    ///
    /// The payload is stored as it is when zstd does not save at least one byte in 64.
    /// - Parameters:
    ///   - kind: A kind that holds chunks.
    ///   - raw: The chunks' bytes, one after the other; the sum of `lengths`.
    ///   - digests: The chunks' digests, as many as `lengths`.
    ///   - firstOrdinal: The ordinal of the first chunk in the pack; may be changed later by ``setFirstOrdinal(_:inFrameAt:of:)``.
    ///   - level: zstd's, clamped to ``ZstdCompressor/levels``.
    /// - Returns: The header as encoded.
    /// - Throws: ``CodecError``: `limitExceeded` or `invalidArgument` when no frame can hold this; `resources`. `output`
    ///   is then what it was.
    @discardableResult
    package static func append(
        kind: FrameKind, raw: UnsafeRawBufferPointer, digests: [ChunkDigest], lengths: [UInt32], firstOrdinal: UInt32,
        base: FrameBase? = nil, level: Int, compressor: inout ZstdCompressor, to output: inout [UInt8]
    ) throws(CodecError) -> FrameHeader {
        guard kind.holdsChunks, digests.count == lengths.count, base?.list.isEmpty != true else {
            throw CodecError(.invalidArgument, "\(digests.count) digests, \(lengths.count) lengths, kind \(kind)")
        }
        var total: UInt64 = 0
        for length in lengths {
            guard length > 0, length <= UInt32(FrameHeader.chunkByteLimit) else {
                throw CodecError(.limitExceeded, "a chunk of \(length) bytes")
            }
            total += UInt64(length)
        }
        guard total == UInt64(raw.count) else {
            throw CodecError(.invalidArgument, "chunks of \(total) bytes in \(raw.count) bytes")
        }
        return try append(
            kind: kind, raw: raw, firstOrdinal: firstOrdinal, base: base, level: level,
            compressor: &compressor, to: &output
        ) { writer in
            withUnsafeTemporaryAllocation(byteCount: FrameHeader.digestByteCount, alignment: 8) { scratch in
                guard let start = scratch.baseAddress else { return }
                for digest in digests {
                    digest.store(to: start)
                    writer.write(UnsafeRawBufferPointer(scratch))
                }
            }
            let lengthsStart = writer.count
            for length in lengths { writer.writeVarint(length) }
            return (digests.count, writer.count - lengthsStart)
        }
    }

    /// Appends a frame that holds one encoded recipe.
    /// - Parameter nextOrdinal: The ordinal that the pack's next chunk will have.
    /// - Returns: The header as encoded.
    /// - Throws: as for chunks.
    @discardableResult
    package static func append(
        recipe: UnsafeRawBufferPointer, nextOrdinal: UInt32, level: Int, compressor: inout ZstdCompressor,
        to output: inout [UInt8]
    ) throws(CodecError) -> FrameHeader {
        try append(
            kind: .recipe, raw: recipe, firstOrdinal: nextOrdinal, base: nil, level: level, compressor: &compressor,
            to: &output
        ) { _ in (0, 0) }
    }

    /// Gives the frame that begins at `start` of `frames` another first ordinal, so that frames can be compressed
    /// side by side before their order in the pack is known.
    /// - Returns: The new header.
    /// - Throws: ``CodecError`` when there is no frame at `start`, or its ordinals would overflow.
    @discardableResult
    package static func setFirstOrdinal(
        _ firstOrdinal: UInt32, inFrameAt start: Int, of frames: inout [UInt8]
    ) throws(CodecError) -> FrameHeader {
        guard start >= 0, start <= frames.count else {
            throw CodecError(.invalidArgument, "no frame begins at \(start)")
        }
        var header = try frames.lend { bytes throws(CodecError) in
            try FrameHeader(decoding: UnsafeRawBufferPointer(rebasing: bytes[start...]))
        }
        header.firstOrdinal = firstOrdinal
        try header.checkNumbers()
        var writer = ByteWriter()
        header.encode(into: &writer)
        frames.replaceSubrange(start..<start + FrameHeader.byteCount, with: writer.bytes)
        return header
    }

    private static func append(
        kind: FrameKind, raw: UnsafeRawBufferPointer, firstOrdinal: UInt32, base: FrameBase?, level: Int,
        compressor: inout ZstdCompressor, to output: inout [UInt8],
        table writeTable: (inout ByteWriter) -> (chunkCount: Int, lengthTableBytes: Int)
    ) throws(CodecError) -> FrameHeader {
        guard raw.count <= kind.rawByteLimit else {
            throw CodecError(.limitExceeded, "a frame of \(raw.count) bytes, at most \(kind.rawByteLimit) are possible")
        }
        let start = output.count
        var writer = ByteWriter()
        swap(&writer.bytes, &output)
        defer { swap(&writer.bytes, &output) }
        do throws(CodecError) {
            writer.writeZeros(FrameHeader.byteCount)
            let tableStart = writer.count
            let (chunkCount, lengthTableBytes) = writeTable(&writer)
            if let base { writer.write(base.list) }
            let payloadStart = writer.count
            let codec = try appendPayload(raw, base: base, level: level, compressor: &compressor, to: &writer)
            let header = writer.bytes.withUnsafeBytes { bytes in
                FrameHeader(
                    kind: kind, codec: codec, chunkCount: chunkCount, lengthTableBytes: lengthTableBytes,
                    baseListBytes: base?.list.count ?? 0, payloadBytes: bytes.count - payloadStart,
                    rawBytes: raw.count, firstOrdinal: firstOrdinal,
                    payloadChecksum: crc32c(UnsafeRawBufferPointer(rebasing: bytes[payloadStart...])),
                    tableChecksum: crc32c(UnsafeRawBufferPointer(rebasing: bytes[tableStart..<payloadStart])))
            }
            try header.checkNumbers()
            var headerWriter = ByteWriter()
            header.encode(into: &headerWriter)
            writer.bytes.replaceSubrange(start..<tableStart, with: headerWriter.bytes)
            return header
        } catch {
            writer.bytes.removeSubrange(start...)
            throw error
        }
    }

    /// Appends `raw`, compressed if that saves enough.
    private static func appendPayload(
        _ raw: UnsafeRawBufferPointer, base: FrameBase?, level: Int, compressor: inout ZstdCompressor,
        to writer: inout ByteWriter
    ) throws(CodecError) -> FrameCodec {
        let start = writer.count
        let room = ZstdCompressor.bound(raw.count)
        writer.writeZeros(room)
        let prefix = base?.prefix ?? UnsafeRawBufferPointer(start: nil, count: 0)
        let count = try writer.bytes.lendMutable { bytes throws(CodecError) in
            try compressor.compress(
                raw, into: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]), level: level, prefix: prefix)
        }
        if count <= raw.count - max(1, raw.count / 64) {
            writer.bytes.removeSubrange((start + count)...)
            return .zstd
        }
        writer.bytes.removeSubrange(start...)
        writer.write(raw)
        return .stored
    }
}
