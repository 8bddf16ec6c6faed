// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A two-level lookup table of one canonical Huffman code.
///
/// Entry: bits 0-7 bits to drop, code and extra ones, 8-11 those of the code, 12 end of block, 13 subtable, 14 anything but a
/// plain symbol, 15 literal, 16-31 the literal, base value or subtable start. An entry of just bit 14
/// is a bit pattern that no code uses: incomplete codes are accepted (Go writes them) as long as nobody uses the gap.
final class HuffmanDecodeTable {
    enum Alphabet { case literals, distances, codeLengths }

    static let endOfBlock: UInt32 = 1 << 12
    static let subtable: UInt32 = 1 << 13
    static let exceptional: UInt32 = 1 << 14
    static let literal: UInt32 = 1 << 15

    let entries: UnsafeMutablePointer<UInt32>
    let primaryBits: Int
    private let capacity: Int
    private let alphabet: Alphabet

    init(_ alphabet: Alphabet) {
        self.alphabet = alphabet
        switch alphabet {
        case .literals: primaryBits = 11
        case .distances: primaryBits = 9
        case .codeLengths: primaryBits = 7
        }
        // Subtables of an incomplete code may be sparse: every primary slot of at most 288 symbols, 16 entries each.
        capacity = (1 << primaryBits) + 288 * (1 << (15 - primaryBits))
        entries = .allocate(capacity: capacity)
        entries.initialize(repeating: Self.exceptional, count: capacity)
    }

    deinit { entries.deallocate() }

    /// The value of a symbol: its base and the extra bits, which follow the code in `bits`.
    @inline(__always)
    static func value(_ entry: UInt32, _ bits: UInt64) -> Int {
        let known = bits & ((1 &<< UInt64(entry & 63)) &- 1)
        return Int(entry &>> 16) &+ Int(truncatingIfNeeded: known &>> UInt64(entry &>> 8 & 15))
    }

    private func payload(_ symbol: Int) -> UInt32 {
        switch alphabet {
        case .codeLengths: return UInt32(symbol) << 16
        case .distances:
            if symbol >= 30 { return Self.exceptional }
            return UInt32(DeflateTables.distanceBase[symbol]) << 16 | UInt32(DeflateTables.distanceExtra[symbol])
        case .literals:
            if symbol < 256 { return UInt32(symbol) << 16 | Self.literal }
            if symbol == 256 { return Self.exceptional | Self.endOfBlock }
            if symbol > 285 { return Self.exceptional }
            let code = symbol - 257
            return UInt32(DeflateTables.lengthBase[code]) << 16 | UInt32(DeflateTables.lengthExtra[code])
        }
    }

    /// Fills the table from code lengths (0-15 each).
    /// - Throws: `bad-code` if more codes are wanted than exist.
    func build(_ lengths: UnsafePointer<UInt8>, count: Int) throws(DeflateError) {
        var counts = (0..<16).map { _ in 0 }
        for symbol in 0..<count { counts[Int(lengths[symbol] & 15)] += 1 }
        counts[0] = 0
        var code = 0
        var next = (0..<16).map { _ in 0 }
        for length in 1..<16 {
            code = (code + counts[length - 1]) << 1
            next[length] = code
            if code + counts[length] > 1 << length { throw DeflateError("bad-code") }
        }
        let primarySize = 1 << primaryBits
        entries.update(repeating: Self.exceptional, count: primarySize)
        var used = primarySize
        let subBits = 15 - primaryBits
        for symbol in 0..<count {
            let length = Int(lengths[symbol] & 15)
            if length == 0 { continue }
            let value = next[length]
            next[length] += 1
            var reversed = 0
            for bit in 0..<length where value >> bit & 1 != 0 { reversed |= 1 << (length - 1 - bit) }
            let body = payload(symbol)
            if length <= primaryBits {
                var slot = reversed
                let entry = body &+ UInt32(length) | UInt32(length) << 8
                while slot < primarySize {
                    entries[slot] = entry
                    slot += 1 << length
                }
            } else {
                let slot = reversed & (primarySize - 1)
                if entries[slot] & Self.subtable == 0 {
                    (entries + used).update(repeating: Self.exceptional, count: 1 << subBits)
                    entries[slot] = UInt32(used) << 16 | Self.exceptional | Self.subtable | UInt32(primaryBits)
                    used += 1 << subBits
                }
                let start = Int(entries[slot] >> 16)
                var index = reversed >> primaryBits
                let entry = body &+ UInt32(length - primaryBits) | UInt32(length - primaryBits) << 8
                while index < 1 << subBits {
                    entries[start + index] = entry
                    index += 1 << (length - primaryBits)
                }
            }
        }
    }
}
