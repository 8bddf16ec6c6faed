// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("the short cut through klauspost's chains")
struct KlauspostLazyModelTests {
    @Test("proposes what the plain search proposes", arguments: 0..<24)
    func same(_ round: Int) {
        let seed = UInt64(20_261_202 + round)
        var random = Seeded(state: seed)
        let text = round % 3 == 0 ? Proposals.table(&random, 120_000) : Proposals.text(&random, 120_000)
        let bytes = text + [UInt8](repeating: 0, count: 320)
        let eras: [KlauspostLazyModel.Era] = [.since1_15_15, .since1_18_1, .since1_14_2]
        for level in 7...9 {
            let parameters = KlauspostLazyModel.Parameters(level: level, era: eras[Int(random.next() % 3)])
            let history = random.next() % 2 == 0 ? 0 : Int(random.next() % 40_000)
            // Once in two all of the text is one input, so that the short cut is always taken.
            let pieces =
                random.next() % 2 == 0 ? [text.count] : Proposals.pieces(&random, after: history, to: text.count)
            let dictionary: Int? = random.next() % 3 == 0 ? Int(random.next() % 32_769) : nil
            let contrary = random.next() % 2 == 0
            let plain = Proposals.from(
                KlauspostLazyModel(parameters, leaps: false), bytes, pieces: pieces, dictionary: dictionary,
                history: history, seed: seed, contrary: contrary)
            let leaping = Proposals.from(
                KlauspostLazyModel(parameters), bytes, pieces: pieces, dictionary: dictionary, history: history,
                seed: seed, contrary: contrary)
            #expect(plain.count > 100)
            if plain != leaping {
                let first = zip(plain, leaping).enumerated().first { $0.element.0 != $0.element.1 }?.offset
                Issue.record("seed \(seed), \(parameters): differs at proposal \(first ?? -1)")
            }
        }
    }
}
