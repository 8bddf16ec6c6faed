// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// One run over a file: decodes, cuts segments, describes each.
struct AnalysisPass {
    /// Text before a segment that is kept: the longest run-up (eight pieces of 65535 bytes and part of one), and the 262140 bytes
    /// that a model may have to know before that.
    private static let kept = 896 << 10

    private let source: CompressedReader
    let walks: WalkShelf
    var scanner: StreamScanner
    /// Elements that were decoded before the pass began, the next one last.
    private var decoded: [StreamElement]
    var walk: any SegmentCoding
    /// The same model once more, to try how it does somewhere: what ``walk`` says of its segment is still needed.
    var trialWalk: (any SegmentCoding)?
    /// What the segment in progress follows.
    var parameters: StreamParameters
    /// What did as well as `parameters` in a short look, or was not asked there: to be asked where that one first fails.
    var alternatives: [StreamParameters]
    var plan = DeflatePlan()
    private var payloads: [UInt8] = []
    /// The elements that the segment in progress has so far, and those that follow.
    var elements: [StreamElement] = []
    /// The end of the last of them.
    private(set) var end = 0
    /// Where the input is known to have ended.
    private var inputEndings = InputEndings()
    var endings: [Int] { inputEndings.places }
    var segment = DeflatePlan.Segment()
    var segmentBit = 0
    /// Whether nobody has looked closely yet if the model is in step where the segment in progress begins.
    var isUntried = false
    var runUps: RunUpHabit
    /// Where it begins, for whatever model.
    var place = SegmentPlace()
    /// Where a job's beginning is looked for again.
    private var nextJobLook = 0
    /// From so many segments on, another model may be looked for; how often that was in vain.
    var nextChoice = 0
    var choicesInVain = 0
    /// The beginning of the last gzip member whose encoder was looked for.
    var memberJudged = 0
    /// Search steps of all segments so far: a reader takes as many.
    private var stepsSpent = 0
    private var summary = DeflateAnalyzer.Summary()

    init(source: @escaping CompressedReader, _ found: StreamIdentifier.Found) throws {
        self.source = source
        scanner = found.scanner
        decoded = found.elements.reversed()
        parameters = found.choice.parameters
        alternatives = found.choice.alternatives
        plan.parameters = [parameters]
        walks = found.walks
        walk = walks.take(parameters)
        runUps = RunUpHabit(parameters.model)
        // Where no model fitted the beginning, one will hardly fit later.
        switch parameters.model {
        case .generic, .optimal: nextChoice = 8
        default: break
        }
    }

