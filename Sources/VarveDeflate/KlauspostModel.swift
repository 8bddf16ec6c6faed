// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of klauspost/compress (and so of pgzip, and of Go from 1.27 on), levels 1-6: text comes in pieces of
/// 65535 bytes, hash tables hold only visited positions, and are looked up without chains. Level 0 stands for the encoder
/// without state, whose pieces are smaller.
///
/// The levels differ in tables and in how a found match is improved; each lives in an extension of its own.
final class KlauspostModel: TokenModel {
    /// The releases whose output differs.
    enum Era: Int {
        /// Up to 1.15.9.
        case before1_15_10 = 0
        /// From 1.15.11 on; since 1.18.4 also Go 1.27's (the difference there is in where blocks end, which plans hold).
        case since1_15_11 = 1
        /// Up to 1.14: long matches are cut at 255 bytes.
        case before1_15 = 2
        /// Up to 1.11: also no look at a match's end.
        case before1_12 = 3
        /// Level 4 from 1.18.0 on, and in Go 1.27: one of two lengths that it compares is that of a match with another place.
        case since1_18 = 4
        /// Level 3 up to 1.14.2.
        case before1_14_3 = 5
        /// Levels 1-3 up to 1.10.1: larger tables.
        case before1_10_2 = 6

        /// Whether the era says anything of a level.
        func has(_ level: Int) -> Bool {
            switch self {
            case .since1_15_11, .before1_15: return (0...6).contains(level)
            case .before1_15_10, .before1_12: return (1...6).contains(level)
            case .since1_18: return level == 4
            case .before1_14_3: return level == 3
            case .before1_10_2: return (1...3).contains(level)
            }
        }
    }

    struct Parameters: Equatable {
        var level = 5
        var era = Era.since1_15_11
        /// Level 1: whether the search goes on as the encoder's where that did not find a match, or another one.
        var follows = false
    }

    static let farthest = 32768
    /// Lookups stop so many bytes before the end of a piece.
    static let margin = 11
    /// Shorter input before a flush is not searched and forgets the past.
    static let pieceMin = 128
    /// No match is longer than a piece of the encoder's (those that a plan has against the rule may be longer).
    private static let longest = 65_535
    private static let never = Int32(-1 << 30)

    let parameters: Parameters
    /// How many bytes at a longer match's start may differ, to be mended backwards.
    let skipBeginning: Int
    /// Whether levels 5 and 6 look for a match that covers the end of the one found.
    let looksAtEnd: Bool
    /// Four-byte hashes at the fast levels.
    let isOld: Bool
    private let cutsShort: Bool
    /// Last position by short hash.
    let table: UnsafeMutablePointer<Int32>
    /// Last two positions by long hash.
    let longTable: UnsafeMutablePointer<Int32>
    private let tableCount: Int
    private let longCount: Int
    private let nothing: UnsafeMutablePointer<UInt8>

    private(set) var plain: UnsafePointer<UInt8>
    private(set) var position = 0
    private(set) var steps = 0
    /// Where the last token began that was not as proposed.
    private(set) var departedAt = 0
    /// No text before this is known.
    private(set) var floor = 0
    /// Kept up only where the output depends on it.
    private(set) var memory = KlauspostHistory()
    let knowsMemory: Bool
    /// Whether the next piece is the first one of a call, for level 0.
    var isFresh = true

