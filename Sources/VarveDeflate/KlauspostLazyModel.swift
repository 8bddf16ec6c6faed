// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of klauspost/compress and Go from 1.27 on, levels 7-9: chains of all positions by a four-byte hash, a
/// lazy rule, a second try for a match that ends farther on, and longer steps through text without matches. Level 9 weighs
/// matches by what the literals under them would cost, estimated from the text in the window.
///
/// At level 9 they are found by the short cut of ``RankedChains``. Positions just before an end of input are in no chain,
/// which it cannot tell: while they are within reach the chains are walked entry by entry.
final class KlauspostLazyModel: TokenModel {
    /// The releases whose output differs.
    enum Era: Int {
        /// Up to 1.18.0.
        case since1_15_15 = 0
        /// Level 9 counts at most 32768 bytes of text for its estimate.
        case since1_18_1 = 1
        /// Up to 1.15.14: a second try only for a match that begins where the first does, and level 9 weighs otherwise.
        case since1_14_2 = 2
    }

    struct Parameters: Equatable {
        var level = 9
        var era = Era.since1_18_1
    }

    private static let window = 32768
    private static let wanted = RankedChains<KlauspostHash>.wanted
    private static let levels: [(lazy: Int, nice: Int, chain: Int)] = [(12, 16, 24), (30, 40, 64), (258, 258, 1024)]

    private let isCapped: Bool
    /// Whether the second try may begin later than the first, at the price of literals.
    let triesLater: Bool
    /// What a match costs beside its extra bits, and what it has to save, as level 9 counts.
    private let matchCost: Int
    private let leastGain: Int
    private let mostLazy: Int
    private let nice: Int
    private let chain: Int
    /// Whether matches are weighed, not taken for their length alone.
    private let weighs: Bool
    /// The chains of level 9, or of the others.
    private let ranked: RankedChains<KlauspostHash>?
    private let entries: EntryChains<KlauspostHash>?
    private let nothing: UnsafeMutablePointer<UInt8>
    private let counts: UnsafeMutablePointer<Int32>
    private let literalBits: UnsafeMutablePointer<UInt8>
    private let builder = TreeBuilder()

    private(set) var plain: UnsafePointer<UInt8>
    private(set) var at = 0
    private var holdsByte = false
    private var length = 3
    private var distance = 0
    private var chainHead = -1 << 30
    /// Literals since the last match, modulo 65536.
    private var quiet = 0
    /// Where the window in memory starts.
    private var base = 0
    /// No text before this is known.
    private(set) var floor = 0
    private var historyNext = 0
    private var historyEnd = 0
    private var estimated = false

    /// - Parameter leaps: Whether level 9 takes the short cut, which finds the same.
    init(_ parameters: Parameters, leaps: Bool = true) {
        isCapped = parameters.era == .since1_18_1
        triesLater = parameters.era != .since1_14_2
        matchCost = triesLater ? 3 : 6
        leastGain = triesLater ? 4 : 0
        let row = Self.levels[min(max(parameters.level, 7), 9) - 7]
        mostLazy = row.lazy
        nice = row.nice
        chain = row.chain
        weighs = chain > 100
        ranked = weighs && leaps ? RankedChains(KlauspostHash()) : nil
        entries = weighs && leaps ? nil : EntryChains(KlauspostHash())
        counts = .allocate(capacity: 256)
        counts.initialize(repeating: 0, count: 256)
        literalBits = .allocate(capacity: 256)
        literalBits.initialize(repeating: 0, count: 256)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        ranked?.deallocate()
        entries?.deallocate()
        counts.deallocate()
        literalBits.deallocate()
        nothing.deallocate()
    }

