// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The 64 bytes that a pack begins with.
package struct PackHeader: Sendable, Equatable {
    /// Length of an encoded header.
    package static let byteCount = 64
    package static let version: UInt16 = 1
    /// `VARVPACK`
    static let magic: UInt64 = 0x4b43_4150_5652_4156

    package var id: PackID
    /// Which chunker cut the pack's chunks.
    package var chunkerID: UInt16

    package init(id: PackID, chunkerID: UInt16) {
        self.id = id
        self.chunkerID = chunkerID
    }

    /// The 64 bytes.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.write(Self.magic)
        writer.write(Self.version)
        writer.write(UInt16(0))  // flags
        writer.write(chunkerID)
        writer.write(UInt16(0))
        writer.write(id)
        writer.writeZeros(16)  // the name of a key, for packs that are encrypted one day
        writer.writeZeros(12)
        writer.writeChecksum()
        return writer.bytes
    }

    /// Reads the first 64 of `bytes`.
    /// - Throws: ``CodecError``: `truncated`, `malformed`, `checksumMismatch`, `unsupported`.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        guard bytes.count >= Self.byteCount else {
            throw CodecError(.truncated, "a pack begins with \(Self.byteCount) bytes, \(bytes.count) are here")
        }
        guard try reader.readUInt64() == Self.magic else {
            throw CodecError(.malformed, "these bytes do not begin as a pack")
        }
        let version = try reader.readUInt16()
        let flags = try reader.readUInt16()
        let chunkerID = try reader.readUInt16()
        let reserved = try reader.readUInt16()
        let id = try reader.readPackID()
        let zeros = try reader.readBytes(28)
        let checksum = crc32c(reader.taken())
        guard try reader.readUInt32() == checksum else {
            throw CodecError(.checksumMismatch, "a pack's header is damaged")
        }
        guard version == Self.version, flags == 0, reserved == 0, zeros.allSatisfy({ $0 == 0 }) else {
            throw CodecError(.unsupported, "a pack of version \(version), flags \(flags)")
        }
        self.init(id: id, chunkerID: chunkerID)
    }
}

/// The 32 bytes that a sealed pack ends with.
package struct PackTrailer: Sendable, Equatable {
    /// Length of an encoded trailer.
    package static let byteCount = 32
    /// `VARVSEAL`
    static let magic: UInt64 = 0x4c41_4553_5652_4156

    /// Where the footer begins in the file, and where the last frame ends.
    package var footerOffset: UInt64
    package var footerBytes: Int
    package var frameCount: Int
    package var chunkCount: UInt32
    package var footerChecksum: UInt32

    /// Where, in the file, the footer lies.
    package var footerRange: Range<UInt64> { footerOffset..<footerOffset + UInt64(footerBytes) }

    func encode(into writer: inout ByteWriter) {
        writer.write(footerOffset)
        writer.write(UInt32(truncatingIfNeeded: footerBytes))
        writer.write(UInt32(truncatingIfNeeded: frameCount))
        writer.write(chunkCount)
        writer.write(footerChecksum)
        writer.write(Self.magic)
    }

    init(footerOffset: UInt64, footerBytes: Int, frameCount: Int, chunkCount: UInt32, footerChecksum: UInt32) {
        self.footerOffset = footerOffset
        self.footerBytes = footerBytes
        self.frameCount = frameCount
        self.chunkCount = chunkCount
        self.footerChecksum = footerChecksum
    }

    /// Reads a trailer, the last 32 bytes of a file of `fileBytes` bytes.
    /// - Throws: ``CodecError``: `malformed`, also for a pack that is not sealed; `truncated`; `limitExceeded`.
    package init(decoding bytes: UnsafeRawBufferPointer, fileBytes: UInt64) throws(CodecError) {
        guard bytes.count == Self.byteCount, fileBytes >= UInt64(PackHeader.byteCount + Self.byteCount) else {
            throw CodecError(.truncated, "a file of \(fileBytes) bytes is no sealed pack")
        }
        var reader = ByteReader(bytes)
        footerOffset = try reader.readUInt64()
        footerBytes = Int(try reader.readUInt32())
        frameCount = Int(try reader.readUInt32())
        chunkCount = try reader.readUInt32()
        footerChecksum = try reader.readUInt32()
        guard try reader.readUInt64() == Self.magic else { throw CodecError(.malformed, "the pack is not sealed") }
        guard footerOffset >= UInt64(PackHeader.byteCount), footerOffset <= fileBytes,
            fileBytes - footerOffset == UInt64(footerBytes + Self.byteCount)
        else { throw CodecError(.malformed, "a pack's trailer does not fit its length, \(fileBytes)") }
        guard footerBytes <= FrameDirectory.footerByteLimit else {
            throw CodecError(.limitExceeded, "a pack's footer of \(footerBytes) bytes")
        }
    }
}
