// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The hash of four bytes that igzip takes from the processor: CRC-32C without any inversion, of which the low bits count.
struct IgzipHash: @unchecked Sendable {  // Written once before it is shared, read only after.
    static let shared = IgzipHash()

    /// One table of 256 for each byte.
    private let table: UnsafeMutablePointer<UInt16>

    private init() {
        table = .allocate(capacity: 1024)
        table.initialize(repeating: 0, count: 1024)
        for place in 0..<4 {
            for byte in 0..<256 {
                var value = UInt32(byte) << UInt32(8 * place)
                for _ in 0..<32 { value = value & 1 != 0 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 }
                table[place * 256 + byte] = UInt16(truncatingIfNeeded: value)
            }
        }
    }

    /// The low 16 bits.
    @inline(__always)
    func of(_ word: UInt32) -> Int {
        let a = table[Int(word & 255)] ^ table[256 &+ Int(word &>> 8 & 255)]
        let b = table[512 &+ Int(word &>> 16 & 255)] ^ table[768 &+ Int(word &>> 24)]
        return Int(a ^ b)
    }
}
