// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What ``GoModel`` proposes at levels 6-9, found faster: see ``RankedChains``. The tests hold the two against each other.
///
/// Go looks for any match of four bytes, though only one longer than the match held back counts; the model looks for that.
/// Positions just before an end of input are in no chain of Go's, which the short cut cannot tell: while they are within
/// reach the chains are walked as Go does it.
final class RankedGoModel: TokenModel {
    private static let wanted = RankedChains<GoHash>.wanted

    private let settings: GoModel.Settings
    private let chains = RankedChains(GoHash())
    private let nothing: UnsafeMutablePointer<UInt8>

    private var plain: UnsafePointer<UInt8>
    /// The position being looked at; one past the next token's start while a byte is held back.
    private var at = 0
    private var holdsByte = false
    private var length = 3
    private var distance = 0
    /// Where the window in memory starts.
    private var base = 0
    /// The first byte of the text that was given.
    private var textStart = 0
    /// The first position of the history that is in no chain yet, for want of the bytes behind it.
    private var pendingHistory = 0
    private var historyEnd = 0
    /// One past the last position that is not in all chains.
    private var gapEnd = 0
    /// The newest position with the hash of the one searched last.
    private var chainHead = 0
    /// Whether the last search was for a match longer than the one held back.
    private var soughtLonger = false

    /// - Parameter parameters: Of a level that the model ``covers(_:)``.
    init(_ parameters: GoModel.Parameters) {
        settings = GoModel.Settings(parameters)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        chains.deallocate()
        nothing.deallocate()
    }

    /// Whether the model does what is asked for, and faster: short chains are walked as fast as they are cut short.
    static func covers(_ parameters: GoModel.Parameters) -> Bool { parameters.level > 5 }

    var position: Int { holdsByte ? at - 1 : at }
    private(set) var steps = 0

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        chains.clear()
        holdsByte = false
        length = 3
        distance = 0
        soughtLonger = false
        base = GoModel.windowStart(at, origin: origin)
        textStart = at - history
        gapEnd = textStart
        pendingHistory = max(at - Self.wanted + 1, textStart)
        historyEnd = at
        insert(from: textStart, to: pendingHistory, inputEnd: at)
        for position in pendingHistory..<at { chains.leaveOut(position) }
    }

    // MARK: chains

    /// Puts positions into the chains, as far as the text goes.
    @inline(__always)
    private func insert(from start: Int, to end: Int, inputEnd: Int) {
        var next = start
        let text = plain
        let chains = self.chains
        let longEnd = min(end, inputEnd &- Self.wanted &+ 1)
        while next < longEnd {
            chains.insertShort(text, next)
            chains.insertLong(text, next)
            next &+= 1
        }
        let shortEnd = min(end, inputEnd &- GoHash.length &+ 1)
        while next < shortEnd {
            chains.insertShort(text, next)
            next &+= 1
        }
        while next < end {
            chains.leaveOut(next)
            next &+= 1
        }
        if longEnd < end { gapEnd = end }
    }

    /// Looks for a match as Go does it.
    @inline(__always)
    private func walk(_ lookahead: Int, _ lowest: Int) {
        let found = GoModel.find(
            plain, at, from: chainHead, lookahead: lookahead, lowest: lowest, settings, steps: &steps
        ) { chains.previous($0) }
        if found.length > 0 { (length, distance) = found }
    }

    /// Looks for a match that is longer than `atLeast`, by the short cut.
    @inline(__always)
    private func leap(_ place: RankedChains<GoHash>.Place, _ atLeast: Int, _ lookahead: Int, _ lowest: Int) {
        let most = min(lookahead, 258)
        if atLeast >= most { return }
        var search = RankedChains<GoHash>.Search(
            tries: settings.chain, most: most, enough: min(settings.nice, most), lowest: lowest, best: max(atLeast, 4),
            start: at)
        chains.start(&search, at: place)
        chains.searchLong(plain, at, &search)
        if search.start == at && atLeast < 4 {
            search.lowest = max(lowest, at &- GoModel.tooFar)
            chains.searchNewest(plain, at, from: place.before, &search)
        }
        steps &+= search.steps
        if search.start == at { return }
        length = search.best
        distance = at &- search.start
    }

    // MARK: tokens

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        let text = plain
        let insertEnd = inputEnd &- GoHash.length &+ 1
        if pendingHistory < historyEnd && pendingHistory < insertEnd {
            let end = min(historyEnd, insertEnd)
            insert(from: pendingHistory, to: end, inputEnd: inputEnd)
            pendingHistory = end
        }
        if pendingHistory < historyEnd { gapEnd = historyEnd }
        while left > 0 && (holdsByte ? at - 1 : at) < stopAt {
            let lookahead = inputEnd &- at
            if lookahead <= 0 {
                if !holdsByte { return }
                _ = oracle.next(UInt32(text[at &- 1]), literal: text[at &- 1], limit: 1)
                holdsByte = false
                length = 3
                return
            }
            while at &- base > 65_274 && inputEnd &- base > 65_536 { base &+= GoModel.window }
            let previousLength = length
            let previousDistance = distance
            length = 3
            distance = 0
            soughtLonger = false
            let lowest = max(at &- GoModel.window, base, textStart)
            let searches = lookahead > previousLength && previousLength < settings.mostLazy
            if lookahead >= Self.wanted {
                let place = chains.place(text, at)
                chainHead = place.before
                if searches && chainHead >= lowest {
                    if gapEnd <= lowest {
                        soughtLonger = previousLength > 3
                        leap(place, previousLength, lookahead, lowest)
                    } else {
                        walk(lookahead, lowest)
                    }
                }
                chains.insert(place, at)
            } else {
                if at < insertEnd { chainHead = chains.newest(text, at) }
                insert(from: at, to: at &+ 1, inputEnd: inputEnd)
                if searches && chainHead >= lowest { walk(lookahead, lowest) }
            }
            let start = at &- 1
            if previousLength >= 4 && length <= previousLength {
                let token = Token.match(length: previousLength, distance: previousDistance)
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                take(real, start, inputEnd, lowest)
            } else if holdsByte {
                let token = UInt32(text[start])
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                if real == token { at &+= 1 } else { take(real, start, inputEnd, lowest) }
            } else {
                holdsByte = true
                at &+= 1
            }
        }
    }

    /// Goes on after a token that starts at `start` while `start + 1` is the position looked at.
    @inline(__always)
    private func take(_ token: UInt32, _ start: Int, _ inputEnd: Int, _ lowest: Int) {
        if Token.isMatch(token) {
            let end = start &+ Token.length(token)
            insert(from: at &+ 1, to: end, inputEnd: inputEnd)
            at = end
            holdsByte = false
            length = 3
        } else {
            // A literal where a match was due: what Go found here is held back next, be it longer or not.
            if soughtLonger { walk(inputEnd &- at, lowest) }
            at = start &+ 2
            holdsByte = true
        }
    }
}
