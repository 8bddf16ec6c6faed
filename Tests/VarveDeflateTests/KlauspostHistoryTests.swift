// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("where klauspost's encoder keeps its text")
struct KlauspostHistoryTests {
    @Test(
        "the memory's start after any number of pieces is known without following them",
        arguments: [0, 1, 16_384, 32_768])
    func arithmetic(_ dictionary: Int) {
        let origin = 1_000_003
        var followed = KlauspostHistory()
        followed.begin(at: origin, origin: origin)
        var at = origin
        if dictionary > 0 {
            followed.add(at, at + dictionary)
            at += dictionary
        }
        for piece in 0..<40 {
            var known = KlauspostHistory()
            known.begin(at: at, origin: origin)
            #expect(known.start == followed.start, "piece \(piece)")
            known.add(at, at + 65_535)
            followed.add(at, at + 65_535)
            #expect(known.start == followed.start, "piece \(piece)")
            // What a restart has to know covers it.
            #expect(followed.start >= at - KlauspostHistory.farthest)
            at += 65_535
        }
    }

    @Test("eras say something of some levels only, and plans name no others")
    func eras() {
        #expect(ModelChoice(raw: [4, 4, 4]) == .klauspost(.init(level: 4, era: .since1_18)))
        #expect(ModelChoice(raw: [4, 0, 1]) == .klauspost(.init(level: 0, era: .since1_15_11)))
        for raw in [[4, 5, 4], [4, 0, 0], [4, 4, 5], [4, 4, 6], [4, 7, 1], [6, 7, 3]] {
            #expect(ModelChoice(raw: raw) == nil, "\(raw)")
        }
    }
}
