// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Follows a block (or piece) token by token and says where a ``BlockRule`` ends it.
struct BlockRuleWatch {
    /// Tokens in one go before buffers and budgets are looked after.
    static let slice = 1 << 11

    let rule: BlockRule
    // What GNU gzip's rule counts.
    private var distanceBits = 0
    private var matches = 0

    init(rule: BlockRule) {
        self.rule = rule
    }

    /// Tokens that the next run may make at most, after `sofar` tokens of the block.
    func mostTokens(after sofar: Int) -> Int {
        switch rule {
        case .tokens(let most), .pieces(let most): return sofar < most ? min(most - sofar, Self.slice) : Self.slice
        case .gnu(let most, let looks, _):
            let left = sofar < most ? most - sofar : Self.slice
            return min(looks ? min(4096 - sofar & 4095, left) : left, Self.slice)
        default: return Self.slice
        }
    }

    /// Whether the encoder ends its block after `count` tokens.
    /// - Parameters:
    ///   - from: Where the block begins.
    ///   - lastStart: Where its last token so far starts.
    ///   - recent: The tokens since the last call, `recentCount` of them.
    ///   - first: Whether this is the block's first call.
    mutating func ends(
        _ count: Int, from: Int, lastStart: Int, recent: UnsafePointer<UInt32>, recentCount: Int, first: Bool
    ) -> Bool {
        switch rule {
        case .tokens(let most), .pieces(let most): return count >= most
        case .gnu(let most, let looks, let ahead):
            if !looks { return count >= most }
            if first {
                distanceBits = 0
                matches = 0
            }
            for index in 0..<recentCount where Token.isMatch(recent[index]) {
                matches += 1
                let code = DeflateTables.shared.distanceCode(of: Token.distance(recent[index]))
                distanceBits += 5 + Int(DeflateTables.distanceExtra[code])
            }
            if count >= most { return true }
            if count & 4095 != 0 { return false }
            let out = (count * 8 + distanceBits) >> 3
            let took = lastStart + ahead - from
            return matches < count / 2 && out < took / 2
        default: return false
        }
    }
}
