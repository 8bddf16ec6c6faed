// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The fixed 48 bytes that a frame of a pack begins with.
///
/// A frame is header, table (chunk digests, chunk lengths, base list), payload, each with a CRC-32C, so a pack can be
/// walked, and its index be made again, without anything else. A decoded header has been checked: its numbers are within
/// the format's limits and agree with one another.
package struct FrameHeader: Sendable, Equatable {
    /// Length of an encoded header.
    package static let byteCount = 48
    /// The most chunks in a frame.
    package static let chunkCountLimit = 65_536
    /// The longest chunk in bytes.
    package static let chunkByteLimit = 1 << 20
    /// The longest base list in bytes.
    package static let baseListByteLimit = 1 << 20
    /// Length of a chunk's digest.
    package static let digestByteCount = 32
    /// `VFRM`
    static let magic: UInt32 = 0x4d52_4656
    private static let baseFlag: UInt8 = 1
    /// A chunk's length needs at most three bytes as a variable-length number.
    private static let lengthByteLimit = 3

    package var kind: FrameKind
    package var codec: FrameCodec
    package var chunkCount: Int
    /// Length of the encoded chunk lengths.
    package var lengthTableBytes: Int
    /// Length of the base list; 0 for a frame that stands alone.
    package var baseListBytes: Int
    package var payloadBytes: Int
    /// Length of the decoded payload.
    package var rawBytes: Int
    /// The ordinal, within the pack, of the frame's first chunk; for a frame without chunks, of the next one.
    package var firstOrdinal: UInt32
    package var payloadChecksum: UInt32
    /// CRC-32C of digests, lengths and base list.
    package var tableChecksum: UInt32

    /// Length of digests, lengths and base list, which follow the header.
    package var tableBytes: Int { Self.digestByteCount * chunkCount + lengthTableBytes + baseListBytes }
    /// Where, from the frame's first byte, the payload begins.
    package var payloadOffset: Int { Self.byteCount + tableBytes }
    /// Length of the whole frame.
    package var frameBytes: Int { payloadOffset + payloadBytes }
    /// The ordinal behind the frame's last chunk.
    package var endOrdinal: UInt32 { firstOrdinal + UInt32(chunkCount) }

    /// Appends the 48 bytes.
    package func encode(into writer: inout ByteWriter) {
        let start = writer.count
        writer.write(Self.magic)
        writer.write(kind.rawValue)
        writer.write(codec.rawValue)
        writer.write(baseListBytes > 0 ? Self.baseFlag : 0)
        writer.write(UInt8(0))
        for field in [chunkCount, lengthTableBytes, baseListBytes, payloadBytes, rawBytes] {
            writer.write(UInt32(truncatingIfNeeded: field))
        }
        writer.write(firstOrdinal)
        writer.write(UInt32(0))
        writer.write(payloadChecksum)
        writer.write(tableChecksum)
        writer.writeChecksum(from: start)
    }

    /// Reads the first 48 of `bytes`.
    /// - Throws: ``CodecError``: `truncated`, `checksumMismatch`, `malformed`, `unsupported`, `limitExceeded`.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        guard bytes.count >= Self.byteCount else {
            throw CodecError(.truncated, "a frame header has \(Self.byteCount) bytes and \(bytes.count) remain")
        }
        guard try reader.readUInt32() == Self.magic else {
            throw CodecError(.malformed, "these bytes do not begin as a frame")
        }
        let kindNumber = try reader.readUInt8()
        let codecNumber = try reader.readUInt8()
        let flags = try reader.readUInt8()
        let reserved = try reader.readUInt8()
        let counts = (
            chunks: try reader.readUInt32(), lengths: try reader.readUInt32(), bases: try reader.readUInt32(),
            payload: try reader.readUInt32(), raw: try reader.readUInt32()
        )
        firstOrdinal = try reader.readUInt32()
        let reservedWord = try reader.readUInt32()
        payloadChecksum = try reader.readUInt32()
        tableChecksum = try reader.readUInt32()
        let checksum = crc32c(reader.taken())
        guard try reader.readUInt32() == checksum else {
            throw CodecError(.checksumMismatch, "a frame header is damaged")
        }

        guard let kind = FrameKind(rawValue: kindNumber), let codec = FrameCodec(rawValue: codecNumber),
            flags & ~Self.baseFlag == 0, reserved == 0, reservedWord == 0
        else {
            throw CodecError(.unsupported, "a frame of kind \(kindNumber), codec \(codecNumber), flags \(flags)")
        }
        self.kind = kind
        self.codec = codec
        chunkCount = Int(counts.chunks)
        lengthTableBytes = Int(counts.lengths)
        baseListBytes = Int(counts.bases)
        payloadBytes = Int(counts.payload)
        rawBytes = Int(counts.raw)
        guard (flags & Self.baseFlag != 0) == (baseListBytes > 0) else {
            throw CodecError(.malformed, "a frame's base flag and base list differ")
        }
        try checkNumbers()
    }

    /// - Throws: ``CodecError`` when the numbers leave the format's limits or contradict one another.
    func checkNumbers() throws(CodecError) {
        guard chunkCount <= Self.chunkCountLimit, rawBytes <= kind.rawByteLimit,
            baseListBytes <= Self.baseListByteLimit, lengthTableBytes <= Self.lengthByteLimit * Self.chunkCountLimit
        else {
            throw CodecError(.limitExceeded, "a frame of \(chunkCount) chunks and \(rawBytes) bytes")
        }
        guard rawBytes > 0,
            codec == .stored ? payloadBytes == rawBytes : (payloadBytes > 0 && payloadBytes < rawBytes),
            UInt64(firstOrdinal) + UInt64(chunkCount) <= UInt64(UInt32.max)
        else { throw CodecError(.malformed, "the lengths of a frame contradict one another") }
        if kind.holdsChunks {
            guard chunkCount > 0, rawBytes >= chunkCount, lengthTableBytes >= chunkCount,
                lengthTableBytes <= Self.lengthByteLimit * chunkCount
            else { throw CodecError(.malformed, "a frame's chunk count contradicts its lengths") }
        } else {
            guard chunkCount == 0, lengthTableBytes == 0, baseListBytes == 0 else {
                throw CodecError(.malformed, "a frame of kind \(kind) has chunks")
            }
        }
    }
}

extension FrameHeader {
    /// A header for the encoder, not checked yet.
    init(
        kind: FrameKind, codec: FrameCodec, chunkCount: Int, lengthTableBytes: Int, baseListBytes: Int,
        payloadBytes: Int, rawBytes: Int, firstOrdinal: UInt32, payloadChecksum: UInt32, tableChecksum: UInt32
    ) {
        self.kind = kind
        self.codec = codec
        self.chunkCount = chunkCount
        self.lengthTableBytes = lengthTableBytes
        self.baseListBytes = baseListBytes
        self.payloadBytes = payloadBytes
        self.rawBytes = rawBytes
        self.firstOrdinal = firstOrdinal
        self.payloadChecksum = payloadChecksum
        self.tableChecksum = tableChecksum
    }
}
