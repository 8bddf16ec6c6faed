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

    /// What ended a run of usual decisions.
    private enum Stop {
        /// There is no room for two more tokens.
        case room
        /// The last decision is carried out, and the block or the input may end with it.
        case settled
        /// This token came, which was not proposed.
        case departed(UInt32)
        /// A very long match.
        case run(IgzipFinder.Match)
        /// A stretch without matches of which some is skipped.
        case skip
    }

    /// Decides and proposes until something out of the way comes up, which is left to do.
    /// - Parameter left: Tokens that may be made, two or more.
    /// - Returns: Tokens that may still be made.
    func hurry<O: TokenOracle>(_ oracle: inout O, _ left: Int, _ stopAt: Int, _ inputEnd: Int) -> Int {
        let finder = self.finder
        let plain = finder.plain
        let end = inputEnd &- Self.padding
        let last = min(stopAt &- 2, end)
        let entriesMost = level > 0 ? Self.entriesMost : Int.max
        let skipLast = level > 0 ? end &- 2 : Int.min
        var left = left
        var at = self.at
        var entries = self.entries
        var skipAt = self.skipAt
        var skips = self.skips
        var decisions = 0
        var stop = Stop.room

        /// Proposes a token.
        /// - Returns: Whether it is the one that came.
        @inline(__always)
        func propose(_ token: UInt32) -> Bool {
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            at &+= Token.span(real)
            if real != token { stop = .departed(real) }
            return real == token
        }

        while left >= 2 && at <= last {
            decisions &+= 1
            let match = finder.look(at, hashed: at, inputEnd)
            if match.length == 0 {
                entries &+= 1
                if at <= skipLast && at &+ 2 > skipAt {
                    stop = .skip
                    break
                }
                if !propose(UInt32(plain[at])) || !propose(UInt32(plain[at])) { break }
            } else {
                if match.length >= Self.longRun {
                    stop = .run(match)
                    break
                }
                let start = at &+ match.before
                let length = min(match.length, 258)
                entries &+= match.before
                finder.insert(from: at &+ 2, through: start &+ 3)
                skipAt = start &+ length &+ Self.skipAfter
                skips &-= length
                if match.before > 0 && !propose(UInt32(plain[at])) { break }
                if !propose(Token.match(length: length, distance: match.distance)) { break }
                entries &+= 1
            }
            if at >= end || entries >= entriesMost {
                stop = .settled
                break
            }
        }
        steps &+= decisions
        self.at = at
        self.entries = entries
        self.skipAt = skipAt
        self.skips = skips
        switch stop {
        case .room: break
        case .settled: settle(inputEnd)
        case .departed(let token): follow(token, inputEnd)
        case .run(let match): take(match, inputEnd)
        case .skip:
            literals = 2
            skip(inputEnd)
        }
        return left
    }
}
