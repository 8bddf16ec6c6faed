// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension KlauspostModel {
    /// Level 1: one table, two lookups at a time, skipping faster the longer nothing is found.
    func encode1<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let limit = end &- Self.margin
        let table = self.table
        let bits: UInt64 = hasLargeTables ? 16 : 15
        let floor = self.floor
        var emitted = from
        // Where the last match ended, and where the search for the next one began.
        var base = from
        var began = from
        var s = from
        var cv = load64(s)
        var nextS = s
        var slot = 0
        var now: UInt64 = 0
        // What the second of two lookups finds; whether that is to be looked at next.
        var ahead = 0
        var isSecond = false
        scan: while true {
            var t = 0
            while true {
                if !isSecond {
                    slot = hashFast(cv, bits)
                    t = Int(table[slot])
                    nextS = s &+ 2 &+ (s &- base) &>> 5
                    if nextS > limit { break scan }
                    now = load64(nextS)
                    table[slot] = Int32(truncatingIfNeeded: s)
                    slot = hashFast(now, bits)
                    ahead = Int(table[slot])
                    if reachable(s, t) && load32(t) == UInt32(truncatingIfNeeded: cv) {
                        table[slot] = Int32(truncatingIfNeeded: nextS)
                        isSecond = true
                        break
                    }
                }
                isSecond = false
                cv = now
                s = nextS
                nextS &+= 1
                t = ahead
                now &>>= 8
                table[slot] = Int32(truncatingIfNeeded: s)
                if reachable(s, t) && load32(t) == UInt32(truncatingIfNeeded: cv) {
                    // The slot of the position after is this one's: that is how it has always been.
                    table[slot] = Int32(truncatingIfNeeded: nextS)
                    break
                }
                cv = now
                s = nextS
            }
            let found = s
            while true {
                var l = lengthLong(s &+ 4, t &+ 4, end) &+ 4
                while t > floor && s > emitted && plain[t &- 1] == plain[s &- 1] {
                    s &-= 1
                    t &-= 1
                    l &+= 1
                }
                let distance = s &- t
                if !literals(&oracle, &emitted, s, end) || !match(&oracle, &emitted, l, distance, end) {
                    l = emitted &- departedAt
                    switch afterDeparture(l, at: s, found: began >= 0) {
                    case .searchAgain(let place):
                        base = place
                        s = emitted
                        if s >= limit { break scan }
                        began = s
                        cv = load64(s)
                        isSecond = false
                        continue scan
                    case .searchOn:
                        s = found
                        if !isSecond {
                            table[slot] = Int32(truncatingIfNeeded: found)
                            cv = now
                            s = nextS
                        }
                        continue scan
                    case .match:
                        if began >= 0 { nextS = visited(from: began, base, upTo: departedAt) }
                    }
                }
                base = emitted
                isSecond = false
                s = emitted
                if nextS >= s { s = nextS &+ 1 }
                if s >= limit {
                    if s &+ l &+ indexMargin < end { table[hashFast(load64(s), bits)] = Int32(truncatingIfNeeded: s) }
                    break scan
                }
                var x = load64(s &- 2)
                table[hashFast(x, bits)] = Int32(truncatingIfNeeded: s &- 2)
                x &>>= 16
                let slot = hashFast(x, bits)
                t = Int(table[slot])
                table[slot] = Int32(truncatingIfNeeded: s)
                if !reachableAll(s, t) || load32(t) != UInt32(truncatingIfNeeded: x) {
                    cv = x &>> 8
                    s &+= 1
                    began = s
                    break
                }
                // Nothing is searched before this one.
                began = -1
            }
        }
        rest(&oracle, &emitted, end)
    }

    /// What the encoder did where the stream goes another way than the model.
    private enum AfterDeparture {
        /// It began to search anew; the text that it skips ever faster begins at a place.
        case searchAgain(Int)
        /// It did not find the match, and went on searching.
        case searchOn
        /// It took another match.
        case match
    }

    /// - Parameters:
    ///   - length: Of the token that came.
    ///   - start: Where the match would have begun.
    ///   - found: Whether it was found by a search, not where another match had ended.
    private func afterDeparture(_ length: Int, at start: Int, found: Bool) -> AfterDeparture {
        if !parameters.follows { return .searchAgain(departedAt &+ length) }
        if length >= 3 { return .match }
        return departedAt == start && found ? .searchOn : .searchAgain(departedAt)
    }

    /// The position after the first one at `place` or behind it that a search looks at which began at `start`.
    /// - Parameter base: Where the match before had ended.
    private func visited(from start: Int, _ base: Int, upTo place: Int) -> Int {
        var s = start
        while true {
            let next = s &+ 2 &+ (s &- base) &>> 5
            if s >= place { return next }
            if next >= place { return next &+ 1 }
            s = next &+ 1
        }
    }
}
