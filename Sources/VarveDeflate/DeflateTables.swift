// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The constant tables of RFC 1951, in the shapes the hot loops want.
///
/// One token is a `UInt32`: a literal is its byte value; a match is `distance << 9 | length + 253`, so that every token of
/// 512 or more is a match, and the low nine bits tell all literals and lengths apart.
enum Token {
    /// What the low nine bits of a match hold above its length, so that they differ from those of every literal.
    static let lengthBias = 253
    /// Values that the low nine bits have.
    static let slots = 512
    /// Values of ``distanceSlot(_:)``.
    static let distanceSlots = 513

    @inline(__always)
    static func match(length: Int, distance: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: distance &<< 9 &+ length &+ lengthBias)
    }
    @inline(__always)
    static func isMatch(_ token: UInt32) -> Bool { token >= 512 }
    /// Of a match.
    @inline(__always)
    static func length(_ token: UInt32) -> Int { Int(token & 511) &- lengthBias }
    @inline(__always)
    static func distance(_ token: UInt32) -> Int { Int(token &>> 9) }
    /// Plain bytes that the token stands for.
    @inline(__always)
    static func span(_ token: UInt32) -> Int { token >= 512 ? length(token) : 1 }
    /// A place below ``slots`` for each literal (its value) and each length (``lengthBias`` more).
    @inline(__always)
    static func slot(_ token: UInt32) -> Int { Int(token & 511) }
    /// A place below ``distanceSlots`` for the distances of each code, found without a branch; 0 for literals.
    @inline(__always)
    static func distanceSlot(_ token: UInt32) -> Int { distanceSlot(of: token &>> 9) }
    @inline(__always)
    static func distanceSlot(of distance: UInt32) -> Int {
        Int(distance <= 256 ? distance : 257 &+ ((distance &- 1) &>> 7 & 255))
    }
}

/// Lookup tables, filled once. The pointers live as long as the process.
struct DeflateTables: @unchecked Sendable {  // Written once before it is shared, read only after.
    static let shared = DeflateTables()

    static let lengthBase: [UInt16] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    static let lengthExtra: [UInt8] = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    static let distanceBase: [UInt16] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]
    static let distanceExtra: [UInt8] = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]
    static let codeLengthOrder: [UInt8] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    /// Length code (0-28) of a match length (3-258), by length.
    let lengthCode: UnsafeMutablePointer<UInt8>
    /// Distance code (0-29) by ``Token/distanceSlot(_:)``, ``noDistance`` for literals.
    let distanceCodes: UnsafeMutablePointer<UInt8>
    /// Stands for the distance code of a literal; no symbol of the format.
    static let noDistance = 31

    private init() {
        lengthCode = .allocate(capacity: 512)
        lengthCode.initialize(repeating: 0, count: 512)
        for code in 0..<29 {
            let base = Int(Self.lengthBase[code])
            for extra in 0..<(1 << Int(Self.lengthExtra[code])) where base + extra <= 258 {
                lengthCode[base + extra] = UInt8(code)
            }
        }
        lengthCode[258] = 28
        distanceCodes = .allocate(capacity: Token.distanceSlots)
        distanceCodes.initialize(repeating: UInt8(Self.noDistance), count: Token.distanceSlots)
        for code in 0..<30 {
            let base = Int(Self.distanceBase[code])
            for distance in base..<(base + (1 << Int(Self.distanceExtra[code]))) {
                distanceCodes[Token.distanceSlot(of: UInt32(distance))] = UInt8(code)
            }
        }
    }

    @inline(__always)
    func distanceCode(of distance: Int) -> Int {
        Int(distanceCodes[Token.distanceSlot(of: UInt32(truncatingIfNeeded: distance))])
    }
}
