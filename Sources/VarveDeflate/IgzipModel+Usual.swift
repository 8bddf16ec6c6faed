// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What igzip does nearly all the time, pairs of literals and matches of usual length, with everything at hand; the rest
/// of the model does the same one token at a time.
extension IgzipModel {
    /// A token that begins before so many bytes from the end of what it may reach, or the second of two that do, ends there.
    private static let reach = 264

    /// The stretch of tokens that ``hurry(_:_:_:_:_:)`` can go on with, where no decision is still to be carried out.
    @inline(__always)
    func stretch<O: TokenOracle>(_ oracle: borrowing O, _ left: Int, _ stopAt: Int, _ inputEnd: Int) -> TokenStretch? {
        if stale >= 0 || isFirst || isFinishing || left < 2 || at >= min(stopAt, inputEnd) &- Self.reach { return nil }
        guard let stretch = oracle.stretch, stretch.count >= 2 else { return nil }
        return stretch
    }

    /// What ended a run of usual decisions.
    private enum Stop {
        /// There is no room for two more tokens.
        case room
        /// The last decision is carried out, and the block may end with it.
        case settled
        /// This token did not come where it was proposed.
        case departed(UInt32)
        /// A very long match.
        case run(IgzipFinder.Match)
        /// A stretch without matches of which some is skipped.
        case skip
    }

    /// Decides and makes or compares tokens until something out of the way comes up, which is left to do.
    /// - Parameter left: Tokens that may be made, two or more.
    /// - Returns: Tokens that may still be made.
    func hurry<O: TokenOracle>(
        _ oracle: inout O, _ stretch: TokenStretch, _ left: Int, _ stopAt: Int, _ inputEnd: Int
    ) -> Int {
        let finder = self.finder
        let plain = finder.plain
        let end = min(stopAt, inputEnd) &- Self.reach
        let entriesMost = level > 0 ? Self.entriesMost : Int.max
        let skips = level > 0
        let tokens = stretch.tokens
        let most = min(left, stretch.count) &- 1
        var done = 0
        var at = self.at
        var entries = self.entries
        var skipAt = self.skipAt
        var skipped = self.skips
        var decisions = 0
        var stop = Stop.room

        /// Makes or compares a token.
        /// - Returns: Whether it is the one that came.
        @inline(__always)
        func put(_ token: UInt32) -> Bool {
            if !O.isWriting {
                tokens[done] = token
            } else if tokens[done] != token {
                stop = .departed(token)
                return false
            }
            done &+= 1
            return true
        }

        while done < most && at < end {
            decisions &+= 1
            let match = finder.look(at, hashed: at, inputEnd)
            if match.length == 0 {
                entries &+= 1
                if skips && at &+ 2 > skipAt {
                    stop = .skip
                    break
                }
                if !put(UInt32(plain[at])) { break }
                at &+= 1
                if !put(UInt32(plain[at])) { break }
                at &+= 1
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
                skipped &-= length
                if match.before > 0 {
                    if !put(UInt32(plain[at])) { break }
                    at &+= 1
                }
                if !put(Token.match(length: length, distance: match.distance)) { break }
                at &+= length
                entries &+= 1
            }
            if entries >= entriesMost {
                stop = .settled
                break
            }
        }
        steps &+= decisions
        self.at = at
        self.entries = entries
        self.skipAt = skipAt
        self.skips = skipped
        oracle.take(done)
        switch stop {
        case .room: break
        case .settled: settle(inputEnd)
        case .departed(let token):
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            done &+= 1
            self.at = at &+ Token.span(real)
            follow(real, inputEnd)
        case .run(let match): take(match, inputEnd)
        case .skip:
            literals = 2
            skip(inputEnd)
        }
        return left &- done
    }
}
