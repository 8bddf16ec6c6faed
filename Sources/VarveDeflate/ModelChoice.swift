// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which encoder a stream is taken to come from. The numbers written into plans are format: never reused, never renumbered.
enum ModelChoice: Equatable {
    case generic(GenericModel.Parameters)
    case chain(ChainModel.Parameters)
    case go(GoModel.Parameters)
    case goFast(follows: Bool)
    case klauspostLazy(KlauspostLazyModel.Parameters)
    case klauspost(KlauspostModel.Parameters)
    case libdeflate(LibdeflateModel.Parameters)
    case igzip(IgzipModel.Parameters)
    case zlibNG(ZlibNGModel.Parameters)
    case optimal(OptimalModel.Parameters)
    case sevenZipFast
    case miniz(MinizModel.Parameters)

    /// How a segment in the middle of a stream gets at the model's state.
    enum RunUp: Equatable {
        /// All positions are hashed: 32 KiB of history, and a start at the end of a match.
        case history
        /// The state depends on the tokens: start so many plain bytes earlier, knowing only so much text before that.
        case tokens(Int, text: Int)
    }

    var runUp: RunUp {
        switch self {
        case .generic, .optimal: return .history
        case .chain(let p): return p.level > 3 ? .history : .tokens(98_304, text: 0)
        case .go(let p): return p.level > 3 ? .history : .tokens(98_304, text: 0)
        case .klauspost(let p) where p.level == 0: return .tokens(0, text: KlauspostModel.statelessText)
        case .klauspost(let p) where p.era == .since1_18:
            return .tokens(2 * 65535, text: KlauspostHistory.farthest)
        case .miniz(let p): return p.level > 1 ? .history : .tokens(49_152, text: 0)
        case .goFast, .klauspost: return .tokens(2 * 65535, text: 0)
        case .klauspostLazy: return .tokens(66_000, text: 32768)
        case .libdeflate, .sevenZipFast: return .tokens(0, text: 32768)
        case .igzip: return .tokens(2 * 65536, text: 32768)
        case .zlibNG(let p): return p.level > 2 ? .tokens(65_536, text: 32768) : .tokens(98_304, text: 0)
        }
    }

    /// Whether only the model knows where it can start so that it is in step (``TokenModel/restart(before:)``).
    var startsAtItsPlaces: Bool {
        switch self {
        case .igzip(let p): return p.level == 3
        case .miniz(let p): return p.level == 1
        default: return false
        }
    }

    /// Whether the usual run-up is known to be enough everywhere, or nearly: in hundreds of places of real layers it was.
    var keepsStep: Bool {
        switch self {
        case .klauspost(let p): return p.level >= 3
        case .zlibNG(let p): return p.level > 2
        case .klauspostLazy, .libdeflate: return true
        default: return false
        }
    }

    /// Whether a model that begins out of step is soon in step all the same, having gone on from the real tokens: what is wrong at
    /// first costs some hundred bytes, less than to look for a place where nothing is.
    var mends: Bool {
        switch self {
        case .klauspost(let p): return p.follows
        case .goFast(let follows): return follows
        case .igzip(let p): return p.level < 3
        default: return false
        }
    }

    /// Plain bytes between restart points, at most as long as blocks are short: fewer for the slow levels, so that a range
    /// is at hand in some 20 ms.
    var segmentTarget: Int {
        switch self {
        case .klauspostLazy(let p) where p.level > 8: return 384 << 10
        case .libdeflate(let p) where p.level > 7: return 512 << 10
        case .optimal: return 384 << 10
        default: return DeflateAnalyzer.segmentTarget
        }
    }

