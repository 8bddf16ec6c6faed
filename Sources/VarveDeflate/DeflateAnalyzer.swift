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

    /// Plain bytes between restart points, at the usual levels.
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

    /// Only decodes, which is what a first look at a file costs.
    /// - Parameter sink: Gets the plain bytes in order, in pieces.
    /// - Returns: The number of blocks.
    /// - Throws: ``DeflateError``, or what `source` and `sink` throw.
    package func decode(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        var scanner = try StreamScanner(source: source, plainCapacity: 1 << 20)
        let plain = scanner.reader.plain
        var blocks = 0
        while let element = try scanner.next() {
            guard case .block(let block) = element else { continue }
            blocks += 1
            let from = plain.base + (block.plainStart - plain.origin)
            try sink(UnsafeRawBufferPointer(start: from, count: block.plainCount))
            scanner.reader.tokens.count = 0
            plain.drop(before: plain.end - (64 << 10))
        }
        return blocks
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
    private var walk: any SegmentCoding
    /// What the segment in progress follows.
    private var parameters: StreamParameters
    private var plan = DeflatePlan()
    private var payloads: [UInt8] = []
    private var elements: [StreamElement] = []
    /// Where the input is known to have ended.
    private var endings: [Int] = []
    private var segment = DeflatePlan.Segment()
    private var segmentBit = 0
    private var memberStart = 0
    private var summary = DeflateAnalyzer.Summary()

    init(source: @escaping CompressedReader, parameters: StreamParameters) throws {
        self.source = source
        scanner = try StreamScanner(source: source, plainCapacity: 3 << 20)
        plan.parameters = [parameters]
        self.parameters = parameters
        walk = parameters.model.makeWalk(parameters)
    }

    mutating func run(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> DeflateAnalyzer.Result {
        let plain = scanner.reader.plain
        var cut: Cut?
        var memberCut: Cut?
        while let element = try scanner.next() {
            let before: Int
            if case .block(let block) = element {
                before = block.plainStart
                if block.plainCount > 0 { cut = cut ?? cutBefore(block, &memberCut) }
                if block.isMarker || block.isFinal { endings.append(block.plainStart + block.plainCount) }
            } else {
                before = plain.end
            }
            elements.append(element)
            if plain.end > before {
                try sink(UnsafeRawBufferPointer(start: plain.base + (before - plain.origin), count: plain.end - before))
            }
            if let found = cut, plain.end >= found.plain + DeflatePlan.lookahead, canJudge(found) {
                chooseModel(found)
                if let start = restart(at: found) { try finishSegment(found, next: start) }
                cut = nil
                if let found = memberCut, found.plain <= segment.plainStart { memberCut = nil }
            }
        }
        if let found = cut {
            chooseModel(found)
            if let start = restart(at: found) { try finishSegment(found, next: start) }
        }
        let last = Cut(index: elements.count, plain: plain.end, bit: scanner.reader.bitPosition)
        chooseModel(last)
        try finishSegment(last, next: DeflatePlan.Segment())
        plan.compressedCount = scanner.reader.bitPosition / 8
        plan.plainCount = plain.end
        summary.compressedBytes = plan.compressedCount
        summary.plainBytes = plan.plainCount
        summary.segments = plan.segments.count
        summary.encoder = plan.parameters.map(\.model.name).joined(separator: "+")
        let bytes = plan.encoded(payloads: payloads)
        if tooLarge(bytes.count) { return .unsupported(reason: "corrections-too-large") }
        return .plan(bytes, summary)
    }

    private func tooLarge(_ count: Int) -> Bool {
        count > 1024 + scanner.reader.bitPosition / 8 * DeflateAnalyzer.planPercentMax / 100
    }

    /// A member that begins after so many plain bytes begins a segment, and so does one that turns out twice as long.
    private static let memberMin = 256 << 10

    /// Whether a segment ends before the block just read, or ends where the member began.
    private func cutBefore(_ block: DeflateBlock, _ memberCut: inout Cut?) -> Cut? {
        let here = Cut(index: elements.count, plain: block.plainStart, bit: block.bitStart)
        let length = block.plainStart - segment.plainStart
        if case .raw? = elements.last, length > 0 {
            memberCut = nil
            if length >= Self.memberMin { return here }
            memberCut = here
        }
        if let found = memberCut, found.plain > segment.plainStart, block.plainStart - found.plain >= 2 * Self.memberMin
        {
            memberCut = nil
            return found
        }
        return length >= parameters.model.segmentTarget ? here : nil
    }

    /// At a further member, which may come from another encoder: another model if the one so far does badly.
    private mutating func chooseModel(_ cut: Cut) {
        if segment.age > 0 || plan.segments.isEmpty { return }
        let (blocks, tokens) = describe(0..<cut.index, segment, end: cut.plain)
        let compressed = cut.bit >> 3 - segmentBit >> 3
        if !walk.unrepresentable && blocks.count + tokens.count < 256 + compressed / 500 { return }
        let prefix = StreamPrefix(
            scanner.reader, Array(elements[0..<cut.index]), endings: endings, start: segment.plainStart,
            compressedBytes: compressed)
        let found = prefix.best()
        if found == parameters { return }
        parameters = found
        walk = found.model.makeWalk(found)
        if let index = plan.parameters.firstIndex(of: found) {
            segment.parameters = index
        } else {
            segment.parameters = plan.parameters.count
            plan.parameters.append(found)
        }
    }

    /// A place between two blocks where a segment may end.
    private struct Cut {
        /// Elements before it.
        var index: Int
        var plain: Int
        var bit: Int
    }

    private mutating func finishSegment(_ cut: Cut, next: DeflatePlan.Segment) throws {
        let plain = scanner.reader.plain
        segment.plainCount = cut.plain - segment.plainStart
        if segment.plainCount > DeflatePlan.segmentPlainMax { throw DeflateError("segment-too-long") }
        segment.compressedStart = segmentBit >> 3
        segment.compressedCount = cut.bit >> 3 - segmentBit >> 3
        let (blocks, tokens) = describe(0..<cut.index, segment, end: cut.plain)
        if walk.unrepresentable { throw DeflateError("block-structure") }
        segment.blocksCount = blocks.count
        segment.tokensCount = tokens.count
        payloads.append(contentsOf: blocks)
        payloads.append(contentsOf: tokens)
        summary.corrections += walk.corrections
        summary.correctionBytes += tokens.count
        plan.segments.append(segment)
        if payloads.count > 1 << 20 && tooLarge(payloads.count / 2) { throw DeflateError("corrections-too-large") }
        let set = segment.parameters
        segment = next
        segment.parameters = set
        segmentBit = cut.bit
        if segment.phase != 0 {
            var byte: UInt8 = 0
            _ = try withUnsafeMutableBytes(of: &byte) { try source(segmentBit >> 3, $0) }
            segment.phaseBits = Int(byte) & (1 << segment.phase - 1)
        }
        memberStart = cut.plain - next.age
        forget(cut.index)
        endings.removeAll { $0 <= cut.plain - (1 << 20) }
        plain.drop(before: cut.plain - Self.kept)
    }

    /// Describes elements as a segment with the given start.
    private func describe(
        _ range: Range<Int>, _ start: DeflatePlan.Segment, end: Int
    ) -> (blocks: [UInt8], tokens: [UInt8]) {
        let plain = scanner.reader.plain
        let origin = plain.origin
        let geometry = SegmentGeometry(
            start: start.plainStart - origin, end: end - origin,
            available: min(plain.end, end + DeflatePlan.lookahead) - origin, lead: start.lead, history: start.history,
            age: start.age)
        return walk.write(
            elements[range], plain: UnsafePointer(plain.base), plainOrigin: origin, geometry: geometry,
            tokens: scanner.reader.tokens.base, endings: endings.map { $0 - origin }[...])
    }

    /// Drops elements and their tokens.
    private mutating func forget(_ count: Int) {
        var tokenEnd = 0
        for element in elements[0..<count] {
            if case .block(let block) = element { tokenEnd = block.tokenStart + block.tokenCount }
        }
        elements.removeFirst(count)
        if tokenEnd == 0 { return }
        scanner.reader.tokens.dropFirst(tokenEnd)
        for index in elements.indices {
            if case .block(var block) = elements[index] {
                block.tokenStart -= min(tokenEnd, block.tokenStart)
                elements[index] = .block(block)
            }
        }
    }

    /// How a segment that begins at the cut gets at its model's state; nil if another place is to be looked for, because
    /// the model would not be in step here.
    private func restart(at cut: Cut) -> DeflatePlan.Segment? {
        let tokens = scanner.reader.tokens
        var at = segment.plainStart
        var matchEnd = segment.plainStart
        var member = memberStart
        for element in elements[0..<cut.index] {
            switch element {
            case .block(let block):
                at = block.plainStart + block.plainCount
                if block.matchCount == 0 { continue }
                var index = block.tokenStart + block.tokenCount
                matchEnd = at
                while index > block.tokenStart {
                    index -= 1
                    if Token.isMatch(tokens.base[index]) { break }
                    matchEnd -= 1
                }
            case .raw:
                member = at
                matchEnd = at
            }
        }
        let end = cut.plain
        var unit = member
        if let last = endings.last(where: { $0 <= end }) { unit = max(unit, last) }
        if parameters.unitSize > 0 { unit = max(unit, end - (end - member) % parameters.unitSize) }

        var next = DeflatePlan.Segment()
        next.plainStart = end
        next.age = end - member
        next.phase = cut.bit & 7
        switch parameters.model.runUp {
        case .history:
            next.lead = min(end - max(matchEnd, unit), 8192)
            next.history = history(from: end - next.lead, text: 32768, member: member, unit: unit)
            return next
        case .tokens(let usual, let text):
            // A longer run-up may be what it takes to be in step; else a later place; in the end, corrections.
            var best = next
            var fewest = Int.max
            var lead = usual
            while true {
                next.lead = min(end - unit, lead)
                next.history = history(from: end - next.lead, text: text, member: member, unit: unit)
                let departures = next.lead == 0 ? 0 : departures(after: cut, next)
                if departures < fewest {
                    fewest = departures
                    best = next
                }
                lead *= 2
                if fewest == 0 || next.lead == end - unit || lead > usual * 4 { break }
            }
            return fewest > 0 && end - segment.plainStart < Self.segmentMost ? nil : best
        }
    }

    /// Plain bytes after which a segment ends even where the model is not in step.
    private static let segmentMost = 4 << 20

    /// Text before `from` that a model starting there knows.
    private func history(from: Int, text: Int, member: Int, unit: Int) -> Int {
        let dictionary = parameters.unitDictionary
        if dictionary < 0 { return min(text, from - member) }
        let before = min(unit - member, dictionary)
        return from == unit ? before : min(text, from - unit + before)
    }

    /// Whether enough is decoded to try the model on the first block after a cut.
    private func canJudge(_ cut: Cut) -> Bool {
        guard case .tokens = parameters.model.runUp,
            case .block(let block)? = elements.dropFirst(cut.index).first
        else { return true }
        return block.plainStart + block.plainCount + 300 <= scanner.reader.plain.end
    }

    /// How often the model is wrong in the first block after a cut.
    private func departures(after cut: Cut, _ start: DeflatePlan.Segment) -> Int {
        guard start.plainStart - start.lead - start.history >= scanner.reader.plain.origin else { return Int.max - 1 }
        guard case .block(let block)? = elements.dropFirst(cut.index).first else { return 0 }
        let end = block.plainStart + block.plainCount
        if block.kind == .stored || end + 300 > scanner.reader.plain.end { return 0 }
        _ = describe(cut.index..<(cut.index + 1), start, end: end)
        return walk.corrections
    }
}