    init(_ parameters: Parameters) {
        self.parameters = parameters
        isOld = parameters.era != .since1_15_11 && parameters.era != .since1_18
        knowsMemory = parameters.era == .since1_18
        skipBeginning = isOld ? 0 : 2
        looksAtEnd = parameters.era != .before1_12
        switch parameters.era {
        case .before1_15_10, .since1_15_11, .since1_18: cutsShort = false
        case .before1_15, .before1_14_3, .before1_12, .before1_10_2: cutsShort = true
        }
        (tableCount, longCount) = Self.counts(parameters)
        // Every start clears them.
        table = .allocate(capacity: tableCount)
        longTable = .allocate(capacity: longCount)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        table.deallocate()
        longTable.deallocate()
        nothing.deallocate()
    }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        position = at
        floor = at - history
        isFresh = history == 0
        if parameters.level == 0 { return }
        clear()
        let isDictionary = KlauspostHistory.isDictionary(history, at: at, origin: origin)
        if knowsMemory { memory.begin(at: isDictionary ? origin : at, origin: origin) }
        if history > 0 && (isDictionary || !knowsMemory) {
            // A dictionary is encoded like text, the output thrown away.
            var tape = Forget()
            encode(&tape, floor, at)
        }
    }

    /// Entries of the two tables that a level has.
    private static func counts(_ parameters: Parameters) -> (table: Int, long: Int) {
        let isEarly = parameters.era == .before1_10_2
        let table = isEarly || parameters.level == 2 ? 1 << 17 : 1 << 15
        switch parameters.level {
        case 0, 1: return (table, 0)
        case 2: return (table, isEarly ? 1 << 18 : 0)
        case 3: return (table, 1 << 18)
        case 4: return (table, 1 << 15)
        default: return (table, 1 << 16)
        }
    }

    private func clear() {
        table.update(repeating: Self.never, count: tableCount)
        longTable.update(repeating: Self.never, count: longCount)
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        let from = position
        if stopAt <= from { return }
        if parameters.level == 0 {
            encodeStateless(&oracle, from, stopAt)
        } else if stopAt - from < Self.pieceMin {
            var at = from
            rest(&oracle, &at, stopAt)
            clear()
            floor = stopAt
            memory.forget(before: stopAt)
        } else {
            encode(&oracle, from, stopAt)
        }
        position = stopAt
    }

    private func encode<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        if knowsMemory { memory.add(from, end) }
        if end - from < 2 + Self.margin {
            var at = from
            rest(&oracle, &at, end)
            return
        }
        switch parameters.level {
        case 1: encode1(&oracle, from, end)
        case 2: encode2(&oracle, from, end)
        case 3 where parameters.era == .before1_14_3 || parameters.era == .before1_10_2:
            encode3Early(&oracle, from, end)
        case 3: encode3(&oracle, from, end)
        case 4: encode4(&oracle, from, end)
        case 6: encode6(&oracle, from, end)
        default: encode5(&oracle, from, end)
        }
    }

    // MARK: what all levels use

    /// Counts search steps.
    func spend(_ more: Int) { steps &+= more }

    @inline(__always)
    func load64(_ at: Int) -> UInt64 { UnsafeRawPointer(plain + at).loadUnaligned(as: UInt64.self) }
    @inline(__always)
    func load32(_ at: Int) -> UInt32 { UnsafeRawPointer(plain + at).loadUnaligned(as: UInt32.self) }

    @inline(__always)
    func hash4(_ value: UInt64) -> Int {
        Int((UInt32(truncatingIfNeeded: value) &* 2_654_435_761) &>> 17)
    }
    @inline(__always)
    func hash7(_ value: UInt64) -> Int {
        Int(((value &<< 8) &* 58_295_818_150_454_627) &>> 49)
    }

    /// Whether text at `from` may be copied to `to`.
    @inline(__always)
    func reachable(_ to: Int, _ from: Int) -> Bool {
        UInt(bitPattern: to &- from &- 1) < UInt(Self.farthest &- 1)
    }

    /// Length of the match at `a` with `b`, both four bytes in, so that the whole has at most 258.
    @inline(__always)
    func length(_ a: Int, _ b: Int, _ end: Int) -> Int {
        Matching.length(plain + a, plain + b, min(254, end &- a))
    }
    /// Length of the match without a bound but the piece's end, and that of pieces.
    @inline(__always)
    func lengthLong(_ a: Int, _ b: Int, _ end: Int) -> Int {
        let n = Matching.length(plain + a, plain + b, min(end &- a, Self.longest))
        steps &+= n &>> 5
        return n
    }

    @inline(__always)
    func pushLong(_ slot: Int, _ position: Int) {
        let entry = longTable + slot &* 2
        entry[1] = entry[0]
        entry[0] = Int32(truncatingIfNeeded: position)
    }

    /// Proposes literals from `at` to `to`.
    /// - Returns: False at a departure; `at` is then behind the real token.
    @inline(__always)
    @discardableResult
    func literals<O: TokenOracle>(_ oracle: inout O, _ at: inout Int, _ to: Int, _ end: Int) -> Bool {
        while at < to {
            let byte = plain[at]
            let real = oracle.next(UInt32(byte), literal: byte, limit: end &- at)
            if Token.isMatch(real) {
                departedAt = at
                at &+= Token.length(real)
                return false
            }
            at &+= 1
        }
        return true
    }

    /// Proposes a match of any length, cut into tokens the way the encoder does.
    /// - Returns: False at a departure; `at` is then behind the real token.
    @inline(__always)
    func match<O: TokenOracle>(_ oracle: inout O, _ at: inout Int, _ length: Int, _ distance: Int, _ end: Int) -> Bool {
        var left = length
        while left > 0 {
            // No token may be left over that is shorter than three bytes.
            let part = left <= 258 ? left : (left > 261 && !cutsShort ? 258 : 255)
            let token = Token.match(length: part, distance: distance)
            let real = oracle.next(token, literal: plain[at], limit: end &- at)
            if real != token {
                departedAt = at
                at &+= Token.span(real)
                return false
            }
            at &+= part
            left &-= part
        }
        return true
    }

    /// The rest of a piece as literals, however many departures there are.
    func rest<O: TokenOracle>(_ oracle: inout O, _ at: inout Int, _ end: Int) {
        while at < end { literals(&oracle, &at, end, end) }
    }

    /// An oracle for dictionaries: nobody wants the tokens.
    private struct Forget: TokenOracle {
        static var isVirtual: Bool { true }
        static var isWriting: Bool { false }
        var known: UInt32 { 0 }
        var index: Int { 0 }
        @inline(__always)
        mutating func next(_ predicted: UInt32, literal: UInt8, limit: Int) -> UInt32 { predicted }
        @inline(__always)
        mutating func push(_ token: UInt32) {}
        @inline(__always)
        mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int { value }
    }
}
