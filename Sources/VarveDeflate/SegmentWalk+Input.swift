// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension SegmentWalk {
    /// How long the rule lets a piece be that begins there, if it counts plain bytes.
    @inline(__always)
    func pieceSize(_ from: Int) -> Int? {
        guard case .plain(let size, let first) = parameters.rule else { return nil }
        return first > 0 && from == freshAt ? first : size
    }

    func codePadding<C: BinaryCoder>(_ coder: inout C, _ padding: Int) -> Int {
        let p = probabilities.base
        if coder.bit(p + 56, padding == 0 ? 0 : 1) == 0 { return 0 }
        return coder.raw(7, padding)
    }

    /// Finds out where the input that the encoder had before it ends, unless that is known.
    func codeInputEnd<C: BinaryCoder>(_ coder: inout C) {
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
            // A segment whose end is not settled yet can not be what is referred to.
            if shown < regular { known = shown == geometry.end && effort.segmentWork == .max ? 2 : 1 }
            if shown == Int.max && regular > geometry.available && regular != Int.max { known = 0 }
        }
        switch coder.tree(p + 64, bits: 2, known) {
        case 0: inputEnd = regular
        case 1: inputEnd = at + 1 + coder.number(p + 192, shown &- at &- 1)
        default: inputEnd = geometry.end
        }
        if inputEnd <= at || inputEnd > geometry.available { inputEnd = geometry.available }
        if restarts && parameters.unitDictionary >= 0 && isJobOver(at) {
            let before = at - (memberStart ?? (geometry.start - geometry.lead - geometry.history))
            let history = min(max(before, 0), parameters.unitDictionary)
            model.beginAgain(plain, at: at, history: history)
            freshAt = history == 0 ? at : -1
        }
    }

    /// Whether the encoder begins anew where its input ended: always, but where several of those ends are in one job.
    private func isJobOver(_ place: Int) -> Bool {
        let size = parameters.jobSize
        if size == 0 { return true }
        var most = size
        if inputEnd >= geometry.available {
            // It reads buffers of the same size: all that is left makes one job only if it is in one of them.
            let read = jobStart - (memberStart ?? geometry.start - geometry.age)
            most -= read % size
        }
        if inputEnd - jobStart <= most { return false }
        jobStart = place
        return true
    }

    func codeStored<C: BinaryCoder>(
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
                let asRule = runVirtual(to: at + count, isStored: true)
                _ = coder.bit(p + 58, asRule ? 1 : 0)
                if !asRule { _ = coder.number(p + 320 + 256, count) }
            } else {
                if coder.bit(p + 58, 0) == 1 {
                    _ = runVirtual(to: nil, isStored: true)
                    count = model.position - at
                } else {
                    count = coder.number(p + 320 + 256, 0)
                    if count <= 0 || count > geometry.end - at { return false }
                    _ = runVirtual(to: at + count)
                }
                if count <= 0 || count > 65535 || count > geometry.end - at { return false }
            }
            at += count
            if count < Self.storedMost || model.isBetweenBlocks { model.endBlock() }
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

    /// No stored block is longer.
    private static var storedMost: Int { 65535 }

    /// Whether the encoder ends its block after `count` tokens, as ``BlockRuleWatch`` or the model has it.
    @inline(__always)
    func endsBlock(
        _ count: Int, from: Int, lastStart: Int, recent: UnsafePointer<UInt32>, recentCount: Int, first: Bool
    ) -> Bool {
        if case .model = parameters.rule { return model.isBetweenBlocks }
        return watch.ends(
            count, from: from, lastStart: lastStart, recent: recent, recentCount: recentCount, first: first)
    }

    /// Runs the model without the stream's tokens to `end`, or to where its own rule ends the block.
    /// - Returns: Whether the rule ends the block where it ended.
    func runVirtual(to end: Int?, isStored: Bool = false) -> Bool {
        var tape = VirtualTape(scratch, capacity: Self.scratchCapacity)
        let from = at
        if let size = pieceSize(from) {
            let ruleEnd = min(from + size, inputEnd)
            let stop = end ?? min(ruleEnd, geometry.end)
            while model.position < stop {
                let before = model.position
                let piece = min(before + min(pieceSize(before) ?? size, 65535), stop)
                tape.index = 0
                model.run(&tape, maxTokens: Int.max, stopAt: piece, inputEnd: piece)
                if model.position == before { return false }
            }
            return stop == ruleEnd
        }
        // A block that goes on over what was taken for the end of the input: there was none.
        let exceeds = (end ?? 0) > inputEnd
        if exceeds { inputEnd = geometry.available }
        var ruleEnd = inputEnd
        if isStored, case .model = parameters.rule { ruleEnd = min(inputEnd, from + Self.storedMost) }
        let stop = end ?? min(geometry.end, ruleEnd)
        var count = 0
        var early = exceeds
        while model.position < stop {
            tape.index = 0
            model.run(&tape, maxTokens: watch.mostTokens(after: count), stopAt: stop, inputEnd: inputEnd)
            if tape.index == 0 { return false }
            let first = count == 0
            count += tape.index
            let shown = min(tape.index, Self.scratchCapacity)
            let lastStart = model.position - Token.span(scratch[shown - 1])
            if endsBlock(count, from: from, lastStart: lastStart, recent: scratch, recentCount: shown, first: first) {
                if end == nil { return true }
                if model.position >= stop { return !early && (!tape.clipped || stop == ruleEnd && ruleEnd < inputEnd) }
                early = true
            }
        }
        return !early && model.position == ruleEnd && (!tape.clipped || ruleEnd < inputEnd)
    }
}
