// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// 7-Zip at levels 1-4: at each place the longest match of up to 32 of the newest positions with the same hash of three
/// bytes, taken at once; the first one with 32 bytes ends the search. Blocks of 11264 tokens, fewer where these are long.
final class SevenZipFastModel: TokenModel {
    private static let window = 32768
    private static let mask = 32767
    private static let never = Int32(-1 << 30)
    private static let depth = 32
    private static let nice = 32
    private static let blockTokens = 11264
    /// What a block may have of plain bytes before its last token: 65535, less room for a look ahead (4096 + 258) and a match.
    private static let blockPlain = 65535 - 258 - (4096 + 258)

    /// CRC-32 of each byte, which the hash takes two bytes of.
    private static let sums: [UInt32] = (0..<256).map { Checksum.entry($0) & 0xffff }

    private let sums: UnsafeMutablePointer<UInt32>
    private let head: UnsafeMutablePointer<Int32>
    private let previous: UnsafeMutablePointer<Int32>
    private let nothing: UnsafeMutablePointer<UInt8>
    private var plain: UnsafePointer<UInt8>
    private var at = 0
    /// Positions before this are in the chains.
    private var inserted = 0
    private var textStart = 0
    private(set) var isBetweenBlocks = true
    private var blockStart = 0
    private var tokens = 0
    private(set) var steps = 0

    init() {
        sums = .allocate(capacity: 256)
        sums.initialize(from: Self.sums, count: 256)
        head = .allocate(capacity: 1 << 16)
        head.initialize(repeating: Self.never, count: 1 << 16)
        previous = .allocate(capacity: Self.window)
        previous.initialize(repeating: Self.never, count: Self.window)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        sums.deallocate()
        head.deallocate()
        previous.deallocate()
        nothing.deallocate()
    }

    /// Whether blocks of so many tokens and plain bytes may be full ones.
    static func isFull(tokens: Int, plain: Int) -> Bool {
        tokens == blockTokens && plain < blockPlain + 258
            || tokens <= blockTokens && plain >= blockPlain && plain < blockPlain + 258
    }

    var position: Int { at }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        inserted = at - history
        textStart = inserted
        head.update(repeating: Self.never, count: 1 << 16)
        isBetweenBlocks = true
    }

    func endBlock() { isBetweenBlocks = true }

    @inline(__always)
    private func hash(_ text: UnsafePointer<UInt8>) -> Int {
        let word = UnsafeRawPointer(text).loadUnaligned(as: UInt16.self)
        let outer = UInt32(word & 255) &<< 8 | UInt32(text[2])
        return Int(outer ^ sums[Int(word &>> 8)])
    }

    @inline(__always)
    private func insert(before end: Int, inputEnd: Int) {
        let last = min(end, inputEnd &- 2)
        var next = inserted
        while next < last {
            let slot = hash(plain + next)
            previous[next & Self.mask] = head[slot]
            head[slot] = Int32(truncatingIfNeeded: next)
            next &+= 1
        }
        if next > inserted { inserted = next }
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        insert(before: at, inputEnd: inputEnd)
        while left > 0 && at < stopAt && at < inputEnd {
            if isBetweenBlocks {
                isBetweenBlocks = false
                blockStart = at
                tokens = 0
            }
            var length = 0
            var distance = 0
            if inputEnd &- at >= 3 { length = longest(min(inputEnd &- at, 258), &distance) }
            let token = length > 0 ? Token.match(length: length, distance: distance) : UInt32(plain[at])
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            at &+= Token.span(real)
            if Token.isMatch(real) { insert(before: at, inputEnd: inputEnd) }
            tokens &+= 1
            if tokens >= Self.blockTokens || at &- blockStart >= Self.blockPlain {
                isBetweenBlocks = true
                return
            }
        }
    }

    /// The match taken at ``at``, whose position goes into the chains: its length, or 0.
    @inline(__always)
    private func longest(_ most: Int, _ distance: inout Int) -> Int {
        let scan = plain + at
        let slot = hash(scan)
        var candidate = Int(head[slot])
        previous[at & Self.mask] = Int32(truncatingIfNeeded: candidate)
        head[slot] = Int32(truncatingIfNeeded: at)
        inserted = max(inserted, at &+ 1)
        let lowest = max(at &- Self.window, textStart)
        var best = 2
        var tries = Self.depth
        while candidate >= lowest && tries > 0 {
            let text = plain + candidate
            if text[best] == scan[best] {
                let length = Matching.length(scan, text, most)
                if length > best {
                    best = length
                    distance = at &- candidate
                    if best >= min(Self.nice, most) { break }
                }
            }
            tries &-= 1
            candidate = Int(previous[candidate & Self.mask])
        }
        steps &+= Self.depth &- tries
        return best > 2 ? best : 0
    }
}
