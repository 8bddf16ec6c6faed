// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Describes a token by which of those possible at its place it is, as ``TokenChoices`` does, but by finer differences of
/// costs, and with decisions that start out near where they end: a context that is new takes over what a coarser one knows.
final class TokenRanks {
    /// Of more than so many that cost the least the token itself is described.
    private static let ranksMax = 12

    private static let gaps = 17
    /// Of the first decision where the encoder's own way is not known, and where it is.
    private static let firstContexts = gaps * 4 * 9 * 3 * 12
    private static let laterContexts = 2 * firstContexts
    private static let coarseContexts = laterContexts + 3 * gaps * 4 * 16 * 3 * 6
    private static let escapeContexts = coarseContexts + RankPriors.count
    private let probabilities = QuickProbabilities(count: escapeContexts + 1024)
    private var all = TokenCandidates()
    /// Whether the last token was the cheapest one (0), a later one (1), or none of them (2).
    private var lastRank = 0
    var steps: Int { all.steps }

    deinit { all.deallocate() }

    /// Everything learned is forgotten: at the start of each segment.
    func reset() {
        probabilities.reset()
        RankPriors.all.withUnsafeBufferPointer { priors in
            for index in 0..<priors.count {
                probabilities.expect(Self.coarseContexts + index, UInt16(priors[index]) << 8 | 128)
            }
        }
        lastRank = 0
    }

    /// A difference of costs in sixteen classes.
    @inline(__always)
    private static func step(_ difference: Int32) -> Int {
        let quarters = Int(max(difference, 0) &>> 6)
        if quarters < 12 { return quarters }
        return quarters < 24 ? (quarters < 16 ? 12 : 13) : (quarters < 40 ? 14 : 15)
    }

    /// Codes a token.
    /// - Parameter followed: How far the encoder's own way goes from there, if that is known and leads there; else 0.
    @inline(__always)
    func code<O: TokenOracle>(
        _ oracle: inout O, _ place: TokenChoices.Place, _ costsToGo: CostsToGo, _ costs: TokenCosts, followed: Int
    ) -> UInt32 {
        all.list(place, costsToGo, costs)
        let never = costs.never
        var isFollowed = 0
        if followed > 0 && max(followed &- 2, 0) < all.count {
            // The rest are ranked behind it.
            isFollowed = 1
            let index = max(followed &- 2, 0)
            let cost = all.rest[index]
            all.rest[index] = Int32.max
            all.rank(never)
            all.rest[index] = cost
            all.second = all.best
            all.best = index
        } else {
            all.rank(never)
        }
        let known = oracle.known
        let wanted = Token.isMatch(known) ? Token.length(known) &- 2 : 0
        let isListed = O.isWriting && wanted < all.count && all.tokens[min(wanted, 256)] == known
        let reach = TokenCandidates.longest(all.count &+ 1)
        let cheapest = all.best < 0 ? 0 : all.rest[all.best]
        var tries = 0
        while all.best >= 0 && tries < Self.ranksMax {
            let gap = all.second < 0 ? 16 : Self.step(all.rest[all.second] &- all.rest[all.best])
            var rival = 3
            if all.second >= 0 {
                rival =
                    all.second == 0
                    ? 0 : (Token.distance(all.tokens[all.second]) == Token.distance(all.tokens[all.best]) ? 1 : 2)
            }
            let isLongest = all.best == all.count &- 1 && all.best > 0 ? 1 : 0
            var context = gap &* 4 &+ rival
            if tries == 0 {
                let coarse = (all.best == 0 ? 4 : 0) &+ isFollowed
                let length = all.best == 0 ? 0 : min(all.best, 8)
                let fine = ((context &* 9 &+ length) &* 3 &+ lastRank) &* 12 &+ reach &* 2 &+ isLongest
                context = RankPriors.context(coarse, context)
                if probabilities.bit(
                    &oracle, fine &+ isFollowed &* Self.firstContexts, coarse: Self.coarseContexts &+ context,
                    isListed && wanted == all.best ? 0 : 1) == 0
                {
                    lastRank = 0
                    return all.tokens[all.best]
                }
            } else {
                let lost = Self.step(all.rest[all.best] &- cheapest)
                let kind = all.best == 0 ? 0 : (all.best < 3 ? 1 : 2)
                let times = min(tries, 3)
                var fine = (((times &- 1) &* Self.gaps &* 4) &+ context) &* 16 &+ lost
                fine = (fine &* 3 &+ kind) &* 6 &+ max(reach &- 3, 0) &* 2 &+ isLongest
                context = RankPriors.context(times == 1 ? 2 : (times == 2 ? 3 : 6), context)
                if probabilities.bit(
                    &oracle, fine &+ Self.laterContexts, coarse: Self.coarseContexts &+ context,
                    isListed && wanted == all.best ? 0 : 1) == 0
                {
                    lastRank = 1
                    return all.tokens[all.best]
                }
            }
            all.rest[all.best] = Int32.max
            all.rank(never)
            tries &+= 1
        }
        lastRank = 2
        return all.describe(&oracle, place, known, probabilities, from: Self.escapeContexts)
    }
}
