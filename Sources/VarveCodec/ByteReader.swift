// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Takes numbers and bytes out of untrusted memory, checking the bounds of every step.
///
/// The memory is lent: a reader must not outlive the call that was given the bytes.
package struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    /// Bytes already taken.
    package private(set) var position = 0

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Bytes not yet taken.
    package var remaining: Int { bytes.count - position }
    package var isAtEnd: Bool { position == bytes.count }

    package mutating func readUInt8() throws(CodecError) -> UInt8 { try read(UInt8.self) }
    package mutating func readUInt16() throws(CodecError) -> UInt16 { try read(UInt16.self) }
    package mutating func readUInt32() throws(CodecError) -> UInt32 { try read(UInt32.self) }
    package mutating func readUInt64() throws(CodecError) -> UInt64 { try read(UInt64.self) }

    /// Takes a LEB128 number of at most ten bytes. Forms longer than needed are accepted.
    /// - Throws: ``CodecError`` with code `truncated`; `malformed` when the number does not fit 64 bits.
    package mutating func readVarint() throws(CodecError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if shift == 63, byte > 1 { throw CodecError(.malformed, "a variable-length number does not fit 64 bits") }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw CodecError(.truncated, "the bytes end inside a variable-length number")
    }

    /// Takes a LEB128 number that may not be greater than `limit`.
    /// - Throws: as ``readVarint()``; `limitExceeded`, naming `what`.
    package mutating func readVarint(atMost limit: UInt64, _ what: StaticString) throws(CodecError) -> UInt64 {
        let value = try readVarint()
        guard value <= limit else {
            throw CodecError(.limitExceeded, "\(what) is \(value), at most \(limit) is accepted")
        }
        return value
    }

    /// Takes a count of things that need at least `bytesEach` bytes each of what remains, so that a hostile count can
    /// not make anybody allocate more than a small multiple of the bytes at hand.
    package mutating func readCount(bytesEach: Int, _ what: StaticString) throws(CodecError) -> Int {
        let value = try readVarint()
        guard value <= UInt64(remaining / bytesEach) else {
            throw CodecError(.truncated, "\(what) is \(value), which the remaining \(remaining) bytes can not hold")
        }
        return Int(value)
    }

    /// Takes `count` bytes, still lent.
    package mutating func readBytes(_ count: Int) throws(CodecError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else {
            throw CodecError(.truncated, "\(count) bytes are needed and \(remaining) remain")
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// Everything taken so far, from byte `start` on.
    package func taken(from start: Int = 0) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[start..<position])
    }

    private mutating func read<Number: FixedWidthInteger>(_: Number.Type) throws(CodecError) -> Number {
        let size = MemoryLayout<Number>.size
        guard size <= remaining else {
            throw CodecError(.truncated, "\(size) bytes are needed and \(remaining) remain")
        }
        defer { position += size }
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Number.self))
    }
}
