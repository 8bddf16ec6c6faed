// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension KlauspostModel {
    /// Level 5: one short table, one long table of the last two positions; looks one lookup ahead for a longer match and at
    /// the match's end for one that covers it.
    func encode5<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let limit = end &- Self.margin
        let table = self.table
        let longTable = self.longTable
        let floor = self.floor
        var emitted = from
        var s = from
        var cv = load64(s)
        scan: while true {
            var nextS = s
            var l = 0
            var t = 0
            while true {
                let short = hash4(cv)
                let long = hash7(cv)
                s = nextS
                nextS = s &+ 1 &+ (s &- emitted) &>> 6
                if nextS > limit { break scan }
                let shortCandidate = Int(table[short])
                let longCurrent = Int(longTable[long &* 2])
                let longPrevious = Int(longTable[long &* 2 &+ 1])
                let next = load64(nextS)
                table[short] = Int32(truncatingIfNeeded: s)
                longTable[long &* 2] = Int32(truncatingIfNeeded: s)
                longTable[long &* 2 &+ 1] = Int32(truncatingIfNeeded: longCurrent)
                let nextShort = hash4(next)
                let nextLong = hash7(next)
                let here = UInt32(truncatingIfNeeded: cv)

                if reachable(s, longCurrent) {
                    if load32(longCurrent) == here {
                        t = longCurrent
                        table[nextShort] = Int32(truncatingIfNeeded: nextS)
                        pushLong(nextLong, nextS)
                        if reachable(s, longPrevious) && load32(longPrevious) == here {
                            l = length(s &+ 4, t &+ 4, end) &+ 4
                            let other = length(s &+ 4, longPrevious &+ 4, end) &+ 4
                            if other > l {
                                t = longPrevious
                                l = other
                            }
                        }
                        break
                    }
                    if reachable(s, longPrevious) && load32(longPrevious) == here {
                        t = longPrevious
                        table[nextShort] = Int32(truncatingIfNeeded: nextS)
                        pushLong(nextLong, nextS)
                        break
                    }
                }
                if reachable(s, shortCandidate) && load32(shortCandidate) == here {
                    t = shortCandidate
                    l = length(s &+ 4, t &+ 4, end) &+ 4
                    let aheadCurrent = Int(longTable[nextLong &* 2])
                    let aheadPrevious = Int(longTable[nextLong &* 2 &+ 1])
                    table[nextShort] = Int32(truncatingIfNeeded: nextS)
                    pushLong(nextLong, nextS)
                    let ahead = UInt32(truncatingIfNeeded: next)
                    if reachable(nextS, aheadCurrent) {
                        if load32(aheadCurrent) == ahead {
                            let n = length(nextS &+ 4, aheadCurrent &+ 4, end) &+ 4
                            if n > l {
                                t = aheadCurrent
                                s = nextS
                                l = n
                                break
                            }
                        }
                        if reachable(nextS, aheadPrevious) && load32(aheadPrevious) == ahead {
                            let n = length(nextS &+ 4, aheadPrevious &+ 4, end) &+ 4
                            if n > l {
                                t = aheadPrevious
                                s = nextS
                                l = n
                            }
                        }
                    }
                    break
                }
                cv = next
            }
            if l == 0 {
                l = lengthLong(s &+ 4, t &+ 4, end) &+ 4
            } else if l == 258 {
                l &+= lengthLong(s &+ l, t &+ l, end)
            }
            // A match that ends farther on may cover this one's end.
            let behind = s &+ l
            if looksAtEnd && l < 30 && behind < limit {
                let candidate = Int(longTable[hash7(load64(behind)) &* 2])
                let t2 = candidate &- l &+ skipBeginning
                let s2 = s &+ skipBeginning
                if t2 >= floor && reachable(s2, t2) {
                    let n = lengthLong(s2, t2, end)
                    if n > l {
                        t = t2
                        l = n
                        s = s2
                    }
                }
            }
            while t > floor && s > emitted && plain[t &- 1] == plain[s &- 1] {
                s &-= 1
                t &-= 1
                l &+= 1
            }
            let distance = s &- t
            if !literals(&oracle, &emitted, s, end) || !match(&oracle, &emitted, l, distance, end) {
                s = emitted
                if s >= limit { break scan }
                cv = load64(s)
                continue
            }
            s = emitted
            if nextS >= s { s = nextS &+ 1 }
            if s >= limit { break scan }
            index5(s, l)
            let x = load64(s &- 1)
            table[hash4(x)] = Int32(truncatingIfNeeded: s &- 1)
            pushLong(hash7(x), s &- 1)
            cv = x &>> 8
        }
        rest(&oracle, &emitted, end)
    }

    /// Puts some of a match's positions into the tables.
    @inline(__always)
    private func index5(_ s: Int, _ l: Int) {
        var i = s &- l &+ 1
        if i >= s &- 1 { return }
        var cv = load64(i)
        table[hash4(cv)] = Int32(truncatingIfNeeded: i)
        pushLong(hash7(cv), i)
        cv &>>= 8
        pushLong(hash7(cv), i &+ 1)
        cv &>>= 8
        table[hash4(cv)] = Int32(truncatingIfNeeded: i &+ 2)
        i &+= 4
        while i < s &- 1 {
            let value = load64(i)
            pushLong(hash7(value), i)
            table[hash4(value &>> 8)] = Int32(truncatingIfNeeded: i &+ 1)
            i &+= 3
        }
    }

    /// Level 6: as level 5, with a try at the last distance and a denser index.
    func encode6<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let limit = end &- Self.margin
        let table = self.table
        let longTable = self.longTable
        let floor = self.floor
        var emitted = from
        var s = from
        var cv = load64(s)
        var lastDistance = 1
        scan: while true {
            var nextS = s
            var l = 0
            var t = 0
            while true {
                let short = hash4(cv)
                let long = hash7(cv)
                s = nextS
                nextS = s &+ 1 &+ (s &- emitted) &>> 7
                if nextS > limit { break scan }
                let shortCandidate = Int(table[short])
                let longCurrent = Int(longTable[long &* 2])
                let longPrevious = Int(longTable[long &* 2 &+ 1])
                let next = load64(nextS)
                table[short] = Int32(truncatingIfNeeded: s)
                longTable[long &* 2] = Int32(truncatingIfNeeded: s)
                longTable[long &* 2 &+ 1] = Int32(truncatingIfNeeded: longCurrent)
                let nextShort = hash4(next)
                let nextLong = hash7(next)
                let here = UInt32(truncatingIfNeeded: cv)

                if reachable(s, longCurrent) {
                    if load32(longCurrent) == here {
                        t = longCurrent
                        table[nextShort] = Int32(truncatingIfNeeded: nextS)
                        pushLong(nextLong, nextS)
                        if reachable(s, longPrevious) && load32(longPrevious) == here {
                            l = length(s &+ 4, t &+ 4, end) &+ 4
                            let other = length(s &+ 4, longPrevious &+ 4, end) &+ 4
                            if other > l {
                                t = longPrevious
                                l = other
                            }
                        }
                        break
                    }
                    if reachable(s, longPrevious) && load32(longPrevious) == here {
                        t = longPrevious
                        table[nextShort] = Int32(truncatingIfNeeded: nextS)
                        pushLong(nextLong, nextS)
                        break
                    }
                }
                if reachable(s, shortCandidate) && load32(shortCandidate) == here {
                    t = shortCandidate
                    l = length(s &+ 4, t &+ 4, end) &+ 4
                    let aheadCurrent = Int(longTable[nextLong &* 2])
                    let aheadPrevious = Int(longTable[nextLong &* 2 &+ 1])
                    table[nextShort] = Int32(truncatingIfNeeded: nextS)
                    pushLong(nextLong, nextS)
                    let again = s &- lastDistance &+ 1
                    if again >= floor && load32(again) == UInt32(truncatingIfNeeded: cv &>> 8) {
                        let n = length(s &+ 5, again &+ 4, end) &+ 4
                        if n > l {
                            t = again
                            l = n
                            s &+= 1
                            break
                        }
                    }
                    let ahead = UInt32(truncatingIfNeeded: next)
                    if reachable(nextS, aheadCurrent) {
                        if load32(aheadCurrent) == ahead {
                            let n = length(nextS &+ 4, aheadCurrent &+ 4, end) &+ 4
                            if n > l {
                                t = aheadCurrent
                                s = nextS
                                l = n
                            }
                        }
                        if reachable(nextS, aheadPrevious) && load32(aheadPrevious) == ahead {
                            let n = length(nextS &+ 4, aheadPrevious &+ 4, end) &+ 4
                            if n > l {
                                t = aheadPrevious
                                s = nextS
                                l = n
                            }
                        }
                    }
                    break
                }
                cv = next
            }
            if l == 0 {
                l = lengthLong(s &+ 4, t &+ 4, end) &+ 4
            } else if l == 258 {
                l &+= lengthLong(s &+ l, t &+ l, end)
            }
            let behind = s &+ l
            if looksAtEnd && behind < limit {
                let slot = hash7(load64(behind)) &* 2
                let s2 = s &+ skipBeginning
                var t2 = Int(longTable[slot]) &- l &+ skipBeginning
                if s2 &- t2 < Self.farthest {
                    if t2 >= floor && s2 > t2 {
                        let n = lengthLong(s2, t2, end)
                        if n > l {
                            t = t2
                            l = n
                            s = s2
                        }
                    }
                    t2 = Int(longTable[slot &+ 1]) &- l &+ skipBeginning
                    if t2 >= floor && reachable(s2, t2) {
                        let n = lengthLong(s2, t2, end)
                        if n > l {
                            t = t2
                            l = n
                            s = s2
                        }
                    }
                }
            }
            while t > floor && s > emitted && plain[t &- 1] == plain[s &- 1] {
                s &-= 1
                t &-= 1
                l &+= 1
            }
            let distance = s &- t
            lastDistance = distance
            if !literals(&oracle, &emitted, s, end) || !match(&oracle, &emitted, l, distance, end) {
                s = emitted
                if s >= limit { break scan }
                cv = load64(s)
                continue
            }
            s = emitted
            if nextS >= s { s = nextS &+ 1 }
            var i = nextS &+ 1
            if s >= limit {
                while i < end &- 8 {
                    let value = load64(i)
                    table[hash4(value)] = Int32(truncatingIfNeeded: i)
                    pushLong(hash7(value), i)
                    i &+= 2
                }
                break scan
            }
            while i < s &- 1 {
                let value = load64(i)
                table[hash4(value)] = Int32(truncatingIfNeeded: i)
                pushLong(hash7(value), i)
                pushLong(hash7(value &>> 8), i &+ 1)
                i &+= 2
            }
            cv = load64(s)
        }
        rest(&oracle, &emitted, end)
    }
}
