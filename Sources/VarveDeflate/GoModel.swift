// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of Go's compress/flate up to Go 1.26, levels 2-9 (-1 is 6): chains by a four-byte hash; levels 4 and up
/// hold a match back while the next position has a longer one.
///
/// Where Go's window slides can be seen in the output: right after, text more than the window's current start is out of
/// reach, so the model follows the slides, which happen at fixed distances from the window's first byte.
final class GoModel: TokenModel {
    struct Parameters: Equatable {
        var level = 6
    }

    /// What a level comes to.
    struct Settings {
        private static let levels: [(lazy: Int, nice: Int, chain: Int, skip: Int)] = [
            (0, 16, 8, 5), (0, 32, 32, 6), (4, 16, 16, Int.max), (16, 32, 32, Int.max), (16, 128, 128, Int.max),
            (32, 128, 256, Int.max), (128, 258, 1024, Int.max), (258, 258, 4096, Int.max),
        ]

        let mostLazy: Int
        let nice: Int
        let chain: Int
        /// Longest match whose positions all go into the chains, for the levels that do not look ahead; all for the others.
        let skip: Int
        /// Whether a match is held back while the next position may have a longer one.
        let lazy: Bool

        init(_ parameters: Parameters) {
            let level = min(max(parameters.level, 2), 9)
            let row = Self.levels[level - 2]
            mostLazy = row.lazy
            nice = row.nice
            chain = row.chain
            skip = row.skip
            lazy = level > 3
        }
    }

    static let window = 32768
    /// A match of four bytes from farther back is none.
    static let tooFar = 4096
    private let settings: Settings
    private let chains = EntryChains(GoHash())
    private let nothing: UnsafeMutablePointer<UInt8>

    private var plain: UnsafePointer<UInt8>
    private var at = 0
    private var holdsByte = false
    private var length = 3
    private var distance = 0
    /// Where the window in memory starts.
    private var base = 0
    private var chainHead = -1 << 30

    init(_ parameters: Parameters) {
        settings = Settings(parameters)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        chains.deallocate()
        nothing.deallocate()
    }

