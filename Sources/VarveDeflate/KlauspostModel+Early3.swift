// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Level 3 as it was up to 1.14.2: a smaller table, the last three positions of a match put into it, and no second match at
/// once where the newer of two candidates fits, an oversight of 1.10.2.
extension KlauspostModel {
    func encode3Early<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let isFirst = parameters.era == .before1_10_2
        let shift: UInt32 = isFirst ? 16 : 17
        let span = isFirst ? Self.farthest : Self.farthest &- 4
        /// How much nearer an older candidate must be.
        let nearer = isFirst ? 0 : 1
        let limit = end &- 7
        let table = longTable
        let floor = self.floor
        func slot(_ value: UInt32) -> Int { Int((value &* 0x1e35_a7bd) &>> shift) }
        var emitted = from
        var s = from
        var cv = load32(s)
        scan: while true {
            var nextS = s
            var t = 0
            while true {
                let here = slot(cv)
                s = nextS
                nextS = s &+ 1 &+ (s &- emitted) &>> 6
                if nextS > limit { break scan }
                let current = Int(table[here &* 2])
                let previous = Int(table[here &* 2 &+ 1])
                let next = load32(nextS)
                pushLong(here, s)
                let lowest = s &- span
                if current < lowest || current >= s {
                    cv = next
                    continue
                }
                if load32(current) == cv {
                    t = current
                    if previous >= lowest && previous < s && load32(previous) == cv
                        && lengthLong(s &+ 4, previous &+ 4, end) > lengthLong(s &+ 4, current &+ 4, end)
                    {
                        t = previous
                    }
                    break
                }
                if previous >= lowest &+ nearer && previous < s && load32(previous) == cv {
                    t = previous
                    break
                }
                cv = next
            }
            while true {
                var l = lengthLong(s &+ 4, t &+ 4, end) &+ 4
                while t > floor && s > emitted && plain[t &- 1] == plain[s &- 1] {
                    s &-= 1
                    t &-= 1
                    l &+= 1
                }
                let distance = s &- t
                if !literals(&oracle, &emitted, s, end) || !match(&oracle, &emitted, l, distance, end) {
                    s = emitted
                    if s >= limit { break scan }
                    cv = load32(s)
                    break
                }
                s = emitted
                if nextS >= s { s = nextS &+ 1 }
                if s >= limit {
                    t &+= l
                    if t &+ 4 < end && t > floor { pushLong(slot(load32(t)), t) }
                    break scan
                }
                for i in (s &- 3)..<s { pushLong(slot(load32(i)), i) }
                let value = load32(s)
                let here = slot(value)
                let current = Int(table[here &* 2])
                let previous = Int(table[here &* 2 &+ 1])
                pushLong(here, s)
                let lowest = s &- span &+ nearer
                if current >= lowest && current < s {
                    if load32(current) != value {
                        if previous >= lowest && previous < s && load32(previous) == value {
                            t = previous
                            continue
                        }
                    } else if isFirst {
                        t = current
                        continue
                    }
                }
                s &+= 1
                cv = load32(s)
                break
            }
        }
        rest(&oracle, &emitted, end)
    }
}
