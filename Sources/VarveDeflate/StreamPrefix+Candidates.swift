// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What can be seen of a stream's encoder without running any model. It orders the candidates and never decides.
extension StreamPrefix {
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
    func unitGuesses() -> [InputUnits] {
        var inner = innerEndings()
        if inner.isEmpty, !complete, let only = endings.first, only == plain.end { inner = [only - member] }
        guard let first = inner.first else { return [InputUnits()] }
        let all = inner.reduce(first, Self.commonMeasure)
        // Some of pigz's regular ends are not to be seen; where most are missing, the measure is chance.
        let isRegular = inner.count * all >= (inner.last ?? 0) / 2
        let size = isRegular && (all == first || all >= Self.unitMin) ? all : 0
        // Who begins anew with a dictionary does so at regular places.
        if size > 0 { return [16384, -1, 32768, 0].map { InputUnits(size: size, dictionary: $0) } }
        let jobs = Self.jobSizes.map { InputUnits(dictionary: 32768, jobSize: $0) }
        return [InputUnits()] + jobs + [16384, 32768, 0].map { InputUnits(dictionary: $0) }
    }

    /// pigz's usual one, and some that people ask for.
    private static let jobSizes = [StreamParameters.usualJobSize, 256 << 10, 512 << 10, 1 << 20, 64 << 10]

    /// Whether input ended somewhere within the first member.
    var showsUnits: Bool { !innerEndings().isEmpty }

    /// A smaller size would be chance.
    private static let unitMin = 4096

    /// Where input ended within the first member, from the member's start.
    private func innerEndings() -> [Int] {
        var last = plain.end
        var at = start
        for element in elements {
            switch element {
            case .block(let block): at = block.plainStart + block.plainCount
            case .raw where at > start: last = min(last, at)
            default: break
            }
        }
        return endings.filter { $0 >= start && $0 > member && $0 < last }.map { $0 - member }
    }

    private static func commonMeasure(_ a: Int, _ b: Int) -> Int { b == 0 ? a : commonMeasure(b, a % b) }

    /// Whether blocks end after pieces of some sizes or where the input does, and whether any ends elsewhere than there.
    private func looksPieced(_ fits: (Int) -> Bool) -> (isSo: Bool, shows: Bool) {
        var pieced = 0
        var other = 0
        // Whether input ends behind the last one was not seen.
        for element in elements.dropLast(complete ? 0 : 1) {
            guard case .block(let block) = element, block.plainCount > 0, !block.isFinal else { continue }
            if fits(block.plainCount) {
                pieced += 1
            } else if !endings.contains(block.plainStart + block.plainCount) {
                other += 1
            }
        }
        return (other <= pieced / 8, pieced > 0)
    }

    /// Blocks with codes that their encoder ended by its rule: all but the last one.
    private var ruledBlocks: [DeflateBlock] {
        elements.dropLast(complete ? 0 : 1).compactMap {
            guard case .block(let block) = $0, !block.isFinal, block.kind != .stored else { return nil }
            return block
        }
    }

    /// Whether all blocks but the last are as long as 7-Zip's.
    private func looksSevenZip(_ blocks: [DeflateBlock]) -> Bool {
        blocks.count > 1 && blocks.allSatisfy { SevenZipFastModel.isFull(tokens: $0.tokenCount, plain: $0.plainCount) }
    }

    /// Whether all blocks but the last fill miniz's buffer of tokens.
    private func mayBeMiniz(_ blocks: [DeflateBlock]) -> Bool {
        blocks.allSatisfy { block in
            MinizCodes(tokens: block.tokenCount, matches: block.matchCount, plain: block.plainCount).isFull
        }
    }

    /// How many matches of three bytes there are: an encoder whose hash is over four finds few, by chance, or none.
    enum Threes { case none, few, many }
    typealias MatchFacts = (windowBits: Int, strategy: ChainModel.Strategy, threes: Threes)

