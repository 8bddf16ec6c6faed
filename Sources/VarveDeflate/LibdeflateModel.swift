// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The parser of libdeflate 1.9 and later at levels 2-9: greedy up to level 4, looking one position ahead for a better match
/// up to 7, two positions at 8 and 9.
///
/// libdeflate gets all of its input in one call and ends blocks where the text seems to change, so that the model itself
/// says where: what the parser does depends on where its block began. Nothing else is kept from block to block but the
/// positions already seen.
final class LibdeflateModel: TokenModel {
    struct Parameters: Equatable {
        /// 1 is ``LibdeflateFastModel``'s.
        var level = 6
    }

    /// Search depth and the match length that is good enough, from level 2 on.
    private static let levels: [(depth: Int, nice: Int)] = [
        (6, 10), (12, 14), (16, 30), (16, 30), (35, 65), (100, 130), (300, 258), (600, 258),
    ]
    /// Matches in a block at most.
    private static let matchesMost = 50_000
    /// A match of three bytes farther back than this is none.
    private static let tooFarGreedy = 4096
    private static let tooFarLazy = 8192

    private let depth: Int
    private let nice: Int
    private let lazy: Bool
    private let farSighted: Bool
    private let literals: UnsafeMutablePointer<UInt32>
    private let nothing: UnsafeMutablePointer<UInt8>
    private var chains: LibdeflateChains
    private var plain: UnsafePointer<UInt8>
    private var at = 0

    // The block in progress.
    private(set) var isBetweenBlocks = true
    private var blockStart = 0
    private var blockEnd = 0
    private var matches = 0
    private var shortest = 3
    private var nextLook = 0
    private var split = LibdeflateSplit()

    // A match at `at` that was found while looking ahead; none if its length is 0.
    private var held = 0
    private var heldDistance = 0
    /// Literals that come before the held match, which then starts so much later.
    private var literalsDue = 0

    init(_ parameters: Parameters) {
        let level = min(max(parameters.level, 2), 9)
        depth = Self.levels[level - 2].depth
        nice = Self.levels[level - 2].nice
        lazy = level > 4
        farSighted = level > 7
        literals = .allocate(capacity: 256)
        literals.initialize(repeating: 0, count: 256)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
        chains = LibdeflateChains(plain)
    }

    deinit {
        chains.deallocate()
        literals.deallocate()
        nothing.deallocate()
    }

    var position: Int { at }
    var steps: Int { chains.steps }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        chains.begin(plain, start: at - history, isFirst: at - history == origin)
        endBlock()
    }

    func endBlock() {
        isBetweenBlocks = true
        held = 0
        literalsDue = 0
    }

    private func beginBlock(_ inputEnd: Int) {
        isBetweenBlocks = false
        blockStart = at
        blockEnd = LibdeflateSplit.latestEnd(at, inputEnd)
        matches = 0
        split = LibdeflateSplit()
        shortest = LibdeflateShortest.match(plain + at, blockEnd - at, depth: depth)
        if lazy {
            literals.update(repeating: 0, count: 256)
            nextLook = at + min(inputEnd - at, 10_000)
        }
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        if at >= stopAt || at >= inputEnd { return }
        chains.insert(before: at, inputEnd: inputEnd)
        if isBetweenBlocks { beginBlock(inputEnd) }
        if lazy {
            runLazy(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        } else {
            runGreedy(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        }
    }

    /// Takes note of the token that really came, and moves behind it.
    @inline(__always)
    private func take(_ token: UInt32, _ inputEnd: Int) {
        if Token.isMatch(token) {
            let length = Token.length(token)
            at &+= length
            matches &+= 1
            split.match(length: length)
            chains.insert(before: at, inputEnd: inputEnd)
        } else {
            let byte = UInt8(truncatingIfNeeded: token)
            if lazy { literals[Int(byte)] &+= 1 }
            at &+= 1
            split.literal(byte)
        }
    }

    /// Whether the block ends here; to be asked only where the encoder asks itself.
    @inline(__always)
    private func endsBlock(_ inputEnd: Int) -> Bool {
        if at >= blockEnd || matches >= Self.matchesMost
            || split.ends(length: at &- blockStart, left: inputEnd &- at)
        {
            isBetweenBlocks = true
            return true
        }
        return false
    }

    // MARK: levels 2-4

    private func runGreedy<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && at < stopAt && at < inputEnd {
            let most = min(inputEnd &- at, 258)
            var distance = 0
            let length = chains.longest(
                at, atLeast: shortest &- 1, most: most, nice: min(nice, most), depth: depth, &distance)
            var token = UInt32(plain[at])
            if length >= shortest && (length > 3 || distance <= Self.tooFarGreedy) {
                token = Token.match(length: length, distance: distance)
            }
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            take(real, inputEnd)
            if endsBlock(inputEnd) { return }
        }
    }

    // MARK: levels 5-9

    private func runLazy<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && at < stopAt && at < inputEnd {
            if literalsDue > 0 {
                let real = oracle.next(UInt32(plain[at]), literal: plain[at], limit: stopAt &- at)
                left &-= 1
                literalsDue &-= 1
                if Token.isMatch(real) {
                    drop()
                    take(real, inputEnd)
                    if endsBlock(inputEnd) { return }
                } else {
                    take(real, inputEnd)
                }
                continue
            }
            if held == 0 {
                if at >= nextLook {
                    shortest = LibdeflateShortest.match(literals: literals, depth: depth)
                    nextLook &+= min(inputEnd &- nextLook, at &- blockStart)
                }
                let most = min(inputEnd &- at, 258)
                var distance = 0
                let length = chains.longest(
                    at, atLeast: shortest &- 1, most: most, nice: min(nice, most), depth: depth, &distance)
                if length < shortest || length == 3 && distance > Self.tooFarLazy {
                    let real = oracle.next(UInt32(plain[at]), literal: plain[at], limit: stopAt &- at)
                    left &-= 1
                    take(real, inputEnd)
                    if endsBlock(inputEnd) { return }
                    continue
                }
                held = length
                heldDistance = distance
            }
            if held < min(nice, inputEnd &- at) && isBetterAhead(inputEnd) { continue }
            let token = Token.match(length: held, distance: heldDistance)
            drop()
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            take(real, inputEnd)
            if endsBlock(inputEnd) { return }
        }
    }

    private func drop() {
        held = 0
        literalsDue = 0
    }

    /// Looks at the next positions for a match that is worth the literals before it, and holds that one instead.
    @inline(__always)
    private func isBetterAhead(_ inputEnd: Int) -> Bool {
        if isBetter(1, depth &>> 1, 2, inputEnd) { return true }
        return farSighted && isBetter(2, depth &>> 2, 6, inputEnd)
    }

    @inline(__always)
    private func isBetter(_ ahead: Int, _ depth: Int, _ margin: Int, _ inputEnd: Int) -> Bool {
        let most = min(inputEnd &- at &- ahead, 258)
        var distance = 1
        let length = chains.longest(
            at &+ ahead, atLeast: held &- 1, most: most, nice: min(nice, most), depth: depth, &distance)
        if length < held { return false }
        let nearer = distance.leadingZeroBitCount &- heldDistance.leadingZeroBitCount
        if 4 &* (length &- held) &+ nearer <= margin { return false }
        held = length
        heldDistance = distance
        literalsDue = ahead
        return true
    }
}
