// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which encoder wrote a stream, with which settings. The numbers are on-disk format.
struct ZstdParameters: Hashable {
    enum Encoder: Hashable {
        /// klauspost/compress; level 2 is its default. Eras: see ``KlauspostEntropy``.
        case klauspost(level: Int, era: Int)
        /// libzstd 1.5, strategy 1 ("fast") or 2 ("dfast").
        case reference(strategy: Int, ReferenceDoubleModel.Settings)
    }

    var encoder: Encoder
    /// Whether a last block may be a full one (the encoder knows where its input ends).
    var endsFull = false

    /// For tables and counters.
    var name: String {
        switch encoder {
        case .klauspost(let level, let era): return "klauspost-\(level)-\(era)"
        case .reference(let strategy, let settings):
            return
                "zstd-\(strategy == 1 ? "fast" : "dfast")-\(settings.windowLog)-\(settings.longLog)\(settings.jobLog > 0 ? "-jobs" : "")"
        }
    }

    /// The numbers that stand for it in a plan.
    var raw: [Int] {
        let end = endsFull ? 1 : 0
        switch encoder {
        case .klauspost(let level, let era): return [1, end, level, era]
        case .reference(let strategy, let set):
            return [2, end, strategy, set.windowLog, set.longLog, set.shortLog, set.shortBytes, set.jobLog]
        }
    }

    /// The parameters that `raw` stands for; nil if this version does not know them.
    init?(raw: [Int]) {
        guard raw.count >= 2, raw[1] <= 1 else { return nil }
        switch raw[0] {
        case 1:
            guard raw.count == 4, (1...2).contains(raw[2]), raw[3] <= 3 else { return nil }
            encoder = .klauspost(level: raw[2], era: raw[3])
        case 2:
            guard raw.count == 8, (1...2).contains(raw[2]), (10...25).contains(raw[3]), (6...24).contains(raw[4]),
                (6...24).contains(raw[5]), (4...7).contains(raw[6]),
                raw[7] == 0 || (max(20, raw[3])...27).contains(raw[7])
            else { return nil }
            encoder = .reference(
                strategy: raw[2],
                ReferenceDoubleModel.Settings(
                    windowLog: raw[3], longLog: raw[4], shortLog: raw[5], shortBytes: raw[6], jobLog: raw[7]))
        default: return nil
        }
        endsFull = raw[1] == 1
    }

    init(_ encoder: Encoder, endsFull: Bool = false) {
        self.encoder = encoder
        self.endsFull = endsFull
    }

    func makeModels() -> (any MatchModel, any EntropyModel) {
        switch encoder {
        case .klauspost(let level, let era):
            if level == 1 {
                let entropy = KlauspostEntropy(
                    era: era, packsLiterals: false, blockSize: KlauspostFastModel.blockBytes)
                return (KlauspostFastModel(), entropy)
            }
            let model = KlauspostDoubleModel(windowBytes: 8 << 20)
            return (model, KlauspostEntropy(era: era, packsLiterals: era == 0, blockSize: model.blockBytes(at: 0)))
        case .reference(let strategy, let settings):
            let entropy = ReferenceEntropy(strategy: strategy, hasRawLiterals: false)
            return strategy == 1 ? (ReferenceFastModel(settings), entropy) : (ReferenceDoubleModel(settings), entropy)
        }
    }

    /// Whether the last block of a frame with that header may be a full one.
    func endsFull(_ header: FrameHeader) -> Bool {
        switch encoder {
        case .klauspost(let level, _):
            return endsFull || KlauspostDoubleModel.isWhole(header, level == 1 ? 4 << 20 : 8 << 20)
        case .reference: return endsFull
        }
    }

    /// Everything that is tried on a frame with that header, likely ones first.
    static func candidates(_ header: FrameHeader) -> [ZstdParameters] {
        var all: [ZstdParameters] = []
        for era in [3, 0, 2, 1] { all.append(ZstdParameters(.klauspost(level: 2, era: era))) }
        for era in [3, 0] { all.append(ZstdParameters(.klauspost(level: 1, era: era))) }
        let reference = references(header)
        // libzstd's windows have two mebibytes at most at these levels, klauspost's four and eight.
        return header.windowBytes <= 2 << 20 || header.contentBytes != nil ? reference + all : all + reference
    }

    /// libzstd's levels 3, 1, 4 and 2 for inputs of more than 256 KiB, with the command's jobs and without.
    private static func references(_ header: FrameHeader) -> [ZstdParameters] {
        var all: [ZstdParameters] = []
        let rows = [(2, 21, 17, 16, 5), (1, 19, 14, 13, 7), (2, 21, 18, 18, 5), (1, 20, 16, 15, 6)]
        for (strategy, window, long, short, bytes) in rows {
            // Windows are no larger than they need to be, and tables not much larger than those.
            var windowLog = window
            if let content = header.contentBytes, content > 1 << 10 {
                windowLog = min(window, (content - 1).highBit + 1)
            }
            for jobs in [max(20, windowLog + 2), 0] {
                let settings = ReferenceDoubleModel.Settings(
                    windowLog: windowLog, longLog: min(long, windowLog + 1), shortLog: min(short, windowLog),
                    shortBytes: bytes, jobLog: jobs)
                all.append(ZstdParameters(.reference(strategy: strategy, settings), endsFull: true))
            }
        }
        return all
    }
}
