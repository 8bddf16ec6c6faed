// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which encoder wrote a stream, with which settings. The numbers are on-disk format.
struct ZstdParameters: Hashable {
    enum Encoder: Hashable {
        /// klauspost/compress; level 2 is its default. Eras: see ``KlauspostEntropy``.
        /// `windowLog` if the window is not the level's.
        case klauspost(level: Int, era: Int, windowLog: Int? = nil)
        /// libzstd 1.5, strategy 1 ("fast") or 2 ("dfast").
        case reference(strategy: Int, ReferenceModel.Settings)
    }

    var encoder: Encoder
    /// Whether a last block may be a full one (the encoder knows where its input ends).
    var endsFull = false

    /// For tables and counters.
    var name: String {
        switch encoder {
        case .klauspost(let level, let era, let window):
            return "klauspost-\(level)-\(era)\(window.map { "-\($0)" } ?? "")"
        case .reference(let strategy, let settings):
            return
                "zstd-\(strategy == 1 ? "fast" : "dfast")-\(settings.windowLog)-\(settings.longLog)\(settings.jobLog > 0 ? "-jobs" : "")\(settings.isStream ? "-stream" : "")\(settings.isNew ? "-1.5.7" : "")"
        }
    }

    /// Plain bytes of the encoder's jobs; 0 if it has none.
    var jobBytes: Int {
        guard case .reference(_, let settings) = encoder, settings.jobLog > 0 else { return 0 }
        return 1 << settings.jobLog
    }

    /// The model's window.
    var windowBytes: Int {
        switch encoder {
        case .klauspost(let level, let era, let window): return window.map { 1 << $0 } ?? Self.window(level, era)
        case .reference(_, let settings): return 1 << settings.windowLog
        }
    }

    /// Plain bytes of a usual block.
    var blockBytes: Int { min(level == 1 ? KlauspostFastModel.blockSize : ZstdTables.blockMax, windowBytes) }

    /// Memory that the models' tables take, about.
    var modelBytes: Int {
        switch encoder {
        case .klauspost(let level, _, _): return [0, 1, 2, 5, 36][level] << 20
        case .reference(_, let settings): return 4 << settings.longLog + 4 << settings.shortLog
        }
    }

    /// The numbers that stand for it in a plan.
    var raw: [Int] {
        let end = endsFull ? 1 : 0
        switch encoder {
        case .klauspost(let level, let era, let window): return [1, end, level, era] + (window.map { [$0] } ?? [])
        case .reference(let strategy, let set):
            return [2, end, strategy, set.windowLog, set.longLog, set.shortLog, set.shortBytes, set.jobLog]
                + (set.isNew || set.isStream ? [(set.isNew ? 1 : 0) | (set.isStream ? 2 : 0)] : [])
        }
    }

    /// The parameters that `raw` stands for; nil if this version does not know them.
    init?(raw: [Int]) {
        guard raw.count >= 2, raw[1] <= 1 else { return nil }
        switch raw[0] {
        case 1:
            guard raw.count == 4 || raw.count == 5, (1...4).contains(raw[2]), raw[3] <= (raw[2] > 2 ? 5 : 3),
                raw.count == 4 || (10...25).contains(raw[4])
            else { return nil }
            encoder = .klauspost(level: raw[2], era: raw[3], windowLog: raw.count == 5 ? raw[4] : nil)
        case 2:
            guard raw.count == 8 || raw.count == 9 && (1...3).contains(raw[8]), (1...2).contains(raw[2]),
                (10...25).contains(raw[3]), (6...24).contains(raw[4]),
                (6...24).contains(raw[5]), (4...7).contains(raw[6]),
                raw[7] == 0 || (max(20, raw[3])...27).contains(raw[7])
            else { return nil }
            encoder = .reference(
                strategy: raw[2],
                ReferenceModel.Settings(
                    windowLog: raw[3], longLog: raw[4], shortLog: raw[5], shortBytes: raw[6], jobLog: raw[7],
                    isNew: raw.count == 9 && raw[8] & 1 != 0, isStream: raw.count == 9 && raw[8] & 2 != 0))
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
        case .klauspost(let level, let era, _):
            let model = Self.klauspost(level, era, windowBytes)
            // Levels above the default compress blocks without a match; early versions did at the default level too.
            return (
                model,
                KlauspostEntropy(
                    era: min(era, era > 3 ? 2 : 3), packsLiterals: level > 2 || level == 2 && era == 0,
                    blockSize: model.blockBytes(at: 0))
            )
        case .reference(let strategy, let settings):
            let entropy = ReferenceEntropy(strategy: strategy, hasRawLiterals: false)
            return strategy == 1 ? (ReferenceFastModel(settings), entropy) : (ReferenceDoubleModel(settings), entropy)
        }
    }

