// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of zlib, of GNU gzip, its ancestor, and of two descendants: chains of all positions with the same hash of
/// three or four bytes, newest first, walked to a depth that the level sets; levels 4 and up hold a match back if the next
/// position has a longer one.
final class ChainModel: TokenModel {
    /// zlib's strategies that change which matches are taken. Raw values are part of the plan format.
    enum Strategy: Int {
        case usual = 0
        /// No matches of up to five bytes.
        case filtered = 1
        /// Only matches with the byte before.
        case runs = 3
    }

    /// Whose search it is, where it is not zlib's or GNU gzip's own.
    enum Descendant: Equatable {
        /// Chromium's zlib, as Node ships it: another hash.
        case chromium
        /// zlib-ng at levels 7-9: another hash, and matches of four bytes or more.
        case ng(FourByteHash)
        /// zlib-ng at level 9 from 2.1 on: zlib's hash, chains changed on the way.
        case ngJumping
    }

    struct Parameters: Equatable {
        var level = 6
        /// zlib's memLevel: sets the hash's size. 8 unless somebody asked for another.
        var memLevel = 8
        /// GNU gzip's variant of the end of input.
        var gnu = false
        /// zlib's windowBits, 9-15.
        var windowBits = 15
        var strategy = Strategy.usual
        var descendant: Descendant?
        /// Levels 1-3: whether all of a match near the end of input is hashed, as plans up to version 4 have it.
        var hashesPastMatches = false
    }

    /// good, lazy, nice, chain as both programs list them for levels 1-9.
    private static let levels: [(good: Int, lazy: Int, nice: Int, chain: Int)] = [
        (4, 4, 8, 4), (4, 5, 16, 8), (4, 6, 32, 32), (4, 4, 16, 16), (8, 16, 32, 32), (8, 16, 128, 128),
        (8, 32, 128, 256), (32, 128, 258, 1024), (32, 258, 258, 4096),
    ]
    /// What a level and the other parameters come to at levels 4-9, for ``RankedChainModel``.
    struct Settings {
        let good: Int
        let mostLazy: Int
        let nice: Int
        let chain: Int
        let farthest: Int
        let tooShort: Int
        let bits: UInt32
        let gnu: Bool

        init(_ parameters: Parameters) {
            let row = ChainModel.levels[min(max(parameters.level, 4), 9) - 1]
            good = row.good
            mostLazy = row.lazy
            nice = row.nice
            chain = row.chain
            farthest = 1 << min(max(parameters.windowBits, 9), 15) - 262
            tooShort = parameters.strategy == .filtered ? 5 : 2
            bits = UInt32(min(max(parameters.memLevel, 1), 9) + 7)
            gnu = parameters.gnu
        }
    }

    private static let window = 32768
    static let mask = 32767
    /// Stands for no position: farther back than any match reaches, wherever the text begins.
    private static let never = Int32(-1 << 30)
    /// A match of three bytes farther back than this costs more than three literals.
    private static let tooFar = 4096

    private let parameters: Parameters
    private let lazy: Bool
    let good: Int
    private let mostLazy: Int
    let nice: Int
    let chain: Int
    /// No match reaches farther back: the window less the text that must lie ahead.
    let farthest: Int
    /// A held match of up to so many bytes is dropped.
    private let tooShort: Int
    /// A match of three bytes from farther back is dropped.
    private let farThree: Int
    private let shift: UInt32
    private let hashMask: UInt32
    /// The hash, if it is over four bytes.
    private let fourBytes: FourByteHash?
    private let wordShift: UInt32
    /// Bytes that a position's hash needs, and that must be ahead for a search.
    private let hashed: Int
    private let searched: Int
    private let jumps: Bool
    let head: UnsafeMutablePointer<Int32>
    let previous: UnsafeMutablePointer<Int32>
    private let nothing: UnsafeMutablePointer<UInt8>

    private(set) var plain: UnsafePointer<UInt8>
    /// The position being looked at; one past the next token's start while a byte is held back.
    private var at = 0
    private var inserted = 0
    private(set) var origin = 0
    /// The first byte of the text that was given.
    private(set) var textStart = 0
    private var holdsByte = false
    private var matchLength = 2
    private var matchStart = 0

