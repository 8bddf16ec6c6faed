// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The tokens that are possible at a place, with what each costs, and the cheapest two of those that are left.
struct TokenCandidates {
    /// What the rest costs with each choice: the literal at 0, length n at n - 2. ``Int32/max`` for none, or no longer.
    let rest: UnsafeMutablePointer<Int32>
    let tokens: UnsafeMutablePointer<UInt32>
    private(set) var count = 0
    /// The cheapest two; negative for none.
    var best = 0
    var second = 0
    private(set) var steps = 0

    init() {
        rest = .allocate(capacity: 260)
        rest.initialize(repeating: 0, count: 260)
        tokens = .allocate(capacity: 260)
        tokens.initialize(repeating: 0, count: 260)
    }

    /// To be called once, by whoever made it.
    func deallocate() {
        rest.deallocate()
        tokens.deallocate()
    }

    /// Lists what is possible at a place.
    @inline(__always)
    mutating func list(_ place: TokenChoices.Place, _ costsToGo: CostsToGo, _ costs: TokenCosts) {
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
    mutating func rank(_ never: Int32) {
        best = -1
        second = -1
        var least = never
        var next = never
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

    /// The length of the longest match in six classes.
    @inline(__always)
    static func longest(_ length: Int) -> Int {
        length < 6 ? (length < 3 ? 0 : 1) : (length < 16 ? 2 : (length < 32 ? 3 : (length < 64 ? 4 : 5)))
    }

    /// Codes a token that is none of the cheapest: its length in general, then its distance. Takes 1024 contexts from `p` on.
    @inline(never)
    func describe<O: TokenOracle>(
        _ oracle: inout O, _ place: TokenChoices.Place, _ known: UInt32, _ probabilities: QuickProbabilities,
        from p: Int
    ) -> UInt32 {
        let literal = UInt32(place.plain[place.at])
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