    /// Work (``Effort/work(plain:compressed:steps:)``) between restart points, of models that may take ten times as long in
    /// one place as in another: some 5 ms. zlib's blocks of 16383 tokens are as much each.
    var segmentWork: Int {
        switch self {
        case .chain(let p) where p.level > 3: return 768 << 10
        case .go(let p) where p.level > 3: return 1280 << 10
        case .miniz(let p) where p.level > 1: return 768 << 10
        // Each segment has to run up to its place first, so that much shorter ones are slower to make one after the other.
        case .klauspostLazy(let p) where p.level > 8: return 2 << 20
        default: return .max
        }
    }

    /// Family and parameters as the plan holds them.
    var raw: [Int] {
        switch self {
        case .generic(let p): return [0, p.hashBytes, p.depth]
        case .chain(let p):
            let settings = p.memLevel | (15 - p.windowBits) << 4 | p.strategy.rawValue << 8
            switch p.descendant {
            case .chromium?: return [8, p.level, settings]
            case .ng(let hash)?:
                return [7, p.level, hash.rawValue | (p.level == 9 ? 2 : 0) | (15 - p.windowBits) << 2]
            case .ngJumping?: return [7, p.level, (15 - p.windowBits) << 2]
            case nil: return [p.gnu ? 2 : 1, p.level, settings]
            }
        case .go(let p): return [3, p.level, 0]
        case .goFast(let follows): return [5, 1, follows ? 1 : 0]
        case .klauspostLazy(let p): return [6, p.level, p.era.rawValue]
        case .klauspost(let p): return [4, p.level, p.era.rawValue | (p.follows ? 16 : 0)]
        case .libdeflate(let p): return [9, p.level, 0]
        case .igzip(let p):
            let handed = p.handed == IgzipModel.Parameters.toolHands ? 0 : max(p.handed, 1)
            return [10, p.level, handed << 1 | (p.isWide ? 1 : 0)]
        case .optimal(let p) where p.costs == .codes: return [11, p.depth, 0]
        case .optimal(let p): return [12, p.depth, p.costs.rawValue]
        case .sevenZipFast: return [13, 1, 0]
        case .miniz(let p): return [14, p.level, p.piecesGoOn ? 1 : 0]
        case .zlibNG(let p):
            let flags = p.hash.rawValue | (p.before2_1 ? 2 : 0) | (15 - p.windowBits) << 2
            return [7, p.level, flags | p.chunk << 5]
        }
    }

