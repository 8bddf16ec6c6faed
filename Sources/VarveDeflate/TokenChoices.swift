// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Describes a token by which of those possible at its place it is, the one with the cheapest way to the end first.
final class TokenChoices {
    /// Where a token starts.
    struct Place {
        let plain: UnsafePointer<UInt8>
        let at: Int
        /// It spans so many bytes at most.
        let room: Int
        /// How far back a match may reach.
        let reach: Int
    }

    /// Of more than so many that cost the least the token itself is described.
    private static let ranksMax = 16

    /// What has no code costs that much by itself.
    private static let never: Int32 = 1 << 24

    private static let laterContexts = 8 * 4 * 9 * 3 * 12
    private static let escapeContexts = laterContexts + 3 * 8 * 4 * 7 * 18
    private let probabilities = QuickProbabilities(count: escapeContexts + 1024)
    private var all = TokenCandidates()
    /// Whether the last token was the cheapest one (0), a later one (1), or none of them (2).
    private var lastRank = 0
    var steps: Int { all.steps }

    deinit { all.deallocate() }

    /// Everything learned is forgotten: at the start of each segment.
    func reset() {
        probabilities.reset()
        lastRank = 0
    }

    /// A difference of costs in seven classes.
    @inline(__always)
    private static func step(_ bits: Int32) -> Int {
        bits < 4 ? Int(bits) : (bits < 6 ? 4 : (bits < 10 ? 5 : 6))
    }

    /// Codes a token.
    @inline(__always)
    func code<O: TokenOracle>(
        _ oracle: inout O, _ place: Place, _ costsToGo: CostsToGo, _ costs: TokenCosts
    ) -> UInt32 {
        all.list(place, costsToGo, costs)
        all.rank(Self.never)
        let known = oracle.known
        let wanted = Token.isMatch(known) ? Token.length(known) &- 2 : 0
        let isListed = O.isWriting && wanted < all.count && all.tokens[min(wanted, 256)] == known
        let reach = TokenCandidates.longest(all.count &+ 1)
        let cheapest = all.best < 0 ? 0 : all.rest[all.best]
        var tries = 0
        while all.best >= 0 && tries < Self.ranksMax {
            let gap = all.second < 0 ? 7 : Self.step(all.rest[all.second] &- all.rest[all.best])
            var rival = 3
            if all.second >= 0 {
                rival =
                    all.second == 0
                    ? 0 : (Token.distance(all.tokens[all.second]) == Token.distance(all.tokens[all.best]) ? 1 : 2)
            }
            let isLongest = all.best == all.count &- 1 && all.best > 0 ? 1 : 0
            var context = gap &* 4 &+ rival
            if tries == 0 {
                let length = all.best == 0 ? 0 : min(all.best, 8)
                context = ((context &* 9 &+ length) &* 3 &+ lastRank) &* 12 &+ reach &* 2 &+ isLongest
            } else {
                let lost = Self.step(all.rest[all.best] &- cheapest)
                let kind = all.best == 0 ? 0 : (all.best < 3 ? 1 : 2)
                context = ((min(tries, 3) &- 1) &* 32 &+ context) &* 7 &+ lost
                context = (context &* 3 &+ kind) &* 6 &+ max(reach &- 3, 0) &* 2 &+ isLongest
                context &+= Self.laterContexts
            }
            if probabilities.bit(&oracle, context, isListed && wanted == all.best ? 0 : 1) == 0 {
                lastRank = min(tries, 1)
                return all.tokens[all.best]
            }
            all.rest[all.best] = Int32.max
            all.rank(Self.never)
            tries &+= 1
        }
        lastRank = 2
        return all.describe(&oracle, place, known, probabilities, from: Self.escapeContexts)
    }
}