    var position: Int { holdsByte ? at - 1 : at }
    private(set) var steps = 0

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        ranked?.clear()
        entries?.clear()
        holdsByte = false
        length = 3
        distance = 0
        chainHead = -1 << 30
        quiet = 0
        owedLength = 0
        skips = -1
        base = origin + max((at - origin - 65_275) / Self.window, 0) * Self.window
        floor = at - history
        historyNext = floor
        // A dictionary's last three bytes never get into the chains; in mid-stream they are there.
        historyEnd = at - history == origin ? at - 3 : at
        gapEnd = historyEnd < at ? at : floor
        estimated = false
    }

    /// Puts positions into the chains, as far as the text goes.
    @inline(__always)
    private func insert(from start: Int, to end: Int, textEnd: Int) {
        var next = start
        let text = plain
        let shortEnd = min(end, textEnd &- KlauspostHash.length &+ 1)
        if let entries {
            while next < shortEnd {
                entries.insert(text, next)
                next &+= 1
            }
        }
        guard let ranked else { return }
        let longEnd = min(end, textEnd &- Self.wanted &+ 1)
        while next < longEnd {
            ranked.insertShort(text, next)
            ranked.insertLong(text, next)
            next &+= 1
        }
        while next < shortEnd {
            ranked.insertShort(text, next)
            next &+= 1
        }
        if longEnd < end { gapEnd = end }
    }

    /// Inserts the position looked at and notes the chain that it heads.
    @inline(__always)
    private func visit(_ position: Int, _ textEnd: Int) {
        if let entries {
            if position &+ KlauspostHash.length <= textEnd { chainHead = entries.insert(plain, position) }
            return
        }
        if position &+ KlauspostHash.length <= textEnd { chainHead = newest(position) }
        insert(from: position, to: position &+ 1, textEnd: textEnd)
    }

    /// The last position with the hash of this one.
    @inline(__always)
    func newest(_ position: Int) -> Int {
        if let entries { return entries.newest(plain, position) }
        return ranked?.newest(plain, position) ?? -1 << 30
    }

    /// Level 9's estimate of literal costs, made each time the window was filled.
    private func estimate(_ windowEnd: Int) {
        estimated = true
        if !weighs || windowEnd <= at { return }
        let end = isCapped ? min(windowEnd, at + 32768) : windowEnd
        counts.update(repeating: 0, count: 256)
        for position in at..<end { counts[Int(plain[position])] &+= 1 }
        _ = builder.build(.go, counts, 256, maxBits: 15, into: literalBits)
    }

    /// Looks for the best match as the encoders do it.
    private func walk(_ lookahead: Int, _ lowest: Int) {
        if let entries { return walk(lookahead, lowest) { entries.previous($0) } }
        if let ranked { walk(lookahead, lowest) { ranked.previous($0) } }
    }

    @inline(__always)
    private func walk(_ lookahead: Int, _ lowest: Int, previous: (Int) -> Int) {
        let position = at
        let most = min(lookahead, 258)
        let enough = min(nice, most)
        var tries = chain
        var work = 0
        var best = 3
        var found = 0
        let scan = plain + position
        var judge = LiteralGain(scan, literalBits: literalBits, matchCost: matchCost, least: leastGain)
        var ending = scan[best]
        var candidate = chainHead
        while tries > 0 {
            let text = plain + candidate
            if text[best] == ending {
                let n = Matching.length(text, scan, most)
                work &+= n &>> 4
                if n > best && (!weighs || judge.accepts(n, from: position &- candidate)) {
                    best = n
                    found = position &- candidate
                    if n >= enough { break }
                    ending = scan[n]
                }
            }
            if candidate <= lowest { break }
            candidate = previous(candidate)
            if candidate < lowest { break }
            tries &-= 1
            work &+= 1
        }
        steps &+= work
        if found > 0 {
            length = best
            distance = found
        }
    }

    /// Looks for the best match at the position looked at, by level 9's short cut, and inserts it.
    @inline(__always)
    private func leap(_ ranked: RankedChains<KlauspostHash>, _ searches: Bool, _ lookahead: Int, _ lowest: Int) {
        let place = ranked.place(plain, at)
        chainHead = place.before
        if searches && chainHead >= lowest {
            let most = min(lookahead, 258)
            var search = RankedChains<KlauspostHash>.Search(
                tries: chain, most: most, enough: min(nice, most), lowest: max(lowest, floor), best: 3, start: at)
            ranked.start(&search, at: place)
            var judge = LiteralGain(plain + at, literalBits: literalBits, matchCost: matchCost, least: leastGain)
            ranked.searchLong(plain, at, &search, &judge)
            steps &+= search.steps
            if search.start != at {
                length = search.best
                distance = at &- search.start
            }
        }
        ranked.insert(place, at)
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        let text = plain
        if historyNext < historyEnd && historyNext < inputEnd &- 3 {
            let end = min(historyEnd, inputEnd &- 3)
            insert(from: historyNext, to: end, textEnd: inputEnd)
            historyNext = end
        }
        if historyNext < historyEnd { gapEnd = historyEnd }
        while left > 0 && (holdsByte ? at - 1 : at) < stopAt {
            if owedLength > 0 {
                settle(&oracle, &left, stopAt, min(base &+ 65_536, inputEnd))
                continue
            }
            if inputEnd <= at {
                skips = -1
                if !holdsByte { return }
                _ = oracle.next(UInt32(text[at &- 1]), literal: text[at &- 1], limit: 1)
                holdsByte = false
                length = 3
                estimated = false
                return
            }
            if base &+ 65_536 &- at < 262 && inputEnd &- base > 65_536 {
                base &+= Self.window
                estimated = false
                continue
            }
            let windowEnd = min(base &+ 65_536, inputEnd)
            if !estimated { estimate(windowEnd) }
            if skips >= 0 {
                skipAhead(&oracle, &left, stopAt, windowEnd)
                continue
            }
            let lookahead = windowEnd &- at
            var previousLength = length
            var previousDistance = distance
            length = 3
            distance = 0
            let lowest = max(at &- Self.window, base)
            let searches = lookahead > previousLength && previousLength < mostLazy
            if let ranked, gapEnd <= lowest && lookahead >= Self.wanted {
                leap(ranked, searches, lookahead, lowest)
            } else {
                visit(at, windowEnd)
                if searches && chainHead >= lowest { walk(lookahead, lowest) }
            }
            if previousLength >= 4 && length <= previousLength {
                owed = lookFarther(&previousLength, &previousDistance, lookahead, lowest, windowEnd &- 3)
                owedLength = previousLength
                owedDistance = previousDistance
                settle(&oracle, &left, stopAt, windowEnd)
                continue
            }
            if length >= 4 { quiet = 0 }
            if !holdsByte {
                at &+= 1
                holdsByte = true
                continue
            }
            quiet = (quiet &+ 1) & 0xffff
            let start = at &- 1
            let token = UInt32(text[start])
            let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
            left &-= 1
            if real != token {
                take(real, start, windowEnd)
                continue
            }
            at &+= 1
            if quiet > chain { skips = 1 &+ (quiet &- chain) &>> 6 }
        }
    }

    /// The match that is about to go out, no length for none, and how many literals before it.
    private var owedLength = 0
    private var owedDistance = 0
    private var owed = 0
    /// Literals that still go out without a search; negative for none.
    private var skips = -1
    /// One past the last position that is not in all chains.
    private var gapEnd = 0

    /// Proposes the literals owed and the match behind them, or as many of these as a block has room for.
    @inline(__always)
    private func settle<O: TokenOracle>(_ oracle: inout O, _ left: inout Int, _ stopAt: Int, _ windowEnd: Int) {
        while left > 0 && at &- 1 < stopAt {
            let start = at &- 1
            var token = UInt32(plain[start])
            if owed == 0 { token = Token.match(length: owedLength, distance: owedDistance) }
            let real = oracle.next(token, literal: plain[start], limit: stopAt &- start)
            left &-= 1
            if owed == 0 || real != token {
                owedLength = 0
                take(real, start, windowEnd)
                return
            }
            owed &-= 1
            at &+= 1
            visit(at, windowEnd)
        }
        holdsByte = true
    }

    /// After many literals: more of them, without a search.
    private func skipAhead<O: TokenOracle>(_ oracle: inout O, _ left: inout Int, _ stopAt: Int, _ windowEnd: Int) {
        while true {
            let isLast = skips == 0 || at >= windowEnd &- 1
            let start = at &- 1
            if left <= 0 || start >= stopAt {
                // A block ends here, which the encoder does not notice.
                return
            }
            let token = UInt32(plain[start])
            let real = oracle.next(token, literal: plain[start], limit: stopAt &- start)
            left &-= 1
            if real != token {
                skips = -1
                // What the encoder would have looked at next is in no chain.
                gapEnd = at &+ 1
                take(real, start, windowEnd)
                return
            }
            if isLast {
                holdsByte = false
                skips = -1
                return
            }
            visit(at, windowEnd)
            at &+= 1
            skips &-= 1
        }
    }

    /// Goes on after a token that starts at `start` while `start + 1` is the position looked at.
    @inline(__always)
    private func take(_ token: UInt32, _ start: Int, _ windowEnd: Int) {
        if Token.isMatch(token) {
            let end = start &+ Token.length(token)
            insert(from: at &+ 1, to: end, textEnd: windowEnd)
            at = end
            holdsByte = false
            length = 3
            quiet = 0
        } else {
            at = start &+ 2
            holdsByte = true
        }
    }
}
