// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("the short cut through Go's chains")
struct RankedGoModelTests {
    @Test("proposes what the plain search proposes", arguments: 0..<24)
    func same(_ round: Int) {
        let seed = UInt64(20_261_201 + round)
        var random = Seeded(state: seed)
        let text = round % 3 == 0 ? Proposals.table(&random, 120_000) : Proposals.text(&random, 120_000)
        let bytes = text + [UInt8](repeating: 0, count: 320)
        for level in 6...9 {
            let parameters = GoModel.Parameters(level: level)
            #expect(RankedGoModel.covers(parameters))
            let history = random.next() % 2 == 0 ? 0 : Int(random.next() % 40_000)
            // Once in two all of the text is one input, so that the short cut is always taken.
            let pieces =
                random.next() % 2 == 0
                ? [text.count] : Proposals.pieces(&random, after: history, to: text.count)
            let dictionary: Int? = random.next() % 3 == 0 ? Int(random.next() % 32_769) : nil
            let contrary = random.next() % 2 == 0
            let plain = Proposals.from(
                GoModel(parameters), bytes, pieces: pieces, dictionary: dictionary, history: history, seed: seed,
                contrary: contrary)
            let ranked = Proposals.from(
                RankedGoModel(parameters), bytes, pieces: pieces, dictionary: dictionary, history: history, seed: seed,
                contrary: contrary)
            #expect(plain.count > 100)
            if plain != ranked {
                let first = zip(plain, ranked).enumerated().first { $0.element.0 != $0.element.1 }?.offset
                Issue.record("seed \(seed), level \(level): differs at proposal \(first ?? -1)")
            }
        }
    }
}
