// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The fixed tables of RFC 8878: codes of literal and match lengths, predefined distributions.
enum ZstdTables {
    /// Extra bits of literal length codes 0-35.
    static let literalLengthBits: [UInt8] =
        Array(repeating: 0, count: 16) + [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    /// Extra bits of match length codes 0-52.
    static let matchLengthBits: [UInt8] =
        Array(repeating: 0, count: 32) + [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]

    static let literalLengthNorm: [Int16] = [
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ]
    static let matchLengthNorm: [Int16] = [
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ]
    static let offsetNorm: [Int16] = [
        1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    ]

    /// The largest block, in plain and in compressed bytes.
    static let blockMax = 1 << 17
}

/// Tables that are looked up in loops, in memory that lives as long as the program.
final class CodeTables: @unchecked Sendable {  // written once, before it is shared
    static let shared = CodeTables()

    /// Codes of literal lengths below 64 and of match lengths less three below 128.
    let literalCode: UnsafeMutablePointer<UInt8>
    let matchCode: UnsafeMutablePointer<UInt8>
    /// First value and number of extra bits of each code.
    let literalBase: UnsafeMutablePointer<UInt32>
    let literalBits: UnsafeMutablePointer<UInt8>
    let matchBase: UnsafeMutablePointer<UInt32>
    let matchBits: UnsafeMutablePointer<UInt8>

    private init() {
        literalCode = .allocate(capacity: 64)
        matchCode = .allocate(capacity: 128)
        literalBase = .allocate(capacity: 64)
        literalBits = .allocate(capacity: 64)
        matchBase = .allocate(capacity: 64)
        matchBits = .allocate(capacity: 64)
        for code in 0..<64 {
            literalBase[code] = 0
            literalBits[code] = 0
            matchBase[code] = 0
            matchBits[code] = 0
        }
        Self.fill(ZstdTables.literalLengthBits, literalBase, literalBits, literalCode, 64)
        Self.fill(ZstdTables.matchLengthBits, matchBase, matchBits, matchCode, 128)
    }

    private static func fill(
        _ extra: [UInt8], _ base: UnsafeMutablePointer<UInt32>, _ bits: UnsafeMutablePointer<UInt8>,
        _ codes: UnsafeMutablePointer<UInt8>, _ small: Int
    ) {
        var value = 0
        for (code, count) in extra.enumerated() {
            base[code] = UInt32(value)
            bits[code] = count
            for each in value..<min(value + 1 << Int(count), max(small, value)) { codes[each] = UInt8(code) }
            value += 1 << Int(count)
        }
    }

    @inline(__always)
    func literalCode(of length: UInt32) -> Int {
        length < 64 ? Int(literalCode[Int(length)]) : 31 &- length.leadingZeroBitCount &+ 19
    }

    /// - Parameter length: Of the match, less three.
    @inline(__always)
    func matchCode(of length: UInt32) -> Int {
        length < 128 ? Int(matchCode[Int(length)]) : 31 &- length.leadingZeroBitCount &+ 36
    }
}

extension FixedWidthInteger {
    /// The place of the highest bit set; -1 for zero.
    @inline(__always)
    var highBit: Int { Self.bitWidth &- 1 &- leadingZeroBitCount }
}
