// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import VarveModel

/// The name of a pack: 16 random bytes.
///
/// Random and not a number, so that nodes which share a store never have to agree on the next one.
package struct PackID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Length of an id.
    package static let byteCount = 16

    // Big endian, so that comparing numbers compares bytes.
    private let high: UInt64
    private let low: UInt64

    /// A new id from the system's random numbers.
    package static func random() -> PackID {
        var system = SystemRandomNumberGenerator()
        return PackID(high: system.next(), low: system.next())
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The id in exactly 16 bytes; nil for another length.
    package init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.byteCount else { return nil }
        high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// The id in exactly 32 lower-case hex digits; nil for anything else.
    package init?(hex: some StringProtocol) {
        var words: (UInt64, UInt64) = (0, 0)
        var count = 0
        for character in hex.utf8 {
            let nibble: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = character - UInt8(ascii: "a") + 10
            default: return nil
            }
            if count < 16 { words.0 = words.0 << 4 | UInt64(nibble) } else { words.1 = words.1 << 4 | UInt64(nibble) }
            count += 1
            if count > 2 * Self.byteCount { return nil }
        }
        guard count == 2 * Self.byteCount else { return nil }
        high = words.0
        low = words.1
    }

    /// The 16 bytes.
    package var bytes: [UInt8] {
        [high, low].flatMap { word in withUnsafeBytes(of: word.bigEndian) { Array($0) } }
    }

    /// 32 lower-case hex digits.
    package var hex: String { bytes.hex }
    package var description: String { hex }

    package static func < (left: PackID, right: PackID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

extension ByteWriter {
    package mutating func write(_ id: PackID) { write(id.bytes) }
}

extension ByteReader {
    package mutating func readPackID() throws(CodecError) -> PackID {
        guard let id = PackID(bytes: try readBytes(PackID.byteCount)) else {
            throw CodecError(.truncated, "the bytes end inside a pack's id")
        }
        return id
    }
}
