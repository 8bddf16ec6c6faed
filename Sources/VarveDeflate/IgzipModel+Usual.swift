// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What igzip does nearly all the time, pairs of literals and matches of usual length, with everything at hand; the rest
/// of the model does the same one token at a time.
extension IgzipModel {
    /// Whether ``hurry(_:_:_:_:)`` can make a decision, where none is still to be carried out.
    @inline(__always)
    func canHurry(_ left: Int, _ stopAt: Int, _ inputEnd: Int) -> Bool {
        stale < 0 && !isFirst && !isFinishing && left >= 2 && at <= min(stopAt &- 2, inputEnd &- Self.padding)
    }

    /// Decides and proposes until something out of the way comes up, which is left to do.
    /// - Parameter left: Tokens that may be made, two or more.
    /// - Returns: Tokens that may still be made.
    func hurry<O: TokenOracle>(_ oracle: inout O, _ left: Int, _ stopAt: Int, _ inputEnd: Int) -> Int {
        let end = inputEnd &- Self.padding
        let last = min(stopAt &- 2, end)
        let plain = self.plain
        let table = self.table
        let mask = self.mask
        let hashes = self.hashes
        let textStart = self.textStart
        let entriesMost = level > 0 ? Self.entriesMost : Int.max
        let skips0 = level > 0 ? end &- 2 : Int.min
        var left = left
        var at = self.at
        var entries = self.entries
        var skipAt = self.skipAt
        var skips = self.skips
        var decisions = 0
        // What is left to do: a decision is carried out, a token came that was not proposed, a long run, a skip.
        var isDone = false
        var other: UInt32?
        var run = 0
        var isSkip = false
        var before = 0
        var distance = 0

        @inline(__always)
        func slot(_ text: UInt64) -> Int { Int(hashes.low(UInt32(truncatingIfNeeded: text))) & mask }
        @inline(__always)
        func exchange(_ slot: Int, _ position: Int) -> Int {
            let entry = table[slot]
            table[slot] = Int32(truncatingIfNeeded: position)
            if entry == Self.never { return 0 }
            let distance = (position &- 1 &- Int(entry)) & 32767 &+ 1
            return position &- distance >= textStart ? distance : 0
        }

        while left >= 2 && at <= last {
            decisions &+= 1
            let scan = plain + at
            let opening = Self.long(scan)
            let next = Self.long(scan + 1)
            let first = exchange(slot(opening), at)
            let second = exchange(slot(next), at &+ 1)
            let differsFirst = first > 0 ? Self.long(scan - first) ^ opening : ~0
            var found: Int
            if differsFirst == 0 {
                before = 0
                distance = first
                let most = min(inputEnd &- at, Self.runMost)
                found = 8 &+ Matching.length(scan + 8, scan + 8 - first, most &- 8)
            } else {
                let differsSecond = second > 0 ? Self.long(scan + 1 - second) ^ next : ~0
                if differsSecond == 0 {
                    before = 1
                    distance = second
                    let most = min(inputEnd &- at &- 1, Self.runMost)
                    found = 8 &+ Matching.length(scan + 9, scan + 9 - second, most &- 8)
                } else if UInt32(truncatingIfNeeded: differsFirst) == 0 {
                    before = 0
                    distance = first
                    found = differsFirst.trailingZeroBitCount &>> 3
                } else if UInt32(truncatingIfNeeded: differsSecond) == 0 {
                    before = 1
                    distance = second
                    found = differsSecond.trailingZeroBitCount &>> 3
                } else {
                    entries &+= 1
                    if at <= skips0 && at &+ 2 > skipAt {
                        isSkip = true
                        break
                    }
                    let one = UInt32(truncatingIfNeeded: opening & 255)
                    var real = oracle.next(one, literal: scan[0], limit: stopAt &- at)
                    left &-= 1
                    if real != one {
                        other = real
                        break
                    }
                    at &+= 1
                    let two = UInt32(truncatingIfNeeded: next & 255)
                    real = oracle.next(two, literal: scan[1], limit: stopAt &- at)
                    left &-= 1
                    if real != two {
                        other = real
                        break
                    }
                    at &+= 1
                    if at >= end || entries >= entriesMost {
                        isDone = true
                        break
                    }
                    continue
                }
            }
            if found >= Self.longRun {
                run = found
                break
            }
            entries &+= before
            let length = min(found, 258)
            table[slot(opening &>> 16)] = Int32(truncatingIfNeeded: at &+ 2)
            table[slot(opening &>> 24)] = Int32(truncatingIfNeeded: at &+ 3)
            if before > 0 { table[slot(opening &>> 32)] = Int32(truncatingIfNeeded: at &+ 4) }
            skipAt = at &+ before &+ length &+ Self.skipAfter
            skips &-= length
            if before > 0 {
                let one = UInt32(truncatingIfNeeded: opening & 255)
                let real = oracle.next(one, literal: scan[0], limit: stopAt &- at)
                left &-= 1
                if real != one {
                    other = real
                    break
                }
                at &+= 1
            }
            let token = Token.match(length: length, distance: distance)
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            if real != token {
                other = real
                break
            }
            at &+= length
            entries &+= 1
            if at >= end || entries >= entriesMost {
                isDone = true
                break
            }
        }
        steps &+= decisions
        self.at = at
        self.entries = entries
        self.skipAt = skipAt
        self.skips = skips
        if let other {
            self.at &+= Token.span(other)
            follow(other, inputEnd)
        } else if isDone {
            settle(inputEnd)
        } else if run > 0 {
            take(before, distance, run, inputEnd)
        } else if isSkip {
            literals = 2
            skip(inputEnd)
        }
        return left
    }
}
