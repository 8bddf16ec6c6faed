// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CVarveKernels
internal import VarveModel

// How every row and every journal payload is spelled: little-endian integers, LEB128 varints, byte strings with their
// length before them, and for rows one version byte in front and a CRC-32C behind. LMDB has no checksums, and a page
// that the disk mixed up still parses: so the check of a row runs over its key too, and a row found under a wrong key
// is as damaged as one with a flipped bit.

/// CRC-32C over `bytes`, continued from `crc`.
@inline(__always)
func checksum(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return crc }
    return varve_crc32c(crc, base.assumingMemoryBound(to: UInt8.self), bytes.count)
}

/// CRC-32C over `bytes`, continued from `crc`.
func checksum(_ bytes: [UInt8], continuing crc: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, continuing: crc) }
}

/// Spells values, one after the other.
struct RowWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 64) { bytes.reserveCapacity(capacity) }

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func fixed<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Most significant byte first: for keys, whose order is their bytes' order.
    mutating func ordered<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// The bytes as they are.
    mutating func raw(_ value: some Collection<UInt8>) { bytes.append(contentsOf: value) }

    /// The length as a varint, then the bytes.
    mutating func string(_ value: some Collection<UInt8>) {
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    mutating func string(_ value: String) { string(value.utf8) }

    /// The algorithm's byte, then the hash.
    mutating func digest(_ value: Digest) {
        bytes.append(value.algorithm.rawValue)
        bytes.append(contentsOf: value.bytes)
    }
}

/// Reads what `RowWriter` spelled. Whatever the bytes are, it answers or throws `corrupt`; it never reads past the end
/// and allocates no more than the bytes that are there.
struct RowReader {
    private let bytes: UnsafeRawBufferPointer
    private let what: StaticString
    private var position = 0

    /// - Parameter what: Names the thing being read in errors.
    init(_ bytes: UnsafeRawBufferPointer, of what: StaticString) {
        self.bytes = bytes
        self.what = what
    }

    var remaining: Int { bytes.count - position }

    func damaged(_ detail: String) -> IndexError { .corrupt("\(what)", detail) }

    mutating func byte() throws(IndexError) -> UInt8 {
        guard remaining >= 1 else { throw damaged("ends early") }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func fixed<Value: FixedWidthInteger>(_ type: Value.Type) throws(IndexError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw damaged("ends early") }
        defer { position += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
    }

    mutating func ordered<Value: FixedWidthInteger>(_ type: Value.Type) throws(IndexError) -> Value {
        try fixed(type).byteSwapped
    }

    mutating func varint() throws(IndexError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            let bits = UInt64(next & 0x7f)
            guard shift < 63 || bits <= 1 else { throw damaged("a number over 64 bits") }
            value |= bits << shift
            guard next & 0x80 != 0 else { return value }
            shift += 7
            guard shift < 70 else { throw damaged("a number over 64 bits") }
        }
    }

    mutating func varint32() throws(IndexError) -> UInt32 {
        guard let value = UInt32(exactly: try varint()) else { throw damaged("a number over 32 bits") }
        return value
    }

    /// The next `count` bytes, lent.
    mutating func raw(_ count: Int) throws(IndexError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw damaged("ends early") }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// Everything that is left, lent.
    mutating func rest() -> UnsafeRawBufferPointer {
        defer { position = bytes.count }
        return UnsafeRawBufferPointer(rebasing: bytes[position...])
    }

    /// A byte string with its length before it, lent.
    mutating func string() throws(IndexError) -> UnsafeRawBufferPointer {
        guard let count = Int(exactly: try varint()) else { throw damaged("a length over what there is") }
        return try raw(count)
    }

    mutating func text() throws(IndexError) -> String { String(decoding: try string(), as: UTF8.self) }

    mutating func digest() throws(IndexError) -> Digest {
        guard let algorithm = Digest.Algorithm(rawValue: try byte()) else { throw damaged("an unknown algorithm") }
        guard let digest = Digest(algorithm, bytes: try raw(algorithm.byteCount)) else { throw damaged("no digest") }
        return digest
    }

    /// Throws unless everything was read.
    func end() throws(IndexError) {
        guard remaining == 0 else { throw damaged("\(remaining) bytes too many") }
    }
}

/// A value of a table: one version byte, fields, CRC-32C of key and value.
package protocol IndexRow: Sendable, Equatable {
    /// The row's bytes under `key`.
    func encoded(key: [UInt8]) -> [UInt8]
    /// Reads a row back. Throws `corrupt` for anything but what `encoded(key:)` makes, `unsupportedVersion` for a row
    /// of a later version.
    init(decoding bytes: UnsafeRawBufferPointer, key: [UInt8]) throws(IndexError)
}

/// What a row type brings: its fields.
protocol CodedRow: IndexRow {
    static var rowName: StaticString { get }
    func write(to writer: inout RowWriter)
    init(from reader: inout RowReader) throws(IndexError)
}

/// The version byte in front of every row.
private let rowVersion: UInt8 = 1

extension CodedRow {
    package func encoded(key: [UInt8]) -> [UInt8] {
        var writer = RowWriter()
        writer.byte(rowVersion)
        write(to: &writer)
        writer.fixed(checksum(writer.bytes, continuing: checksum(key)))
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer, key: [UInt8]) throws(IndexError) {
        guard bytes.count >= 5 else { throw .corrupt("\(Self.rowName)", "ends early") }
        let body = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 4)])
        let expected = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: body.count, as: UInt32.self))
        guard checksum(body, continuing: checksum(key)) == expected else {
            throw .corrupt("\(Self.rowName)", "its checksum differs")
        }
        try self.init(checked: body)
    }

    /// Reads version byte and fields, whose checksum was right.
    init(checked body: UnsafeRawBufferPointer) throws(IndexError) {
        var reader = RowReader(body, of: Self.rowName)
        guard try reader.byte() == rowVersion else {
            throw IndexError(.unsupportedVersion, call: "\(Self.rowName)")
        }
        self = try Self(from: &reader)
        try reader.end()
    }
}
