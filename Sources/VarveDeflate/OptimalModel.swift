// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The predictor for encoders that look for the cheapest way through a block: zopfli, 7-Zip, libdeflate 10-12.
///
/// Such encoders try parse after parse, each under the costs of the one before, and no two of them alike. But what comes
/// out in the end is, nearly everywhere, the cheapest way under the codes that the block then has. So here the codes are
/// described before the tokens (``HeaderCoder``), the cheapest ways from every position to the block's end are found
/// (``CostsToGo``), and each token is described by which of the possible ones it is, in the order of what the rest of the
/// block would cost with it. Wherever the stream really goes, the costs from there on are known: nothing gets out of step.
final class OptimalModel: TokenModel {
    struct Parameters: Equatable {
        /// Places looked at for the matches of one position.
        var depth = 128
        /// Under which costs the encoder is taken to have looked for the cheapest way.
        var costs = CostSource.codes

        static let depthMax = 1024
    }

    /// Raw values are part of the plan format.
    enum CostSource: Int, CaseIterable {
        /// The codes' lengths: how plans of family 11 have it, with a description of tokens that learns more slowly.
        case codes = -1
        /// Fractions of bits, as the symbols' counts on the cheapest way under the codes' lengths give them: whoever tries
        /// many times, each under the counts of the time before.
        case refined = 0
        /// Fractions of bits, as the symbols' counts in a greedy parse give them: zopfli's first try.
        case greedy = 1
        /// The lengths of the codes of the block before: 7-Zip's first try. Its tree search and long matches too.
        case previous = 2
        /// The codes' lengths: whoever tries several times, each under the codes of the time before.
        case lengths = 3

        /// 7-Zip's number of fast bytes, where it tries once only.
        static let fastBytes = 32
    }

    static var plansAhead: Bool { true }
    static var describesTokens: Bool { true }

    private let trees: MatchTrees
    private let costsToGo: CostsToGo
    private let costs: TokenCosts
    private let choices = TokenChoices()
    private let ranks = TokenRanks()
    private let costSource: CostSource
    /// The code lengths of the block before, or of the guess: 286 and, from 288 on, 30.
    private let lengths: UnsafeMutablePointer<UInt8>
    private var knowsLengths = false
    private let builder = TreeBuilder()
    private let counts: UnsafeMutablePointer<Int32>

    private var plain: UnsafePointer<UInt8>
    private let nothing: UnsafeMutablePointer<UInt8>
    private(set) var position = 0
    private var historyStart = 0
    /// Positions before are in the trees.
    private var inserted = 0
    /// Where the block ends, and where text may not be looked at.
    private var blockEnd = 0
    private var inputEnd = 0
    /// Where the stretch at hand is to be left for the next.
    private var stretchEnd = 0
    /// Whether the block's costs are the encoder's own.
    private var isFollowing = false

    init(_ parameters: Parameters) {
        costSource = parameters.costs
        costs = TokenCosts(scale: costSource == .codes ? 0 : 8)
        costsToGo = CostsToGo(
            longestFree: costSource == .previous ? CostSource.fastBytes : MatchTrees.lengthMax,
            most: costSource == .codes ? .least : .most)
        counts = .allocate(capacity: 320)
        counts.initialize(repeating: 0, count: 320)
        trees = MatchTrees(depth: parameters.depth)
        lengths = .allocate(capacity: 320)
        lengths.initialize(repeating: 0, count: 320)
        nothing = .allocate(capacity: 320)
        nothing.initialize(repeating: 0, count: 320)
        plain = UnsafePointer(nothing)
    }

    deinit {
        lengths.deallocate()
        nothing.deallocate()
        counts.deallocate()
    }

