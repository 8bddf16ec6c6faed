// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// One piece of a compressed file as the decoder saw it.
enum StreamElement {
    case block(DeflateBlock)
    /// Bytes outside deflate data: gzip headers, trailers, what follows. `padding` fills the byte before them.
    case raw(padding: Int, bytes: [UInt8])
}

/// Where a segment lies, in offsets from the plain buffer's base.
struct SegmentGeometry {
    var start = 0
    var end = 0
    /// Plain bytes up to here may be looked at.
    var available = 0
    /// Plain bytes before `start` over which the model runs without output.
    var lead = 0
    /// Plain bytes before that, which the model takes as text already seen.
    var history = 0
    /// Plain bytes of the gzip member before `start`.
    var age = 0
}

/// Everything that stays the same over a stream: model and block structure. Part of the plan.
struct StreamParameters: Equatable {
    var model = ModelChoice.generic(.init())
    var rule = BlockRule.none
    var tree = TreeKind.zlib
    /// Plain bytes between regular input boundaries (pgzip's and pigz's blocks); 0 for none.
    var unitSize = 0
    /// What the encoder does at an input boundary: negative: goes on; otherwise: starts anew with so many bytes of text.
    var unitDictionary = -1
}

/// A ``SegmentWalk`` with whatever model.
protocol SegmentCoding: AnyObject {
    /// Departures of the last segment written.
    var corrections: Int { get }
    /// Whether the last segment written has a block that the format has no words for.
    var unrepresentable: Bool { get }
    func write(
        _ elements: ArraySlice<StreamElement>, plain: UnsafePointer<UInt8>, plainOrigin: Int, geometry: SegmentGeometry,
        tokens: UnsafeMutablePointer<UInt32>, endings: ArraySlice<Int>
    ) -> (blocks: [UInt8], tokens: [UInt8])
    func read(
        blocks: UnsafeBufferPointer<UInt8>, tokens: UnsafeBufferPointer<UInt8>, plain: UnsafePointer<UInt8>,
        geometry: SegmentGeometry, into sink: BitSink, expected: Int
    ) throws(DeflateError)
}

/// The description of one segment, coded by a writer (analysis) or by a reader (rebuild): the same code for both, so that
/// they cannot disagree.
final class SegmentWalk<Model: TokenModel>: SegmentCoding {
    private let parameters: StreamParameters
    private let model: Model
    private let headers = HeaderCoder()
    private let probabilities = Probabilities(count: 1024)
    private let tapeProbabilities = Probabilities(count: TokenTape<BinaryEncoder>.probabilityCount)
    private let literalCounts: UnsafeMutablePointer<Int32>
    private let distanceCounts: UnsafeMutablePointer<Int32>
    private let scratch: UnsafeMutablePointer<UInt32>
    private static var scratchCapacity: Int { 1 << 16 }
    private let made = TokenBuffer()

    /// No block that the decoder accepts has more tokens.
    private static var tokensMax: Int { InflateReader.tokensMax + 1 << 17 }
    /// Tokens in one go before buffers are looked after.
    private static var slice: Int { 1 << 15 }

    // State of the walk over one segment.
    private var plain: UnsafePointer<UInt8>
    private let nothing: UnsafeMutablePointer<UInt8>
    private var geometry = SegmentGeometry()
    private var at = 0
    private var inputEnd = -1
    private var memberStart: Int?
    private var endings: ArraySlice<Int> = []
    /// Corrections of the last segment.
    private(set) var corrections = 0
    /// Whether the last segment written has a block that the format has no words for.
    private(set) var unrepresentable = false
    /// The longest piece against the rule, where the rule counts plain bytes: it is handled in one go.
    private static var oddPieceMax: Int { 8 << 20 }

