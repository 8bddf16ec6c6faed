// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The walk over a frame that both directions share: it makes each block as the models say, or as an exception says.
///
/// The analyzer runs it beside the decoder and takes down an exception wherever the bytes differ; the rebuilder runs it
/// with those exceptions. Both feed the models the same things, so both see the same proposals.
final class FrameWalk {
    let parameters: ZstdParameters
    let model: any MatchModel
    private let entropy: any EntropyModel
    private let writer = BlockWriter()
    private let reader: BlockReader
    private var endsFull = false
    private let proposal = SequenceList()
    private let real = SequenceList()
    private let nothing = SequenceList()
    /// How the block made last was written.
    private(set) var settling = Settling.proposed

    init(_ parameters: ZstdParameters) {
        self.parameters = parameters
        (model, entropy) = parameters.makeModels()
        reader = BlockReader(state: writer.state)
    }

    /// A frame with that header begins.
    func begin(_ header: FrameHeader) {
        endsFull = parameters.endsFull(header)
        model.begin(header)
        entropy.begin()
        writer.state.reset()
    }

    // MARK: starting in the middle

    /// What is known at the block that comes next, but for places and tables.
    func mark() -> BlockMark {
        var mark = BlockMark()
        mark.wire = writer.state.mark()
        mark.entropy = entropy.memory
        return mark
    }

    /// Whether the block that comes next finds what the mark says.
    func isAt(_ mark: BlockMark) -> Bool { entropy.memory == mark.entropy && writer.state.mark() == mark.wire }

    /// Fills the tables from the text before the point.
    /// - Parameter take: Called with each stretch of that text before it is looked at, in order.
    func runUp(
        _ header: FrameHeader, _ text: UnsafePointer<UInt8>, to point: RestartPoint,
        taking take: (Range<Int>) throws -> Void = { _ in }
    ) throws {
        begin(header)
        let end = point.mark.plain
        var at = end - point.runUp
        model.beginRunUp(at: at)
        while at < end {
            guard !model.startsJob(at: at) else { throw ZstdError.planDamaged }
            let next = min(at + model.blockBytes(at: at), end)
            try take(at..<next)
            search(text, at, next, .proposed)
            at = next
        }
        model.endRunUp(at: end)
    }

