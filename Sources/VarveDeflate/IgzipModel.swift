// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// igzip (ISA-L) at levels 0-2, as its code for x86-64 does it since 2.25.
///
/// A table holds the newest position for each hash of four bytes. Two positions are looked at together: a match of eight
/// bytes or more at the second goes before a shorter one at the first. Of a match only the first four positions enter the
/// table, of very long ones also the last four. The table holds 16 bits of a position and nothing says how old an entry is:
/// a distance is whatever comes out modulo 32768, and the bytes decide. Levels 1 and 2 keep tokens in a buffer, two literals
/// that were looked at together in one entry, and end the block when it is full; after stretches without matches they
/// skip ever longer ones. The last bytes of the input are done by simpler code.
///
/// Where the caller's pieces of input end the encoder pauses some 280 bytes earlier and starts anew, by pairs of its own and
/// with nothing to skip. This is not followed: it costs a departure now and then.
final class IgzipModel: TokenModel {
    struct Parameters: Equatable {
        var level = 2
        /// Level 3 only: whether as with AVX-512 (``IgzipMapModel``).
        var isWide = false
        /// Level 3 only: bytes of input that the encoder was given at a time, 0 if all at once.
        var handed = Self.toolHands

        /// What the tool gives it.
        static let toolHands = 1 << 20
        static let handedMost = 1 << 24
    }

    /// Entries of the token buffer that end a block.
    static let entriesMost = 65_380
    /// Text that must lie ahead for the fast code, and for any search at all.
    static let padding = 16
    private static let lastBytes = 3
    static let longRun = 264
    // Skipping: bytes without a match before the first time, bytes skipped then, the level from which they grow, the last.
    static let skipAfter = 2048
    private static let skipFirst = 32
    private static let skipLevel = 512
    private static let skipLevelMost = 560

    let level: Int
    private let table: UnsafeMutablePointer<Int32>
    private let tableSize: Int
    private let nothing: UnsafeMutablePointer<UInt8>
    private let hashes = Castagnoli.shared
    private var mask: Int
    var plain: UnsafePointer<UInt8>
    var at = 0
    private var origin = 0
    private var textStart = 0
    /// Whether the member's first byte is still to come: it is never looked at.
    var isFirst = false
    var steps = 0

    // The block in progress.
    var isBetweenBlocks = true
    var entries = 0
    /// Whether the fast code has come to the end of the input.
    var isFinishing = false
    var skipAt = 0
    var skips = 0
    /// After a skip: the position whose hashes are taken for those of the position that is looked at.
    var stale = -1

    /// What was decided and is still to be done: literals, then a match.
    private enum After { case usual, pass, short }
    var literals = 0
    private var length = 0
    private var distance = 0
    private var isRun = false
    private var after = After.usual

    init(_ parameters: Parameters) {
        level = min(max(parameters.level, 0), 2)
        tableSize = level == 2 ? 32768 : 8192
        mask = tableSize - 1
        table = .allocate(capacity: tableSize)
        table.initialize(repeating: IgzipFinder.never, count: tableSize)
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
        self.origin = origin
        textStart = at - history
        isFirst = at == origin
        // At the start of the input all entries are position 0; in the middle nothing is known of them.
        table.update(repeating: isFirst ? Int32(truncatingIfNeeded: at) : IgzipFinder.never, count: tableSize)
        mask = tableSize - 1
        endBlock()
    }

    func endBlock() {
        isBetweenBlocks = true
        drop()
    }

    private func drop() {
        literals = 0
        length = 0
        isRun = false
        after = .usual
        stale = -1
    }

    private func beginBlock(_ inputEnd: Int) {
        isBetweenBlocks = false
        entries = 0
        skipAt = at &+ Self.skipAfter
        skips = 0
        isFinishing = at >= inputEnd &- Self.padding
        if isFirst {
            // Short input gets a smaller table.
            let size = max(inputEnd - at, 1)
            if mask > 2 * size { mask = 1 << (Int.bitWidth - (2 * size).leadingZeroBitCount) - 1 }
        }
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && at < stopAt && at < inputEnd {
            if isBetweenBlocks { beginBlock(inputEnd) }
            if literals == 0 && length == 0 {
                if let stretch = stretch(oracle, left, stopAt, inputEnd) {
                    left = hurry(&oracle, stretch, left, stopAt, inputEnd)
                    if isBetweenBlocks { return }
                    continue
                }
                steps &+= 1
                if isFinishing || at > inputEnd &- Self.padding { decideAtEnd(inputEnd) } else { decide(inputEnd) }
            }
            let next = isRun && length >= Self.longRun ? 258 : min(length, 258)
            let token = literals > 0 ? UInt32(plain[at]) : Token.match(length: next, distance: distance)
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            at &+= Token.span(real)
            if real != token {
                follow(real, inputEnd)
            } else if literals > 0 {
                literals &-= 1
                if literals == 0 && length == 0 { settle(inputEnd) }
            } else {
                entries &+= 1
                if isRun && length >= Self.longRun {
                    length &-= 258
                    if level > 0 && entries >= Self.entriesMost {
                        isBetweenBlocks = true
                        drop()
                    }
                } else {
                    let wasRun = isRun
                    length = 0
                    isRun = false
                    if wasRun && at < inputEnd &- Self.padding { insertLast() }
                    settle(inputEnd)
                }
            }
            if isBetweenBlocks { return }
        }
    }

