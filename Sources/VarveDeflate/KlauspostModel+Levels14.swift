// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension KlauspostModel {
    /// The hash of levels 1-3: five bytes, or four in older releases (level 1 then with a multiplier of its own).
    @inline(__always)
    func hashFast(_ value: UInt64, _ bits: UInt64) -> Int {
        if !isOld {
            return Int(((value &<< 24) &* 889_523_592_379) &>> (64 &- bits))
        }
        let word = UInt32(truncatingIfNeeded: value)
        if parameters.level == 1 { return Int((word &* 0x1e35_a7bd) &>> UInt32(truncatingIfNeeded: 32 &- bits)) }
        return Int((word &* 2_654_435_761) &>> UInt32(truncatingIfNeeded: 32 &- bits))
    }

    var hasLargeTables: Bool { parameters.era == .before1_10_2 }

    /// Bytes that must follow for the first position after a piece's last match to be indexed.
    var indexMargin: Int { isOld ? 4 : 8 }

    /// As ``reachable(_:_:)``, the farthest distance included.
    @inline(__always)
    func reachableAll(_ to: Int, _ from: Int) -> Bool {
        UInt(bitPattern: to &- from &- 1) < UInt(Self.farthest)
    }

    /// Level 2: as level 1 with a larger table and some of each match's positions in it.
    func encode2<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let limit = end &- Self.margin
        let table = hasLargeTables ? longTable : self.table
        let bits: UInt64 = hasLargeTables ? 18 : 17
        let floor = self.floor
        var emitted = from
        var s = from
        var cv = load64(s)
        scan: while true {
            var nextS = s
            var t = 0
            while true {
                var slot = hashFast(cv, bits)
                s = nextS
                nextS = s &+ 2 &+ (s &- emitted) &>> 5
                if nextS > limit { break scan }
                t = Int(table[slot])
                var now = load64(nextS)
                table[slot] = Int32(truncatingIfNeeded: s)
                slot = hashFast(now, bits)
                if reachable(s, t) && load32(t) == UInt32(truncatingIfNeeded: cv) {
                    table[slot] = Int32(truncatingIfNeeded: nextS)
                    break
                }
                cv = now
                s = nextS
                nextS &+= 1
                t = Int(table[slot])
                now &>>= 8
                table[slot] = Int32(truncatingIfNeeded: s)
                if reachable(s, t) && load32(t) == UInt32(truncatingIfNeeded: cv) { break }
                cv = now
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
                    cv = load64(s)
                    break
                }
                s = emitted
                if nextS >= s { s = nextS &+ 1 }
                if s >= limit {
                    if s &+ l &+ indexMargin < end { table[hashFast(load64(s), bits)] = Int32(truncatingIfNeeded: s) }
                    break scan
                }
                var i = s &- l &+ 2
                while i < s &- 5 {
                    let x = load64(i)
                    table[hashFast(x, bits)] = Int32(truncatingIfNeeded: i)
                    table[hashFast(x &>> 16, bits)] = Int32(truncatingIfNeeded: i &+ 2)
                    table[hashFast(x &>> 32, bits)] = Int32(truncatingIfNeeded: i &+ 4)
                    i &+= 7
                }
                let x = load64(s &- 2)
                table[hashFast(x, bits)] = Int32(truncatingIfNeeded: s &- 2)
                table[hashFast(x &>> 8, bits)] = Int32(truncatingIfNeeded: s &- 1)
                let slot = hashFast(x &>> 16, bits)
                t = Int(table[slot])
                table[slot] = Int32(truncatingIfNeeded: s)
                if !reachableAll(s, t) || load32(t) != UInt32(truncatingIfNeeded: x &>> 16) {
                    cv = x &>> 24
                    s &+= 1
                    break
                }
            }
        }
        rest(&oracle, &emitted, end)
    }

    /// Level 3: one table of the last two positions, both looked at.
    func encode3<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let old = isOld
        let limit = end &- (old ? 7 : Self.margin)
        let skip = old ? 6 : 7
        let step = old ? 5 : 6
        let table = longTable
        let floor = self.floor
        var emitted = from
        var s = from
        var cv = load64(s)
        scan: while true {
            var nextS = s
            var t = 0
            while true {
                let slot = hashFast(cv, 16) &* 2
                s = nextS
                nextS = s &+ 1 &+ (s &- emitted) &>> skip
                if nextS > limit { break scan }
                let current = Int(table[slot])
                let previous = Int(table[slot &+ 1])
                let now = load64(nextS)
                let lowest = s &- (Self.farthest &- 4)
                table[slot] = Int32(truncatingIfNeeded: s)
                table[slot &+ 1] = Int32(truncatingIfNeeded: current)
                if current < lowest || current >= s {
                    cv = now
                    continue
                }
                let here = UInt32(truncatingIfNeeded: cv)
                if load32(current) == here {
                    t = current
                    if previous >= lowest && previous < s && load32(previous) == here {
                        if lengthLong(s &+ 4, previous &+ 4, end) > lengthLong(s &+ 4, current &+ 4, end) {
                            t = previous
                        }
                    }
                    break
                }
                if previous > lowest && previous < s && load32(previous) == here {
                    t = previous
                    break
                }
                cv = now
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
                    cv = load64(s)
                    break
                }
                s = emitted
                if nextS >= s { s = nextS &+ 1 }
                if s >= limit {
                    t &+= l
                    if t &+ indexMargin < end && t > floor { pushLong(hashFast(load64(t), 16), t) }
                    break scan
                }
                var i = s &- l &+ 2
                while i < s &- 5 {
                    pushLong(hashFast(load64(i), 16), i)
                    i &+= step
                }
                var x = load64(s &- 2)
                pushLong(hashFast(x, 16), s &- 2)
                x &>>= 8
                pushLong(hashFast(x, 16), s &- 1)
                x &>>= 8
                let slot = hashFast(x, 16)
                let current = Int(table[slot &* 2])
                let previous = Int(table[slot &* 2 &+ 1])
                pushLong(slot, s)
                let here = UInt32(truncatingIfNeeded: x)
                let lowest = s &- (Self.farthest &- 4)
                if current > lowest && current < s {
                    if load32(current) == here {
                        t = current
                        continue
                    }
                    if previous > lowest && previous < s && load32(previous) == here {
                        t = previous
                        continue
                    }
                }
                cv = x &>> 8
                s &+= 1
                break
            }
        }
        rest(&oracle, &emitted, end)
    }

    /// Level 4: a short and a long table of one position each.
    ///
    /// Whether the next position's long match is longer than the short one found is since 1.18 told by a place that has
    /// nothing to do with it: as far behind the start of the encoder's memory as the match is away.
    func encode4<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let misreads = knowsMemory
        let limit = end &- Self.margin
        let table = self.table
        let longTable = self.longTable
        let floor = self.floor
        var emitted = from
        var s = from
        var cv = load64(s)
        scan: while true {
            var nextS = s
            var t = 0
            while true {
                let short = hash4(cv)
                let long = hash7(cv)
                s = nextS
                nextS = s &+ 1 &+ (s &- emitted) &>> 6
                if nextS > limit { break scan }
                let shortCandidate = Int(table[short])
                let longCandidate = Int(longTable[long])
                let next = load64(nextS)
                table[short] = Int32(truncatingIfNeeded: s)
                longTable[long] = Int32(truncatingIfNeeded: s)
                let here = UInt32(truncatingIfNeeded: cv)
                if reachable(s, longCandidate) && load32(longCandidate) == here {
                    t = longCandidate
                    break
                }
                if reachable(s, shortCandidate) && load32(shortCandidate) == here {
                    t = shortCandidate
                    let ahead = Int(longTable[hash7(next)])
                    if reachable(nextS, ahead) && load32(ahead) == UInt32(truncatingIfNeeded: next) {
                        let first = lengthLong(s &+ 4, t &+ 4, end)
                        var second = ahead
                        if misreads { second = memory.start &+ nextS &- ahead }
                        if second >= floor && second <= nextS && lengthLong(nextS &+ 4, second &+ 4, end) > first {
                            s = nextS
                            t = ahead
                        }
                    }
                    break
                }
                cv = next
            }
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
                cv = load64(s)
                continue
            }
            s = emitted
            if nextS >= s { s = nextS &+ 1 }
            if s >= limit {
                if s &+ 8 < end {
                    let value = load64(s)
                    table[hash4(value)] = Int32(truncatingIfNeeded: s)
                    longTable[hash7(value)] = Int32(truncatingIfNeeded: s)
                }
                break scan
            }
            var i = nextS
            while i < s &- 1 {
                let value = load64(i)
                longTable[hash7(value)] = Int32(truncatingIfNeeded: i)
                longTable[hash7(value &>> 8)] = Int32(truncatingIfNeeded: i &+ 1)
                table[hash4(value &>> 8)] = Int32(truncatingIfNeeded: i &+ 1)
                i &+= 3
            }
            let x = load64(s &- 1)
            table[hash4(x)] = Int32(truncatingIfNeeded: s &- 1)
            longTable[hash7(x)] = Int32(truncatingIfNeeded: s &- 1)
            cv = x &>> 8
        }
        rest(&oracle, &emitted, end)
    }
}
