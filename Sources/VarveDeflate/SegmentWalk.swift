// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The description of one segment, coded by a writer (analysis) or by a reader (rebuild): the same code for both, so that
/// they cannot disagree.
final class SegmentWalk<Model: TokenModel>: SegmentCoding {
    private(set) var parameters: StreamParameters
    let model: Model
    let headers = HeaderCoder()
    let probabilities = Probabilities(count: 1024)
    let tapeProbabilities = Probabilities(count: TokenTape<BinaryEncoder>.probabilityCount)
    let literalCounts: UnsafeMutablePointer<Int32>
    let distanceCounts: UnsafeMutablePointer<Int32>
    let scratch: UnsafeMutablePointer<UInt32>
    static var scratchCapacity: Int { 1 << 16 }
    let made = TokenBuffer()

    /// No block, or part of one, has more tokens. (That many it had only before long dynamic blocks were divided.)
    static var tokensMax: Int { 8 << 20 + 1 << 17 }

    // State of the walk over one segment.
    var plain: UnsafePointer<UInt8>
    let nothing: UnsafeMutablePointer<UInt8>
    var geometry = SegmentGeometry()
    var at = 0
    var watch: BlockRuleWatch
    private(set) var effort = Effort.any
    private var stepsBefore = 0
    var inputEnd = -1
    var memberStart: Int?
    /// Where the encoder began knowing nothing, if it last did so in this segment.
    var freshAt = -1
    /// Where the encoder's job began.
    var jobStart = 0
    /// The codes of the dynamic block in progress, where it has parts to come.
    var openCodes: DynamicHeader?
    var endings: ArraySlice<Int> = []
    private(set) var corrections = 0
    private(set) var goodBefore = Int.max
    var unrepresentable = false
    private(set) var gaveUp: GaveUp?
    private(set) var elementCount = 0
    /// The longest piece against the rule, where the rule counts plain bytes: it is handled in one go.
    static var oddPieceMax: Int { 8 << 20 }

    init(parameters: StreamParameters, model: Model) {
        self.parameters = parameters
        self.model = model
        watch = BlockRuleWatch(rule: parameters.rule)
        literalCounts = .allocate(capacity: 288)
        literalCounts.initialize(repeating: 0, count: 288)
        distanceCounts = .allocate(capacity: 32)
        distanceCounts.initialize(repeating: 0, count: 32)
        scratch = .allocate(capacity: Self.scratchCapacity)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        literalCounts.deallocate()
        distanceCounts.deallocate()
        scratch.deallocate()
        nothing.deallocate()
    }

    func follow(_ parameters: StreamParameters) {
        self.parameters = parameters
        watch = BlockRuleWatch(rule: parameters.rule)
    }

    var sparse: Bool { !Model.describesTokens }

    func start(_ plain: UnsafePointer<UInt8>, _ geometry: SegmentGeometry) {
        self.plain = plain
        self.geometry = geometry
        probabilities.reset()
        if !parameters.startsAtHalf { expectTheUsual() }
        tapeProbabilities.reset()
        headers.reset()
        model.resetProbabilities()
        at = geometry.start
        inputEnd = -1
        memberStart = nil
        corrections = 0
        goodBefore = .max
        unrepresentable = false
        gaveUp = nil
        openCodes = nil
        stepsBefore = model.steps
        runUp()
    }

    /// Starts the decisions that nearly always go one way near there: a dynamic block after the other, not the last one,
    /// with tokens, not literals only, ending as the rule says.
    private func expectTheUsual() {
        let p = probabilities.base
        for context in 0..<6 {
            p[context * 8 + 1] = 62000
            p[context * 8 + 2] = 3500
            p[context * 8 + 5] = 62000
        }
        for index in [48, 49, 50, 56, 59, 61] { p[index] = 63000 }
        p[62] = 2500
    }

    var steps: Int { model.steps &- stepsBefore }
    func restart(before limit: Int) -> Int? { model.restart(before: limit) }

    /// Whether a description that has come to `size` bytes and so many departures is no longer worth going on with; remembered.
    func isTooDear(_ size: Int, _ departures: Int) -> Bool {
        if gaveUp == nil {
            if size > effort.bytesMax { gaveUp = .bytes }
            if departures > effort.departuresMax { gaveUp = .departures }
            if steps > effort.stepsMax { gaveUp = .steps }
        }
        return gaveUp != nil
    }