    init(parameters: StreamParameters, model: Model) {
        self.parameters = parameters
        self.model = model
        literalCounts = .allocate(capacity: 288)
        literalCounts.initialize(repeating: 0, count: 288)
        distanceCounts = .allocate(capacity: 32)
        distanceCounts.initialize(repeating: 0, count: 32)
        scratch = .allocate(capacity: Self.scratchCapacity)
        scratch.initialize(repeating: 0, count: Self.scratchCapacity)
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

    private var sparse: Bool { !(model is GenericModel) }

    private func start(_ plain: UnsafePointer<UInt8>, _ geometry: SegmentGeometry) {
        self.plain = plain
        self.geometry = geometry
        probabilities.reset()
        // Element kinds, literal-only, as-rule, continues, final, padding: nearly always the usual.
        tapeProbabilities.reset()
        headers.reset()
        (model as? GenericModel)?.resetProbabilities()
        at = geometry.start
        inputEnd = -1
        memberStart = nil
        corrections = 0
        unrepresentable = false
        runUp()
    }

    /// Brings the model to the state it has at the segment's start.
    private func runUp() {
        let from = geometry.start - geometry.lead
        // Where the encoder's window began: models whose window slides at fixed places want to know.
        var origin = geometry.start - geometry.age
        if parameters.unitDictionary >= 0 && parameters.unitSize > 0 {
            let into = (geometry.age - geometry.lead) % parameters.unitSize
            origin = max(origin, from - into - parameters.unitDictionary)
        }
        model.begin(plain, at: from, history: geometry.history, origin: min(origin, from - geometry.history))
        var tape = VirtualTape(scratch, capacity: Self.scratchCapacity)
        while model.position < geometry.start {
            tape.index = 0
            if case .plain(let size) = parameters.rule {
                let stop = min(model.position + size, geometry.start)
                model.run(&tape, maxTokens: Int.max, stopAt: stop, inputEnd: stop)
            } else {
                model.run(&tape, maxTokens: Self.slice, stopAt: geometry.start, inputEnd: geometry.available)
            }
        }
    }

    // MARK: both ways

    /// Writes the description of a segment.
    /// - Parameters:
    ///   - endings: Plain offsets, ascending, at which the stream shows that input ended (flush markers, ends of members).
    /// - Returns: The block stream and the token stream.
    func write(
        _ elements: ArraySlice<StreamElement>, plain: UnsafePointer<UInt8>, plainOrigin: Int, geometry: SegmentGeometry,
        tokens: UnsafeMutablePointer<UInt32>, endings: ArraySlice<Int>
    ) -> (blocks: [UInt8], tokens: [UInt8]) {
        start(plain, geometry)
        self.endings = endings
        var coder = BinaryEncoder()
        var tape = TokenTape(
            coder: BinaryEncoder(), tokens: tokens, probabilities: tapeProbabilities.base, sparse: sparse,
            isEmpty: false)
        var context = 0
        for element in elements {
            context = codeElement(&coder, &tape, element, context, plainOrigin, sink: nil, limit: 0)
        }
        _ = coder.tree(probabilities.base + context * 8, bits: 3, 4)
        if sparse { tape.close() }
        corrections = tape.corrections
        let empty = sparse && tape.corrections == 0
        return (coder.finish(), empty ? [] : tape.coder.finish())
    }

    /// Reads a segment's description and makes its bytes.
    /// - Throws: `plan-damaged` if the description leads anywhere else than to `expected` whole bytes and the segment's end.
    func read(
        blocks: UnsafeBufferPointer<UInt8>, tokens: UnsafeBufferPointer<UInt8>, plain: UnsafePointer<UInt8>,
        geometry: SegmentGeometry, into sink: BitSink, expected: Int
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
        }
        if sink.byteCount != expected || at != geometry.end { throw DeflateError.planDamaged }
    }

