// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where a segment can begin so that the model is in step there.
extension AnalysisPass {
    /// How a segment begins.
    struct Restart {
        var segment = DeflatePlan.Segment()
        /// Times the usual run-up that it took; 0 if that is not the question.
        var runUps = 0
        /// Whether nobody has looked if the model is in step.
        var isUntried = false
    }

    /// How a segment that begins at the cut gets at its model's state; nil if another place is to be looked for, because
    /// the model would not be in step here.
    func restart(at cut: Cut) -> Restart? {
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
            _ = describe(0..<cut.index, segment, end: cut.plain)
            let isInStep = walk.corrections == 0
            let origin = scanner.reader.plain.origin
            if let found = walk.restart(before: cut.plain - origin - usual) {
                place.start(&best.segment, parameters, at: found + origin)
                // A model that is often wrong as it is will be so everywhere: no place is worth looking for.
                if !isInStep { return best }
                fewest = departures(after: cut, best.segment, walk)
                if fewest == 0 { return best }
            }
        }
        if isKnown(next) { return best }
        if runUps.isSure { return Restart(segment: next, isUntried: true) }
        var longest = -1
        for runUps in runUps.worthTrying {
            place.start(&next, parameters, runUps: runUps)
            if next.lead == longest { break }
            longest = next.lead
            let departures = departures(after: cut, next, walk)
            if departures < fewest {
                fewest = departures
                best = Restart(segment: next, runUps: runUps)
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
        let untried = segment
        // What the own walk says of the segment is still needed.
        let trial = parameters.model.makeWalk(parameters)
        var fewest = departures(after: here, segment, trial)
        if fewest == 0 { return false }
        runUps.doubt()
        var next = segment
        for runUps in RunUpHabit.all.dropFirst() where fewest > 0 {
            place.start(&next, parameters, runUps: runUps)
            let departures = departures(after: here, next, trial)
            if departures < fewest {
                fewest = departures
                segment = next
            }
        }
        return segment.lead != untried.lead
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

    /// How often the model is wrong in the first block after a cut.
    private func departures(after cut: Cut, _ start: DeflatePlan.Segment, _ walk: any SegmentCoding) -> Int {
        guard start.plainStart - start.lead - start.history >= scanner.reader.plain.origin else { return Int.max - 1 }
        guard case .block(let block)? = elements.dropFirst(cut.index).first else { return 0 }
        let blockEnd = block.plainStart + block.plainCount
        if block.kind == .stored || blockEnd + 300 > end && !block.isFinal { return 0 }
        _ = describe(cut.index..<(cut.index + 1), start, end: blockEnd, by: walk)
        return walk.gaveUp == nil ? walk.corrections : Int.max - 1
    }
}
