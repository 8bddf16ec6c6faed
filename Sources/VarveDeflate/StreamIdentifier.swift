// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Finds the encoder: decodes a prefix and lets candidate models describe it; the cheapest description wins.
struct StreamIdentifier {
    private let source: CompressedReader

    init(source: @escaping CompressedReader) {
        self.source = source
    }

    func identify() throws -> StreamParameters {
        var scanner = try StreamScanner(source: source, plainCapacity: 3 << 20)
        let prefix = try StreamPrefix(&scanner)
        return prefix.best()
    }
}

/// A decoded stretch of a stream: its beginning, or some of its middle.
struct StreamPrefix {
    /// Plain bytes of a short look at a model, enough only together with so many compressed ones.
    private static let glancePlain = 160_000
    private static let glanceCompressed = 40_000
    private static let elementsMax = 20_000
    /// Search steps for a look at a model: less than a second.
    private static let stepsMax = 400 << 20

    let plain: PlainBuffer
    private let tokens: TokenBuffer
    private var elements: [StreamElement] = []
    /// Where input is known to have ended, from the start of all plain bytes.
    private var endings: [Int] = []
    private var complete = false
    /// The segment that the stretch would be, for a model: where it begins and what the model knows there.
    private let segment: (StreamParameters) -> DeflatePlan.Segment
    let start: Int
    private let compressedBytes: Int
    /// The elements of a short look, and of a long one.
    private var glance: [StreamElement] = []
    private var sample: [StreamElement] = []

    init(_ scanner: inout StreamScanner) throws {
        plain = scanner.reader.plain
        tokens = scanner.reader.tokens
        segment = { _ in DeflatePlan.Segment() }
        start = 0
        while true {
            guard let element = try scanner.next() else {
                complete = true
                break
            }
            elements.append(element)
            if case .block(let block) = element, block.isMarker || block.isFinal {
                endings.append(block.plainStart + block.plainCount)
            }
            let compressed = scanner.reader.bitPosition / 8
            let isEnough = plain.end > DeflateAnalyzer.prefixBytes && compressed > 4 * Self.glanceCompressed
            if isEnough || plain.end > DeflateAnalyzer.prefixMost || elements.count > Self.elementsMax { break }
        }
        compressedBytes = scanner.reader.bitPosition / 8
        takeSamples()
    }

    /// A stretch of a stream that is being analysed; it begins with a block.
    /// - Parameter segment: How a segment that begins there gets at a model's state.
    init(
        _ reader: InflateReader, _ elements: [StreamElement], endings: [Int], compressedBytes: Int, start: Int,
        segment: @escaping (StreamParameters) -> DeflatePlan.Segment
    ) {
        plain = reader.plain
        tokens = reader.tokens
        self.elements = elements
        self.endings = endings.filter { $0 > start }
        self.segment = segment
        self.start = start
        self.compressedBytes = compressedBytes
        takeSamples()
    }

    private mutating func takeSamples() {
        glance = sampled(plainMost: Self.glancePlain, compressedMin: Self.glanceCompressed)
        sample = sampled(plainMost: DeflateAnalyzer.prefixBytes, compressedMin: 4 * Self.glanceCompressed)
    }

    /// The first elements, up to the block with which there are enough plain and compressed bytes. Of a block that is far
    /// longer than wanted only the tokens wanted are taken, as a block of fixed codes.
    private func sampled(plainMost: Int, compressedMin: Int) -> [StreamElement] {
        var result: [StreamElement] = []
        var firstBit: Int?
        for element in elements {
            guard case .block(let block) = element else {
                result.append(element)
                continue
            }
            let bit = firstBit ?? block.bitStart
            firstBit = bit
            let before = block.plainStart - start
            if before >= plainMost && block.bitStart - bit >= compressedMin * 8 { break }
            if before >= DeflateAnalyzer.prefixMost { break }
            if block.kind != .stored && block.plainCount > 2 * plainMost
                && (block.tokenCount > compressedMin || block.plainCount > DeflateAnalyzer.prefixMost)
            {
                result.append(.block(shortened(block, tokens: compressedMin, plain: DeflateAnalyzer.prefixMost)))
                break
            }
            result.append(element)
        }
        return result
    }

