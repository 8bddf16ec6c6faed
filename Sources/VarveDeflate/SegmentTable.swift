// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The plan's table of segments: where each lies and how its model gets into step. What follows from the segment before
/// costs next to nothing.
struct SegmentTable {
    private let probabilities = Probabilities(count: 520)
    private let severalSets: Bool
    private var last = DeflatePlan.Segment()

    /// - Parameter severalSets: Whether segments say which parameter set they follow.
    init(severalSets: Bool) {
        self.severalSets = severalSets
        for flag in Flag.allCases { probabilities.base[flag.rawValue] = 62000 }
    }

    /// Decisions whether something is otherwise than the segment before lets expect.
    private enum Flag: Int, CaseIterable {
        case age = 512
        case history, set
    }

    /// Codes the next segment.
    /// - Returns: It, without its places in the two files and in the plan. When reading nothing about it has been checked.
    mutating func code<C: BinaryCoder>(_ coder: inout C, _ known: DeflatePlan.Segment) -> DeflatePlan.Segment {
        let p = probabilities.base
        var segment = DeflatePlan.Segment()
        segment.plainCount = coder.number(p, known.plainCount)
        segment.compressedCount = coder.number(p + 64, known.compressedCount)
        segment.phase = coder.raw(3, known.phase)
        segment.phaseBits = coder.raw(segment.phase, known.phaseBits)
        segment.lead = coder.number(p + 128, known.lead)
        segment.history = other(&coder, .history, known.history, last.history, p + 192)
        segment.age = other(&coder, .age, known.age, last.age &+ last.plainCount, p + 256)
        if severalSets { segment.parameters = other(&coder, .set, known.parameters, last.parameters, p + 320) }
        segment.blocksCount = coder.number(p + 384, known.blocksCount)
        segment.tokensCount = coder.number(p + 448, known.tokensCount)
        last = segment
        return segment
    }

    /// A number that mostly is the expected one.
    private func other<C: BinaryCoder>(
        _ coder: inout C, _ flag: Flag, _ known: Int, _ expected: Int, _ contexts: UnsafeMutablePointer<UInt16>
    ) -> Int {
        let isOther = coder.bit(probabilities.base + flag.rawValue, known == expected ? 0 : 1) == 1
        return isOther ? coder.number(contexts, known) : expected
    }
}
