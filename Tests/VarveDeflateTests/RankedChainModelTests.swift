// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("the short cut through zlib's chains")
struct RankedChainModelTests {
    @Test("proposes what the plain search proposes", arguments: 0..<24)
    func same(_ round: Int) {
        let seed = UInt64(20_261_124 + round)
        var random = Seeded(state: seed)
        let bytes =
            (round % 3 == 0 ? Proposals.table(&random, 120_000) : Proposals.text(&random, 120_000))
            + [UInt8](repeating: 0, count: 320)
        let size = bytes.count - 320
        for level in 4...9 {
            var parameters = ChainModel.Parameters(level: level, gnu: random.next() % 3 == 0)
            parameters.memLevel = random.next() % 3 == 0 ? Int(random.next() % 9) + 1 : 8
            parameters.windowBits = random.next() % 3 == 0 ? Int(random.next() % 7) + 9 : 15
            if random.next() % 4 == 0 { parameters.strategy = .filtered }
            #expect(RankedChainModel.covers(parameters))
            let history = random.next() % 2 == 0 ? 0 : Int(random.next() % 40_000)
            let pieces = Proposals.pieces(&random, after: history, to: size)
            let dictionaries: [Int?] = [nil, 0, 16384, 32768]
            let dictionary = dictionaries[Int(random.next() % 4)]
            let contrary = random.next() % 2 == 0
            let plain = Proposals.from(
                ChainModel(parameters), bytes, pieces: pieces, dictionary: dictionary, history: history, seed: seed,
                contrary: contrary)
            let ranked = Proposals.from(
                RankedChainModel(parameters), bytes, pieces: pieces, dictionary: dictionary, history: history,
                seed: seed,
                contrary: contrary)
            #expect(plain.count > 100)
            if plain != ranked {
                let first = zip(plain, ranked).enumerated().first { $0.element.0 != $0.element.1 }?.offset
                Issue.record("seed \(seed), \(parameters): differs at proposal \(first ?? -1)")
            }
        }
    }
}
