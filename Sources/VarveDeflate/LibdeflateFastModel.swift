// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// libdeflate 1.9 and later at level 1: the two newest positions with the same four-byte hash, the first good match taken,
/// blocks of 65535 bytes or 8192 matches.
///
/// Every position enters the table in turn, whatever the tokens are. So what the table has for a position is looked up
/// beforehand, for many positions in one go: the search need not wait for it, nor for where a match ends.
final class LibdeflateFastModel: TokenModel {
    private static let hashBits: UInt32 = 15
    private static let never = Int32(-1 << 30)
    private static let nice = 32
    private static let blockMost = 65535
    private static let matchesMost = 8192
    /// A token that begins so many bytes before where tokens may reach ends there, and what its search looks at does.
    private static let reach = 266
    /// With fewer bytes left, only literals follow.
    private static let needed = 5

    /// Two positions for each hash, the newer one first.
    private let table: UnsafeMutablePointer<SIMD2<Int32>>
    /// What the table had for the last positions that entered it, from ``foundStart`` to ``inserted``.
    private let found: UnsafeMutablePointer<SIMD2<Int32>>
    private static let foundMost = 2048
    private var foundStart = 0
    /// The first position that is not in the table.
    private var inserted = 0
    private let nothing: UnsafeMutablePointer<UInt8>
    private var plain: UnsafePointer<UInt8>
    private var at = 0
    private(set) var isBetweenBlocks = true
    private var blockEnd = 0
    private var matches = 0
    private(set) var steps = 0

    init() {
        table = .allocate(capacity: 1 << Self.hashBits)
        table.initialize(repeating: SIMD2(repeating: Self.never), count: 1 << Self.hashBits)
        found = .allocate(capacity: Self.foundMost)
        found.initialize(repeating: SIMD2(repeating: Self.never), count: Self.foundMost)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        table.deallocate()
        found.deallocate()
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
        foundStart = inserted
        isBetweenBlocks = true
    }

    func endBlock() { isBetweenBlocks = true }

    @inline(__always)
    private static func word(_ text: UnsafePointer<UInt8>) -> UInt32 {
        UnsafeRawPointer(text).loadUnaligned(as: UInt32.self)
    }

    @inline(__always)
    private static func hash(_ word: UInt32) -> Int { Int((word &* 0x1e35_a7bd) &>> (32 &- hashBits)) }

    /// Puts positions into the table until the one before `end` is, and keeps what was there for the last of them; some more
    /// than that where the input goes on.
    /// - Parameter inputEnd: At least five bytes behind the last of those.
    private func lookUp(before end: Int, inputEnd: Int) {
        let table = self.table
        let found = self.found
        let plain = self.plain
        while inserted < end {
            foundStart = inserted
            let next = min(inserted &+ Self.foundMost, inputEnd &- 4)
            for position in inserted..<next {
                let slot = Self.hash(Self.word(plain + position))
                let entry = table[slot]
                found[position &- foundStart] = entry
                table[slot] = SIMD2(Int32(truncatingIfNeeded: position), entry[0])
            }
            inserted = next
        }
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        lookUp(before: min(at, inputEnd &- 4), inputEnd: inputEnd)
        let plain = self.plain
        var at = self.at
        var matches = self.matches
        var searches = 0
        defer {
            self.at = at
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
            if let stretch = oracle.stretch {
                let done = hurry(
                    stretch.tokens, min(left, stretch.count), compares: O.isWriting, &at,
                    before: min(blockEnd, min(stopAt, inputEnd) &- Self.reach), &matches)
                oracle.take(done)
                left &-= done
                searches &+= done
                if done > 0 && (at >= blockEnd || matches >= Self.matchesMost) {
                    isBetweenBlocks = true
                    return
                }
            }
            // Within a block, in which nothing else changes.
            while left > 0 && at < stopAt && at < inputEnd {
                let most = min(inputEnd &- at, 258)
                var token = UInt32(plain[at])
                if most >= Self.needed && at >= foundStart {
                    searches &+= 1
                    if at >= inserted { lookUp(before: at &+ 1, inputEnd: inputEnd) }
                    token = Self.longest(found[at &- foundStart], plain, at, most, otherwise: token)
                }
                let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
                left &-= 1
                at &+= Token.span(real)
                if Token.isMatch(real) { matches &+= 1 }
                // In the last bytes the encoder asks no more.
                if (at >= blockEnd || matches >= Self.matchesMost) && (at == inputEnd || most >= Self.needed) {
                    isBetweenBlocks = true
                    return
                }
            }
        }
    }

    /// Makes or compares tokens of one block that begin before a position, ``reach`` or more before where tokens may reach.
    /// - Returns: How many.
    @inline(__always)
    private func hurry(
        _ tokens: UnsafeMutablePointer<UInt32>, _ most: Int, compares: Bool, _ place: inout Int, before end: Int,
        _ allMatches: inout Int
    ) -> Int {
        let plain = self.plain
        var index = 0
        var at = place
        var matches = allMatches
        defer {
            place = at
            allMatches = matches
        }
        while at < end && index < most && matches < Self.matchesMost {
            if at >= inserted { lookUp(before: at &+ 1, inputEnd: end &+ Self.reach) }
            if at < foundStart { break }
            let stop = min(inserted, end)
            let found = self.found - foundStart
            while at < stop && index < most && matches < Self.matchesMost {
                let token = Self.longest(found[at], plain, at, 258, otherwise: UInt32(plain[at]))
                if !compares {
                    tokens[index] = token
                } else if tokens[index] != token {
                    return index
                }
                index &+= 1
                at &+= Token.span(token)
                matches &+= Token.isMatch(token) ? 1 : 0
            }
        }
        return index
    }

    /// The better match of two at a position; `otherwise` if there is none.
    @inline(__always)
    private static func longest(
        _ entry: SIMD2<Int32>, _ plain: UnsafePointer<UInt8>, _ at: Int, _ most: Int, otherwise: UInt32
    ) -> UInt32 {
        let scan = plain + at
        let opening = word(scan)
        let newer = Int(entry[0])
        let older = Int(entry[1])
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