    /// Codes one element.
    /// - Returns: The context for the next one; 4 at the end, negative for damage.
    private func codeElement<C: BinaryCoder>(
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
            known = found.kind.rawValue
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
        case 4: break
        default: return -1
        }
        return kind
    }

    private func codePadding<C: BinaryCoder>(_ coder: inout C, _ padding: Int) -> Int {
        let p = probabilities.base
        if coder.bit(p + 56, padding == 0 ? 0 : 1) == 0 { return 0 }
        return coder.raw(7, padding)
    }

    /// Finds out where the input that the encoder had before it ends, unless that is known.
    private func codeInputEnd<C: BinaryCoder>(_ coder: inout C) {
        if inputEnd > at { return }
        let p = probabilities.base
        let restarts = inputEnd == at
        var regular = Int.max
        if parameters.unitSize > 0 {
            let phase = memberStart.map { at - $0 } ?? (geometry.age + at - geometry.start)
            regular = at + parameters.unitSize - phase % parameters.unitSize
        }
        var known = 0
        var shown = Int.max
        if C.isWriting {
            while let first = endings.first, first <= at { endings = endings.dropFirst() }
            if let first = endings.first, first <= geometry.available { shown = first }
            if shown < regular { known = shown == geometry.end ? 2 : 1 }
            if shown == Int.max && regular > geometry.available && regular != Int.max { known = 0 }
        }
        switch coder.tree(p + 64, bits: 2, known) {
        case 0: inputEnd = regular
        case 1: inputEnd = at + 1 + coder.number(p + 192, shown &- at &- 1)
        default: inputEnd = geometry.end
        }
        if inputEnd <= at || inputEnd > geometry.available { inputEnd = geometry.available }
        if restarts && parameters.unitDictionary >= 0 {
            let before = at - (memberStart ?? (geometry.start - geometry.lead - geometry.history))
            let history = min(max(before, 0), parameters.unitDictionary)
            model.begin(plain, at: at, history: history, origin: at - history)
        }
    }

    private func codeStored<C: BinaryCoder>(
        _ coder: inout C, _ block: DeflateBlock?, _ final: Bool, _ knownPadding: Int, _ sink: BitSink?
    ) -> Bool {
        let p = probabilities.base
        let padding = codePadding(&coder, knownPadding)
        var count = block?.plainCount ?? 0
        let isEmpty = coder.bit(p + 57, count == 0 ? 1 : 0) == 1
        let from = at
        if !isEmpty {
            codeInputEnd(&coder)
            if C.isWriting {
                let asRule = runVirtual(to: at + count)
                _ = coder.bit(p + 58, asRule ? 1 : 0)
                if !asRule { _ = coder.number(p + 320 + 256, count) }
            } else {
                if coder.bit(p + 58, 0) == 1 {
                    _ = runVirtual(to: nil)
                    count = model.position - at
                } else {
                    count = coder.number(p + 320 + 256, 0)
                    if count <= 0 || count > geometry.end - at { return false }
                    _ = runVirtual(to: at + count)
                }
                if count <= 0 || count > 65535 || count > geometry.end - at { return false }
            }
            at += count
        } else {
            count = 0
        }
        if let sink {
            sink.align(padding)
            sink.put(count, 16)
            sink.put(count ^ 0xffff, 16)
            if count > 0 { sink.append(plain + from, count) }
        }
        return true
    }

    /// Runs the model without the stream's tokens to `end`, or to where its own rule ends the block.
    /// - Returns: Whether the rule ends the block where it ended.
    private func runVirtual(to end: Int?) -> Bool {
        var tape = VirtualTape(scratch, capacity: Self.scratchCapacity)
        let from = at
        if case .plain(let size) = parameters.rule {
            let ruleEnd = min(from + size, inputEnd)
            let stop = end ?? min(ruleEnd, geometry.end)
            while model.position < stop {
                let before = model.position
                let piece = min(before + min(size, 65535), stop)
                tape.index = 0
                model.run(&tape, maxTokens: Int.max, stopAt: piece, inputEnd: piece)
                if model.position == before { return false }
            }
            return stop == ruleEnd
        }
        // A block that goes on over what was taken for the end of the input: there was none.
        let exceeds = (end ?? 0) > inputEnd
        if exceeds { inputEnd = geometry.available }
        let stop = end ?? min(geometry.end, inputEnd)
        var count = 0
        var early = exceeds
        while model.position < stop {
            tape.index = 0
            model.run(&tape, maxTokens: sliceTokens(count), stopAt: stop, inputEnd: inputEnd)
            if tape.index == 0 { return false }
            let first = count == 0
            count += tape.index
            let shown = min(tape.index, Self.scratchCapacity)
            let lastStart = model.position - Token.span(scratch[shown - 1])
            if ruleEnds(count, from, lastStart, scratch, shown, first: first) {
                if end == nil { return true }
                if model.position >= stop { return !early && !tape.clipped }
                early = true
            }
        }
        return !early && !tape.clipped && model.position == inputEnd
    }

    /// Tokens that the next run may make at most.
    private func sliceTokens(_ sofar: Int) -> Int {
        switch parameters.rule {
        case .tokens(let most), .pieces(let most): return sofar < most ? min(most - sofar, Self.slice) : Self.slice
        case .gnu(let most, let looks, _):
            let left = sofar < most ? most - sofar : Self.slice
            return min(looks ? min(4096 - sofar & 4095, left) : left, Self.slice)
        default: return Self.slice
        }
    }

    private var gnuDistanceBits = 0
    private var gnuMatches = 0

    /// Whether the encoder ends its block after `count` tokens, the last of which starts at `lastStart`.
    private func ruleEnds(
        _ count: Int, _ from: Int, _ lastStart: Int, _ recent: UnsafePointer<UInt32>, _ recentCount: Int, first: Bool
    ) -> Bool {
        switch parameters.rule {
        case .tokens(let most), .pieces(let most): return count >= most
        case .gnu(let most, let looks, let ahead):
            if !looks { return count >= most }
            if first {
                gnuDistanceBits = 0
                gnuMatches = 0
            }
            for index in 0..<recentCount where Token.isMatch(recent[index]) {
                gnuMatches += 1
                let code = DeflateTables.shared.distanceCode(of: Token.distance(recent[index]))
                gnuDistanceBits += 5 + Int(DeflateTables.distanceExtra[code])
            }
            if count >= most { return true }
            if count & 4095 != 0 { return false }
            let out = (count * 8 + gnuDistanceBits) >> 3
            let took = lastStart + ahead - from
            return gnuMatches < count / 2 && out < took / 2
        default: return false
        }
    }

    // MARK: Huffman blocks

    private func codeHuffman<C: BinaryCoder>(
        _ coder: inout C, _ tape: inout TokenTape<C>, _ block: DeflateBlock?, _ kind: Int, _ plainOrigin: Int,
        _ sink: BitSink?
    ) -> Bool {
        let p = probabilities.base
        let blockEnd = block.map { $0.plainStart + $0.plainCount - plainOrigin } ?? 0
        if let block { tape.index = block.tokenStart } else { tape.index = 0 }
        let tokensFrom = tape.index
        var headerTokens = -1
        let isEmpty = coder.bit(p + 59, block?.tokenCount == 0 ? 1 : 0) == 1
        var piece = 0
        while !isEmpty {
            codeInputEnd(&coder)
            guard codePiece(&coder, &tape, block, blockEnd) else { return false }
            piece += 1
            if piece == 1 { headerTokens = tape.index - tokensFrom }
            if parameters.rule.continues {
                if coder.bit(p + 60, at < blockEnd ? 1 : 0) == 0 { break }
                if !C.isWriting && at >= geometry.end { return false }
            } else {
                break
            }
        }
        if isEmpty { headerTokens = 0 }
        return finishHuffman(&coder, tape.tokens + tokensFrom, headerTokens, tape.index - tokensFrom, block, kind, sink)
    }

    /// Codes the tokens of a block, or of one piece of it where the rule counts plain bytes.
    private func codePiece<C: BinaryCoder>(
        _ coder: inout C, _ tape: inout TokenTape<C>, _ block: DeflateBlock?, _ blockEnd: Int
    ) -> Bool {
        let p = probabilities.base
        let from = at
        let tokensFrom = tape.index
        var ruleEnd = Int.max
        if case .plain(let size) = parameters.rule { ruleEnd = min(at + size, inputEnd) }
        var end = min(blockEnd, geometry.end)
        var pieceTokens = 0
        var literalOnly = 0
        if C.isWriting, let block {
            // The piece's tokens: up to the rule's end if a token ends there, else all that are left.
            let last = block.tokenStart + block.tokenCount
            var index = tokensFrom
            var reached = at
            var matches = 0
            var indexMost = last
            if case .pieces(let most) = parameters.rule { indexMost = min(last, index + most) }
            while index < indexMost && reached < ruleEnd {
                let token = tape.tokens[index]
                if Token.isMatch(token) { matches += 1 }
                reached += Token.span(token)
                index += 1
            }
            if reached > ruleEnd || reached != ruleEnd && index < indexMost {
                while index < last {
                    if Token.isMatch(tape.tokens[index]) { matches += 1 }
                    index += 1
                }
                reached = blockEnd
            }
            end = reached
            pieceTokens = index - tokensFrom
            literalOnly = matches == 0 ? 1 : 0
        }
        literalOnly = coder.bit(p + 61, literalOnly)
        if C.isWriting {
            let exceeds = end > inputEnd
            if exceeds { inputEnd = geometry.available }
            var asRule: Bool
            if literalOnly == 1 {
                asRule = runVirtual(to: end)
                tape.index = tokensFrom + pieceTokens
            } else {
                asRule = runReal(&tape, from, end: end)
            }
            if case .plain = parameters.rule { asRule = end == ruleEnd }
            if exceeds { asRule = false }
            _ = coder.bit(p + 62, asRule ? 1 : 0)
            if !asRule { _ = coder.number(p + 320, end - from) }
            if case .plain = parameters.rule, end - from > Self.oddPieceMax { unrepresentable = true }
            at = end
            return true
        }
        var stop: Int?
        if coder.bit(p + 62, 0) == 0 {
            let count = coder.number(p + 320, 0)
            if count <= 0 || count > geometry.end - from { return false }
            if case .plain = parameters.rule, count > Self.oddPieceMax { return false }
            stop = from + count
            if from + count > inputEnd { inputEnd = geometry.available }
        } else if ruleEnd != Int.max {
            if ruleEnd > geometry.end { return false }
            stop = ruleEnd
        }
        if literalOnly == 1 {
            _ = runVirtual(to: stop)
            let count = model.position - from
            if count <= 0 || model.position > geometry.end || tape.index + count > Self.tokensMax { return false }
            made.count = tape.index
            made.reserve(tape.index + count + 16)
            tape.tokens = made.base
            for offset in 0..<count { made.base[tokensFrom + offset] = UInt32(plain[from + offset]) }
            tape.index += count
        } else {
            _ = runReal(&tape, from, end: stop)
        }
        at = model.position
        if let stop, at != stop { return false }
        return at > from && at <= geometry.end
    }

    /// Runs the model with the real tokens to `end`, or to where its rule ends the block.
    /// - Returns: Whether the rule ends the block where it ended.
    private func runReal<C: BinaryCoder>(_ tape: inout TokenTape<C>, _ from: Int, end: Int?) -> Bool {
        let stop = end ?? min(geometry.end, inputEnd)
        let tokensFrom = tape.index
        if case .plain(let size) = parameters.rule {
            // Encoders of this kind see the text piece by piece.
            // A block that does not end where the rule says may have tokens across the pieces' borders: one run for all.
            let before = model.position
            if stop > before {
                reserve(&tape, stop - before)
                model.run(&tape, maxTokens: Int.max, stopAt: stop, inputEnd: stop)
            }
            return stop <= before + size
        }
        var early = false
        while model.position < stop {
            let count = tape.index - tokensFrom
            // The decoder lets no block be longer: a plan that does is not ours.
            if !C.isWriting && count > Self.tokensMax { return false }
            let most = sliceTokens(count)
            reserve(&tape, most)
            let before = tape.index
            model.run(&tape, maxTokens: most, stopAt: stop, inputEnd: inputEnd)
            if tape.index == before { return false }
            let lastStart = model.position - Token.span(tape.tokens[tape.index - 1])
            let ends = ruleEnds(
                tape.index - tokensFrom, from, lastStart, tape.tokens + before, tape.index - before, first: count == 0)
            if ends {
                if end == nil || model.position >= stop { return !early }
                early = true
            }
        }
        return !early && model.position == inputEnd
    }

    private func reserve<C: BinaryCoder>(_ tape: inout TokenTape<C>, _ more: Int) {
        if C.isWriting { return }
        made.count = tape.index
        made.reserve(tape.index + more + 512)
        tape.tokens = made.base
    }

    private func finishHuffman<C: BinaryCoder>(
        _ coder: inout C, _ tokens: UnsafeMutablePointer<UInt32>, _ headerTokens: Int, _ tokenCount: Int,
        _ block: DeflateBlock?, _ kind: Int, _ sink: BitSink?
    ) -> Bool {
        if kind == 1 {
            if let sink {
                FixedCodes.lengths.withUnsafeBufferPointer {
                    if let base = $0.baseAddress {
                        sink.putTokens(tokens, count: tokenCount, lengths: base, literals: 288, distances: 32)
                    }
                }
            }
            return true
        }
        literalCounts.update(repeating: 0, count: 288)
        distanceCounts.update(repeating: 0, count: 32)
        let table = DeflateTables.shared
        for index in 0..<headerTokens {
            let token = tokens[index]
            if token < 512 {
                literalCounts[Int(token & 255)] &+= 1
            } else {
                literalCounts[257 &+ Int(table.lengthCode[Int(token & 511)])] &+= 1
                distanceCounts[table.distanceCode(of: Int(token &>> 9))] &+= 1
            }
        }
        literalCounts[256] = 1
        let header = headers.code(
            &coder, block?.header, kind: parameters.tree, literalCounts: literalCounts, distanceCounts: distanceCounts)
        if let sink {
            if header.lengths.count != header.literalCount + header.distanceCount { return false }
            sink.putHeader(header)
            header.lengths.withUnsafeBufferPointer {
                if let base = $0.baseAddress {
                    sink.putTokens(
                        tokens, count: tokenCount, lengths: base, literals: header.literalCount,
                        distances: header.distanceCount)
                }
            }
        }
        return true
    }
}
