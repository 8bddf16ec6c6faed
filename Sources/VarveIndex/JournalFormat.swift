// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

// The bytes of the journal's files.
//
// A file begins with a header of 32 bytes: magic "VARVJRNL" | version u16 = 1 | flags u16 (1: a snapshot) | salt u32
// (random) | sequence u64 | reserved u32 | crc32c u32 of the 28 bytes before. Records follow: payload length u32 |
// kind u8 | payload | crc32c u32, all little-endian. The check of a record begins with the file's salt and the record's
// offset, then length, kind and payload: blobs are part of the records, so without the salt whoever pushes a blob could
// put in it what looks like a record, and have it believed when a reader looks for the next whole record behind a
// damaged one.
//
// Records are written in batches, one for each commit of the index. A batch ends with a record `batchEnd`: batch number
// u64 | offset of its first record u64 | crc32c u32 of the batch's bytes before it. A batch without its end, or whose
// check differs, was never acknowledged.

/// A place between two batches.
package struct JournalPosition: Sendable, Equatable {
    /// The sequence number of the segment.
    package var segment: UInt64
    /// Offset in the segment's file, in bytes.
    package var offset: UInt64
    /// The number of the batch before it; 0 before the first one.
    package var batch: UInt64

    /// The name of the row of `meta` that says up to where the journal is in the index.
    static let metaKey = "index.journal"

    func encoded() -> [UInt8] {
        var writer = RowWriter(capacity: 24)
        writer.fixed(segment)
        writer.fixed(offset)
        writer.fixed(batch)
        return writer.bytes
    }

    init(segment: UInt64, offset: UInt64, batch: UInt64) {
        self.segment = segment
        self.offset = offset
        self.batch = batch
    }

    init(from reader: inout RowReader) throws(IndexError) {
        segment = try reader.fixed(UInt64.self)
        offset = try reader.fixed(UInt64.self)
        batch = try reader.fixed(UInt64.self)
    }

    static func decode(_ bytes: [UInt8]) throws(IndexError) -> JournalPosition {
        try bytes.withUnsafeBufferPointer { (bytes) throws(IndexError) in
            var reader = RowReader(UnsafeRawBufferPointer(bytes), of: "journal position")
            let position = try JournalPosition(from: &reader)
            try reader.end()
            return position
        }
    }
}

extension IndexTransaction where Self: ~Copyable {
    /// Up to where this state of the index holds the journal; nil if it never had one.
    package func journalPosition() throws(IndexError) -> JournalPosition? {
        guard let bytes = try access.meta(JournalPosition.metaKey) else { return nil }
        return try JournalPosition.decode(bytes)
    }
}

/// The first bytes of a journal file.
struct JournalHeader: Equatable {
    static let byteCount = 32
    private static let magic = Array("VARVJRNL".utf8)

    var isSnapshot: Bool
    var salt: UInt32
    var sequence: UInt64

    func encoded() -> [UInt8] {
        var writer = RowWriter(capacity: JournalHeader.byteCount)
        writer.raw(JournalHeader.magic)
        writer.fixed(UInt16(1))
        writer.fixed(UInt16(isSnapshot ? 1 : 0))
        writer.fixed(salt)
        writer.fixed(sequence)
        writer.fixed(UInt32(0))
        writer.fixed(checksum(writer.bytes))
        return writer.bytes
    }

    init(isSnapshot: Bool, salt: UInt32, sequence: UInt64) {
        self.isSnapshot = isSnapshot
        self.salt = salt
        self.sequence = sequence
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(IndexError) {
        var reader = RowReader(bytes, of: "journal header")
        let body = try reader.raw(28)
        guard try reader.fixed(UInt32.self) == checksum(body) else { throw reader.damaged("its checksum differs") }
        var fields = RowReader(body, of: "journal header")
        guard try fields.raw(8).elementsEqual(JournalHeader.magic) else { throw fields.damaged("its magic differs") }
        guard try fields.fixed(UInt16.self) == 1 else {
            throw IndexError(.unsupportedVersion, call: "journal header")
        }
        isSnapshot = try fields.fixed(UInt16.self) & 1 != 0
        salt = try fields.fixed(UInt32.self)
        sequence = try fields.fixed(UInt64.self)
    }
}

/// The framing of a record.
enum JournalFrame {
    /// Bytes of a record beyond its payload.
    static let overheadBytes = 9
    /// Longest payload, in bytes.
    static let payloadMaximumBytes = 16 << 20

    /// Where the check of a record at `offset` of a file with `salt` begins.
    static func seed(salt: UInt32, offset: UInt64) -> UInt32 {
        withUnsafeBytes(of: (offset.littleEndian, salt.littleEndian)) { bytes in
            checksum(UnsafeRawBufferPointer(rebasing: bytes[..<12]))
        }
    }

    /// Appends the record to `out`, whose first byte lies at `base` of the file.
    static func append(
        _ kind: JournalKind, _ payload: [UInt8], salt: UInt32, base: UInt64, to out: inout [UInt8]
    ) {
        let start = out.count
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: payload.count).littleEndian) { out.append(contentsOf: $0) }
        out.append(kind.rawValue)
        out.append(contentsOf: payload)
        let crc = out.withUnsafeBytes { bytes in
            checksum(
                UnsafeRawBufferPointer(rebasing: bytes[start...]),
                continuing: seed(salt: salt, offset: base &+ UInt64(start)))
        }
        withUnsafeBytes(of: crc.littleEndian) { out.append(contentsOf: $0) }
    }

    /// What lies at an offset of a file.
    enum Probe {
        /// A record, and where the next one begins.
        case record(JournalKind, UnsafeRawBufferPointer, end: Int)
        /// Something of that many bytes with the shape of a record.
        case checkDiffers(byteCount: Int)
        /// Nothing that could be one.
        case impossible
    }

    /// Looks for a record at `offset` of `file`.
    static func probe(_ file: UnsafeRawBufferPointer, at offset: Int, salt: UInt32) -> Probe {
        guard offset >= 0, file.count - offset >= overheadBytes else { return .impossible }
        let stated = UInt32(littleEndian: file.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        guard stated <= payloadMaximumBytes, let kind = JournalKind(rawValue: file[offset + 4]) else {
            return .impossible
        }
        let length = Int(stated)
        guard file.count - offset - overheadBytes >= length else { return .impossible }
        let body = UnsafeRawBufferPointer(rebasing: file[offset..<offset + 5 + length])
        let crc = UInt32(littleEndian: file.loadUnaligned(fromByteOffset: offset + 5 + length, as: UInt32.self))
        guard checksum(body, continuing: seed(salt: salt, offset: UInt64(offset))) == crc else {
            return .checkDiffers(byteCount: body.count)
        }
        let payload = UnsafeRawBufferPointer(rebasing: body[5...])
        return .record(kind, payload, end: offset + overheadBytes + length)
    }

    /// The payload of a `batchEnd`.
    static func batchEnd(number: UInt64, start: UInt64, crc: UInt32) -> [UInt8] {
        var writer = RowWriter(capacity: 20)
        writer.fixed(number)
        writer.fixed(start)
        writer.fixed(crc)
        return writer.bytes
    }
}