    /// The beginning of a block as one of its own.
    private func shortened(_ block: DeflateBlock, tokens tokensMost: Int, plain plainMost: Int) -> DeflateBlock {
        var result = block
        result.kind = .fixed
        result.isFinal = false
        result.header = nil
        result.plainCount = 0
        result.tokenCount = 0
        result.matchCount = 0
        while result.tokenCount < min(tokensMost, block.tokenCount) && result.plainCount < plainMost {
            let token = tokens.base[block.tokenStart + result.tokenCount]
            result.plainCount += Token.span(token)
            if Token.isMatch(token) { result.matchCount += 1 }
            result.tokenCount += 1
        }
        return result
    }

    /// What describing a sample costs, in bytes, and how often the model is wrong on the way.
    /// - Parameter most: Above so many bytes the number does not matter.
    func cost(
        _ parameters: StreamParameters, _ sample: [StreamElement], most: Int
    ) -> (bytes: Int, departures: Int, steps: Int) {
        var end = start
        for case .block(let block) in sample { end = block.plainStart + block.plainCount }
        let origin = plain.origin
        let from = segment(parameters)
        let geometry = SegmentGeometry(
            start: start - origin, end: end - origin, available: min(end + DeflatePlan.lookahead, plain.end) - origin,
            lead: from.lead, history: from.history, age: from.age)
        if geometry.start < geometry.lead + geometry.history { return (Int.max / 4, Int.max / 4, 0) }
        let walk = parameters.model.makeWalk(parameters)
        let (blocks, tokens) = walk.write(
            sample[...], plain: UnsafePointer(plain.base), plainOrigin: origin, geometry: geometry,
            tokens: tokens.base, endings: endings.map { $0 - origin }[...],
            effort: Effort(bytesMax: most, stepsMax: Self.stepsMax))
        if walk.unrepresentable || walk.gaveUp != nil { return (Int.max / 4, Int.max / 4, walk.steps) }
        return (blocks.count + tokens.count, walk.corrections, walk.steps)
    }

