// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

@testable import VarveDeflate

/// Feeds files and plans to the module that nobody would make, and keeps those that lead somewhere new.
///
/// Inputs grow out of each other: one of the kept ones is changed, and kept in its turn if what came of it (how it was
/// refused; else blocks, model, departures, sizes, all roughly) was never seen before. That is guidance by outcome: it
/// needs no instrumented build, and everything follows from the seed.
struct FuzzDriver {
    private(set) var executions = 0
    /// Files that came back bit for bit.
    private(set) var exact = 0
    /// Plans that were refused, at once or while rebuilding.
    private(set) var refusedPlans = 0
    /// What should not have happened, in words.
    private(set) var findings: [String] = []
    var kept: Int { corpus.count }

    private var random: Seeded
    private var corpus: [[UInt8]] = []
    private var seen: Set<Int> = []
    private static let corpusMax = 4000
    private static let inputMax = 200_000

    init(seed: UInt64, corpus: [[UInt8]]) {
        random = Seeded(state: seed)
        self.corpus = corpus
        for _ in 0..<20 { self.corpus.append(WildStream.make(&random)) }
    }

    /// One file, and a plan of it if there is one.
    mutating func step() throws {
        let isMade = random.next() % 8 == 0
        let input = isMade ? WildStream.make(&random) : mutated()
        executions += 1
        // Finding the encoder takes a hundred times as long as following a given one.
        let guesses = random.next() % 64 == 0 && input.count < 3000
        let parameters = guesses ? nil : Self.parameters(&random)
        var plain: [UInt8] = []
        let analyzer = DeflateAnalyzer(source: reader(input))
        let result: DeflateAnalyzer.Result
        do {
            if let parameters {
                let limits = Self.limits(&random)
                result = try analyzer.analyze(with: parameters, limits: limits) { plain += [UInt8]($0) }
            } else {
                result = try analyzer.analyze { plain += [UInt8]($0) }
            }
        } catch let error as DeflateError {
            if error.reason == "block-structure" || isMade && error.reason != "corrections-too-large" {
                findings.append(
                    "refused, \(error): \(parameters.map { "\($0)" } ?? "guessed"), \(Self.text(input))")
            }
            keep(input, [error.reason.hashValue, 0])
            return
        }
        guard case .plan(let plan, let summary) = result else {
            if case .unsupported(let reason) = result { keep(input, [reason.hashValue, 1]) }
            return
        }
        let made = try? rebuild(plan: plan, plain: plain)
        if made == input {
            exact += 1
        } else {
            findings.append("not the same: \(parameters.map { "\($0)" } ?? "guessed"), \(Self.text(input))")
        }
        keep(
            input,
            [
                summary.encoder.hashValue, Self.rough(summary.corrections), Self.rough(summary.correctionBytes),
                summary.segments, Self.rough(plan.count - summary.correctionBytes), Self.rough(plain.count),
            ])
        for _ in 0..<4 { try damage(plan, plain) }
    }

    private mutating func keep(_ input: [UInt8], _ outcome: [Int]) {
        guard seen.insert(outcome.hashValue).inserted, input.count <= Self.inputMax else { return }
        if corpus.count < Self.corpusMax {
            corpus.append(input)
        } else {
            corpus[Int(random.next() % UInt64(corpus.count))] = input
        }
    }

    private static func rough(_ value: Int) -> Int { 64 - max(value, 0).leadingZeroBitCount }

    private static func text(_ bytes: [UInt8]) -> String {
        bytes.prefix(600).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            + (bytes.count > 600 ? "... (\(bytes.count))" : "")
    }

    /// A damaged plan with a right check sum.
    private mutating func damage(_ plan: [UInt8], _ plain: [UInt8]) throws {
        executions += 1
        var body = Array(plan[8...])
        Self.change(&body, with: plan, &random)
        let check = Checksum.crc32(body[...])
        let broken = Array(plan[0..<4]) + (0..<4).map { UInt8(truncatingIfNeeded: check >> UInt32(8 * $0)) } + body
        do {
            let rebuilder = try DeflateRebuilder(plan: broken)
            if rebuilder.plainCount != plain.count { throw DeflateError("other-size") }
            let workspace = DeflateRebuilder.Workspace()
            for index in rebuilder.segments.indices {
                let made = try rebuild(rebuilder, index, plain, workspace)
                if made.count != rebuilder.segments[index].compressed.count {
                    findings.append("segment \(index) has another size than announced: \(Self.text(broken))")
                }
            }
        } catch is DeflateError {
            refusedPlans += 1
        }
    }

    private mutating func mutated() -> [UInt8] {
        var bytes = corpus[Int(random.next() % UInt64(corpus.count))]
        let other = corpus[Int(random.next() % UInt64(corpus.count))]
        Self.change(&bytes, with: other, &random)
        return bytes
    }

