// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension SegmentWalk {
    // MARK: blocks whose end and codes come before their tokens

    /// Codes a Huffman block that is not empty for a model that wants to know its end and its codes beforehand.
    func codePlanned<C: BinaryCoder>(
        _ coder: inout C, _ tape: inout TokenTape<C>, _ block: DeflateBlock?, _ kind: Int, _ plainOrigin: Int,
        _ sink: BitSink?, _ part: BlockPart
    ) -> Bool {
        let p = probabilities.base
        let from = at
        let tokensFrom = tape.index
        codeInputEnd(&coder)
        let literalOnly = coder.bit(p + 61, block?.matchCount == 0 ? 1 : 0) == 1
        var end = block.map { $0.plainStart + $0.plainCount - plainOrigin } ?? 0
        if coder.bit(p + 62, end == inputEnd ? 1 : 0) == 1 {
            end = inputEnd
        } else {
            end = from + coder.number(p + 320, end - from)
        }
        if end <= from || end > geometry.end {
            unrepresentable = true
            return C.isWriting
        }
        // What goes on over the end of the input takes it back.
        if end > inputEnd { inputEnd = geometry.available }
        if literalOnly {
            _ = runVirtual(to: end)
            at = end
            let count = end - from
            if model.position != end { return false }
            if !C.isWriting {
                reserve(&tape, count)
                for offset in 0..<count { tape.tokens[tokensFrom + offset] = UInt32(plain[from + offset]) }
            }
            tape.index = tokensFrom + count
            model.endBlock()
            return finishHuffman(&coder, tape.tokens + tokensFrom, count, count, block, kind, sink, part)
        }
        model.beginBlock(end: end, inputEnd: inputEnd)
        var header: DynamicHeader?
        if kind == 1 {
            FixedCodes.lengths.withUnsafeBufferPointer {
                if let base = $0.baseAddress { model.useCodes(base, literals: 288, distances: 30) }
            }
        } else if model.codesComeLast {
            model.goWithoutCodes()
        } else {
            model.guessCounts(literals: literalCounts, distances: distanceCounts)
            guard let coded = codes(of: part, coded: { codeHeader(&coder, block?.header) }) else { return false }
            coded.lengths.withUnsafeBufferPointer {
                if let base = $0.baseAddress {
                    model.useCodes(base, literals: coded.literalCount, distances: coded.distanceCount)
                }
            }
            header = coded
        }
        _ = runReal(&tape, from, end: end)
        at = end
        model.endBlock()
        if C.isWriting {
            if model.position != end || tape.index - tokensFrom != block?.tokenCount {
                unrepresentable = gaveUp == nil
                return true
            }
        } else if model.position != end {
            return false
        }
        if kind != 1 && header == nil {
            TokenCounts.fill(
                tape.tokens + tokensFrom, tape.index - tokensFrom, literals: literalCounts, distances: distanceCounts)
            guard let coded = codes(of: part, coded: { codeHeader(&coder, block?.header) }) else { return false }
            coded.lengths.withUnsafeBufferPointer {
                if let base = $0.baseAddress {
                    model.learnCodes(base, literals: coded.literalCount, distances: coded.distanceCount)
                }
            }
            header = coded
        }
        sink?.putTokens(tape.tokens + tokensFrom, count: tape.index - tokensFrom, header, part)
        return true
    }

    /// Codes a block's codes by the counts at hand.
    private func codeHeader<C: BinaryCoder>(_ coder: inout C, _ known: DynamicHeader?) -> DynamicHeader {
        if model.headersAreNear {
            return headers.codeNear(
                &coder, known, kind: parameters.tree, literalCounts: literalCounts, distanceCounts: distanceCounts)
        }
        return headers.codeAhead(
            &coder, known, kind: parameters.tree, literalCounts: literalCounts, distanceCounts: distanceCounts)
    }
}