    /// The commonest value of at least half of the list, if it stands for three or more.
    private static func majority(_ values: [Int]) -> Int? {
        var counts: [Int: Int] = [:]
        for value in values { counts[value, default: 0] += 1 }
        guard let best = counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) }) else { return nil }
        return best.value * 2 >= values.count && (best.value >= 3 || values.count == best.value) ? best.key : nil
    }

    /// The block rule that the blocks look like, whoever wrote them.
    func plainRule() -> BlockRule {
        var tokenCounts: [Int] = []
        var plainCounts: [Int] = []
        for element in elements {
            if case .block(let block) = element, !block.isFinal, block.plainCount > 0 {
                plainCounts.append(block.plainCount)
                if block.kind != .stored { tokenCounts.append(block.tokenCount) }
            }
        }
        if let n = Self.majority(tokenCounts), n > 0 { return .tokens(n) }
        if let n = Self.majority(plainCounts), n > 0 { return .plain(n) }
        return .none
    }

    /// Sizes that the input seems to be cut into, and what could happen there.
    private func unitGuesses() -> [(size: Int, dictionary: Int)] {
        let last = plain.end
        var inner = endings.filter { $0 > start && $0 < last }.map { $0 - start }
        if inner.isEmpty, !complete, let only = endings.first, only == last { inner = [only - start] }
        guard let first = inner.first else { return [(0, -1)] }
        let size = inner.allSatisfy { $0 % first == 0 } ? first : 0
        return [(size, 16384), (size, -1), (size, 32768), (size, 0)]
    }

    /// Whether blocks end after pieces of 65535 plain bytes.
    private func looksPieced() -> Bool {
        var pieced = 0
        var other = 0
        for element in elements {
            guard case .block(let block) = element, block.plainCount > 0, !block.isFinal else { continue }
            if block.plainCount % 65535 == 0 {
                pieced += 1
            } else if !endings.contains(block.plainStart + block.plainCount) {
                other += 1
            }
        }
        return other <= pieced / 8
    }

    /// How many matches of three bytes there are: an encoder whose hash is over four finds few, by chance, or none.
    enum Threes { case none, few, many }
    typealias MatchFacts = (windowBits: Int, strategy: ChainModel.Strategy, threes: Threes)

    /// What the sample's matches say about zlib's settings; the usual ones where there are too few to say.
    private func matchFacts() -> MatchFacts {
        var farthest = 0
        var shortest = Int.max
        var threes = 0
        var matches = 0
        var literals = 0
        for case .block(let block) in sample where block.matchCount > 0 {
            matches += block.matchCount
            literals += block.tokenCount - block.matchCount
            for index in block.tokenStart..<(block.tokenStart + block.tokenCount) {
                let token = tokens.base[index]
                if !Token.isMatch(token) { continue }
                farthest = max(farthest, Token.distance(token))
                shortest = min(shortest, Token.length(token))
                if Token.length(token) == 3 { threes += 1 }
            }
        }
        let few: Threes = threes == 0 ? .none : (threes <= matches / 12 ? .few : .many)
        // Too few to say anything: the usual encoders go first.
        if matches < 100 || literals < 500 { return (15, .usual, .few) }
        if farthest == 1 { return (15, .runs, .few) }
        var windowBits = 9
        while windowBits < 15 && farthest > 1 << windowBits - 262 { windowBits += 1 }
        // Of less text than four windows it is hardly known how far matches might have reached.
        if plain.end - start < 4 << windowBits { windowBits = 15 }
        return (windowBits, shortest > 5 ? .filtered : .usual, few)
    }

    /// Encoder models worth trying, by family; the family that the blocks look like first.
    private func families() -> [[StreamParameters]] {
        func set(_ model: ModelChoice, _ rule: BlockRule, _ tree: TreeKind) -> StreamParameters {
            StreamParameters(model: model, rule: rule, tree: tree)
        }
        var zlib: [StreamParameters] = []
        var go: [StreamParameters] = []
        var tokenRule = BlockRule.tokens(16383)
        var memLevel = 8
        var common = 0
        if case .tokens(let n) = plainRule(), n > 0 {
            tokenRule = .tokens(n)
            common = n
            for level in 1...9 where n == 1 << (level + 6) - 1 { memLevel = level }
        }
        let matches = matchFacts()
        for level in [6, 9, 1, 5, 7, 8, 4, 3, 2] {
            let chain = ChainModel.Parameters(
                level: level, memLevel: memLevel, gnu: false, windowBits: matches.windowBits,
                strategy: matches.strategy)
            zlib.append(set(.chain(chain), tokenRule, .zlib))
            let usual = ChainModel.Parameters(level: level, memLevel: memLevel, gnu: false)
            if chain != usual { zlib.append(set(.chain(usual), tokenRule, .zlib)) }
            let rule = BlockRule.gnu(32767, looks: level > 2, ahead: level < 4 ? 0 : 1)
            zlib.append(set(.chain(.init(level: level, memLevel: 8, gnu: true)), rule, .zlib))
            if level > 1 { go.append(set(.go(.init(level: level)), .tokens(16384), .go)) }
        }
        var lazy = [9, 7, 8].map { set(.klauspostLazy(.init(level: $0)), .pieces(32768), .go) }
        lazy.append(set(.klauspostLazy(.init(level: 9, capped: false)), .pieces(32768), .go))
        var result = [zlib, go, lazy]
        if common != 16384 && matches.threes != .many {
            result.insert(descendants(tokenRule, memLevel, matches), at: matches.threes == .none ? 0 : 1)
        }
        result.append([set(.zlibNG(level: 9, hash: .multiplied), tokenRule, .zlib)])
        if common == 16384 { result = [go, zlib, lazy] }
        if common > 0 && common % 32768 == 0 { result = [lazy, zlib, go] }
        if looksPieced() {
            var pieced: [StreamParameters] = []
            for level in [5, 6, 1, 4, 3, 2] {
                pieced.append(set(.klauspost(.init(level: level, era: .since1_15_11)), .plain(65535), .go))
                pieced.append(set(.klauspost(.init(level: level, era: .before1_15_10)), .plain(65535), .go))
            }
            pieced.append(set(.goFast, .plain(65535), .go))
            for level in [5, 6, 1, 4, 3, 2] {
                pieced.append(set(.klauspost(.init(level: level, era: .before1_14)), .plain(65535), .go))
                if level > 4 {
                    pieced.append(set(.klauspost(.init(level: level, era: .before1_12)), .plain(65535), .go))
                }
            }
            result.insert(pieced, at: 0)
        }
        if let libdeflate = libdeflateFamily() {
            // Go's codes are often the same, but its blocks are of one size.
            result.insert(libdeflate, at: common == 0 && !looksPieced() ? 0 : result.count)
        }
        return result
    }

    /// libdeflate's models, if the codes look like its.
    private func libdeflateFamily() -> [StreamParameters]? {
        let evidence = TreeEvidence.of(
            elements, tokens: UnsafePointer(tokens.base), kinds: [.libdeflate, .libdeflateOld])
        guard evidence.fits(.libdeflate) || evidence.fits(.libdeflateOld) else { return nil }
        let tree: TreeKind = evidence.fits(.libdeflate) ? .libdeflate : .libdeflateOld
        return [6, 1, 9, 5, 4, 3, 2, 7, 8].map {
            StreamParameters(model: .libdeflate(.init(level: $0)), rule: .model, tree: tree)
        }
    }

    /// The parameters that describe the stretch best.
    /// - Parameters:
    ///   - rival: Other parameters to be compared with, and to be kept if nothing is better.
    ///   - keepsUnits: Whether the rival's input units are right.
    func best(against rival: StreamParameters? = nil, keepsUnits: Bool = false) -> StreamParameters {
        // A short look at every model, then the whole prefix for those that did best.
        var trials: [(cost: Int, parameters: StreamParameters)] = []
        var shortest = Int.max / 4
        var mostSteps = 0
        for family in families() {
            var fits = false
            for trial in family {
                let found = cost(trial, glance, most: shortest + shortest / 3 + 64)
                if found.departures == 0 { fits = true }
                shortest = min(shortest, found.bytes)
                if found.bytes < Int.max / 4 { mostSteps = max(mostSteps, found.steps) }
                trials.append((found.bytes, trial))
            }
            if fits { break }
        }
        trials.sort { $0.cost < $1.cost }
        // What is slow over the glance would be far too slow over ten times as much.
        let sample = mostSteps > Self.stepsMax / 8 ? glance : self.sample
        var best = StreamParameters()
        var bestCost = Int.max
        var units = unitGuesses()
        if let rival {
            best = rival
            bestCost = cost(rival, sample, most: Int.max).bytes
            if keepsUnits { units = [(rival.unitSize, rival.unitDictionary)] }
        }
        var perfect = 0
        for trial in trials.prefix(8) where trial.cost <= shortest + shortest / 3 + 64 {
            // zlib and GNU gzip search alike and differ in where blocks end: one more may be better still.
            if perfect > 0 && trial.cost > shortest + 24 || perfect > 1 { break }
            var bestUnit = units[0]
            var bestHere = Int.max
            for unit in units {
                var parameters = trial.parameters
                parameters.unitSize = unit.size
                parameters.unitDictionary = unit.dictionary
                let found = cost(parameters, sample, most: bestHere)
                if found.bytes < bestHere {
                    bestHere = found.bytes
                    bestUnit = unit
                }
                if found.bytes < bestCost {
                    bestCost = found.bytes
                    best = parameters
                }
                if found.departures == 0 {
                    perfect += 1
                    if case .plain = parameters.rule { perfect += 1 }
                    break
                }
            }
            units = [bestUnit]
        }
        if perfect == 0 { best = handedOver(best, sample, &bestCost) }
        // Not convincing: see what the generic predictor makes of it.
        if bestCost > compressedBytes / 400 {
            let generic = bestGeneric()
            if cost(generic, sample, most: bestCost).bytes < bestCost { best = generic }
        }
        return best
    }

    private func bestGeneric() -> StreamParameters {
        var parameters = StreamParameters()
        parameters.rule = plainRule()
        var best = parameters
        var bestCost = Int.max
        for tree in TreeKind.allCases {
            for hashBytes in [3, 4] {
                for depth in [1, 4, 16, 128, 1024] {
                    var trial = parameters
                    trial.tree = tree
                    trial.model = .generic(.init(hashBytes: hashBytes, depth: depth))
                    if tree != .zlib && depth != 16 { continue }
                    let found = cost(trial, glance, most: Int.max).bytes
                    if bestCost == Int.max || found * 100 < bestCost * 98 {
                        bestCost = found
                        best = trial
                    }
                }
            }
        }
        return best
    }
}