    mutating func run(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> DeflateAnalyzer.Result {
        let plain = scanner.reader.plain
        var cut: Cut?
        var memberCut: Cut?
        while let element = try decoded.popLast() ?? scanner.next() {
            if case .block(let block) = element {
                end = block.plainStart + block.plainCount
                if block.plainCount > 0 { cut = cut ?? cutBefore(block, &memberCut) }
                inputEndings.take(block)
                elements.append(element)
                let text = plain.base + (block.plainStart - plain.origin)
                if block.plainCount > 0 { try sink(UnsafeRawBufferPointer(start: text, count: block.plainCount)) }
            } else {
                elements.append(element)
            }
            if let found = cut, end >= found.plain + DeflatePlan.lookahead, canJudge(found) {
                try endSegment(at: found, &cut, &memberCut)
            }
        }
        while let found = cut { try endSegment(at: found, &cut, &memberCut) }
        while !elements.isEmpty || plan.segments.isEmpty {
            try endSegment(
                at: Cut(index: elements.count, plain: end, bit: scanner.reader.bitPosition), isLast: true)
        }
        plan.compressedCount = scanner.reader.bitPosition / 8
        plan.plainCount = end
        summary.compressedBytes = plan.compressedCount
        summary.plainBytes = plan.plainCount
        summary.segments = plan.segments.count
        summary.encoder = plan.parameters.map(\.model.name).joined(separator: "+")
        let bytes = plan.encoded(payloads: payloads)
        if tooLarge(bytes.count) { return .unsupported(reason: "corrections-too-large") }
        return .plan(bytes, summary)
    }

    /// Ends the segment in progress at the cut or before it, and follows the places that are left.
    private mutating func endSegment(at found: Cut, _ cut: inout Cut?, _ memberCut: inout Cut?) throws {
        let before = elements.count
        try endSegment(at: found)
        let gone = before - elements.count
        // Another place will be found where the text is long enough; a member's beginning is worth going on to.
        cut = found.beginsMember && gone > 0 && found.plain > segment.plainStart ? found : nil
        cut?.index -= gone
        memberCut?.index -= gone
        if let found = memberCut, found.plain <= segment.plainStart { memberCut = nil }
    }

    private func tooLarge(_ count: Int) -> Bool {
        count > 1024 + scanner.reader.bitPosition / 8 * DeflateAnalyzer.planPercentMax / 100
    }

    /// A member that begins after so many plain bytes begins a segment, and so does one that turns out twice as long.
    private static let memberMin = 256 << 10

    /// Whether a segment ends before the block just read, or ends where the member began.
    private mutating func cutBefore(_ block: DeflateBlock, _ memberCut: inout Cut?) -> Cut? {
        var here = Cut(index: elements.count, plain: block.plainStart, bit: block.bitStart)
        let length = block.plainStart - segment.plainStart
        if case .raw? = elements.last, length > 0 {
            here.beginsMember = true
            memberCut = nil
            if length >= Self.memberMin { return here }
            memberCut = here
        }
        if let found = memberCut, found.plain > segment.plainStart, block.plainStart - found.plain >= 2 * Self.memberMin
        {
            memberCut = nil
            return found
        }
        if length < parameters.model.segmentTarget { return nil }
        return parameters.jobSize > 0 ? cutAtJob(here) : here
    }

    /// Plain bytes between two looks for a job: blocks may have a byte each.
    private static let jobLookMin = 16 << 10

    /// The last place at which an encoder that has jobs began one: only there it is known what it knows.
    /// - Parameter here: The end of what has been read, taken if there is no such place for long.
    private mutating func cutAtJob(_ here: Cut) -> Cut? {
        if here.plain < nextJobLook { return nil }
        nextJobLook = here.plain + Self.jobLookMin
        let job = inputEndings.lastJob(upTo: here.plain, from: max(place.job, place.member), size: parameters.jobSize)
        if job > segment.plainStart,
            let index = elements.lastIndex(where: {
                if case .block(let block) = $0 { return block.plainStart == job && block.plainCount > 0 }
                return false
            }), case .block(let block) = elements[index]
        {
            return Cut(index: index, plain: job, bit: block.bitStart)
        }
        let most = parameters.model.segmentTarget + 2 * parameters.jobSize
        return here.plain - segment.plainStart >= most ? here : nil
    }

    /// A place between two blocks where a segment may end.
    struct Cut {
        /// Elements before it.
        var index: Int
        var plain: Int
        var bit: Int
        var beginsMember = false
    }

    /// The segment in progress up to a cut.
    private struct Ended {
        var cut: Cut
        var next: Restart
        var description: (blocks: [UInt8], tokens: [UInt8])
        var byteCount: Int { description.blocks.count + description.tokens.count }
    }

    /// Describes the segment in progress up to the cut, or to a place before it where the way there is too much work for
    /// one; nil if the model would not be in step behind the cut.
    private mutating func ended(at wanted: Cut, isLast: Bool) -> Ended? {
        if parameters.model.startsAtItsPlaces {
            let description = describe(0..<wanted.index, segment, end: wanted.plain)
            guard let next = isLast ? Restart() : restart(at: wanted) else { return nil }
            return Ended(cut: wanted, next: next, description: description)
        }
        guard let next = isLast ? Restart() : restart(at: wanted) else { return nil }
        let description = describe(
            0..<wanted.index, segment, end: wanted.plain, segmentWork: parameters.model.segmentWork)
        guard walk.elementCount < wanted.index, case .block(let block) = elements[walk.elementCount] else {
            return Ended(cut: wanted, next: next, description: description)
        }
        let cut = Cut(index: walk.elementCount, plain: block.plainStart, bit: block.bitStart)
        guard let early = restart(at: cut) else {
            // Not in step there: as far as was wanted, then, however much work that is.
            return Ended(cut: wanted, next: next, description: describe(0..<wanted.index, segment, end: wanted.plain))
        }
        return Ended(cut: cut, next: early, description: description)
    }

    /// Ends the segment in progress at the cut or before it, with another model if the one so far does badly; does nothing
    /// where no model would be in step behind it.
    private mutating func endSegment(at wanted: Cut, isLast: Bool = false) throws {
        guard var found = ended(at: wanted, isLast: isLast) else { return }
        if walk.corrections > 0 && startAgain() {
            guard let better = ended(at: wanted, isLast: isLast) else { return }
            found = better
        }
        if walk.corrections > 0 && !alternatives.isEmpty && !isMending(found.byteCount)
            && askAlternatives(found.cut, better: found.byteCount)
        {
            guard let better = ended(at: wanted, isLast: isLast) else { return }
            found = better
        }
        // The choice is made by all that is there.
        if isDear(found.byteCount, found.cut.bit >> 3 - segmentBit >> 3, before: found.cut.plain),
            chooseModel(wanted, wanted.bit >> 3 - segmentBit >> 3)
        {
            guard let better = ended(at: wanted, isLast: isLast) else { return }
            found = better
        }
        // What was given up on the way is not at the block's end either.
        if walk.gaveUp != nil { throw DeflateError("too-much-work") }
        if walk.unrepresentable { throw DeflateError("block-structure") }
        try finishSegment(found.cut, next: found.next, found.description)
    }

    /// Writes the segment in progress down and goes on to the next.
    private mutating func finishSegment(
        _ cut: Cut, next: Restart, _ description: (blocks: [UInt8], tokens: [UInt8])
    ) throws {
        segment.plainCount = cut.plain - segment.plainStart
        if segment.plainCount > DeflatePlan.segmentPlainMax { throw DeflateError("segment-too-long") }
        segment.compressedStart = segmentBit >> 3
        segment.compressedCount = cut.bit >> 3 - segmentBit >> 3
        segment.blocksCount = description.blocks.count
        segment.tokensCount = description.tokens.count
        payloads.append(contentsOf: description.blocks)
        payloads.append(contentsOf: description.tokens)
        stepsSpent += walk.steps
        summary.corrections += walk.corrections
        summary.correctionBytes += description.tokens.count
        plan.segments.append(segment)
        if payloads.count > 1 << 20 && tooLarge(payloads.count / 2) { throw DeflateError("corrections-too-large") }
        place = placeBehind(cut)
        let set = segment.parameters
        segment = next.segment
        segment.parameters = set
        isUntried = next.isUntried
        runUps.take(next)
        segmentBit = cut.bit
        if segment.phase != 0 {
            var byte: UInt8 = 0
            _ = try withUnsafeMutableBytes(of: &byte) { try source(segmentBit >> 3, $0) }
            segment.phaseBits = Int(byte) & (1 << segment.phase - 1)
        }
        forget(cut.index)
        inputEndings.drop(upTo: cut.plain - (1 << 20))
        scanner.reader.plain.drop(before: cut.plain - Self.kept)
    }

    /// What a segment that ends there may take.
    func effort(upTo end: Int) -> Effort { Effort(stepsMax: DeflateAnalyzer.stepsMax(end) - stepsSpent) }

    /// Describes elements as a segment with the given start.
    func describe(
        _ range: Range<Int>, _ start: DeflatePlan.Segment, end: Int, segmentWork: Int = .max
    ) -> (blocks: [UInt8], tokens: [UInt8]) {
        var effort = effort(upTo: end)
        effort.segmentWork = segmentWork
        return describe(elements[range], start, end: end, by: walk, effort)
    }

    /// Describes elements, the last of which ends at `end`, as a segment with the given start.
    func describe(
        _ elements: ArraySlice<StreamElement>, _ start: DeflatePlan.Segment, end: Int, by walk: any SegmentCoding,
        _ effort: Effort
    ) -> (blocks: [UInt8], tokens: [UInt8]) {
        let plain = scanner.reader.plain
        let origin = plain.origin
        let geometry = SegmentGeometry(
            start: start.plainStart - origin, end: end - origin,
            available: min(self.end, end + DeflatePlan.lookahead) - origin, lead: start.lead, history: start.history,
            age: start.age)
        return walk.write(
            elements, plain: UnsafePointer(plain.base), plainOrigin: origin, geometry: geometry,
            tokens: scanner.reader.tokens.base, endings: endings.map { $0 - origin }[...], effort: effort)
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
        Self.shift(&elements, by: tokenEnd)
        Self.shift(&decoded, by: tokenEnd)
    }

    /// Follows tokens that have moved to the front of their buffer.
    private static func shift(_ elements: inout [StreamElement], by count: Int) {
        for index in elements.indices {
            if case .block(var block) = elements[index] {
                block.tokenStart -= min(count, block.tokenStart)
                elements[index] = .block(block)
            }
        }
    }

    /// What there is to know of the place where a segment would begin.
    func placeBehind(_ cut: Cut) -> SegmentPlace {
        let tokens = scanner.reader.tokens
        var at = segment.plainStart
        var place = self.place
        for element in elements[0..<cut.index] {
            switch element {
            case .block(let block):
                at = block.plainStart + block.plainCount
                if block.matchCount == 0 { continue }
                var index = block.tokenStart + block.tokenCount
                place.matchEnd = at
                while index > block.tokenStart {
                    index -= 1
                    if Token.isMatch(tokens.base[index]) { break }
                    place.matchEnd -= 1
                }
            case .raw:
                place.member = at
                place.matchEnd = at
            }
        }
        place.plain = cut.plain
        place.ending = endings.last { $0 <= cut.plain }
        let size = parameters.jobSize > 0 ? parameters.jobSize : StreamParameters.usualJobSize
        place.job = inputEndings.lastJob(upTo: cut.plain, from: max(place.job, place.member), size: size)
        return place
    }
}
