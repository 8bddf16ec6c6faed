// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// miniz at levels 2-10, as Rust's miniz_oxide carries it on (flate2's usual backend): chains of all positions with the same
/// hash of three bytes, searched three at a time; levels 4 and up hold a match of fewer than 128 bytes back if the next
/// position has a longer one. Positions are kept in sixteen bits, so that what is older than 64 KiB looks new again; those that
/// are a multiple of 64 KiB are never found.
final class MinizModel: TokenModel {
    struct Parameters: Equatable {
        var level = 6
        /// Level 1: whether pieces of input go on over the ends of blocks.
        var piecesGoOn = false
    }

    /// Chain entries looked at by level, before they are rounded.
    private static let probes = [0, 1, 6, 32, 16, 32, 128, 256, 512, 768, 1500]
    private static let mask = 32767
    private static let window = 32768
    /// Text that the encoder takes in before it looks at a position; all of it is hashed.
    private static let lookahead = 258
    /// A match of three bytes that far back is dropped.
    private static let tooFar = 8192
    /// A match of so many bytes is taken at once.
    private static let enough = 128

    private let isGreedy: Bool
    /// Groups of three entries looked at, one more than that, for a match so far of fewer than 32 bytes and for a longer one.
    private let groups: (Int, Int)
    private let head: UnsafeMutablePointer<UInt16>
    private let previous: UnsafeMutablePointer<UInt16>
    private let nothing: UnsafeMutablePointer<UInt8>
    private var plain: UnsafePointer<UInt8>
    /// The position looked at; one past the next token's start while a match is held back.
    private var at = 0
    private var inserted = 0
    private var origin = 0
    private var textStart = 0
    private var heldLength = 0
    private var heldDistance = 0
    private var codes = MinizCodes()
    private(set) var isBetweenBlocks = true
    private(set) var steps = 0

    init(_ parameters: Parameters) {
        let probes = Self.probes[min(max(parameters.level, 2), 10)]
        isGreedy = parameters.level < 4
        groups = (1 + (probes + 2) / 3, 1 + (probes >> 2 + 2) / 3)
        head = .allocate(capacity: Self.window)
        head.initialize(repeating: 0, count: Self.window)
        previous = .allocate(capacity: Self.window)
        previous.initialize(repeating: 0, count: Self.window)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        head.deallocate()
        previous.deallocate()
        nothing.deallocate()
    }

