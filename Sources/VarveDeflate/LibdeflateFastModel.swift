// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// libdeflate 1.9 and later at level 1: the two newest positions with the same four-byte hash, the first good match taken,
/// blocks of 65535 bytes or 8192 matches.
final class LibdeflateFastModel: TokenModel {
    private static let hashBits: UInt32 = 15
    private static let never = Int32(-1 << 30)
    private static let nice = 32
    private static let blockMost = 65535
    private static let matchesMost = 8192
    /// With fewer bytes left, only literals follow.
    private static let needed = 5

    /// Two positions for each hash, the newer one first.
    private let table: UnsafeMutablePointer<SIMD2<Int32>>
    private let nothing: UnsafeMutablePointer<UInt8>
    private var plain: UnsafePointer<UInt8>
    private var at = 0
    private var inserted = 0
    private(set) var isBetweenBlocks = true
    private var blockEnd = 0
    private var matches = 0
    private(set) var steps = 0

    init() {
        table = .allocate(capacity: 1 << Self.hashBits)
        table.initialize(repeating: SIMD2(repeating: Self.never), count: 1 << Self.hashBits)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        table.deallocate()
        nothing.deallocate()
    }

    var position: Int { at }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        inserted = at - history
        table.update(repeating: SIMD2(repeating: Self.never), count: 1 << Self.hashBits)
        if inserted == origin {
            // The encoder computes each hash while it is one position behind: the first one is taken for 0.
            table[0][0] = Int32(truncatingIfNeeded: inserted)
            inserted += 1
        }
        isBetweenBlocks = true
    }

    func endBlock() { isBetweenBlocks = true }

    @inline(__always)
    private static func word(_ text: UnsafePointer<UInt8>) -> UInt32 {
        UnsafeRawPointer(text).loadUnaligned(as: UInt32.self)
    }

    @inline(__always)
    private static func hash(_ word: UInt32) -> Int { Int((word &* 0x1e35_a7bd) &>> (32 &- hashBits)) }

    @inline(__always)
    private func insert(before end: Int, inputEnd: Int) {
        inserted = Self.insert(table, plain, from: inserted, before: min(end, inputEnd &- 4))
    }

    /// Puts positions into the table.
    /// - Returns: The first position that is not in it.
    @inline(__always)
    private static func insert(
        _ table: UnsafeMutablePointer<SIMD2<Int32>>, _ plain: UnsafePointer<UInt8>, from first: Int, before end: Int
    ) -> Int {
        var next = first
        while next < end {
            let slot = hash(word(plain + next))
            table[slot] = SIMD2(Int32(truncatingIfNeeded: next), table[slot][0])
            next &+= 1
        }
        return next
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        insert(before: at, inputEnd: inputEnd)
        let table = self.table
        let plain = self.plain
        var at = self.at
        var inserted = self.inserted
        var matches = self.matches
        var searches = 0
        defer {
            self.at = at
            self.inserted = inserted
            self.matches = matches
            steps &+= searches
        }
        while left > 0 && at < stopAt && at < inputEnd {
            if isBetweenBlocks {
                isBetweenBlocks = false
                blockEnd = LibdeflateSplit.latestEnd(at, inputEnd, most: Self.blockMost)
                matches = 0
            }
            let blockEnd = self.blockEnd
            // Within a block, in which nothing else changes.
            while left > 0 && at < stopAt && at < inputEnd {
                let most = min(inputEnd &- at, 258)
                var token = UInt32(plain[at])
                if most >= Self.needed && at >= inserted {
                    searches &+= 1
                    inserted = at &+ 1
                    token = Self.longest(table, plain, at, most, otherwise: token)
                }
                let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
                left &-= 1
                at &+= Token.span(real)
                if Token.isMatch(real) {
                    matches &+= 1
                    inserted = Self.insert(table, plain, from: inserted, before: min(at, inputEnd &- 4))
                }
                // In the last bytes the encoder asks no more.
                if (at >= blockEnd || matches >= Self.matchesMost) && (at == inputEnd || most >= Self.needed) {
                    isBetweenBlocks = true
                    return
                }
            }
        }
    }

    /// The better match of two at a position, which enters the table; `otherwise` if there is none.
    @inline(__always)
    private static func longest(
        _ table: UnsafeMutablePointer<SIMD2<Int32>>, _ plain: UnsafePointer<UInt8>, _ at: Int, _ most: Int,
        otherwise: UInt32
    ) -> UInt32 {
        let scan = plain + at
        let opening = word(scan)
        let slot = hash(opening)
        let newer = Int(table[slot][0])
        let older = Int(table[slot][1])
        table[slot] = SIMD2(Int32(truncatingIfNeeded: at), Int32(truncatingIfNeeded: newer))
        if !isNear(at, newer) { return otherwise }
        var best = 0
        var distance = 0
        let first = plain + newer
        if word(first) == opening {
            best = 4 &+ Matching.length(scan + 4, first + 4, most &- 4)
            distance = at &- newer
            if best >= min(nice, most) { return Token.match(length: best, distance: distance) }
        }
        if isNear(at, older) {
            let second = plain + older
            if word(second) == opening && (best == 0 || word(second + (best &- 3)) == word(scan + (best &- 3))) {
                let length = 4 &+ Matching.length(scan + 4, second + 4, most &- 4)
                if length > best {
                    best = length
                    distance = at &- older
                }
            }
        }
        return best > 0 ? Token.match(length: best, distance: distance) : otherwise
    }

    @inline(__always)
    private static func isNear(_ at: Int, _ position: Int) -> Bool { UInt(bitPattern: at &- position &- 1) < 32767 }
}
