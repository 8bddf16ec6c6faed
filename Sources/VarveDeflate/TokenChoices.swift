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
    /// What the rest costs with each choice: the literal at 0, length n at n - 2. ``Int32/max`` for none, or no longer.
    private let rest: UnsafeMutablePointer<Int32>
    /// The tokens.
    private let tokens: UnsafeMutablePointer<UInt32>
    private var count = 0
    /// The cheapest two; negative for none.
    private var best = 0
    private var second = 0
    /// Whether the last token was the cheapest one (0), a later one (1), or none of them (2).
    private var lastRank = 0
    private(set) var steps = 0

    init() {
        rest = .allocate(capacity: 260)
        rest.initialize(repeating: 0, count: 260)
        tokens = .allocate(capacity: 260)
        tokens.initialize(repeating: 0, count: 260)
    }

    deinit {
        rest.deallocate()
        tokens.deallocate()
    }

    /// Everything learned is forgotten: at the start of each segment.
    func reset() {
        probabilities.reset()
        lastRank = 0
    }

    /// Lists what is possible at a place.
    @inline(__always)
    private func list(_ place: Place, _ costsToGo: CostsToGo, _ costs: TokenCosts) {
        let here = costsToGo.cost(from: place.at)
        let byte = place.plain[place.at]
        tokens[0] = UInt32(byte)
        rest[0] = costs.literal[Int(byte)] &+ here[1]
        var length = 3
        let room = min(place.room, costsToGo.end &- place.at)
        for token in costsToGo.matches(at: place.at) {
            let distance = Token.distance(token)
            let cost = costs.distance[DeflateTables.shared.distanceCode(of: distance)]
            let top = min(Token.length(token), room)
            while length <= top {
                tokens[length &- 2] = Token.match(length: length, distance: distance)
                rest[length &- 2] = costs.length[length] &+ cost &+ here[length]
                length &+= 1
            }
        }
        count = length &- 2
    }

    /// Finds the cheapest two; of those that cost the same the shortest.
    @inline(__always)
    private func rank() {
        best = -1
        second = -1
        var least = Self.never
        var next = Self.never
        for index in 0..<count {
            let cost = rest[index]
            if cost >= next { continue }
            if cost < least {
                second = best
                next = least
                best = index
                least = cost
            } else {
                second = index
                next = cost
            }
        }
        steps &+= count &>> 3
    }

    /// A difference of costs in seven classes.
    @inline(__always)
    private static func step(_ bits: Int32) -> Int {
        bits < 4 ? Int(bits) : (bits < 6 ? 4 : (bits < 10 ? 5 : 6))
    }

    /// The length of the longest match in six classes.
    @inline(__always)
    private static func longest(_ length: Int) -> Int {
        length < 6 ? (length < 3 ? 0 : 1) : (length < 16 ? 2 : (length < 32 ? 3 : (length < 64 ? 4 : 5)))
    }

    /// Codes a token.
    @inline(__always)
    func code<O: TokenOracle>(
        _ oracle: inout O, _ place: Place, _ costsToGo: CostsToGo, _ costs: TokenCosts
    ) -> UInt32 {
        list(place, costsToGo, costs)
        rank()
        let known = oracle.known
        let wanted = Token.isMatch(known) ? Token.length(known) &- 2 : 0
        let isListed = O.isWriting && wanted < count && tokens[min(wanted, 256)] == known
        let reach = Self.longest(count &+ 1)
        let cheapest = best < 0 ? 0 : rest[best]
        var tries = 0
        while best >= 0 && tries < Self.ranksMax {
            let gap = second < 0 ? 7 : Self.step(rest[second] &- rest[best])
            var rival = 3
            if second >= 0 {
                rival = second == 0 ? 0 : (Token.distance(tokens[second]) == Token.distance(tokens[best]) ? 1 : 2)
            }
            let isLongest = best == count &- 1 && best > 0 ? 1 : 0
            var context = gap &* 4 &+ rival
            if tries == 0 {
                let length = best == 0 ? 0 : min(best, 8)
                context = ((context &* 9 &+ length) &* 3 &+ lastRank) &* 12 &+ reach &* 2 &+ isLongest
            } else {
                let lost = Self.step(rest[best] &- cheapest)
                let kind = best == 0 ? 0 : (best < 3 ? 1 : 2)
                context = ((min(tries, 3) &- 1) &* 32 &+ context) &* 7 &+ lost
                context = (context &* 3 &+ kind) &* 6 &+ max(reach &- 3, 0) &* 2 &+ isLongest
                context &+= Self.laterContexts
            }
            if probabilities.bit(&oracle, context, isListed && wanted == best ? 0 : 1) == 0 {
                lastRank = min(tries, 1)
                return tokens[best]
            }
            rest[best] = Int32.max
            rank()
            tries &+= 1
        }
        lastRank = 2
        return describe(&oracle, place, known)
    }

    /// Codes a token that is none of the cheapest: its length in general, then its distance.
    @inline(never)
    private func describe<O: TokenOracle>(_ oracle: inout O, _ place: Place, _ known: UInt32) -> UInt32 {
        let literal = UInt32(place.plain[place.at])
        let p = Self.escapeContexts
        if probabilities.bit(&oracle, p, Token.isMatch(known) ? 1 : 0) == 0 { return literal }
        var length = count &+ 1
        let knownLength = Token.length(known)
        if count < 2 || probabilities.bit(&oracle, p + 1, knownLength == length ? 1 : 0) == 0 {
            length = 3 + probabilities.tree(&oracle, p + 256, bits: 8, knownLength &- 3)
        }
        var distance = 0
        let listed = length &- 2
        if listed < count {
            distance = Token.distance(tokens[listed])
            if probabilities.bit(&oracle, p + 2, Token.distance(known) == distance ? 1 : 0) == 0 { distance = 0 }
        }
        if distance == 0 { distance = probabilities.distance(&oracle, p + 512, Token.distance(known)) }
        // Only a damaged plan can fail here.
        return length <= place.room && distance <= place.reach
            ? Token.match(length: length, distance: distance) : literal
    }
}