    /// What the sample's matches say about zlib's settings; the usual ones where there are too few to say.
    private func matchFacts() -> MatchFacts {
        var farthest: Int32 = 0
        var shortest = Int32.max
        var threes: Int32 = 0
        var matches = 0
        var literals = 0
        for case .block(let block) in sample where block.matchCount > 0 {
            matches += block.matchCount
            literals += block.tokenCount - block.matchCount
            // Without branches, many tokens at once: a literal has distance 0.
            for index in block.tokenStart..<(block.tokenStart + block.tokenCount) {
                let token = Int32(truncatingIfNeeded: tokens.base[index])
                let distance = token &>> 9
                let length = distance > 0 ? token & 511 &- Int32(Token.lengthBias) : Int32.max
                farthest = distance > farthest ? distance : farthest
                shortest = length < shortest ? length : shortest
                threes &+= length == 3 ? 1 : 0
            }
        }
        let few: Threes = threes == 0 ? .none : (Int(threes) <= matches / 12 ? .few : .many)
        // Too few to say anything: the usual encoders go first.
        if matches < 100 || literals < 500 { return (15, .usual, .few) }
        if farthest == 1 { return (15, .runs, .few) }
        var windowBits = 9
        while windowBits < 15 && farthest > 1 << windowBits - 262 { windowBits += 1 }
        // Of less text than four windows it is hardly known how far matches might have reached.
        if plain.end - start < 4 << windowBits { windowBits = 15 }
        return (windowBits, shortest > 5 ? .filtered : .usual, few)
    }

    /// What the gzip header says, if the stretch begins with one: the level that was asked for, and whether the time of
    /// change is what klauspost's library writes for none.
    private func headerHints() -> (level: Int?, isKlauspost: Bool) {
        guard case .raw(_, let bytes)? = elements.first, bytes.count >= 10 else { return (nil, false) }
        let header = bytes.suffix(from: start == 0 ? 0 : min(8, bytes.count - 10))
        let at = header.startIndex
        guard header[at] == 0x1f, header[at + 1] == 0x8b else { return (nil, false) }
        let level = header[at + 8] == 2 ? 9 : header[at + 8] == 4 ? 1 : nil
        return (level, header[(at + 4)...].prefix(4).elementsEqual([0x00, 0x09, 0x6e, 0x88]))
    }

    /// Levels in the order in which they are worth trying.
    private static func ordered(_ levels: [Int], first: Int?) -> [Int] {
        guard let first, levels.contains(first) else { return levels }
        return [first] + levels.filter { $0 != first }
    }

    /// How many of the first blocks end where the rule says.
    private func agreements(_ rule: BlockRule) -> Int {
        var result = 0
        for case .block(let block) in glance where block.kind != .stored && block.tokenCount > 0 && !block.isFinal {
            var watch = BlockRuleWatch(rule: rule)
            var count = 0
            var end = block.plainStart
            var ends = false
            while count < block.tokenCount && !ends {
                let first = tokens.base + block.tokenStart + count
                let more = min(watch.mostTokens(after: count), block.tokenCount - count)
                for index in 0..<more { end += Token.span(first[index]) }
                let lastStart = end - Token.span(first[more - 1])
                count += more
                ends = watch.ends(
                    count, from: block.plainStart, lastStart: lastStart, recent: first, recentCount: more,
                    first: count == more)
            }
            if ends && count == block.tokenCount { result += 1 }
        }
        return result
    }

    /// What the first blocks' codes say about who built them.
    func treeEvidence() -> TreeEvidence {
        TreeEvidence.of(elements, tokens: UnsafePointer(tokens.base), kinds: TreeKind.exact)
    }

    /// igzip's models, by family, if the codes are igzip's and nobody else's: then it is vain to ask for others.
    func igzipFamilies(_ evidence: TreeEvidence) -> [[StreamParameters]]? {
        if evidence.isIgzipDefault { return Self.igzips([[0], [2, 1], [3]]) }
        let fits = TreeKind.exact.filter { evidence.fits($0) }
        return fits == [.igzip] ? Self.igzips([[2, 1], [3], [0]]) : nil
    }

    private static func igzips(_ levels: [[Int]]) -> [[StreamParameters]] {
        levels.map { family in
            var models = family.map { IgzipModel.Parameters(level: $0) }
            if family == [3] { models.append(.init(level: 3, isWide: true)) }
            return models.map { StreamParameters(model: .igzip($0), rule: .model, tree: .igzip) }
        }
    }

