// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A place where a segment begins, seen from outside any model.
struct SegmentPlace {
    /// Offset from the start of all plain bytes, as all here.
    var plain = 0
    /// Where the gzip member begins.
    var member = 0
    /// Where the last match before the place ends.
    var matchEnd = 0
    /// The last place at or before this one where the input is known to have ended.
    var ending: Int?
    /// Where the job begins that it lies in or begins, should there be any (``StreamParameters/jobSize``).
    var job = 0

    /// Sets where a model has to start so that it is in step here: how far before, knowing how much text.
    /// - Parameter runUps: Times the usual distance, for models that have to run up to the place.
    func start(_ segment: inout DeflatePlan.Segment, _ parameters: StreamParameters, runUps: Int) {
        var unit = member
        if parameters.jobSize > 0 {
            unit = max(unit, job)
        } else if let ending {
            unit = max(unit, ending)
        }
        if parameters.unitSize > 0 { unit = max(unit, plain - (plain - member) % parameters.unitSize) }
        if runsOver(unit, parameters) { unit = member }
        let text: Int
        switch parameters.model.runUp {
        case .history:
            segment.lead = min(plain - max(matchEnd, unit), 8192)
            text = 32768
        case .tokens(let usual, let known):
            segment.lead = min(plain - unit, usual * runUps)
            if unit == member { segment.lead += intoPiece(plain - segment.lead, parameters) }
            text = known
        }
        // Text before the model's start that it knows there.
        let from = plain - segment.lead
        let dictionary = parameters.unitDictionary
        if dictionary < 0 {
            segment.history = min(text, from - member)
        } else {
            let before = min(unit - member, dictionary)
            segment.history = from == unit ? before : min(text, from - unit + before)
        }
    }

    /// Sets that a model starts at a place where it is known to be in step.
    func start(_ segment: inout DeflatePlan.Segment, _ parameters: StreamParameters, at from: Int) {
        guard case .tokens(_, let text) = parameters.model.runUp else { return }
        segment.lead = plain - from
        segment.history = min(text, from - member)
    }

    /// How far into a piece of the encoder's a place is, if pieces begin anew at regular flushes or were not flushed before.
    private func intoPiece(_ at: Int, _ parameters: StreamParameters) -> Int {
        guard case .plain(let size, _) = parameters.rule else { return 0 }
        let into = at - member
        return (parameters.unitSize > 0 ? into % parameters.unitSize : into) % size
    }

    /// Whether it is better to run up over a flush: little text lies behind it, and what the model knows are the places where
    /// tokens before it began. What the flush did to the last token before is a small matter beside that.
    private func runsOver(_ unit: Int, _ parameters: StreamParameters) -> Bool {
        guard parameters.unitDictionary < 0, case .tokens(let usual, _) = parameters.model.runUp else { return false }
        switch parameters.model {
        case .chain, .go, .zlibNG, .goFast, .klauspost, .klauspostLazy: return plain - unit < usual
        default: return false
        }
    }
}