    /// Brings the model to the state it has at the segment's start.
    func runUp() {
        let from = geometry.start - geometry.lead
        // Where the encoder's window began: models whose window slides at fixed places want to know.
        var origin = geometry.start - geometry.age
        jobStart = from
        if parameters.jobSize > 0 { origin = from - geometry.history }
        if parameters.unitDictionary >= 0 && parameters.unitSize > 0 {
            let into = (geometry.age - geometry.lead) % parameters.unitSize
            origin = max(origin, from - into - parameters.unitDictionary)
        }
        model.begin(plain, at: from, history: geometry.history, origin: min(origin, from - geometry.history))
        if geometry.lead > 0 { model.runsUp(to: geometry.start) }
        freshAt = geometry.history == 0 ? from : -1
        var tape = VirtualTape(scratch, capacity: Self.scratchCapacity)
        while model.position < geometry.start {
            tape.index = 0
            if let size = pieceSize(model.position) {
                var stop = min(model.position + size, geometry.start)
                if parameters.unitSize > 0 && parameters.unitDictionary < 0 {
                    let phase = geometry.age - (geometry.start - model.position)
                    stop = min(stop, model.position + parameters.unitSize - phase % parameters.unitSize)
                }
                model.run(&tape, maxTokens: Int.max, stopAt: stop, inputEnd: stop)
            } else {
                model.run(&tape, maxTokens: BlockRuleWatch.slice, stopAt: geometry.start, inputEnd: geometry.available)
            }
        }
    }

    // MARK: both ways

    /// Writes the description of a segment.
    /// - Parameters:
    ///   - effort: When to give up; the caller then throws away what is returned.
    ///   - endings: Plain offsets, ascending, at which the stream shows that input ended (flush markers, ends of members).
    /// - Returns: The block stream and the token stream.
    func write(
        _ elements: ArraySlice<StreamElement>, plain: UnsafePointer<UInt8>, plainOrigin: Int, geometry: SegmentGeometry,
        tokens: UnsafeMutablePointer<UInt32>, endings: ArraySlice<Int>, effort: Effort
    ) -> (blocks: [UInt8], tokens: [UInt8]) {
        start(plain, geometry)
        self.endings = endings
        self.effort = effort
        var coder = BinaryEncoder()
        var tape = TokenTape(
            coder: BinaryEncoder(), tokens: tokens, probabilities: tapeProbabilities.base, sparse: sparse,
            isEmpty: false)
        var context = 0
        elementCount = elements.count
        var before = (plain: 0, work: 0)
        for index in elements.indices {
            context = codeElement(&coder, &tape, elements[index], context, plainOrigin, sink: nil, limit: 0)
            if unrepresentable || isTooDear(coder.size &+ tape.coder.size, tape.corrections) { break }
            if index + 1 < elements.endIndex, case .block(let next) = elements[index + 1],
                endsSegment(before: next, compressed: Self.compressedCount(elements, before: next), &before)
            {
                elementCount = index + 1 - elements.startIndex
                break
            }
        }
        _ = coder.tree(probabilities.base + context * 8, bits: 3, 4)
        if sparse { tape.close() }
        corrections = tape.corrections
        goodBefore = tape.goodBefore
        let empty = sparse && tape.corrections == 0
        return (coder.finish(), empty ? [] : tape.coder.finish())
    }

    /// Bytes from the first block to another.
    private static func compressedCount(_ elements: ArraySlice<StreamElement>, before block: DeflateBlock) -> Int {
        for element in elements {
            if case .block(let first) = element { return (block.bitStart - first.bitStart) >> 3 }
        }
        return 0
    }

