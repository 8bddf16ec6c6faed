// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Hashes over four bytes, as zlib's descendants have them. Raw values are part of the plan format.
enum FourByteHash: Int {
    /// zlib-ng from 2.2 on, and before on machines without CRC instructions.
    case multiplied = 0
    /// zlib-ng up to 2.1 on x86: the CRC-32C of the four bytes.
    case castagnoli = 1
    /// Chromium's: a product whose lowest bits are dropped.
    case chromium = 2

    /// The slot of a little-endian word.
    /// - Parameter shift: For the product that is cut from above: 32 less the table's bits.
    @inline(__always)
    func slot(_ word: UInt32, shift: UInt32) -> Int {
        switch self {
        case .multiplied: return Int((word &* 2_654_435_761) &>> shift)
        case .castagnoli: return Int(Castagnoli.shared.low(word) & (UInt32.max &>> shift))
        case .chromium: return Int(((word &* 66521 &+ 66521) &>> 16) & (UInt32.max &>> shift))
        }
    }
}

/// CRC-32C of four bytes from a start of zero and without the last complement, as processors compute it.
struct Castagnoli: @unchecked Sendable {  // Written once before it is shared, read only after.
    static let shared = Castagnoli()

    private let tables: UnsafeMutablePointer<UInt32>

    private init() {
        tables = .allocate(capacity: 1024)
        tables.initialize(repeating: 0, count: 1024)
        for lane in 0..<4 {
            for byte in 0..<256 {
                var value = UInt32(byte) << UInt32(8 * lane)
                for _ in 0..<32 { value = value & 1 != 0 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 }
                tables[lane * 256 + byte] = value
            }
        }
    }

    @inline(__always)
    func low(_ word: UInt32) -> UInt32 {
        tables[Int(word & 255)] ^ tables[256 &+ Int(word &>> 8 & 255)]
            ^ tables[512 &+ Int(word &>> 16 & 255)] ^ tables[768 &+ Int(word &>> 24)]
    }
}
