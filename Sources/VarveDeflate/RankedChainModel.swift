// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What ``ChainModel`` proposes for zlib and GNU gzip at levels 4-9, found faster: see ``RankedChains``. The tests hold the
/// two against each other.
final class RankedChainModel: TokenModel {
    /// A match of three bytes farther back than this costs more than three literals.
    private static let tooFar = 4096

    private let settings: ChainModel.Settings
    private let chains: RankedChains<ShiftedHash>
    private let nothing: UnsafeMutablePointer<UInt8>

    private var plain: UnsafePointer<UInt8>
    /// The position being looked at; one past the next token's start while a byte is held back.
    private var at = 0
    /// Positions before these are in zlib's chain, and in the longer ones.
    private var inserted = 0
    private var insertedLong = 0
    private var origin = 0
    /// The first byte of the text that was given.
    private var textStart = 0
    /// Where the first match may begin: behind `origin`, in the text that was given.
    private var lowest = 0
    private var holdsByte = false
    private var matchLength = 2
    private var matchStart = 0

    /// - Parameter parameters: Of level 4-9, no descendant, strategy ``ChainModel/Strategy/usual`` or filtered.
    init(_ parameters: ChainModel.Parameters) {
        settings = ChainModel.Settings(parameters)
        chains = RankedChains(ShiftedHash(bits: settings.bits))
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        chains.deallocate()
        nothing.deallocate()
    }

    /// Whether the model does what is asked for.
    static func covers(_ parameters: ChainModel.Parameters) -> Bool {
        parameters.level > 3 && parameters.descendant == nil && parameters.strategy != .runs
    }

    var position: Int { holdsByte ? at - 1 : at }
    private(set) var steps = 0

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        self.origin = origin
        inserted = at - history
        insertedLong = inserted
        textStart = inserted
        lowest = max(origin + 1, textStart)
        chains.clear()
        holdsByte = false
        matchLength = 2
        matchStart = 0
    }

    /// Where it has come to the place itself, the chains hold what they would hold, and before it what is too far back to be
    /// looked at: nothing need be done twice. pigz has a place each 128 KiB, gzip with `--rsyncable` each few.
    func beginAgain(_ plain: UnsafePointer<UInt8>, at: Int, history: Int) {
        let start = at - history
        guard plain == self.plain, at == self.at, !holdsByte, start >= textStart else {
            return begin(plain, at: at, history: history, origin: start)
        }
        origin = start
        lowest = start + 1
        inserted = max(inserted, start)
        insertedLong = max(insertedLong, start)
        matchLength = 2
        matchStart = 0
    }

    /// Puts every position before `end` into the chains, as far as the text goes.
    @inline(__always)
    private func insert(before end: Int, _ inputEnd: Int) {
        let chains = self.chains
        let text = plain
        let shortEnd = min(end, inputEnd &- 2)
        let longEnd = min(end, inputEnd &- RankedChains<ShiftedHash>.wanted &+ 1)
        var next = inserted
        if next == insertedLong {
            while next < longEnd {
                chains.insertShort(text, next)
                chains.insertLong(text, next)
                next &+= 1
            }
            insertedLong = next
        } else {
            var long = insertedLong
            while long < longEnd {
                chains.insertLong(text, long)
                long &+= 1
            }
            insertedLong = long
        }
        while next < shortEnd {
            chains.insertShort(text, next)
            next &+= 1
        }
        inserted = next
    }

    /// The best match at `position` that is longer than `atLeast`: its length, or `atLeast` and no other start.
    @inline(__always)
    private func longest(_ position: Int, _ first: Int, _ atLeast: Int, _ lookahead: Int, _ start: inout Int) -> Int {
        let most = min(lookahead, 258)
        if atLeast >= most { return min(atLeast, lookahead) }
        // zlib is strict about how far back only after the first look.
        let farthest = position &- settings.farthest
        var search = RankedChains<ShiftedHash>.Search(
            tries: atLeast >= settings.good ? settings.chain &>> 2 : settings.chain, most: most,
            enough: settings.gnu ? settings.nice : min(settings.nice, lookahead),
            lowest: max(first == farthest ? farthest : farthest &+ 1, lowest), best: atLeast, start: start)
        if lookahead < RankedChains<ShiftedHash>.wanted {
            chains.searchPlainly(plain, position, &search)
        } else {
            search.best = max(atLeast, 3)
            chains.start(&search, at: position)
            chains.searchLong(plain, position, &search)
            if atLeast < 3 && search.best == 3 {
                search.best = atLeast
                if settings.tooShort < 3 {
                    search.lowest = max(search.lowest, position &- Self.tooFar)
                    chains.searchNewest(plain, position, from: first, &search)
                }
            }
        }
        steps &+= search.steps
        start = search.start
        return search.best
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        let text = plain
        while left > 0 && (holdsByte ? at - 1 : at) < stopAt {
            let lookahead = inputEnd &- at
            if lookahead <= 0 {
                // Input ends: what is held back goes out.
                if !holdsByte { return }
                _ = oracle.next(UInt32(text[at &- 1]), literal: text[at &- 1], limit: 1)
                holdsByte = false
                matchLength = 2
                return
            }
            let previousLength = matchLength
            let previousStart = matchStart
            matchLength = 2
            if lookahead >= 3 {
                insert(before: at &+ 1, inputEnd)
                let first = chains.previous(at)
                if first > origin && previousLength < settings.mostLazy && at &- first <= settings.farthest {
                    matchLength = longest(at, first, previousLength, lookahead, &matchStart)
                    if matchLength <= settings.tooShort || matchLength == 3 && at &- matchStart > Self.tooFar {
                        matchLength = 2
                    }
                }
            }
            let start = at &- 1
            if previousLength >= 3 && matchLength <= previousLength {
                let token = Token.match(length: previousLength, distance: start &- previousStart)
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                take(real, start)
            } else if holdsByte {
                let token = UInt32(text[start])
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                if real == token { at &+= 1 } else { take(real, start) }
            } else {
                holdsByte = true
                at &+= 1
            }
        }
    }

    /// Goes on after a token that starts at `start` while `start + 1` is the position looked at.
    @inline(__always)
    private func take(_ token: UInt32, _ start: Int) {
        if Token.isMatch(token) {
            at = start &+ Token.length(token)
            holdsByte = false
            matchLength = 2
        } else {
            // A literal where a match was due: the search result at the next position stays the one to beat.
            at = start &+ 2
            holdsByte = true
        }
    }
}