    init?(raw: [Int]) {
        guard raw.count == 3 else { return nil }
        switch raw[0] {
        case 0:
            guard raw[1] == 3 || raw[1] == 4, raw[2] > 0, raw[2] <= 1 << 16 else { return nil }
            self = .generic(.init(hashBytes: raw[1], depth: raw[2]))
        case 1, 2, 8:
            guard (1...9).contains(raw[1]), (1...9).contains(raw[2] & 15), raw[2] >> 4 & 15 <= 6,
                let strategy = ChainModel.Strategy(rawValue: raw[2] >> 8)
            else { return nil }
            self = .chain(
                .init(
                    level: raw[1], memLevel: raw[2] & 15, gnu: raw[0] == 2, windowBits: 15 - (raw[2] >> 4 & 15),
                    strategy: strategy, descendant: raw[0] == 8 ? .chromium : nil))
        case 3:
            guard (2...9).contains(raw[1]) else { return nil }
            self = .go(.init(level: raw[1]))
        case 4:
            guard let era = KlauspostModel.Era(rawValue: raw[2] & 15), era.has(raw[1]), raw[2] >> 5 == 0,
                raw[2] & 16 == 0 || raw[1] == 1
            else { return nil }
            self = .klauspost(.init(level: raw[1], era: era, follows: raw[2] & 16 != 0))
        case 5:
            guard raw[2] == 0 || raw[2] == 1 else { return nil }
            self = .goFast(follows: raw[2] == 1)
        case 6:
            guard (7...9).contains(raw[1]), let era = KlauspostLazyModel.Era(rawValue: raw[2]) else { return nil }
            self = .klauspostLazy(.init(level: raw[1], era: era))
        case 9:
            guard (1...9).contains(raw[1]) else { return nil }
            self = .libdeflate(.init(level: raw[1]))
        case 10:
            let handed = raw[2] >> 1
            guard (0...3).contains(raw[1]), raw[2] >= 0, raw[2] == 0 || raw[1] == 3,
                handed <= IgzipModel.Parameters.handedMost
            else { return nil }
            var parameters = IgzipModel.Parameters(level: raw[1], isWide: raw[2] & 1 == 1)
            if handed > 0 { parameters.handed = handed == 1 ? 0 : handed }
            self = .igzip(parameters)
        case 11:
            guard (1...OptimalModel.Parameters.depthMax).contains(raw[1]) else { return nil }
            self = .optimal(.init(depth: raw[1]))
        case 12:
            guard (1...OptimalModel.Parameters.depthMax).contains(raw[1]),
                let costs = OptimalModel.CostSource(rawValue: raw[2]), costs != .codes
            else { return nil }
            self = .optimal(.init(depth: raw[1], costs: costs))
        case 13:
            guard raw[1] == 1, raw[2] == 0 else { return nil }
            self = .sevenZipFast
        case 14:
            guard (1...10).contains(raw[1]), raw[2] == 0 || raw[1] == 1 && raw[2] == 1 else { return nil }
            self = .miniz(.init(level: raw[1], piecesGoOn: raw[2] != 0))
        case 7:
            let chunk = raw[2] >> 5
            let hash: FourByteHash = raw[2] & 1 == 0 ? .multiplied : .castagnoli
            let windowBits = 15 - (raw[2] >> 2 & 7)
            guard (1...9).contains(raw[1]), windowBits >= 9, chunk <= ZlibNGModel.chunkMost else { return nil }
            self = Self.zlibNG(
                level: raw[1], hash: hash, before2_1: raw[2] & 2 != 0, windowBits: windowBits, chunk: chunk)
        default: return nil
        }
    }

    /// zlib-ng at a level of 1-9.
    static func zlibNG(
        level: Int, hash: FourByteHash, before2_1: Bool = false, windowBits: Int = 15, chunk: Int = 0
    ) -> Self {
        if level < 7 {
            return .zlibNG(
                .init(level: level, hash: hash, before2_1: before2_1, windowBits: windowBits, chunk: chunk))
        }
        let jumps = level == 9 && !before2_1
        return .chain(.init(level: level, windowBits: windowBits, descendant: jumps ? .ngJumping : .ng(hash)))
    }

    func makeWalk(_ parameters: StreamParameters) -> any SegmentCoding {
        switch self {
        case .generic(let p): return SpecializedWalk(SegmentWalk(parameters: parameters, model: GenericModel(p)))
        case .chain(let p) where RankedChainModel.covers(p):
            return SpecializedWalk(SegmentWalk(parameters: parameters, model: RankedChainModel(p)))
        case .chain(let p): return SpecializedWalk(SegmentWalk(parameters: parameters, model: ChainModel(p)))
        case .go(let p) where RankedGoModel.covers(p):
            return SpecializedWalk(SegmentWalk(parameters: parameters, model: RankedGoModel(p)))
        case .go(let p): return SpecializedWalk(SegmentWalk(parameters: parameters, model: GoModel(p)))
        case .goFast(let follows):
            return SpecializedWalk(SegmentWalk(parameters: parameters, model: GoFastModel(follows: follows)))
        case .klauspostLazy(let p):
            return SpecializedWalk(SegmentWalk(parameters: parameters, model: KlauspostLazyModel(p)))
        case .klauspost(let p): return SpecializedWalk(SegmentWalk(parameters: parameters, model: KlauspostModel(p)))
        case .libdeflate(let p):
            if p.level == 1 {
                return SpecializedWalk(SegmentWalk(parameters: parameters, model: LibdeflateFastModel()))
            }
            return SpecializedWalk(SegmentWalk(parameters: parameters, model: LibdeflateModel(p)))
        case .igzip(let p):
            if p.level == 3 {
                return SpecializedWalk(SegmentWalk(parameters: parameters, model: IgzipMapModel(p)))
            }
            return SpecializedWalk(SegmentWalk(parameters: parameters, model: IgzipModel(p)))
        case .optimal(let p): return SpecializedWalk(SegmentWalk(parameters: parameters, model: OptimalModel(p)))
        case .miniz(let p):
            if p.level == 1 { return SpecializedWalk(SegmentWalk(parameters: parameters, model: MinizFastModel(p))) }
            return SpecializedWalk(SegmentWalk(parameters: parameters, model: MinizModel(p)))
        case .sevenZipFast: return SpecializedWalk(SegmentWalk(parameters: parameters, model: SevenZipFastModel()))
        case .zlibNG(let p): return SpecializedWalk(SegmentWalk(parameters: parameters, model: ZlibNGModel(p)))
        }
    }

