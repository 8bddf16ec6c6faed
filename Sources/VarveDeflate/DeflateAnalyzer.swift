// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes a reconstruction plan out of a gzip file, handing out its plain bytes on the way.
///
/// Memory is bounded: some megabytes, more only for single deflate blocks of many megabytes of plain text.
package struct DeflateAnalyzer {
    /// What came of it.
    package enum Result {
        /// The plan, and what it says in short.
        case plan([UInt8], Summary)
        /// The file cannot or should not be taken apart; the word is stable, for counting.
        case unsupported(reason: String)
    }

    /// Facts about a plan, for tables and counters.
    package struct Summary: Sendable {
        /// The encoder model used.
        package var encoder = ""
        /// Bytes of the plan that describe departures from the model.
        package var correctionBytes = 0
        /// Number of departures (0 for the generic predictor, which has none by definition).
        package var corrections = 0
        package var compressedBytes = 0
        package var plainBytes = 0
        package var segments = 0
    }

    /// Plain bytes between restart points.
    package static let segmentTarget = 1 << 20
    /// Plain bytes looked at to find the encoder.
    package static let prefixBytes = 2_200_000
    /// A plan may cost so much of the file, in percent.
    package static let planPercentMax = 10

    private let source: CompressedReader

    /// - Parameter source: Reads the compressed file at any offset; called again for a prefix that was already read.
    package init(source: @escaping CompressedReader) {
        self.source = source
    }

    /// Runs over the whole file.
    /// - Parameter sink: Gets the plain bytes in order, in pieces. After an `unsupported` it may have had some or none.
    /// - Throws: Only what `source` and `sink` throw.
    package func analyze(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Result {
        do {
            let parameters = try StreamIdentifier(source: source).identify()
            return try analyze(with: parameters, sink: sink)
        } catch let error as DeflateError {
            return .unsupported(reason: error.reason)
        }
    }

    /// The main pass, with the encoder known.
    func analyze(with parameters: StreamParameters, sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Result {
        var pass = try AnalysisPass(source: source, parameters: parameters)
        return try pass.run(sink: sink)
    }
}

/// One run over a file: decodes, cuts segments, describes each.
struct AnalysisPass {
    private static let kept = 620 << 10

    private let source: CompressedReader
    private var scanner: StreamScanner
    private let walk: any SegmentCoding
    private var plan = DeflatePlan()
    private var payloads: [UInt8] = []
    private var elements: [StreamElement] = []
    /// Where the input is known to have ended.
    private var endings: [Int] = []
    private var segment = DeflatePlan.Segment()
    private var segmentBit = 0
    private var memberStart = 0
    private var unitStart = 0
    private var summary = DeflateAnalyzer.Summary()

    init(source: @escaping CompressedReader, parameters: StreamParameters) throws {
        self.source = source
        scanner = try StreamScanner(source: source, plainCapacity: 3 << 20)
        plan.parameters = parameters
        walk = parameters.model.makeWalk(parameters)
    }

    mutating func run(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> DeflateAnalyzer.Result {
        let plain = scanner.reader.plain
        var cut: (index: Int, plain: Int, bit: Int)?
        while let element = try scanner.next() {
            let before: Int
            if case .block(let block) = element {
                before = block.plainStart
                if cut == nil, block.plainCount > 0,
                    block.plainStart - segment.plainStart >= DeflateAnalyzer.segmentTarget
                {
                    cut = (elements.count, block.plainStart, block.bitStart)
                }
                if block.isMarker || block.isFinal { endings.append(block.plainStart + block.plainCount) }
            } else {
                before = plain.end
            }
            elements.append(element)
            if plain.end > before {
                try sink(UnsafeRawBufferPointer(start: plain.base + (before - plain.origin), count: plain.end - before))
            }
            if let found = cut, plain.end >= found.plain + DeflatePlan.lookahead {
                try finishSegment(found.index, end: found.plain, bitEnd: found.bit)
                cut = nil
            }
        }
        if let found = cut { try finishSegment(found.index, end: found.plain, bitEnd: found.bit) }
        try finishSegment(elements.count, end: plain.end, bitEnd: scanner.reader.bitPosition)
        plan.compressedCount = scanner.reader.bitPosition / 8
        plan.plainCount = plain.end
        summary.compressedBytes = plan.compressedCount
        summary.plainBytes = plan.plainCount
        summary.segments = plan.segments.count
        summary.encoder = plan.parameters.model.name
        let bytes = plan.encoded(payloads: payloads)
        if tooLarge(bytes.count) { return .unsupported(reason: "corrections-too-large") }
        return .plan(bytes, summary)
    }

    private func tooLarge(_ count: Int) -> Bool {
        count > 1024 + scanner.reader.bitPosition / 8 * DeflateAnalyzer.planPercentMax / 100
    }

    private mutating func finishSegment(_ count: Int, end: Int, bitEnd: Int) throws {
        let plain = scanner.reader.plain
        let tokens = scanner.reader.tokens
        segment.plainCount = end - segment.plainStart
        if segment.plainCount > DeflatePlan.segmentPlainMax { throw DeflateError("segment-too-long") }
        segment.compressedStart = segmentBit >> 3
        segment.compressedCount = bitEnd >> 3 - segmentBit >> 3
        let origin = plain.origin
        let localEndings = endings.map { $0 - origin }[...]
        var blocks: [UInt8] = []
        var tokenBytes: [UInt8] = []
        var corrections = -1
        var trial = segment
        while true {
            let geometry = SegmentGeometry(
                start: trial.plainStart - origin, end: end - origin,
                available: min(plain.end, end + DeflatePlan.lookahead) - origin, lead: trial.lead,
                history: trial.history, age: trial.age)
            let (newBlocks, newTokens) = walk.write(
                elements[0..<count], plain: UnsafePointer(plain.base), plainOrigin: origin, geometry: geometry,
                tokens: tokens.base, endings: localEndings)
            if corrections < 0 || newTokens.count < tokenBytes.count {
                segment = trial
                blocks = newBlocks
                tokenBytes = newTokens
                corrections = walk.corrections
            }
            // Where the tables depend on the tokens, a longer run-up may be what it takes to be in step.
            guard case .tokens(let usual) = plan.parameters.model.runUp, walk.corrections > 0, trial.lead >= usual,
                trial.lead < usual * 4, trial.plainStart - unitStart > trial.lead
            else { break }
            trial.lead = min(trial.lead * 2, trial.plainStart - unitStart)
            if trial.lead + trial.history > trial.plainStart - origin { break }
        }
        segment.blocksCount = blocks.count
        segment.tokensCount = tokenBytes.count
        payloads.append(contentsOf: blocks)
        payloads.append(contentsOf: tokenBytes)
        summary.corrections += corrections
        summary.correctionBytes += tokenBytes.count
        plan.segments.append(segment)
        if payloads.count > 1 << 20 && tooLarge(payloads.count / 2) { throw DeflateError("corrections-too-large") }
        try prepareNext(count, end: end, bitEnd: bitEnd)
    }

    /// Sets up the next segment's start and forgets what is no longer needed.
    private mutating func prepareNext(_ count: Int, end: Int, bitEnd: Int) throws {
        let plain = scanner.reader.plain
        let tokens = scanner.reader.tokens
        var at = segment.plainStart
        var matchEnd = segment.plainStart
        var tokenEnd = 0
        for element in elements[0..<count] {
            switch element {
            case .block(let block):
                at = block.plainStart + block.plainCount
                tokenEnd = block.tokenStart + block.tokenCount
                var back = at
                var index = tokenEnd
                while index > block.tokenStart {
                    index -= 1
                    if Token.isMatch(tokens.base[index]) { break }
                    back -= 1
                }
                if block.matchCount > 0 { matchEnd = back }
            case .raw:
                memberStart = at
                matchEnd = at
            }
        }
        let parameters = plan.parameters
        unitStart = memberStart
        if let last = endings.last(where: { $0 <= end }) { unitStart = max(unitStart, last) }
        if parameters.unitSize > 0 {
            unitStart = max(unitStart, end - (end - memberStart) % parameters.unitSize)
        }
        var next = DeflatePlan.Segment()
        next.plainStart = end
        next.age = end - memberStart
        let text: Int
        switch parameters.model.runUp {
        case .history:
            next.lead = min(end - max(matchEnd, unitStart), 8192)
            text = 32768
        case .tokens(let warm):
            next.lead = min(end - unitStart, warm)
            text = 0
        }
        let from = end - next.lead
        let before = from - memberStart
        if parameters.unitDictionary >= 0 {
            // Text before the unit is limited to the dictionary.
            let inUnit = from - unitStart
            let dictionary = min(unitStart - memberStart, parameters.unitDictionary)
            next.history = inUnit == 0 ? dictionary : min(text, inUnit + dictionary)
        } else {
            next.history = min(text, before)
        }
        segment = next
        segmentBit = bitEnd
        segment.phase = bitEnd & 7
        if segment.phase != 0 {
            var byte: UInt8 = 0
            _ = try withUnsafeMutableBytes(of: &byte) { try source(bitEnd >> 3, $0) }
            segment.phaseBits = Int(byte) & (1 << segment.phase - 1)
        }
        elements.removeFirst(count)
        if tokenEnd > 0 {
            tokens.dropFirst(tokenEnd)
            for index in elements.indices {
                if case .block(var block) = elements[index] {
                    block.tokenStart -= min(tokenEnd, block.tokenStart)
                    elements[index] = .block(block)
                }
            }
        }
        endings.removeAll { $0 <= end - (1 << 20) }
        plain.drop(before: end - Self.kept)
    }
}