    init(_ parameters: Parameters) {
        self.parameters = parameters
        let level = min(max(parameters.level, 1), 9)
        let row = Self.levels[level - 1]
        lazy = level > 3
        good = row.good
        mostLazy = row.lazy
        nice = row.nice
        chain = row.chain
        farthest = 1 << min(max(parameters.windowBits, 9), 15) - 262
        tooShort = parameters.strategy == .filtered ? 5 : 2
        var bits = UInt32(min(max(parameters.memLevel, 1), 9) + 7)
        switch parameters.descendant {
        case .chromium?:
            fourBytes = .chromium
            bits = max(bits, 15)
        case .ng(let hash)?:
            fourBytes = hash
            bits = 16
        case .ngJumping?:
            fourBytes = nil
            bits = 15
        case nil: fourBytes = nil
        }
        wordShift = 32 - bits
        hashed = fourBytes == nil ? 3 : 4
        switch parameters.descendant {
        case .ng?, .ngJumping?:
            searched = 4
            farThree = Self.window
        default:
            searched = hashed
            farThree = Self.tooFar
        }
        jumps = parameters.descendant == .ngJumping
        shift = (bits + 2) / 3
        hashMask = 1 << bits - 1
        head = .allocate(capacity: 1 << 16)
        head.initialize(repeating: Self.never, count: 1 << 16)
        previous = .allocate(capacity: Self.window)
        previous.initialize(repeating: Self.never, count: Self.window)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        head.deallocate()
        previous.deallocate()
        nothing.deallocate()
    }

    var position: Int { holdsByte ? at - 1 : at }
    var steps = 0

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        self.origin = origin
        inserted = at - history
        textStart = inserted
        head.update(repeating: Self.never, count: Int(hashMask) + 1)
        holdsByte = false
        matchLength = 2
        matchStart = 0
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        if parameters.strategy == .runs {
            runRuns(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        } else if lazy {
            runLazy(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        } else {
            runGreedy(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        }
    }

    @inline(__always)
    func hash(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int {
        if let fourBytes {
            return fourBytes.slot(
                UnsafeRawPointer(text + position).loadUnaligned(as: UInt32.self), shift: wordShift)
        }
        let a = UInt32(text[position]) &<< (shift &* 2)
        let b = UInt32(text[position &+ 1]) &<< shift
        return Int((a ^ b ^ UInt32(text[position &+ 2])) & hashMask)
    }

    /// Puts every position before `end` into the chains.
    @inline(__always)
    private func insert(before end: Int) {
        var next = inserted
        let text = plain
        while next < end {
            let slot = hash(text, next)
            previous[next & Self.mask] = head[slot]
            head[slot] = Int32(truncatingIfNeeded: next)
            next &+= 1
        }
        if next > inserted { inserted = next }
    }

    /// The best match at `position` that is longer than `best`: its length and start, or `best` and nothing new.
    @inline(__always)
    private func longest(_ position: Int, _ first: Int, _ atLeast: Int, _ lookahead: Int, _ start: inout Int) -> Int {
        let most = min(lookahead, 258)
        if atLeast >= most { return min(atLeast, lookahead) }
        var best = atLeast
        var tries = atLeast >= good ? chain &>> 2 : chain
        var work = 0
        let enough = parameters.gnu ? nice : min(nice, lookahead)
        let limit = max(position &- farthest, origin)
        let scan = plain + position
        var candidate = first
        let opening = UnsafeRawPointer(scan).loadUnaligned(as: UInt16.self)
        var ending = UnsafeRawPointer(scan + (best &- 1)).loadUnaligned(as: UInt16.self)
        repeat {
            let text = plain + candidate
            if UnsafeRawPointer(text + (best &- 1)).loadUnaligned(as: UInt16.self) == ending
                && UnsafeRawPointer(text).loadUnaligned(as: UInt16.self) == opening
            {
                let length = Matching.length(scan, text, most)
                work &+= length &>> 4
                if length > best {
                    start = candidate
                    best = length
                    if length >= enough || length >= most { break }
                    ending = UnsafeRawPointer(scan + (best &- 1)).loadUnaligned(as: UInt16.self)
                }
            }
            tries &-= 1
            work &+= 1
            var following = Int(previous[candidate & Self.mask])
            if following == candidate &- 1 && lazy && best >= 3 {
                var search = RunSkip.Search(candidate: candidate, tries: tries, best: best, start: start)
                let ends = RunSkip.skip(
                    plain, position, most: most, enough: enough, lowest: max(limit &+ 1, textStart), &search)
                if search.best > best {
                    best = search.best
                    start = search.start
                    ending = UnsafeRawPointer(scan + (best &- 1)).loadUnaligned(as: UInt16.self)
                }
                if ends { break }
                tries = search.tries
                if search.candidate != candidate { following = Int(previous[search.candidate & Self.mask]) }
            }
            candidate = following
        } while candidate > limit && tries > 0
        steps &+= work
        return best
    }

    // MARK: levels 4-9

    private func runLazy<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
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
            var first = Int(Self.never)
            if lookahead >= searched {
                insert(before: at)
                let slot = hash(text, at)
                first = Int(head[slot])
                previous[at & Self.mask] = Int32(truncatingIfNeeded: first)
                head[slot] = Int32(truncatingIfNeeded: at)
                inserted = at &+ 1
            }
            let previousLength = matchLength
            let previousStart = matchStart
            matchLength = 2
            if first > origin && previousLength < mostLazy && at &- first <= farthest {
                matchLength =
                    jumps
                    ? longestJumping(at, first, previousLength, lookahead, &matchStart)
                    : longest(at, first, previousLength, lookahead, &matchStart)
                if matchLength <= tooShort || matchLength == 3 && at &- matchStart > farThree { matchLength = 2 }
            }
            if previousLength >= 3 && matchLength <= previousLength {
                let start = at &- 1
                let token = Token.match(length: previousLength, distance: start &- previousStart)
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                take(real, start, inputEnd)
            } else if holdsByte {
                let start = at &- 1
                let token = UInt32(text[start])
                let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                left &-= 1
                if real == token { at &+= 1 } else { take(real, start, inputEnd) }
            } else {
                holdsByte = true
                at &+= 1
            }
        }
    }

    /// Goes on after a token that starts at `start` while `start + 1` is the position looked at.
    @inline(__always)
    private func take(_ token: UInt32, _ start: Int, _ inputEnd: Int) {
        if Token.isMatch(token) {
            at = start &+ Token.length(token)
            insert(before: min(at, inputEnd &- hashed &+ 1))
            holdsByte = false
            matchLength = 2
        } else {
            // A literal where a match was due: the search result at the next position stays the one to beat.
            at = start &+ 2
            holdsByte = true
        }
    }

    // MARK: runs only

    private func runRuns<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && at < stopAt && at < inputEnd {
            var length = 0
            if at > textStart && inputEnd &- at >= 3 {
                length = Matching.length(plain + at, plain + (at - 1), min(258, inputEnd &- at))
            }
            let token = length >= 3 ? Token.match(length: length, distance: 1) : UInt32(plain[at])
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            at &+= Token.span(real)
        }
    }

