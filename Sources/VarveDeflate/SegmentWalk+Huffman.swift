// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension SegmentWalk {
    // MARK: Huffman blocks

    /// Codes a part of a block of that kind.
    func codePart<C: BinaryCoder>(
        _ coder: inout C, _ tape: inout TokenTape<C>, _ block: DeflateBlock?, _ kind: Int, _ plainOrigin: Int,
        _ sink: BitSink?
    ) -> Bool {
        let p = probabilities.base
        let begins = coder.bit(p + 68, block?.isContinued == true ? 0 : 1)
        if begins == 1 {
            let final = coder.bit(p + 69, block?.headerFinal == true ? 1 : 0)
            if let sink {
                sink.put(final, 1)
                sink.put(kind, 2)
            }
        }
        let ends = coder.bit(p + 70, block?.isOpen == true ? 0 : 1)
        let part = BlockPart(begins: begins == 1, ends: ends == 1)
        return codeHuffman(&coder, &tape, block, kind, plainOrigin, sink, part)
    }

    func codeHuffman<C: BinaryCoder>(
        _ coder: inout C, _ tape: inout TokenTape<C>, _ block: DeflateBlock?, _ kind: Int, _ plainOrigin: Int,
        _ sink: BitSink?, _ part: BlockPart = BlockPart()
    ) -> Bool {
        let p = probabilities.base
        let blockEnd = block.map { $0.plainStart + $0.plainCount - plainOrigin } ?? 0
        if let block { tape.index = block.tokenStart } else { tape.index = 0 }
        let tokensFrom = tape.index
        var headerTokens = -1
        let isEmpty = coder.bit(p + 59, block?.tokenCount == 0 ? 1 : 0) == 1
        if Model.plansAhead && !isEmpty {
            return codePlanned(&coder, &tape, block, kind, plainOrigin, sink, part)
        }
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
        // Parts of fixed blocks, which mostly come of hardware and of short input, have always been blocks to the model.
        if !isEmpty && (part.ends || kind == 1) { model.endBlock() }
        return finishHuffman(
            &coder, tape.tokens + tokensFrom, headerTokens, tape.index - tokensFrom, block, kind, sink, part)
    }

    /// Codes the tokens of a block, or of one piece of it where the rule counts plain bytes.
    func codePiece<C: BinaryCoder>(
        _ coder: inout C, _ tape: inout TokenTape<C>, _ block: DeflateBlock?, _ blockEnd: Int
    ) -> Bool {
        let p = probabilities.base
        let from = at
        let tokensFrom = tape.index
        var ruleEnd = Int.max
        if let size = pieceSize(at) { ruleEnd = min(at + size, inputEnd) }
        var end = min(blockEnd, geometry.end)
        var pieceTokens = 0
        var literalOnly = 0
        if C.isWriting, let block {
            let piece = self.piece(of: block, tape.tokens, from: tokensFrom, blockEnd: blockEnd, ruleEnd: ruleEnd)
            end = piece.end
            pieceTokens = piece.tokens
            literalOnly = piece.hasMatches ? 0 : 1
        }
        literalOnly = coder.bit(p + 61, literalOnly)
        if C.isWriting {
            if case .plain = parameters.rule, end - from > Self.oddPieceMax {
                unrepresentable = true
                at = end
                return true
            }
            let exceeds = end > inputEnd
            if exceeds { inputEnd = geometry.available }
            var asRule: Bool
            if literalOnly == 1 {
                asRule = runVirtual(to: end)
                tape.index = tokensFrom + pieceTokens
            } else {
                asRule = runReal(&tape, from, end: end)
            }
            if model.position != end || tape.index != tokensFrom + pieceTokens || end == from {
                // The model went another way than the stream.
                unrepresentable = true
                at = blockEnd
                return true
            }
            if case .plain = parameters.rule { asRule = end == ruleEnd }
            if exceeds { asRule = false }
            _ = coder.bit(p + 62, asRule ? 1 : 0)
            if !asRule { _ = coder.number(p + 320, end - from) }
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

    /// The tokens of a block's next piece: up to the rule's end if a token ends there, else all that are left.
    private func piece(
        of block: DeflateBlock, _ tokens: UnsafePointer<UInt32>, from first: Int, blockEnd: Int, ruleEnd: Int
    ) -> (end: Int, tokens: Int, hasMatches: Bool) {
        let last = block.tokenStart + block.tokenCount
        var indexMost = last
        if case .pieces(let most) = parameters.rule { indexMost = min(last, first + most) }
        if first == block.tokenStart && indexMost == last && blockEnd <= ruleEnd {
            return (blockEnd, block.tokenCount, block.matchCount > 0)
        }
        var index = first
        var reached = at
        var matches = 0
        while index < indexMost && reached < ruleEnd {
            let token = tokens[index]
            if Token.isMatch(token) { matches += 1 }
            reached += Token.span(token)
            index += 1
        }
        if reached > ruleEnd || reached != ruleEnd && index < indexMost {
            while index < last {
                if Token.isMatch(tokens[index]) { matches += 1 }
                index += 1
            }
            reached = blockEnd
        }
        return (reached, index - first, matches > 0)
    }

    /// Runs the model with the real tokens to `end`, or to where its rule ends the block.
    /// - Returns: Whether the rule ends the block where it ended.
    func runReal<C: BinaryCoder>(_ tape: inout TokenTape<C>, _ from: Int, end: Int?) -> Bool {
        let stop = end ?? min(geometry.end, inputEnd)
        let tokensFrom = tape.index
        if let size = pieceSize(model.position) {
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
            if C.isWriting && isTooDear(tape.coder.size, tape.corrections) { return false }
            let most = watch.mostTokens(after: count)
            reserve(&tape, most)
            let before = tape.index
            model.run(&tape, maxTokens: most, stopAt: stop, inputEnd: inputEnd)
            if tape.index == before { return false }
            let lastStart = model.position - Token.span(tape.tokens[tape.index - 1])
            let ends = endsBlock(
                tape.index - tokensFrom, from: from, lastStart: lastStart, recent: tape.tokens + before,
                recentCount: tape.index - before, first: count == 0)
            if ends {
                if end == nil || model.position >= stop { return !early }
                early = true
            }
        }
        return !early && model.position == inputEnd
    }

    func reserve<C: BinaryCoder>(_ tape: inout TokenTape<C>, _ more: Int) {
        if C.isWriting { return }
        made.count = tape.index
        made.reserve(tape.index + more + 512)
        tape.tokens = made.base
    }

    func finishHuffman<C: BinaryCoder>(
        _ coder: inout C, _ tokens: UnsafeMutablePointer<UInt32>, _ headerTokens: Int, _ tokenCount: Int,
        _ block: DeflateBlock?, _ kind: Int, _ sink: BitSink?, _ part: BlockPart
    ) -> Bool {
        var header: DynamicHeader?
        if kind != 1 {
            header = codes(of: part) {
                TokenCounts.fill(tokens, headerTokens, literals: literalCounts, distances: distanceCounts)
                return headers.code(
                    &coder, block?.header, kind: parameters.tree, literalCounts: literalCounts,
                    distanceCounts: distanceCounts)
            }
            if header == nil { return false }
        }
        sink?.putTokens(tokens, count: tokenCount, header, part)
        return true
    }

    /// The codes of a dynamic block or of a part of one: those of the part before, or what is coded.
    /// - Returns: Nil if there are fewer or more lengths than there should be: a damaged plan.
    func codes(of part: BlockPart, coded: () -> DynamicHeader) -> DynamicHeader? {
        let known = part.begins ? nil : openCodes
        let header = known ?? coded()
        openCodes = part.ends ? nil : header
        return header.lengths.count == header.literalCount + header.distanceCount ? header : nil
    }
}