    /// Encoder models worth trying, by family; the family that the blocks look like first.
    func families(_ evidence: TreeEvidence) -> [[StreamParameters]] {
        func set(_ model: ModelChoice, _ rule: BlockRule, _ tree: TreeKind) -> StreamParameters {
            StreamParameters(model: model, rule: rule, tree: tree)
        }
        let hints = headerHints()
        var common = 0
        if case .tokens(let n) = plainRule(), n > 0 { common = n }
        let levels = Self.ordered([6, 9, 1, 5, 7, 8, 4, 3, 2], first: hints.level)
        let go = levels.filter { $0 > 1 }.map { set(.go(.init(level: $0)), .tokens(16384), .go) }
        var lazy = [9, 7, 8].map { set(.klauspostLazy(.init(level: $0)), .pieces(32768), .go) }
        lazy.append(set(.klauspostLazy(.init(level: 9, era: .since1_15_15)), .pieces(32768), .go))
        lazy += [9, 7, 8].map { set(.klauspostLazy(.init(level: $0, era: .since1_14_2)), .pieces(32768), .go) }
        let matches = matchFacts()
        let zlib = zlibFamilies(levels, common, matches)
        var result = zlib + [go, lazy]
        let tokenRule = BlockRule.tokens(common > 0 ? common : 16383)
        if common != 16384 && matches.threes != .many {
            result.insert(descendants(tokenRule, memLevel(common), matches), at: matches.threes == .none ? 0 : 1)
        }
        result.append([StreamParameters(model: .zlibNG(level: 9, hash: .multiplied), rule: tokenRule, tree: .zlib)])
        if common == 16384 { result = [go] + zlib + [lazy] }
        if common > 0 && common % 32768 == 0 { result = [lazy] + zlib + [go] }
        let isPieced = looksPieced({ $0 % 65_535 == 0 }).isSo
        if isPieced {
            result.insert(
                piecedFamily(Self.ordered([5, 6, 1, 4, 3, 2], first: hints.level ?? (hints.isKlauspost ? 5 : 6))), at: 0
            )
        }
        let stateless = looksPieced(KlauspostModel.areStatelessPieces)
        let isStateless = stateless.isSo && stateless.shows
        if isStateless { result.insert(statelessFamily(), at: isPieced ? 1 : 0) }
        // Go's codes are often the same as libdeflate's or igzip's, but its blocks are of one size.
        let isRegular = common > 0 || isPieced || isStateless
        for family in familiesByCodes(evidence).reversed() { result.insert(family, at: isRegular ? result.count : 0) }
        let ruled = ruledBlocks
        if mayBeMiniz(ruled) {
            var family = [6, 9, 1, 4, 5, 3, 2, 7, 8, 10].map {
                set(.miniz(.init(level: $0)), .model, .libdeflate)
            }
            family.append(set(.miniz(.init(level: 1, piecesGoOn: true)), .model, .libdeflate))
            // A single block could be anybody's, but for its codes.
            result.insert(family, at: ruled.isEmpty || !evidence.fits(.libdeflate) ? result.count : 0)
        }
        if looksSevenZip(ruled) {
            let trees: [TreeKind] = [.libdeflate, .zlib, .go]
            result.insert(trees.map { set(.sevenZipFast, .model, $0) }, at: 0)
        }
        // Each call in a block of its own: it could be anybody's, but for the marker after the last one.
        if stateless.isSo && !isStateless && endings.count > 1 { result.append(statelessFamily()) }
        return result
    }

    /// zlib's memLevel, if blocks of so many tokens tell it.
    private func memLevel(_ common: Int) -> Int { (1...9).first { common == 1 << ($0 + 6) - 1 } ?? 8 }

