// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where the frames of a pack lie, and which chunks and raw bytes they hold.
///
/// Built while a pack is written, read from the footer of a sealed pack, or found by walking a pack that is not sealed.
/// *Raw addresses* count the bytes of all chunks in the order of their ordinals; recipes have none.
package struct FrameDirectory: Sendable, Equatable {
    /// One frame.
    package struct Entry: Sendable, Equatable {
        package var kind: FrameKind
        /// Where the frame begins in the file.
        package var offset: UInt64
        /// Length of digests, lengths and base list.
        package var tableBytes: Int
        package var payloadBytes: Int
        /// Length of the decoded payload.
        package var rawBytes: Int
        package var firstOrdinal: UInt32
        package var chunkCount: Int
        /// The raw address of the frame's first chunk.
        package var rawAddress: UInt64

        /// Where the table begins in the file.
        package var tableOffset: UInt64 { offset + UInt64(FrameHeader.byteCount) }
        /// Where the payload begins in the file.
        package var payloadOffset: UInt64 { tableOffset + UInt64(tableBytes) }
        /// Length of the whole frame.
        package var frameBytes: Int { FrameHeader.byteCount + tableBytes + payloadBytes }
        /// Where the frame ends in the file.
        package var endOffset: UInt64 { payloadOffset + UInt64(payloadBytes) }
        /// The ordinals of the frame's chunks.
        package var ordinals: Range<UInt32> { firstOrdinal..<firstOrdinal + UInt32(chunkCount) }
        /// The raw addresses of the frame's chunks.
        package var rawAddresses: Range<UInt64> {
            rawAddress..<rawAddress + (kind.holdsChunks ? UInt64(rawBytes) : 0)
        }
    }

    /// The frames in file order.
    package private(set) var entries: [Entry] = []
    /// Where the next frame begins: the length of a pack that ends with the last frame.
    package private(set) var endOffset = UInt64(PackHeader.byteCount)
    /// Chunks in all frames; the ordinal of the next one.
    package private(set) var chunkCount: UInt32 = 0
    /// Bytes of all chunks; the raw address of the next one.
    package private(set) var rawBytes: UInt64 = 0

    /// The directory of a pack without frames.
    package init() {}

    /// Takes note of a frame that follows the last one.
    /// - Throws: ``CodecError`` with code `malformed` if its first ordinal is not the next one.
    package mutating func append(_ header: FrameHeader) throws(CodecError) {
        guard header.firstOrdinal == chunkCount else {
            throw CodecError(
                .malformed, "a frame begins with chunk \(header.firstOrdinal), chunk \(chunkCount) is next")
        }
        try append(
            kind: header.kind, tableBytes: header.tableBytes, payloadBytes: header.payloadBytes,
            rawBytes: header.rawBytes, chunkCount: header.chunkCount)
    }

    private mutating func append(
        kind: FrameKind, tableBytes: Int, payloadBytes: Int, rawBytes: Int, chunkCount: Int
    ) throws(CodecError) {
        guard chunkCount <= Int(UInt32.max - self.chunkCount), entries.count < Self.frameCountLimit else {
            throw CodecError(.limitExceeded, "a pack of too many chunks or frames")
        }
        let entry = Entry(
            kind: kind, offset: endOffset, tableBytes: tableBytes, payloadBytes: payloadBytes, rawBytes: rawBytes,
            firstOrdinal: self.chunkCount, chunkCount: chunkCount, rawAddress: self.rawBytes)
        entries.append(entry)
        // At most 2^20 frames of less than 2^27 bytes: far from an overflow.
        endOffset = entry.endOffset
        self.chunkCount = entry.ordinals.upperBound
        self.rawBytes = entry.rawAddresses.upperBound
    }

    // MARK: Looking up

    /// The index of the frame that holds chunk `ordinal`; nil if the pack has no such chunk.
    package func frame(holdingOrdinal ordinal: UInt32) -> Int? {
        guard ordinal < chunkCount else { return nil }
        return entries.partitionIndex { $0.ordinals.upperBound > ordinal }
    }

    /// The index of the frame that holds raw address `address`; nil if the pack has no such byte.
    package func frame(holdingRawAddress address: UInt64) -> Int? {
        guard address < rawBytes else { return nil }
        return entries.partitionIndex { $0.rawAddresses.upperBound > address }
    }

    /// The index of the frame that begins at `offset` of the file; nil if none does.
    package func frame(atOffset offset: UInt64) -> Int? {
        let index = entries.partitionIndex { $0.offset >= offset }
        return index < entries.count && entries[index].offset == offset ? index : nil
    }

    // MARK: Footer

    /// The most frames in a pack.
    static let frameCountLimit = 1 << 20
    /// The longest footer, in bytes.
    static let footerByteLimit = 16 << 20
    /// The longest directory before compression, in bytes: five numbers a frame, four bytes each at most.
    private static let directoryByteLimit = 20 * frameCountLimit
    private static let footerLevel = 3

    /// Footer and trailer, which seal a pack when they are written at ``endOffset``.
    /// - Parameter forwarding: Under which names the pack's chunks were known before.
    /// - Throws: ``CodecError``: `resources`; `invalidArgument`, `limitExceeded` for a table that no footer can hold.
    package func encodedSeal(
        forwarding: ForwardingTable = ForwardingTable(), compressor: inout ZstdCompressor
    ) throws(CodecError) -> [UInt8] {
        var directory = ByteWriter()
        for entry in entries {
            directory.writeVarint(UInt64(FrameHeader.byteCount + entry.tableBytes))
            directory.writeVarint(UInt64(entry.payloadBytes))
            directory.writeVarint(UInt64(entry.rawBytes))
            directory.writeVarint(UInt64(entry.chunkCount))
            directory.writeVarint(UInt64(entry.kind.rawValue))
        }
        var writer = ByteWriter()
        let table = try forwarding.encoded()
        writer.writeVarint(UInt64(table.count))
        writer.write(table)
        writer.write(UInt32(truncatingIfNeeded: directory.count))
        let start = writer.count
        writer.writeZeros(ZstdCompressor.bound(directory.count))
        let count = try writer.bytes.lendMutable { bytes throws(CodecError) in
            try directory.bytes.lend { raw throws(CodecError) in
                try compressor.compress(
                    raw, into: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]), level: Self.footerLevel)
            }
        }
        writer.bytes.removeSubrange((start + count)...)
        guard writer.count <= Self.footerByteLimit else {
            throw CodecError(.limitExceeded, "a pack's footer of \(writer.count) bytes")
        }
        let trailer = PackTrailer(
            footerOffset: endOffset, footerBytes: writer.count, frameCount: entries.count, chunkCount: chunkCount,
            footerChecksum: writer.bytes.withUnsafeBytes { crc32c($0) })
        trailer.encode(into: &writer)
        return writer.bytes
    }

    /// Reads the footer, the `trailer.footerBytes` bytes before the trailer.
    /// - Throws: ``CodecError``: `truncated`, `checksumMismatch`, `malformed`, `unsupported`, `limitExceeded`.
    package init(
        decodingFooter bytes: UnsafeRawBufferPointer, trailer: PackTrailer, decompressor: inout ZstdDecompressor
    ) throws(CodecError) {
        guard bytes.count == trailer.footerBytes else {
            throw CodecError(.truncated, "a footer has \(trailer.footerBytes) bytes, \(bytes.count) are here")
        }
        guard crc32c(bytes) == trailer.footerChecksum else {
            throw CodecError(.checksumMismatch, "a pack's footer is damaged")
        }
        var footer = ByteReader(bytes)
        // Whoever makes an index anew reads the table (``ForwardingTable``); readers ask the index.
        _ = try ForwardingTable.readBytes(from: &footer)
        let directoryBytes = Int(try footer.readUInt32())
        // A frame takes at least five bytes of directory and one byte more than its header in the file.
        guard directoryBytes <= Self.directoryByteLimit, trailer.frameCount <= directoryBytes / 5,
            UInt64(trailer.frameCount) <= trailer.footerOffset / UInt64(FrameHeader.byteCount)
        else {
            throw CodecError(.limitExceeded, "a directory of \(directoryBytes) bytes, \(trailer.frameCount) frames")
        }
        let frame = try footer.readBytes(footer.remaining)
        var directory = [UInt8](repeating: 0, count: directoryBytes)
        try directory.lendMutable { output throws(CodecError) in
            try decompressor.decompress(frame, into: output)
        }
        try directory.lend { raw throws(CodecError) in
            var reader = ByteReader(raw)
            entries.reserveCapacity(trailer.frameCount)
            for _ in 0..<trailer.frameCount { try appendEntry(from: &reader) }
            guard reader.isAtEnd else { throw CodecError(.malformed, "a directory goes on behind its last frame") }
        }
        guard endOffset == trailer.footerOffset, chunkCount == trailer.chunkCount else {
            throw CodecError(.malformed, "a directory of \(endOffset) bytes, \(chunkCount) chunks contradicts its pack")
        }
    }

    private mutating func appendEntry(from reader: inout ByteReader) throws(CodecError) {
        let limit = UInt64(UInt32.max)
        let headBytes = Int(try reader.readVarint(atMost: limit, "the length of a frame's head"))
        let payloadBytes = Int(try reader.readVarint(atMost: limit, "the length of a payload"))
        let rawBytes = Int(try reader.readVarint(atMost: limit, "the raw length of a frame"))
        let chunkCount = Int(try reader.readVarint(atMost: limit, "the chunk count of a frame"))
        let kindNumber = try reader.readVarint(atMost: 255, "the kind of a frame")
        guard let kind = FrameKind(rawValue: UInt8(kindNumber)) else {
            throw CodecError(.unsupported, "a frame of kind \(kindNumber)")
        }
        let tableBytes = headBytes - FrameHeader.byteCount
        // The bounds are those of a frame header: digests, lengths of up to three bytes, a base list.
        guard chunkCount <= FrameHeader.chunkCountLimit, rawBytes <= kind.rawByteLimit, payloadBytes <= rawBytes,
            payloadBytes > 0, kind.holdsChunks ? chunkCount > 0 && chunkCount <= rawBytes : chunkCount == 0,
            tableBytes >= chunkCount * (FrameHeader.digestByteCount + 1),
            tableBytes <= chunkCount * (FrameHeader.digestByteCount + 3)
                + (kind.holdsChunks ? FrameHeader.baseListByteLimit : 0)
        else { throw CodecError(.malformed, "the lengths of a frame in the directory contradict one another") }
        try append(
            kind: kind, tableBytes: tableBytes, payloadBytes: payloadBytes, rawBytes: rawBytes, chunkCount: chunkCount)
    }
}