    private static func klauspost(_ level: Int, _ era: Int, _ windowBytes: Int) -> KlauspostModel {
        switch level {
        case 1: return KlauspostFastModel(windowBytes: windowBytes)
        case 2: return KlauspostDoubleModel(windowBytes: windowBytes)
        case 3:
            return KlauspostBetterModel(
                windowBytes: windowBytes, knowsRuns: era == 3, learnsAll: (2...4).contains(era))
        default:
            let eras: [KlauspostBestModel.Era] = [.first, .second, .fourth, .fifth, .third, .second]
            return KlauspostBestModel(windowBytes: windowBytes, era: eras[era])
        }
    }

    /// klauspost/compress's window, in bytes.
    private static func window(_ level: Int, _ era: Int) -> Int {
        switch level {
        case 1: return 4 << 20
        case 2: return 8 << 20
        default: return era == 2 || era == 3 ? 8 << 20 : level == 3 ? 16 << 20 : 32 << 20
        }
    }

    /// Whether the last block of a frame with that header may be a full one.
    func endsFull(_ header: FrameHeader) -> Bool {
        switch encoder {
        case .klauspost: return endsFull || KlauspostModel.isWhole(header, windowBytes)
        case .reference: return endsFull
        }
    }

    /// The header that the encoder gives a frame of so many plain bytes that it does not know the length of beforehand; nil
    /// if this is not known.
    func usualHeader(plainCount count: Int) -> [UInt8]? {
        guard case .klauspost = encoder, count > 0 else { return nil }
        let window = windowBytes
        var bytes: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 4]
        guard count <= blockBytes else {
            return bytes + [UInt8((window.highBit - 10) << 3)]
        }
        // It was one block when the end came.
        let isSingle = count > 1024
        let code = count < 256 ? 0 : count < 65_536 + 256 ? 1 : 2
        bytes[4] |= UInt8(code << 6) | (isSingle ? 32 : 0)
        if !isSingle { bytes.append(UInt8(max(count.highBit + 1 - 10, 0) << 3)) }
        if code > 0 {
            let value = code == 1 ? count - 256 : count
            for index in 0..<(1 << code) { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
        }
        return bytes
    }

    /// klauspost/compress's level; 0 for another encoder.
    private var level: Int {
        if case .klauspost(let level, _, _) = encoder { return level }
        return 0
    }

    private var isNewest: Bool {
        if case .klauspost(_, 3, _) = encoder { return true }
        return false
    }

    /// Plain bytes that tell it from all others, about: libzstd's jobs and buffers show late.
    var tellingBytes: Int {
        jobBytes > 0 ? min(jobBytes + 2 * ZstdTables.blockMax, Self.tellingMax) : ZstdAnalyzer.prefixBytes
    }

    static let tellingMax = 10 << 20

    /// Who wrote so many plain bytes as it does is of its kin.
    var kinBytes: Int { min(windowBytes + ZstdTables.blockMax, ZstdAnalyzer.prefixBytes) }

