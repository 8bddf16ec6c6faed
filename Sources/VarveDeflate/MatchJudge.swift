// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What else than its length decides on whether a longer match takes the place of the best so far.
protocol MatchJudge {
    /// Whether nothing does.
    static var takesAny: Bool { get }
    mutating func accepts(_ length: Int, from distance: Int) -> Bool
}

/// Takes any longer match.
struct AnyLonger: MatchJudge {
    static var takesAny: Bool { true }

    @inline(__always)
    func accepts(_ length: Int, from distance: Int) -> Bool { true }
}

/// Weighs matches by what the literals under them would cost, as klauspost's level 9 does.
struct LiteralGain: MatchJudge {
    static var takesAny: Bool { false }

    private let text: UnsafePointer<UInt8>
    private let literalBits: UnsafePointer<UInt8>
    private let matchCost: Int
    /// What the next match has to save more than.
    private var wanted: Int
    /// Literals added up so far, and what they cost.
    private var counted = 0
    private var bits = 0

    /// - Parameters:
    ///   - text: What is to be matched.
    ///   - matchCost: What a match costs beside its extra bits.
    ///   - least: What the first match has to save more than.
    @inline(__always)
    init(
        _ text: UnsafePointer<UInt8>, literalBits: UnsafePointer<UInt8>, matchCost: Int, least: Int
    ) {
        self.text = text
        self.literalBits = literalBits
        self.matchCost = matchCost
        wanted = least
    }

    @inline(__always)
    mutating func accepts(_ length: Int, from distance: Int) -> Bool {
        // One after the other, candidates match about as much: only the difference is added up.
        while counted < length {
            bits &+= Int(literalBits[Int(text[counted])])
            counted &+= 1
        }
        while counted > length {
            counted &-= 1
            bits &-= Int(literalBits[Int(text[counted])])
        }
        if bits &- matchCost <= wanted { return false }
        let table = DeflateTables.shared
        // The encoder looks the distance up one too high, and the farthest wraps around.
        let code = distance >= 32768 ? 14 : table.distanceCode(of: distance &+ 1)
        let gain =
            bits &- matchCost &- Int(DeflateTables.lengthExtra[Int(table.lengthCode[length])])
            &- Int(DeflateTables.distanceExtra[code])
        if gain <= wanted { return false }
        wanted = gain
        return true
    }
}
