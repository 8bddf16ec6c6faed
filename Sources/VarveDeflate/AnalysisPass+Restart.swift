// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where a segment can begin so that the model is in step there.
extension AnalysisPass {
    /// How a segment begins.
    struct Restart {
        var segment = DeflatePlan.Segment()
        /// Times the usual run-up that it took; 0 if that is not the question.
        var runUps = 0
        /// Whether nobody has looked closely if the model is in step.
        var isUntried = false
    }

    /// How a segment that begins at the cut gets at its model's state; nil if another place is to be looked for, because
    /// the model would not be in step here. Models that start at places of their own have just described what is before it.
    mutating func restart(at cut: Cut) -> Restart? {
        let place = placeBehind(cut)
        var next = DeflatePlan.Segment()
        next.plainStart = cut.plain
        next.age = cut.plain - place.member
        next.phase = cut.bit & 7
        place.start(&next, parameters, runUps: 1)
        guard case .tokens(let usual, _) = parameters.model.runUp else { return Restart(segment: next) }
        // A longer run-up may be what it takes to be in step; else a later place; in the end, corrections.
        var best = Restart(segment: next)
        var fewest = Int.max
        if parameters.model.startsAtItsPlaces && !isKnown(next) {
            let isInStep = walk.corrections == 0
            let origin = scanner.reader.plain.origin
            if let found = walk.restart(before: cut.plain - origin - usual) {
                place.start(&best.segment, parameters, at: found + origin)
                // A model that is often wrong as it is will be so everywhere: no place is worth looking for.
                if !isInStep { return best }
                fewest = departures(after: cut, best.segment, tokensMost: Self.trialTokens)
                if fewest == 0 { return best }
            }
        }
        if isKnown(next) || parameters.model.mends { return best }
        if runUps.isSure { return Restart(segment: next, isUntried: true) }
        var longest = -1
        for runUps in runUps.worthTrying {
            place.start(&next, parameters, runUps: runUps)
            if next.lead == longest { break }
            longest = next.lead
            let departures = departures(after: cut, next, tokensMost: Self.trialTokens, fewerThan: fewest)
            if departures < fewest {
                fewest = departures
                best = Restart(segment: next, runUps: runUps, isUntried: true)
            }
            if fewest == 0 { break }
        }
        return fewest > 0 && cut.plain - segment.plainStart < Self.segmentMost ? nil : best
    }

    /// Looks whether the segment in progress began out of step, and for a longer run-up if so.
    /// - Returns: Whether it begins otherwise now.
    mutating func startAgain() -> Bool {
        if !isUntried { return false }
        isUntried = false
        let here = Cut(index: 0, plain: segment.plainStart, bit: segmentBit)
        guard case .block(let first)? = elements.first, walk.goodBefore < first.tokenCount else { return false }
        let untried = segment
        var fewest = departures(after: here, segment)
        if fewest == 0 { return false }
        runUps.doubt()
        var next = segment
        for runUps in RunUpHabit.all.dropFirst() where fewest > 0 {
            place.start(&next, parameters, runUps: runUps)
            let departures = departures(after: here, next, fewerThan: fewest)
            if departures < fewest {
                fewest = departures
                segment = next
            }
        }
        return segment.lead != untried.lead
    }

    /// Whether the departures of the segment in progress look like those of a model that began out of step and gets in step.
    /// - Parameter count: Bytes of its description.
    func isMending(_ count: Int) -> Bool {
        parameters.model.mends && segment.lead > 0 && (walk.goodBefore < Self.trialTokens || count <= StreamPrefix.tie)
    }

    /// Whether nothing but text lies between the model and the place: the encoder began anew there.
    private func isKnown(_ start: DeflatePlan.Segment) -> Bool {
        start.lead == 0 && (start.age == 0 || parameters.unitDictionary >= 0)
    }

    /// Plain bytes after which a segment ends even where the model is not in step.
    private static let segmentMost = 4 << 20

    /// Whether enough is decoded to try the model on the first block after a cut.
    func canJudge(_ cut: Cut) -> Bool {
        guard case .tokens = parameters.model.runUp,
            case .block(let block)? = elements.dropFirst(cut.index).first
        else { return true }
        return block.plainStart + block.plainCount + 300 <= end
    }

    /// Tokens of a block that a model is tried on: one that is out of step is wrong within some hundreds, with few exceptions.
    private static let trialTokens = 4096

    /// How often the model is wrong in the first block after a cut, or in as many of its tokens as are asked for.
    /// - Parameter most: With so many or more the number does not matter.
    private mutating func departures(
        after cut: Cut, _ start: DeflatePlan.Segment, tokensMost: Int = .max, fewerThan most: Int = .max
    ) -> Int {
        guard start.plainStart - start.lead - start.history >= scanner.reader.plain.origin else { return Int.max - 1 }
        guard case .block(var block)? = elements.dropFirst(cut.index).first else { return 0 }
        let blockEnd = block.plainStart + block.plainCount
        if block.kind == .stored || blockEnd + 300 > end && !block.isFinal { return 0 }
        // Who counts plain bytes takes what is there for all of a piece; such blocks are short enough.
        if block.tokenCount > tokensMost && !parameters.rule.countsPlain {
            block = block.shortened(scanner.reader.tokens, count: tokensMost, plainMost: .max)
        }
        let trial = trialWalk ?? walks.take(parameters)
        trialWalk = trial
        var effort = effort(upTo: blockEnd)
        effort.departuresMax = most - 1
        _ = describe([.block(block)], start, end: block.plainStart + block.plainCount, by: trial, effort)
        return trial.gaveUp == nil ? trial.corrections : Int.max - 1
    }
}