    /// Whether the segment has enough work, or would have too much with the next block, should that be as laborious as the
    /// last one.
    /// - Parameters:
    ///   - next: The next block; a segment does not end before one without plain bytes.
    ///   - compressed: Bytes of the segment before it.
    ///   - before: What there was before the last block; set to what there is.
    private func endsSegment(
        before next: DeflateBlock, compressed: Int, _ before: inout (plain: Int, work: Int)
    ) -> Bool {
        let count = next.plainCount
        // What stands before a flush marker counts behind it.
        if effort.segmentWork == .max || count == 0 { return false }
        let length = at - geometry.start
        let now = (plain: length, work: Effort.work(plain: length, compressed: compressed, steps: steps))
        defer { before = now }
        if now.plain == before.plain { return false }
        if now.work >= effort.segmentWork { return true }
        if now.work <= effort.segmentWork / 8 { return false }
        // A hostile block may be more work than can be multiplied.
        let (product, isHuge) = (now.work - before.work).multipliedReportingOverflow(by: count)
        return isHuge || product / (now.plain - before.plain) > effort.segmentWork / 4 * 5 - now.work
    }

    /// Reads a segment's description and makes its bytes.
    /// - Parameter enough: Stops after the block with which there are so many whole bytes.
    /// - Throws: `plan-damaged` if the description leads anywhere else than to `expected` whole bytes and the segment's end.
    func read(
        blocks: UnsafeBufferPointer<UInt8>, tokens: UnsafeBufferPointer<UInt8>, plain: UnsafePointer<UInt8>,
        geometry: SegmentGeometry, into sink: BitSink, expected: Int, enough: Int
    ) throws(DeflateError) {
        start(plain, geometry)
        let fallback = UnsafePointer(nothing)
        var coder = BinaryDecoder(base: blocks.baseAddress ?? fallback, count: blocks.count)
        var tape = TokenTape(
            coder: BinaryDecoder(base: tokens.baseAddress ?? fallback, count: tokens.count), tokens: made.base,
            probabilities: tapeProbabilities.base, sparse: sparse, isEmpty: tokens.isEmpty)
        var context = 0
        while context != 4 {
            context = codeElement(&coder, &tape, nil, context, 0, sink: sink, limit: expected)
            if context < 0 || sink.byteCount > expected { throw DeflateError.planDamaged }
            if sink.byteCount >= enough && enough < expected { return }
        }
        if sink.byteCount != expected || at != geometry.end { throw DeflateError.planDamaged }
    }

    /// Codes one element.
    /// - Returns: The context for the next one; 4 at the end, negative for damage.
    func codeElement<C: BinaryCoder>(
        _ coder: inout C, _ tape: inout TokenTape<C>, _ element: StreamElement?, _ context: Int, _ plainOrigin: Int,
        sink: BitSink?, limit: Int
    ) -> Int {
        let p = probabilities.base
        var known = 0
        var block: DeflateBlock?
        var raw: [UInt8] = []
        var padding = 0
        switch element {
        case .block(let found):
            block = found
            known = found.isPart ? (found.kind == .fixed ? 5 : 6) : found.kind.rawValue
            padding = found.padding
        case .raw(let bits, let bytes):
            known = 3
            raw = bytes
            padding = bits
        case nil: break
        }
        let kind = coder.tree(p + context * 8, bits: 3, known)
        switch kind {
        case 0, 1, 2:
            let final = coder.bit(p + 48 + kind, block?.isFinal == true ? 1 : 0)
            if let sink {
                sink.put(final, 1)
                sink.put(kind, 2)
            }
            if kind == 0 {
                if !codeStored(&coder, block, final == 1, padding, sink) { return -1 }
            } else if !codeHuffman(&coder, &tape, block, kind, plainOrigin, sink) {
                return -1
            }
        case 5, 6:
            if !codePart(&coder, &tape, block, kind - 4, plainOrigin, sink) { return -1 }
            // Parts of either kind are the same context.
            return 5
        case 3:
            padding = codePadding(&coder, padding)
            let count = coder.number(p + 128, raw.count)
            if let sink {
                sink.align(padding)
                if count == 0 || count > limit - sink.byteCount { return -1 }
                raw = [UInt8](repeating: 0, count: count)
            }
            for index in 0..<count { raw[index] = UInt8(coder.tree(p + 256, bits: 8, Int(raw[index]))) }
            if let sink {
                raw.withUnsafeBufferPointer { if let base = $0.baseAddress { sink.append(base, count) } }
            }
            memberStart = at
            inputEnd = -1
            model.begin(plain, at: at, history: 0, origin: at)
            freshAt = at
            jobStart = at
        case 4: break
        default: return -1
        }
        return kind
    }
}