    var position: Int { holdsByte ? at - 1 : at }
    private(set) var steps = 0

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        chains.clear()
        holdsByte = false
        length = 3
        distance = 0
        chainHead = -1 << 30
        // Slides before this place; the one that may be due here is left to the loop.
        base = Self.windowStart(at, origin: origin)
        var next = at - history
        while next < at - 3 {
            chains.insert(plain, next)
            next += 1
        }
        pendingHistory = next
        historyEnd = at
        for position in next..<max(at, next) { chains.leaveOut(position) }
    }

    /// The first history position whose hash needs bytes that were not yet known to exist.
    private var pendingHistory = 0
    private var historyEnd = 0

    /// Where the window starts that holds a position, unless a slide is due just there.
    static func windowStart(_ position: Int, origin: Int) -> Int {
        origin + max((position - origin - 65_275) / window, 0) * window
    }

    /// The longest match at a position, looked for as Go does it.
    /// - Parameters:
    ///   - first: The newest position with its hash; not before `lowest`.
    ///   - steps: Raised by the steps taken.
    ///   - previous: Leads from a position to the one before in its chain.
    /// - Returns: No match: a length of 0.
    @inline(__always)
    static func find(
        _ plain: UnsafePointer<UInt8>, _ position: Int, from first: Int, lookahead: Int, lowest: Int,
        _ settings: Settings, steps: inout Int, previous: (Int) -> Int
    ) -> (length: Int, distance: Int) {
        let most = min(lookahead, 258)
        let enough = min(settings.nice, most)
        var tries = settings.chain
        var work = 0
        var best = 3
        let scan = plain + position
        var ending = scan[best]
        var candidate = first
        var found = 0
        while tries > 0 {
            let text = plain + candidate
            if text[best] == ending {
                let n = Matching.length(text, scan, most)
                work &+= n &>> 4
                if n > best && (n > 4 || position &- candidate <= tooFar) {
                    best = n
                    found = position &- candidate
                    if n >= enough { break }
                    ending = scan[n]
                }
            }
            if candidate == lowest { break }
            tries &-= 1
            work &+= 1
            var following = previous(candidate)
            if following == candidate &- 1 && settings.lazy && best >= 4 {
                var search = RunSkip.Search(candidate: candidate, tries: tries, best: best, start: 0)
                let ends = RunSkip.skip(plain, position, most: most, enough: enough, lowest: lowest, &search)
                if search.best > best {
                    best = search.best
                    found = position &- search.start
                    ending = scan[best]
                }
                if ends { break }
                tries = search.tries
                if search.candidate != candidate {
                    if search.candidate == lowest { break }
                    following = previous(search.candidate)
                }
            }
            candidate = following
            if candidate < lowest { break }
        }
        steps &+= work
        return (found == 0 ? 0 : best, found)
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        let text = plain
        let insertEnd = inputEnd &- 3
        while pendingHistory < historyEnd && pendingHistory < insertEnd {
            chains.insert(plain, pendingHistory)
            pendingHistory += 1
        }
        while left > 0 && (holdsByte ? at - 1 : at) < stopAt {
            let lookahead = inputEnd &- at
            if lookahead <= 0 {
                if !holdsByte { return }
                _ = oracle.next(UInt32(text[at &- 1]), literal: text[at &- 1], limit: 1)
                holdsByte = false
                length = 3
                return
            }
            while at &- base > 65_274 && inputEnd &- base > 65_536 { base &+= Self.window }
            if at < insertEnd {
                chainHead = chains.insert(text, at)
            } else {
                chains.leaveOut(at)
            }
            let previousLength = length
            let previousDistance = distance
            length = 3
            distance = 0
            let lowest = max(at &- Self.window, base)
            if chainHead >= lowest && chainHead < at
                && (settings.lazy ? lookahead > previousLength && previousLength < settings.mostLazy : lookahead > 3)
            {
                let found = Self.find(
                    text, at, from: chainHead, lookahead: lookahead, lowest: lowest, settings, steps: &steps
                ) { chains.previous($0) }
                if found.length > 0 { (length, distance) = found }
            }
            if !settings.lazy {
                let token = length >= 4 ? Token.match(length: length, distance: distance) : UInt32(text[at])
                let real = oracle.next(token, literal: text[at], limit: stopAt &- at)
                left &-= 1
                takeGreedy(real, insertEnd)
            } else if previousLength >= 4 && length <= previousLength {
                let start = at &- 1
                let token = Token.match(length: previousLength, distance: previousDistance)
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                take(real, start, insertEnd)
            } else if holdsByte {
                let start = at &- 1
                let token = UInt32(text[start])
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                if real == token { at &+= 1 } else { take(real, start, insertEnd) }
            } else {
                holdsByte = true
                at &+= 1
            }
        }
    }

    @inline(__always)
    private func takeGreedy(_ token: UInt32, _ insertEnd: Int) {
        let span = Token.span(token)
        if Token.isMatch(token) && span <= settings.skip {
            var next = at &+ 1
            let end = min(at &+ span, insertEnd)
            while next < end {
                chains.insert(plain, next)
                next &+= 1
            }
        }
        at &+= span
        length = 3
    }

    @inline(__always)
    private func take(_ token: UInt32, _ start: Int, _ insertEnd: Int) {
        if Token.isMatch(token) {
            let end = start &+ Token.length(token)
            var next = at &+ 1
            let last = min(end, insertEnd)
            while next < last {
                chains.insert(plain, next)
                next &+= 1
            }
            while next < end {
                chains.leaveOut(next)
                next &+= 1
            }
            at = end
            holdsByte = false
            length = 3
        } else {
            at = start &+ 2
            holdsByte = true
        }
    }
}