    /// Those of the candidates whose first bytes, a window of them, are the same, those of streaming calls first.
    func kin(among candidates: [ZstdParameters]) -> [ZstdParameters] {
        guard case .reference(let strategy, let settings) = encoder else { return [] }
        var (streams, others): ([ZstdParameters], [ZstdParameters]) = ([], [])
        for candidate in candidates where candidate != self {
            guard case .reference(strategy, var other) = candidate.encoder else { continue }
            let isStream = other.isStream
            (other.jobLog, other.isStream) = (settings.jobLog, settings.isStream)
            guard other == settings else { continue }
            if isStream { streams.append(candidate) } else { others.append(candidate) }
        }
        return streams + others
    }

    /// Everything that is tried on a frame with that header, likely ones first.
    static func candidates(_ header: FrameHeader) -> [ZstdParameters] {
        var all: [ZstdParameters] = []
        for era in [3, 0, 2, 1] { all.append(ZstdParameters(.klauspost(level: 2, era: era))) }
        for era in [3, 0, 2, 5, 4, 1] { all.append(ZstdParameters(.klauspost(level: 4, era: era))) }
        for era in [3, 0, 4, 2, 5, 1] { all.append(ZstdParameters(.klauspost(level: 3, era: era))) }
        for era in [3, 0] { all.append(ZstdParameters(.klauspost(level: 1, era: era))) }
        if header.contentBytes == nil, header.windowBytes >= 64 << 10, header.windowBytes.nonzeroBitCount == 1 {
            // A window that somebody chose.
            let log = header.windowBytes.highBit
            all += all.filter { $0.windowBytes != header.windowBytes && $0.isNewest }
                .map { ZstdParameters(.klauspost(level: $0.level, era: 3, windowLog: log)) }
        }
        let reference = references(header)
        // libzstd's windows have two mebibytes at most at these levels, klauspost's four and eight.
        return header.windowBytes <= 2 << 20 || header.contentBytes != nil ? reference + all : all + reference
    }

    /// libzstd's levels 3, 1, 4 and 2 for inputs of more than 256 KiB, with the command's jobs and without.
    private static func references(_ header: FrameHeader) -> [ZstdParameters] {
        var all: [ZstdParameters] = []
        let rows = [
            (2, 21, 17, 16, 5, false), (2, 21, 17, 16, 5, true), (1, 19, 14, 13, 7, false), (2, 21, 18, 18, 5, false),
            (2, 21, 18, 18, 5, true), (1, 20, 16, 15, 6, false),
        ]
        // They differ behind the first megabytes only, where a second look finds out.
        var others: [ZstdParameters] = []
        // A window that is as large as a level's is hardly another's.
        let isSame = rows.map { header.windowBytes == 1 << $0.1 }
        for index in rows.indices.filter({ isSame[$0] }) + rows.indices.filter({ !isSame[$0] }) {
            let (strategy, window, long, short, bytes, isNew) = rows[index]
            // Windows are no larger than they need to be, and tables not much larger than those.
            var windowLog = window
            if let content = header.contentBytes, content > 1 << 10 {
                windowLog = min(window, (content - 1).highBit + 1)
            } else if header.contentBytes == nil, header.windowBytes.nonzeroBitCount == 1 {
                windowLog = min(window, header.windowBytes.highBit)
            }
            var settings = ReferenceModel.Settings(
                windowLog: windowLog, longLog: min(long, windowLog + 1), shortLog: min(short, windowLog),
                shortBytes: bytes, jobLog: max(20, windowLog + 2), isNew: isNew)
            all.append(ZstdParameters(.reference(strategy: strategy, settings), endsFull: true))
            settings.jobLog = 0
            others.append(ZstdParameters(.reference(strategy: strategy, settings), endsFull: true))
            settings.isStream = true
            if strategy == 2 { others.append(ZstdParameters(.reference(strategy: strategy, settings))) }
        }
        return all + others
    }
}