    /// Lets the search go over a block that was written so.
    func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ settling: Settling) {
        model.propose(text, from: start, to: end, into: proposal)
        switch settling {
        case .proposed: model.settle(recent: (0, 0, 0), isCompressed: true, asProposed: true)
        case .stored: model.settle(recent: (0, 0, 0), isCompressed: false, asProposed: false)
        case .other(let first, let second, let third):
            model.settle(recent: (first, second, third), isCompressed: true, asProposed: false)
        }
    }

    /// Takes what the point says beyond the run-up.
    func take(_ point: RestartPoint, _ text: UnsafePointer<UInt8>) throws(ZstdError) {
        guard model.take(numbers: point.numbers) else { throw .planDamaged }
        try take(point.mark)
        switch point.memory {
        case .entries(let entries):
            try entries.apply(to: model, at: point.mark.plain, text) { point.isThere($0) }
        case .hints(let hints):
            model.begin(with: HintReader(hints, at: point.mark.plain, model.hintForm))
        }
    }

    /// Takes the state on the wire.
    func take(_ mark: BlockMark) throws(ZstdError) {
        guard !model.wasMisled, writer.state.restore(mark.wire) else { throw .planDamaged }
        entropy.memory = mark.entropy
    }

    /// Bytes of the block made last, header included.
    var bytes: UnsafeBufferPointer<UInt8> { writer.bytes }

    /// Plain bytes of the usual block at `position` with `left` bytes to the frame's end, and whether it is the last.
    func usual(at position: Int, left: Int) -> (count: Int, isLast: Bool) {
        let whole = model.blockBytes(at: position)
        let count = min(whole, left)
        return (count, count == left && (count < whole || endsFull))
    }

    // MARK: making

    /// Makes the block from `start` to `end`; as the models say if there is no exception.
    func make(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, isLast: Bool, _ exception: BlockException?
    ) throws(ZstdError) {
        propose(text, start, end)
        guard !model.wasMisled else { throw .planDamaged }
        switch exception ?? .proposed {
        case .proposed:
            try settle(attempt(text, start, end, proposal, nil, isLast))
        case .verbatim(let content):
            try takeVerbatim(content, end - start, isLast)
        case .other(let edits, let layout):
            guard edits.apply(to: proposal, into: real), real.fits(end - start) else { throw .planDamaged }
            try settle(attempt(text, start, end, real, layout, isLast))
        }
    }

    private func propose(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) {
        if model.startsJob(at: start) { entropy.begin() }
        model.propose(text, from: start, to: end, into: proposal)
    }

    private struct Outcome {
        var layout: BlockLayout
        var sequences: SequenceList
        var wasTooLarge = false
    }

    /// Writes a block; nothing but the state on the wire remembers it.
    private func attempt(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ sequences: SequenceList, _ given: BlockLayout?,
        _ isLast: Bool
    ) throws(ZstdError) -> Outcome {
        let count = end - start
        let plain = text + start
        writer.gather(plain, count, sequences)
        if let given {
            guard writer.write(given, isLast: isLast, plain, count, sequences) else { throw .planDamaged }
            return Outcome(layout: given, sequences: sequences)
        }
        let layout = entropy.layout(facts(plain, count, sequences))
        let list = layout.dropsSequences ? nothing : sequences
        if layout.kind != .compressed {
            guard writer.write(layout, isLast: isLast, plain, count, list) else { throw .planDamaged }
            return Outcome(layout: layout, sequences: list)
        }
        let mark = writer.state.mark()
        if layout.dropsSequences { writer.gather(plain, count, list) }
        guard writer.write(layout, isLast: isLast, plain, count, list) else { throw .planDamaged }
        if !entropy.isTooLarge(writer.count - 3, plainCount: count) { return Outcome(layout: layout, sequences: list) }
        writer.state.restore(mark)
        let raw = BlockLayout()
        guard writer.write(raw, isLast: isLast, plain, count, nothing) else { throw .planDamaged }
        return Outcome(layout: raw, sequences: nothing, wasTooLarge: true)
    }

    private func takeVerbatim(_ content: [UInt8], _ count: Int, _ isLast: Bool) throws(ZstdError) {
        let isSound = content.withUnsafeBufferPointer { reader.read($0) }
        guard isSound, reader.plainCount == count, reader.sequences.fits(count),
            writer.writeVerbatim(content, isLast: isLast)
        else { throw .planDamaged }
        settle(Outcome(layout: reader.layout, sequences: reader.sequences))
    }

    private func settle(_ outcome: Outcome) {
        entropy.settle(outcome.layout, wasTooLarge: outcome.wasTooLarge)
        let isCompressed = outcome.layout.kind == .compressed
        if isCompressed { writer.state.follow(outcome.sequences) }
        let recent = writer.state.recent
        let asProposed = outcome.sequences === proposal
        settling = !isCompressed ? .stored : asProposed ? .proposed : .other(recent.0, recent.1, recent.2)
        model.settle(recent: recent, isCompressed: isCompressed, asProposed: asProposed)
    }

    // MARK: finding exceptions

    /// Makes the block again and finds what has to be known beyond the models.
    /// - Parameters:
    ///   - wanted: The block's bytes, header included.
    ///   - decoded: The block as it was read, if it is compressed.
    /// - Returns: `proposed` if the models are right.
    func describe(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, isLast: Bool, wanted: UnsafeBufferPointer<UInt8>,
        kind: BlockLayout.Kind, decoded: BlockReader
    ) throws(ZstdError) -> BlockException {
        propose(text, start, end)
        let mark = writer.state.mark()
        if kind == .compressed {
            if isAsProposed(text, start, end, wanted.count, decoded) { return .proposed }
            writer.state.restore(mark)
        }
        if try takes(text, start, end, proposal, nil, isLast, wanted) { return .proposed }
        writer.state.restore(mark)
        guard kind == .compressed else {
            var layout = BlockLayout()
            layout.kind = kind
            let edits = Edits(from: proposal, to: nothing)
            if try takes(text, start, end, nothing, layout, isLast, wanted) { return .other(edits, layout) }
            throw ZstdError("format")
        }
        let edits = Edits(from: proposal, to: decoded.sequences)
        if !edits.steps.isEmpty {
            if try takes(text, start, end, decoded.sequences, nil, isLast, wanted) { return .other(edits, nil) }
            writer.state.restore(mark)
        }
        if try takes(text, start, end, decoded.sequences, decoded.layout, isLast, wanted) {
            return .other(edits, decoded.layout)
        }
        writer.state.restore(mark)
        let content = Array(wanted[3...])
        try takeVerbatim(content, end - start, isLast)
        return .verbatim(content)
    }

    /// Whether the block read is the one that the models give, known without writing it: what was decoded says all, and writing
    /// takes as long as decoding does. If so, it counts as written.
    private func isAsProposed(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ wanted: Int, _ decoded: BlockReader
    ) -> Bool {
        guard decoded.isCanonical, proposal == decoded.sequences else { return false }
        let plain = text + start
        writer.gather(plain, end - start, proposal)
        let layout = entropy.layout(facts(plain, end - start, proposal))
        guard layout == decoded.layout, !entropy.isTooLarge(wanted - 3, plainCount: end - start),
            writer.state.take(layout, hasSequences: proposal.count > 0)
        else { return false }
        settle(Outcome(layout: layout, sequences: proposal))
        return true
    }

    private func facts(_ plain: UnsafePointer<UInt8>, _ count: Int, _ sequences: SequenceList) -> BlockFacts {
        BlockFacts(
            plain: plain, plainCount: count, literals: writer.literals, literalCount: writer.literalCount,
            sequences: sequences, wire: writer.state)
    }

    /// Whether these sequences and that layout give the bytes wanted; if so, they are what was written.
    private func takes(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ sequences: SequenceList, _ layout: BlockLayout?,
        _ isLast: Bool, _ wanted: UnsafeBufferPointer<UInt8>
    ) throws(ZstdError) -> Bool {
        guard let outcome = try? attempt(text, start, end, sequences, layout, isLast) else { return false }
        guard writer.bytes.count == wanted.count, Self.areEqual(writer.bytes, wanted) else { return false }
        settle(outcome)
        return true
    }

    private static func areEqual(_ one: UnsafeBufferPointer<UInt8>, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
        let (one, other) = (UnsafeRawBufferPointer(one), UnsafeRawBufferPointer(other))
        var at = 0
        while at + 8 <= one.count {
            if one.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                != other.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            {
                return false
            }
            at += 8
        }
        while at < one.count {
            if one[at] != other[at] { return false }
            at += 1
        }
        return true
    }
}