    /// The name in tables and logs.
    var name: String {
        switch self {
        case .generic(let p): return "generic-\(p.hashBytes)-\(p.depth)"
        case .chain(let p):
            if p.gnu { return "gzip-\(p.level)" }
            var name = "zlib"
            switch p.descendant {
            case .chromium?: name = "chromium"
            case .ng?, .ngJumping?: name = "zlib-ng"
            case nil: break
            }
            name += "-\(p.level)"
            if case .ng(let hash)? = p.descendant {
                if p.level == 9 { name += "-2.0" } else if hash == .castagnoli { name += "-2.1" }
            }
            return name + (p.memLevel == 8 ? "" : "-mem\(p.memLevel)")
                + (p.windowBits == 15 ? "" : "-win\(p.windowBits)") + (p.strategy == .usual ? "" : "-\(p.strategy)")
        case .go(let p): return "go1.26-\(p.level)"
        case .goFast: return "go1.26-1"
        case .libdeflate(let p): return "libdeflate-\(p.level)"
        case .sevenZipFast: return "7zip-1"
        case .miniz(let p): return "miniz-\(p.level)"
        case .igzip(let p):
            let handed = p.handed == IgzipModel.Parameters.toolHands ? "" : p.handed == 0 ? "-whole" : "-by\(p.handed)"
            return "igzip-\(p.level)" + (p.isWide ? "-avx512" : "") + handed
        case .klauspostLazy(let p):
            switch p.era {
            case .since1_18_1: return "klauspost-\(p.level)"
            case .since1_15_15: return "klauspost-\(p.level)-uncapped"
            case .since1_14_2: return "klauspost-\(p.level)-old"
            }
        case .klauspost(let p) where p.level == 0:
            return "klauspost-stateless" + (p.era == .before1_15 ? "-1.14" : "")
        case .optimal(let p): return "optimal-\(p.depth)" + (p.costs == .codes ? "" : "-\(p.costs)")
        case .klauspost(let p):
            switch p.era {
            case .since1_15_11: return "klauspost-\(p.level)" + (p.level == 4 ? "-1.17" : "")
            case .since1_18: return "klauspost-\(p.level)"
            case .before1_15_10: return "klauspost-\(p.level)-old"
            case .before1_15: return "klauspost-\(p.level)-1.14"
            case .before1_12: return "klauspost-\(p.level)-1.11"
            case .before1_14_3: return "klauspost-3-1.13"
            case .before1_10_2: return "klauspost-\(p.level)-1.10"
            }
        case .zlibNG(let p):
            let era = p.before2_1 ? "-2.0" : (p.hash == .castagnoli ? "-2.1" : "")
            return "zlib-ng-\(p.level)" + era + (p.windowBits == 15 ? "" : "-win\(p.windowBits)")
                + (p.chunk == 0 ? "" : "-by\(p.chunk)")
        }
    }
}