    var steps: Int { trees.steps &+ costsToGo.steps &+ choices.steps &+ ranks.steps }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        trees.reset()
        position = at
        historyStart = at - history
        inserted = historyStart
        blockEnd = at
        stretchEnd = at
        costsToGo.restart(at: at)
    }

    func resetProbabilities() {
        if costSource == .codes { choices.reset() } else { ranks.reset() }
        knowsLengths = false
    }

    // MARK: blocks

    func beginBlock(end: Int, inputEnd: Int) {
        blockEnd = end
        isFollowing = false
        self.inputEnd = inputEnd
        costsToGo.restart(at: position)
        insertSkipped()
        fill()
    }

    /// Takes in the positions of text that came without being searched.
    private func insertSkipped() {
        inserted = max(inserted, position &- MatchTrees.window)
        guard let room = costsToGo.room else { return }
        while inserted < position && inserted &+ 3 <= inputEnd {
            _ = insert(inserted, found: room)
            inserted &+= 1
        }
    }

    @inline(__always)
    private func insert(_ at: Int, found: UnsafeMutablePointer<UInt32>) -> Int {
        if costSource == .previous { return insertFast(at, found: found) }
        return trees.insert(
            plain, at, most: min(MatchTrees.lengthMax, inputEnd &- at), lowest: historyStart, found: found)
    }

    /// Looks for matches of the length that is enough for 7-Zip; how long such a one really is comes out afterwards.
    @inline(__always)
    private func insertFast(_ at: Int, found: UnsafeMutablePointer<UInt32>) -> Int {
        let enough = CostSource.fastBytes
        let count = trees.insert(
            plain, at, most: min(enough, inputEnd &- at), lowest: historyStart, found: found)
        if count > 0 && Token.length(found[count &- 1]) == enough {
            let distance = Token.distance(found[count &- 1])
            let most = min(MatchTrees.lengthMax, inputEnd &- at)
            let text = plain + (at &+ enough)
            let length = enough &+ Matching.length(text, text - distance, most &- enough)
            found[count &- 1] = Token.match(length: length, distance: distance)
        }
        return count
    }

    /// Finds matches as far as there is room, at most to the block's end.
    private func fill() {
        while costsToGo.end < blockEnd, let room = costsToGo.room {
            let at = costsToGo.end
            var count = 0
            if at &+ 3 <= inputEnd && at == inserted {
                count = insert(at, found: room)
                inserted &+= 1
            }
            costsToGo.append(count)
        }
        let overlap = min(Self.overlapMax, (costsToGo.end &- costsToGo.start) / 2)
        stretchEnd = costsToGo.end == blockEnd ? blockEnd : costsToGo.end &- overlap
    }

    /// So far before its end a stretch is left for the next one, where the block goes on behind.
    private static let overlapMax = 4096

    /// Guesses the block's symbol counts, by the code lengths of the block before.
    func guessCounts(literals: UnsafeMutablePointer<Int32>, distances: UnsafeMutablePointer<Int32>) {
        if !knowsLengths {
            for symbol in 0..<286 { lengths[symbol] = symbol < 256 ? 8 : (symbol < 265 ? 7 : 9) }
            for code in 0..<30 { lengths[288 + code] = 5 }
            guess(literals, distances)
            _ = builder.build(.zlib, literals, 286, maxBits: 15, into: lengths)
            _ = builder.build(.zlib, distances, 30, maxBits: 15, into: lengths + 288)
        }
        guess(literals, distances)
    }

    private func guess(_ literals: UnsafeMutablePointer<Int32>, _ distances: UnsafeMutablePointer<Int32>) {
        costs.set(lengths, lengths + 288, missing: 13 << costs.scale, missingDistance: 9 << costs.scale)
        costsToGo.solve(plain, costs)
        costsToGo.count(plain, costs, literals: literals, distances: distances)
    }

    var headersAreNear: Bool { costSource != .codes }

    /// Whether the costs are there before the codes.
    var codesComeLast: Bool {
        switch costSource {
        case .codes, .refined, .lengths: return false
        case .greedy: return true
        case .previous: return knowsLengths
        }
    }

    func goWithoutCodes() {
        switch costSource {
        case .greedy:
            costsToGo.countGreedily(plain, literals: counts, distances: counts + 288)
            costs.set(literalCounts: counts, distanceCounts: counts + 288)
        default:
            costs.set(lengths, lengths + 288, missing: 11 << costs.scale, missingDistance: 6 << costs.scale)
        }
        costsToGo.solve(plain, costs)
        costsToGo.follow(plain, costs)
        isFollowing = true
    }

    func learnCodes(_ all: UnsafePointer<UInt8>, literals: Int, distances: Int) {
        lengths.update(repeating: 0, count: 320)
        for symbol in 0..<min(literals, 286) { lengths[symbol] = all[symbol] }
        for code in 0..<min(distances, 30) { lengths[288 + code] = all[literals + code] }
        knowsLengths = true
    }

    func useCodes(_ all: UnsafePointer<UInt8>, literals: Int, distances: Int) {
        learnCodes(all, literals: literals, distances: distances)
        costs.set(lengths, lengths + 288, missing: costs.never, missingDistance: costs.never)
        costsToGo.solve(plain, costs)
        guard costSource == .refined else { return }
        costsToGo.count(plain, costs, literals: counts, distances: counts + 288)
        costs.refine(literalCounts: counts, distanceCounts: counts + 288, lengths, lengths + 288)
        costsToGo.solve(plain, costs)
    }

    /// Goes on to the next stretch of a long block.
    private func nextStretch() {
        costsToGo.drop(before: position)
        fill()
        costsToGo.solve(plain, costs)
        if isFollowing { costsToGo.follow(plain, costs) }
    }

    // MARK: tokens

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        if O.isVirtual {
            while position < stopAt && left > 0 {
                oracle.push(UInt32(plain[position]))
                position &+= 1
                left &-= 1
            }
            return
        }
        let limit = min(stopAt, blockEnd)
        while left > 0 && position < limit {
            if position >= stretchEnd { nextStretch() }
            let here = TokenChoices.Place(
                plain: plain, at: position, room: limit &- position, reach: position &- historyStart)
            let token: UInt32
            if costSource == .codes {
                token = choices.code(&oracle, here, costsToGo, costs)
            } else {
                token = ranks.code(
                    &oracle, here, costsToGo, costs, followed: isFollowing ? costsToGo.followed(from: position) : 0)
            }
            oracle.push(token)
            position &+= Token.span(token)
            left &-= 1
        }
    }
}