    var position: Int { heldLength > 0 ? at - 1 : at }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        self.origin = origin
        inserted = at - history
        textStart = inserted
        head.update(repeating: 0, count: Self.window)
        previous.update(repeating: 0, count: Self.window)
        heldLength = 0
        isBetweenBlocks = true
    }

    func endBlock() { isBetweenBlocks = true }

    /// Puts every position before `end` into the chains.
    @inline(__always)
    private func insert(before end: Int) {
        var next = inserted
        while next < end {
            let text = plain + next
            let slot = Int((UInt16(text[0]) &<< 10 ^ UInt16(text[1]) &<< 5 ^ UInt16(text[2])) & 32767)
            let index = next &- origin
            previous[index & Self.mask] = head[slot]
            head[slot] = UInt16(truncatingIfNeeded: index)
            next &+= 1
        }
        if next > inserted { inserted = next }
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        let text = plain
        while left > 0 && position < stopAt {
            if isBetweenBlocks {
                isBetweenBlocks = false
                codes = MinizCodes()
            }
            var length = heldLength > 0 ? heldLength : 2
            var distance = 0
            let ahead = min(inputEnd &- at, Self.lookahead)
            if ahead > 0 {
                insert(before: min(at &+ Self.lookahead &- 2, inputEnd &- 2))
                search(ahead, &length, &distance)
                let ring = (at &- origin) & Self.mask
                if length == 3 && distance >= Self.tooFar || ring == distance {
                    length = 0
                    distance = 0
                }
            } else if heldLength == 0 {
                return
            } else {
                length = 0
            }
            if heldLength > 0 {
                let start = at &- 1
                if length > heldLength {
                    let real = oracle.next(UInt32(text[start]), literal: text[start], limit: stopAt &- start)
                    left &-= 1
                    if Token.isMatch(real) {
                        take(real, start)
                    } else {
                        heldLength = 0
                        codes.count(real)
                        if length >= Self.enough && left > 0 && at < stopAt {
                            offer(&oracle, length, distance, stopAt)
                            left &-= 1
                        } else {
                            hold(length, distance)
                        }
                    }
                } else {
                    let token = Token.match(length: heldLength, distance: heldDistance)
                    let real = oracle.next(token, literal: text[start], limit: stopAt &- start)
                    left &-= 1
                    heldLength = 0
                    take(real, start)
                }
            } else if distance == 0 {
                let real = oracle.next(UInt32(text[at]), literal: text[at], limit: stopAt &- at)
                left &-= 1
                take(real, at)
            } else if isGreedy || length >= Self.enough {
                offer(&oracle, length, distance, stopAt)
                left &-= 1
            } else {
                hold(length, distance)
                continue
            }
            if codes.isFull {
                isBetweenBlocks = true
                return
            }
        }
    }

    /// Holds the match at ``at`` back.
    @inline(__always)
    private func hold(_ length: Int, _ distance: Int) {
        heldLength = length
        heldDistance = distance
        at &+= 1
    }

    @inline(__always)
    private func offer<O: TokenOracle>(_ oracle: inout O, _ length: Int, _ distance: Int, _ stopAt: Int) {
        let token = Token.match(length: length, distance: distance)
        take(oracle.next(token, literal: plain[at], limit: stopAt &- at), at)
    }

    /// Goes on behind a token.
    @inline(__always)
    private func take(_ token: UInt32, _ start: Int) {
        codes.count(token)
        at = start &+ Token.span(token)
        heldLength = 0
    }

    /// The best match at ``at`` that is longer than `length`.
    @inline(__always)
    private func search(_ most: Int, _ length: inout Int, _ distance: inout Int) {
        if most <= length { return }
        let index = at &- origin
        let scan = plain + at
        let farthest = min(Self.window &- most, at &- textStart)
        let opening = UnsafeRawPointer(scan).loadUnaligned(as: UInt16.self)
        var ending = UnsafeRawPointer(scan + (length &- 1)).loadUnaligned(as: UInt16.self)
        var left = length < 32 ? groups.0 : groups.1
        var probe = index & Self.mask
        var work = 0
        defer { steps &+= work }
        while true {
            var back = 0
            var isFound = false
            repeat {
                left &-= 1
                if left == 0 { return }
                for _ in 0..<3 {
                    let next = Int(previous[probe])
                    back = (index &- next) & 0xffff
                    work &+= 1
                    if next == 0 || back > farthest { return }
                    probe = next & Self.mask
                    let there = UnsafeRawPointer(scan + (length &- 1 &- back)).loadUnaligned(as: UInt16.self)
                    if there == ending {
                        isFound = true
                        break
                    }
                }
            } while !isFound
            if back == 0 { return }
            let text = scan - back
            if UnsafeRawPointer(text).loadUnaligned(as: UInt16.self) != opening { continue }
            let found = Matching.length(scan, text, most)
            work &+= found &>> 4
            if found > length {
                length = found
                distance = back
                if found >= most { return }
                ending = UnsafeRawPointer(scan + (length &- 1)).loadUnaligned(as: UInt16.self)
            }
        }
    }
}

/// How full miniz's buffer of tokens is, which is where its blocks end: a literal takes a byte, a match three, each eight of them
/// one more.
struct MinizCodes {
    private var used = 1
    private var flagsLeft = 8
    private var plain = 0

    private static let room = 64 << 10
    /// With so many plain bytes, a block that seems to save nothing ends.
    private static let least = 31 << 10

    init() {}

    /// Those of so many tokens.
    init(tokens: Int, matches: Int, plain: Int) {
        used = 1 + tokens + 2 * matches + tokens / 8
        flagsLeft = 8 - tokens % 8
        self.plain = plain
    }

    @inline(__always)
    mutating func count(_ token: UInt32) {
        used &+= Token.isMatch(token) ? 3 : 1
        plain &+= Token.span(token)
        flagsLeft &-= 1
        if flagsLeft == 0 {
            flagsLeft = 8
            used &+= 1
        }
    }

    /// Whether there is no room for more.
    var isTight: Bool { used > Self.room - 8 }

    /// Whether the block ends, at all levels but the first.
    var isFull: Bool { isTight || plain > Self.least && used &* 115 &>> 7 >= plain }
}
