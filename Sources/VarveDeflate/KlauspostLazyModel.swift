// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of klauspost/compress and Go from 1.27 on, levels 7-9: chains of all positions by a four-byte hash, a
/// lazy rule, a second try for a match that ends farther on, and longer steps through text without matches. Level 9 weighs
/// matches by what the literals under them would cost, estimated from the text in the window.
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
    private static let mask = 32767
    /// Stands for no position: farther back than any match reaches, wherever the text begins.
    private static let never = Int32(-1 << 30)
    private static let levels: [(lazy: Int, nice: Int, chain: Int)] = [(12, 16, 24), (30, 40, 64), (258, 258, 1024)]

    private let isCapped: Bool
    /// Whether the second try may begin later than the first, at the price of literals.
    private let triesLater: Bool
    /// What a match costs beside its extra bits, and what it has to save, as level 9 counts.
    private let matchCost: Int
    private let leastGain: Int
    private let mostLazy: Int
    private let nice: Int
    private let chain: Int
    private let head: UnsafeMutablePointer<Int32>
    private let previous: UnsafeMutablePointer<Int32>
    private let nothing: UnsafeMutablePointer<UInt8>
    private let counts: UnsafeMutablePointer<Int32>
    private let literalBits: UnsafeMutablePointer<UInt8>
    private let builder = TreeBuilder()

    private var plain: UnsafePointer<UInt8>
    private var at = 0
    private var holdsByte = false
    private var length = 3
    private var distance = 0
    private var chainHead = Int(KlauspostLazyModel.never)
    /// Literals since the last match, modulo 65536.
    private var quiet = 0
    /// Where the window in memory starts.
    private var base = 0
    /// No text before this is known.
    private var floor = 0
    private var historyNext = 0
    private var historyEnd = 0
    private var estimated = false

    init(_ parameters: Parameters) {
        isCapped = parameters.era == .since1_18_1
        triesLater = parameters.era != .since1_14_2
        matchCost = triesLater ? 3 : 6
        leastGain = triesLater ? 4 : 0
        let row = Self.levels[min(max(parameters.level, 7), 9) - 7]
        mostLazy = row.lazy
        nice = row.nice
        chain = row.chain
        head = .allocate(capacity: 1 << 17)
        head.initialize(repeating: Self.never, count: 1 << 17)
        previous = .allocate(capacity: Self.window)
        previous.initialize(repeating: Self.never, count: Self.window)
        counts = .allocate(capacity: 256)
        counts.initialize(repeating: 0, count: 256)
        literalBits = .allocate(capacity: 256)
        literalBits.initialize(repeating: 0, count: 256)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        head.deallocate()
        previous.deallocate()
        counts.deallocate()
        literalBits.deallocate()
        nothing.deallocate()
    }

    var position: Int { holdsByte ? at - 1 : at }
    private(set) var steps = 0

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        head.update(repeating: Self.never, count: 1 << 17)
        holdsByte = false
        length = 3
        distance = 0
        chainHead = Int(Self.never)
        quiet = 0
        owedLength = 0
        skips = -1
        base = origin + max((at - origin - 65_275) / Self.window, 0) * Self.window
        floor = at - history
        historyNext = floor
        // A dictionary's last three bytes never get into the chains; in mid-stream they are there.
        historyEnd = at - history == origin ? at - 3 : at
        estimated = false
    }

    @inline(__always)
    private func slot(_ position: Int) -> Int {
        let word = UnsafeRawPointer(plain + position).loadUnaligned(as: UInt32.self)
        return Int((word &* 2_654_435_761) &>> 15)
    }

    @inline(__always)
    private func insert(_ position: Int) {
        let here = slot(position)
        previous[position & Self.mask] = head[here]
        head[here] = Int32(truncatingIfNeeded: position)
    }

    /// Inserts the position looked at and notes the chain that it heads.
    @inline(__always)
    private func visit(_ position: Int) {
        let here = slot(position)
        chainHead = Int(head[here])
        previous[position & Self.mask] = Int32(truncatingIfNeeded: chainHead)
        head[here] = Int32(truncatingIfNeeded: position)
    }

    /// Level 9's estimate of literal costs, made each time the window was filled.
    private func estimate(_ windowEnd: Int) {
        estimated = true
        if chain <= 100 || windowEnd <= at { return }
        let end = isCapped ? min(windowEnd, at + 32768) : windowEnd
        counts.update(repeating: 0, count: 256)
        for position in at..<end { counts[Int(plain[position])] &+= 1 }
        _ = builder.build(.go, counts, 256, maxBits: 15, into: literalBits)
    }

    private func find(_ position: Int, _ lookahead: Int, _ lowest: Int) -> Int {
        let most = min(lookahead, 258)
        let enough = min(nice, most)
        var tries = chain
        var work = 0
        var best = 3
        var found = 0
        var gainWanted = leastGain
        let scan = plain + position
        var ending = scan[best]
        var candidate = chainHead
        let table = DeflateTables.shared
        while tries > 0 {
            let text = plain + candidate
            if text[best] == ending {
                let n = Matching.length(text, scan, most)
                work &+= n &>> 4
                if n > best {
                    var accepted = true
                    if chain > 100 {
                        var gain = -matchCost - Int(DeflateTables.lengthExtra[Int(table.lengthCode[n])])
                        for index in 0..<n { gain &+= Int(literalBits[Int(scan[index])]) }
                        // The encoder looks the distance up one too high, and the farthest wraps around.
                        let reach = position &- candidate
                        let code = reach >= 32768 ? 14 : table.distanceCode(of: reach &+ 1)
                        gain &-= Int(DeflateTables.distanceExtra[code])
                        accepted = gain > gainWanted
                        if accepted { gainWanted = gain }
                    }
                    if accepted {
                        best = n
                        found = position &- candidate
                        if n >= enough { break }
                        ending = scan[n]
                    }
                }
            }
            if candidate <= lowest { break }
            candidate = Int(previous[candidate & Self.mask])
            if candidate < lowest { break }
            tries &-= 1
            work &+= 1
        }
        steps &+= work
        if found == 0 { return 0 }
        distance = found
        return best
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        let text = plain
        while historyNext < historyEnd && historyNext < inputEnd &- 3 {
            insert(historyNext)
            historyNext &+= 1
        }
        while left > 0 && (holdsByte ? at - 1 : at) < stopAt {
            if owedLength > 0 {
                settle(&oracle, &left, stopAt, min(base &+ 65_536, inputEnd) &- 3)
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
            let insertEnd = windowEnd &- 3
            if skips >= 0 {
                skipAhead(&oracle, &left, stopAt, windowEnd)
                continue
            }
            let lookahead = windowEnd &- at
            if at < insertEnd { visit(at) }
            var previousLength = length
            var previousDistance = distance
            length = 3
            distance = 0
            let lowest = max(at &- Self.window, base)
            if chainHead >= lowest && chainHead < at && lookahead > previousLength && previousLength < mostLazy {
                let found = find(at, lookahead, lowest)
                if found > 0 { length = found }
            }
            if previousLength >= 4 && length <= previousLength {
                owed = lookFarther(&previousLength, &previousDistance, lookahead, lowest, insertEnd)
                owedLength = previousLength
                owedDistance = previousDistance
                settle(&oracle, &left, stopAt, insertEnd)
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
                take(real, start, insertEnd)
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

    /// Looks at the end of the match held back for one that begins up to two bytes later and ends farther on.
    /// - Returns: How many bytes before it go out as literals.
    @inline(__always)
    private func lookFarther(
        _ bestLength: inout Int, _ bestDistance: inout Int, _ lookahead: Int, _ lowest: Int, _ insertEnd: Int
    ) -> Int {
        if !triesLater {
            lookAtEnd(&bestLength, &bestDistance, lookahead, lowest, insertEnd)
            return 0
        }
        let start = at &- 1
        if bestLength >= 256 || start &+ bestLength >= insertEnd { return 0 }
        let end = min(lookahead, 260) &+ start
        let candidate = Int(head[slot(start &+ bestLength)]) &- bestLength
        if start &- candidate == bestDistance || candidate <= lowest &+ 2 || candidate >= start {
            return 0
        }
        if candidate < floor { return 0 }
        let n = Matching.length(plain + start + 2, plain + candidate + 2, end &- start &- 2)
        if n <= bestLength { return 0 }
        bestLength = n
        bestDistance = start &- candidate
        if n >= 258 || plain[start &+ 1] != plain[candidate &+ 1] { return 2 }
        bestLength &+= 1
        if bestLength >= 258 || plain[start] != plain[candidate] { return 1 }
        bestLength &+= 1
        return 0
    }

    /// Looks at the last two bytes of the match held back and two more for a match that begins with it and ends farther on.
    private func lookAtEnd(
        _ bestLength: inout Int, _ bestDistance: inout Int, _ lookahead: Int, _ lowest: Int, _ insertEnd: Int
    ) {
        let start = at &- 1
        if start &+ bestLength &+ 2 >= insertEnd { return }
        let candidate = Int(head[slot(start &+ bestLength &- 2)]) &- bestLength &+ 2
        if candidate <= lowest || candidate < floor || candidate >= start { return }
        let n = Matching.length(plain + start, plain + candidate, min(lookahead, 258))
        if n <= bestLength { return }
        bestLength = n
        bestDistance = start &- candidate
    }

    /// Proposes the literals owed and the match behind them, or as many of these as a block has room for.
    @inline(__always)
    private func settle<O: TokenOracle>(_ oracle: inout O, _ left: inout Int, _ stopAt: Int, _ insertEnd: Int) {
        while left > 0 && at &- 1 < stopAt {
            let start = at &- 1
            var token = UInt32(plain[start])
            if owed == 0 { token = Token.match(length: owedLength, distance: owedDistance) }
            let real = oracle.next(token, literal: plain[start], limit: stopAt &- start)
            left &-= 1
            if owed == 0 || real != token {
                owedLength = 0
                take(real, start, insertEnd)
                return
            }
            owed &-= 1
            at &+= 1
            if at < insertEnd { visit(at) }
        }
        holdsByte = true
    }

    /// After many literals: more of them, without a search.
    private func skipAhead<O: TokenOracle>(_ oracle: inout O, _ left: inout Int, _ stopAt: Int, _ windowEnd: Int) {
        let insertEnd = windowEnd &- 3
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
                take(real, start, insertEnd)
                return
            }
            if isLast {
                holdsByte = false
                skips = -1
                return
            }
            if at < insertEnd { visit(at) }
            at &+= 1
            skips &-= 1
        }
    }

    /// Goes on after a token that starts at `start` while `start + 1` is the position looked at.
    @inline(__always)
    private func take(_ token: UInt32, _ start: Int, _ insertEnd: Int) {
        if Token.isMatch(token) {
            let end = start &+ Token.length(token)
            var next = at &+ 1
            let last = min(end, insertEnd)
            while next < last {
                insert(next)
                next &+= 1
            }
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