    /// zlib's and GNU gzip's models, which search alike and differ in where blocks end: by what the first blocks show of it
    /// two families, or one where they show nothing.
    private func zlibFamilies(_ levels: [Int], _ common: Int, _ matches: MatchFacts) -> [[StreamParameters]] {
        let memLevel = memLevel(common)
        let zlibRule = BlockRule.tokens(common > 0 ? common : 16383)
        func gnuRule(_ level: Int) -> BlockRule { .gnu(32767, looks: level > 2, ahead: level < 4 ? 0 : 1) }
        // With a strategy the header says little of the level.
        let levels = matches.strategy == .usual ? levels : levels.sorted { ($0 != 6 ? 1 : 0) < ($1 != 6 ? 1 : 0) }
        var zlib: [[StreamParameters]] = []
        var gnu: [[StreamParameters]] = []
        for level in levels {
            let chain = ChainModel.Parameters(
                level: level, memLevel: memLevel, gnu: false, windowBits: matches.windowBits,
                strategy: matches.strategy)
            let usual = ChainModel.Parameters(level: level, memLevel: memLevel, gnu: false)
            let both = chain == usual ? [chain] : [chain, usual]
            zlib.append(both.map { StreamParameters(model: .chain($0), rule: zlibRule, tree: .zlib) })
            let other = ChainModel.Parameters(level: level, memLevel: 8, gnu: true)
            gnu.append([StreamParameters(model: .chain(other), rule: gnuRule(level), tree: .zlib)])
        }
        let forZlib = agreements(zlibRule)
        let forGnu = max(agreements(gnuRule(6)), agreements(gnuRule(2)))
        if forZlib > forGnu { return [zlib.flatMap { $0 }, gnu.flatMap { $0 }] }
        if forZlib < forGnu { return [gnu.flatMap { $0 }, zlib.flatMap { $0 }] }
        return [zip(zlib, gnu).flatMap { $0 + $1 }]
    }

    /// Encoders that take their input in pieces of 65535 bytes: klauspost's up to level 6, Go's level 1.
    private func piecedFamily(_ levels: [Int]) -> [StreamParameters] {
        func set(_ model: ModelChoice) -> StreamParameters {
            var model = model
            if case .klauspost(var settings) = model, settings.level == 1 {
                settings.follows = true
                model = .klauspost(settings)
            }
            return StreamParameters(model: model, rule: .plain(65535), tree: .go)
        }
        var result: [StreamParameters] = []
        for level in levels {
            if level == 4 { result.append(set(.klauspost(.init(level: 4, era: .since1_18)))) }
            result.append(set(.klauspost(.init(level: level, era: .since1_15_11))))
            result.append(set(.klauspost(.init(level: level, era: .before1_15_10))))
            if level == 1 { result.append(set(.goFast(follows: true))) }
        }
        for level in levels {
            result.append(set(.klauspost(.init(level: level, era: .before1_15))))
            if level > 4 { result.append(set(.klauspost(.init(level: level, era: .before1_12)))) }
            if level == 3 { result.append(set(.klauspost(.init(level: 3, era: .before1_14_3)))) }
            if level < 4 { result.append(set(.klauspost(.init(level: level, era: .before1_10_2)))) }
        }
        return result
    }

    /// klauspost's encoder without state, which begins anew after each call.
    private func statelessFamily() -> [StreamParameters] {
        [.since1_15_11, .before1_15].map {
            StreamParameters(
                model: .klauspost(.init(level: 0, era: $0)), rule: KlauspostModel.statelessRule, tree: .go,
                unitDictionary: 0)
        }
    }

    /// Models of encoders that are only tried where the stream's codes look like theirs.
    private func familiesByCodes(_ evidence: TreeEvidence) -> [[StreamParameters]] {
        func set(_ model: ModelChoice, _ tree: TreeKind) -> StreamParameters {
            StreamParameters(model: model, rule: .model, tree: tree)
        }
        var result: [[StreamParameters]] = []
        for tree in [TreeKind.libdeflate, .libdeflateOld] where evidence.fits(tree) && result.isEmpty {
            result.append([6, 1, 9, 5, 4, 3, 2, 7, 8].map { set(.libdeflate(.init(level: $0)), tree) })
        }
        if evidence.fits(.igzip) { result += Self.igzips([[2, 1], [3]]) }
        return result
    }
}
