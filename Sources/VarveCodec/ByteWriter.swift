// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Appends numbers and bytes to an array, little endian, as all formats of the store have them.
package struct ByteWriter {
    /// What has been written. May hold bytes of the caller from before.
    package var bytes: [UInt8]

    /// A writer that appends to `bytes`.
    package init(_ bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    package var count: Int { bytes.count }

    package mutating func write(_ value: UInt8) {
        bytes.append(value)
    }

    package mutating func write(_ value: UInt16) { append(value) }
    package mutating func write(_ value: UInt32) { append(value) }
    package mutating func write(_ value: UInt64) { append(value) }

    /// Appends `value` in LEB128: seven bits a byte, low bits first, the top bit set on all bytes but the last.
    package mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    package mutating func writeVarint(_ value: UInt32) { writeVarint(UInt64(value)) }

    package mutating func write(_ more: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: more)
    }

    package mutating func write(_ more: [UInt8]) {
        bytes.append(contentsOf: more)
    }

    /// Appends `count` zero bytes.
    package mutating func writeZeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    /// Appends the CRC-32C of everything from byte `start` on.
    package mutating func writeChecksum(from start: Int = 0) {
        write(bytes.withUnsafeBytes { crc32c(UnsafeRawBufferPointer(rebasing: $0[start...])) })
    }

    private mutating func append<Number: FixedWidthInteger>(_ value: Number) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Length of `value` in LEB128, 1 to 10 bytes.
    package static func varintByteCount(_ value: UInt64) -> Int {
        let bits = UInt64.bitWidth - value.leadingZeroBitCount
        return max(1, (bits + 6) / 7)
    }
}