    /// Changes a few places, more rarely whole stretches.
    private static func change(_ bytes: inout [UInt8], with other: [UInt8], _ random: inout Seeded) {
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            if bytes.isEmpty { return }
            let at = Int.random(in: 0..<bytes.count, using: &random)
            let length = min(Int.random(in: 1...64, using: &random), bytes.count - at)
            switch random.next() % 12 {
            case 0, 1, 2, 3: bytes[at] ^= 1 << UInt8(random.next() % 8)
            case 4: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 5: bytes[at] = [0, 1, 127, 128, 254, 255][Int(random.next() % 6)]
            case 6: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
            case 7: bytes.removeSubrange(at..<(at + length))
            case 8: bytes.insert(contentsOf: bytes[at..<(at + length)], at: at)
            case 9: bytes.removeSubrange((at + 1)...)
            default:
                if other.isEmpty { continue }
                let from = Int.random(in: 0..<other.count, using: &random)
                bytes.replaceSubrange(at..<(at + length), with: other[from..<min(from + length, other.count)])
            }
        }
    }

    /// Those that there are, or such that short blocks come in parts.
    static func limits(_ random: inout Seeded) -> InflateReader.PartLimits {
        if random.next() % 2 == 0 { return .init() }
        func limit() -> Int { Int.random(in: 1...300, using: &random) }
        return .init(plain: limit(), firstTokens: limit(), firstPlain: limit())
    }

    /// Any of the encoders, with settings that need not make sense.
    static func parameters(_ random: inout Seeded) -> StreamParameters {
        let small = Int.random(in: 1...300, using: &random)
        func level(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
        let model: ModelChoice
        switch random.next() % 16 {
        case 0: model = .generic(.init(hashBytes: 3 + level(0...1), depth: level(1...40)))
        case 1, 2:
            let strategies: [ChainModel.Strategy] = [.usual, .usual, .filtered, .runs]
            model = .chain(
                .init(
                    level: level(1...9), memLevel: level(1...9), gnu: level(0...1) == 1, windowBits: level(9...15),
                    strategy: strategies[level(0...3)]))
        case 14: model = .sevenZipFast
        case 15:
            let level = level(1...10)
            model = .miniz(.init(level: level, piecesGoOn: level == 1 && small % 4 == 0))
        case 3: model = .go(.init(level: level(2...9)))
        case 4: model = .goFast(follows: level(0...1) == 1)
        case 13:
            let costs = OptimalModel.CostSource.allCases
            model = .optimal(.init(depth: level(1...40), costs: costs[level(0...(costs.count - 1))]))
        case 12:
            let level = level(0...3)
            let isThree = level == 3
            var settings = IgzipModel.Parameters(level: level, isWide: isThree && small % 2 == 0)
            if isThree && small % 3 == 0 { settings.handed = small * 7 }
            model = .igzip(settings)
        case 10, 11:
            if level(0...3) == 0 {
                model = .chain(.init(level: level(1...9), memLevel: level(1...9), descendant: .chromium))
            } else {
                model = .zlibNG(
                    level: level(1...9), hash: level(0...1) == 0 ? .multiplied : .castagnoli,
                    before2_1: level(0...1) == 1, windowBits: level(0...2) == 0 ? level(9...15) : 15,
                    chunk: level(0...1) == 0 ? 0 : level(1...9000))
            }
        case 8, 9: model = .libdeflate(.init(level: level(1...9)))
        case 5:
            let eras: [KlauspostLazyModel.Era] = [.since1_18_1, .since1_15_15, .since1_14_2]
            model = .klauspostLazy(.init(level: level(7...9), era: eras[level(0...2)]))
        default:
            let eras: [KlauspostModel.Era] = [.since1_15_11, .before1_15_10, .before1_15, .before1_12]
            model =
                switch level(0...7) {
                case 0: .klauspost(.init(level: 4, era: .since1_18))
                case 2: .klauspost(.init(level: 3, era: .before1_14_3))
                case 3: .klauspost(.init(level: level(1...3), era: .before1_10_2))
                case 4: .klauspost(.init(level: 1, era: eras[level(0...3)], follows: true))
                case 1: .klauspost(.init(level: 0, era: eras[2 * level(0...1)]))
                default: .klauspost(.init(level: level(1...6), era: eras[level(0...3)]))
                }
        }
        var result = StreamParameters(model: model)
        switch random.next() % 6 {
        case 0: result.rule = .none
        case 1: result.rule = .tokens(small)
        case 2: result.rule = .pieces(small)
        case 3: result.rule = .gnu(small, looks: small % 2 == 0, ahead: small % 3 == 0 ? 1 : 0)
        default: result.rule = .plain(small % 4 == 0 ? 65535 : small + 16, first: small % 3 == 0 ? small : 0)
        }
        // Some models take text piece by piece, some do not; the generic one does not care.
        switch model {
        case .klauspost, .goFast: if !result.rule.countsPlain { result.rule = .plain(65535) }
        case .generic, .optimal: break
        case .libdeflate, .igzip, .sevenZipFast, .miniz: if result.rule.countsPlain { result.rule = .model }
        default: if result.rule.countsPlain { result.rule = .tokens(small) }
        }
        result.tree = TreeKind.allCases[level(0...(TreeKind.allCases.count - 1))]
        if random.next() % 3 == 0 {
            result.unitSize = Int.random(in: 1...2000, using: &random)
            result.unitDictionary = Int.random(in: -1...600, using: &random)
            if case .generic = model { result.unitDictionary = -1 }
            if random.next() % 3 == 0 { result.jobSize = Int.random(in: 1...5000, using: &random) }
        }
        return result
    }
}