    /// The stream goes another way: on from there.
    func follow(_ token: UInt32, _ inputEnd: Int) {
        drop()
        entries &+= 1
        let start = at &- Token.span(token)
        if Token.isMatch(token) && start &+ 8 <= inputEnd && start >= textStart &+ Token.distance(token) {
            finder.insert(from: start &+ 1, through: start &+ 3)
            let most = min(inputEnd &- start, IgzipFinder.runMost)
            if Token.length(token) == 258 && most >= Self.longRun {
                // The same distance again, if it is one of the very long matches.
                distance = Token.distance(token)
                let found = Matching.length(plain + start, plain + (start &- distance), most)
                if found >= Self.longRun {
                    isRun = true
                    length = found &- 258
                }
            }
        }
        if length == 0 { settle(inputEnd) }
    }

    /// Looks after what was decided is done: whether the block ends, or the fast code.
    @inline(__always)
    func settle(_ inputEnd: Int) {
        let end = inputEnd &- Self.padding
        let kind = after
        after = .usual
        if isFinishing {
            if level > 0 && entries > Self.entriesMost { isBetweenBlocks = true }
        } else if kind == .short && entries >= Self.entriesMost {
            isBetweenBlocks = true
        } else if at > end || kind != .usual && at == end || level == 0 && at == end {
            isFinishing = true
            if level > 0 && entries > Self.entriesMost { isBetweenBlocks = true }
        } else if level > 0 && entries >= Self.entriesMost {
            isBetweenBlocks = true
        }
    }

    /// The text and the table, to look for matches.
    @inline(__always)
    var finder: IgzipFinder {
        IgzipFinder(plain: plain, textStart: textStart, table: table, mask: mask, hashes: hashes)
    }

    private func insertLast() {
        finder.insert(from: at &- 4, through: at &- 1)
    }

    /// Looks at the two positions from `at` on, at least sixteen bytes before the input's end.
    @inline(__always)
    private func decide(_ inputEnd: Int) {
        if isFirst {
            isFirst = false
            finder.insert(from: at, through: at)
            literals = 1
            entries &+= 1
            after = .pass
            return
        }
        let hashed = stale >= 0 ? stale : at
        stale = -1
        let match = finder.look(at, hashed: hashed, inputEnd)
        if match.length > 0 {
            take(match, inputEnd)
            return
        }
        literals = 2
        entries &+= 1
        if level > 0 && at &+ 2 <= inputEnd &- Self.padding && at &+ 2 > skipAt { skip(inputEnd) }
    }

    /// Decides on a match.
    @inline(__always)
    func take(_ match: IgzipFinder.Match, _ inputEnd: Int) {
        let start = at &+ match.before
        literals = match.before
        entries &+= match.before
        distance = match.distance
        isRun = match.length >= Self.longRun
        length = isRun ? match.length : min(match.length, 258)
        if isRun {
            // The hashes of the third and fourth position looked at, but after a literal with the positions behind them.
            table[finder.slot(at &+ 2)] = Int32(truncatingIfNeeded: at &+ 2 &+ match.before)
            table[finder.slot(at &+ 3)] = Int32(truncatingIfNeeded: at &+ 3 &+ match.before)
        } else {
            finder.insert(from: at &+ 2, through: start &+ 3)
            skipAt = start &+ length &+ Self.skipAfter
            skips &-= length
        }
    }

    /// After two literals in a stretch without matches: takes more of them unseen.
    func skip(_ inputEnd: Int) {
        let end = inputEnd &- Self.padding
        let start = at &+ 2
        skips = min(max(skips &+ 1, 0), Self.skipLevelMost)
        let again = skips > 63 ? 0 : Self.skipAfter &>> skips
        let wanted = (2 &* max(skips &- Self.skipLevel, 0) &+ Self.skipFirst) & -Self.skipFirst
        let room = 2 &* (Self.entriesMost &- entries)
        if room < wanted || inputEnd &- start < wanted {
            // Too little left: literals to the end of the block or of the input.
            let pairs = max(min(Self.entriesMost &- entries, (end &- start &+ 1) &>> 1), 1)
            literals &+= 2 &* pairs
            entries &+= pairs
            after = .short
            return
        }
        literals &+= wanted
        entries &+= wanted &>> 1
        after = .pass
        skipAt = start &+ wanted &+ again
        stale = start
    }

    /// Looks at one position near the input's end.
    private func decideAtEnd(_ inputEnd: Int) {
        let end = inputEnd &- Self.lastBytes
        literals = 1
        if at >= end {
            entries &+= 1
            return
        }
        if isFirst {
            isFirst = false
            finder.insert(from: at, through: at)
            entries &+= 1
            return
        }
        let found = finder.exchange(finder.slot(at), at)
        var length = 0
        if found > 0 && found < 32768 {
            length = Matching.length(plain + at, plain + (at &- found), min(inputEnd &- at, 258))
        }
        if length < 4 {
            entries &+= 1
            return
        }
        literals = 0
        self.length = length
        distance = found
        isRun = false
        if at &+ length < end {
            finder.insert(from: at &+ 1, through: at &+ 2)
        }
    }
}