    // MARK: levels 1-3

    private func runGreedy<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        let text = plain
        while left > 0 && at < stopAt {
            let lookahead = inputEnd &- at
            if lookahead <= 0 { return }
            var length = 0
            var start = 0
            if lookahead >= searched {
                if inserted < at {
                    // Only what the last end of input left out, or a dictionary: matches skip what they do not insert.
                    insert(before: at)
                }
                let slot = hash(text, at)
                let first = Int(head[slot])
                previous[at & Self.mask] = Int32(truncatingIfNeeded: first)
                head[slot] = Int32(truncatingIfNeeded: at)
                inserted = at &+ 1
                if first > origin && at &- first <= farthest {
                    length = longest(at, first, 2, lookahead, &start)
                }
            }
            var token = UInt32(text[at])
            if length >= 3 { token = Token.match(length: length, distance: at &- start) }
            let real = oracle.next(token, literal: text[at], limit: stopAt &- at)
            left &-= 1
            if Token.isMatch(real) {
                let span = Token.length(real)
                let end = at &+ span
                if span <= mostLazy && (parameters.gnu || inputEnd &- end >= 3) {
                    insert(before: min(end, inputEnd &- hashed &+ 1))
                } else {
                    inserted = end
                    // Of what lies just before the end of input zlib hashes the last two bytes, once more come.
                    if inputEnd &- end < 3 {
                        inserted = max((parameters.hashesPastMatches ? end : inputEnd) &- 2, at &+ 1)
                    }
                }
                at = end
            } else {
                at &+= 1
            }
        }
    }
}
