// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("coding")
struct CodingTests {
    @Test("decisions come back, and usual ones cost next to nothing")
    func rangeCoder() {
        var random = Seeded(state: 5)
        let writing = Probabilities(count: 256)
        var encoder = BinaryEncoder()
        var values: [(Int, Int)] = []
        for _ in 0..<20_000 {
            let rare = Int.random(in: 0..<1000, using: &random) == 0 ? 1 : 0
            let number = rare == 1 ? Int.random(in: 0..<(1 << 34), using: &random) : 0
            values.append((rare, number))
            _ = encoder.bit(writing.base, rare)
            if rare == 1 { _ = encoder.number(writing.base + 64, number) }
        }
        let bytes = encoder.finish()
        #expect(bytes.count < 500)
        let reading = Probabilities(count: 256)
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            var decoder = BinaryDecoder(base: base, count: buffer.count)
            for (rare, number) in values {
                #expect(decoder.bit(reading.base, 0) == rare)
                if rare == 1 { #expect(decoder.number(reading.base + 64, 0) == number) }
            }
        }
    }

    @Test("code lengths are complete, bounded and best", arguments: TreeKind.allCases)
    func trees(_ kind: TreeKind) {
        var random = Seeded(state: 11)
        let builder = TreeBuilder()
        for round in 0..<200 {
            let n = round % 2 == 0 ? 286 : 30
            let most = round % 5 == 0 ? 7 : 15
            if most == 7 && n == 286 { continue }
            var counts = [Int32](repeating: 0, count: n)
            for symbol in 0..<n where Int.random(in: 0..<3, using: &random) > 0 {
                counts[symbol] = 1 << Int32.random(in: 0...20, using: &random)
            }
            let used = counts.filter { $0 > 0 }.count
            if used < 3 { continue }
            var lengths = [UInt8](repeating: 0, count: n)
            let last = builder.build(kind, counts, n, maxBits: most, into: &lengths)
            #expect(last == (counts.lastIndex { $0 > 0 } ?? -1) + 1)
            var kraft = 0
            for symbol in 0..<n {
                #expect((lengths[symbol] > 0) == (counts[symbol] > 0))
                #expect(Int(lengths[symbol]) <= most)
                if lengths[symbol] > 0 { kraft += 1 << (most - Int(lengths[symbol])) }
            }
            #expect(kraft == 1 << most)
        }
    }

    @Test("code lengths as runs, the two ways of writing them")
    func runs() {
        var header = DynamicHeader()
        header.literalCount = 257
        header.distanceCount = 3
        header.lengths = [UInt8](repeating: 0, count: 250) + [UInt8](repeating: 8, count: 7) + [8, 8, 8]
        func operation(_ symbol: UInt16, _ extra: UInt16) -> UInt16 { symbol | extra << 8 }
        let zeros: [UInt16] = [operation(18, 127), operation(18, 101)]
        let zlib: [UInt16] = zeros + [8, operation(16, 3), 8, 8, 8]
        let go: [UInt16] = zeros + [8, operation(16, 3), operation(16, 0)]
        #expect(RunLengths.operations(.zlib, header) == zlib)
        #expect(RunLengths.operations(.go, header) == go)
    }

    @Test("a plan says what was put in")
    func planFields() throws {
        var plan = DeflatePlan()
        plan.parameters = [
            StreamParameters(
                model: .chain(.init(level: 9, memLevel: 9, gnu: false)), rule: .gnu(32767, looks: true, ahead: 1),
                tree: .go, unitSize: 131_072, unitDictionary: 0),
            StreamParameters(
                model: .klauspostLazy(.init(level: 7, era: .since1_15_15)), rule: .pieces(32768), tree: .go),
            StreamParameters(
                model: .klauspost(.init(level: 0)), rule: KlauspostModel.statelessRule, tree: .go, unitSize: 32768,
                unitDictionary: 0),
            StreamParameters(model: .libdeflate(.init(level: 9)), rule: .model, tree: .libdeflateOld),
            StreamParameters(model: .igzip(.init(level: 0)), rule: .model, tree: .igzip),
            StreamParameters(model: .igzip(.init(level: 3)), rule: .model, tree: .igzip),
            StreamParameters(model: .igzip(.init(level: 3, isWide: true)), rule: .model, tree: .igzip),
            StreamParameters(model: .optimal(.init(depth: 48)), rule: .none, tree: .go),
            StreamParameters(
                model: .chain(.init(level: 1)), rule: .tokens(16383), tree: .zlib, unitDictionary: 32768,
                jobSize: 131_072),
            StreamParameters(model: .sevenZipFast, rule: .model, tree: .libdeflate),
            StreamParameters(model: .miniz(.init(level: 10)), rule: .model, tree: .libdeflate),
            StreamParameters(model: .miniz(.init(level: 1, piecesGoOn: true)), rule: .model, tree: .libdeflate),
            StreamParameters(model: .optimal(.init(depth: 512, costs: .greedy)), rule: .none, tree: .zopfli),
            StreamParameters(model: .igzip(.init(level: 3, handed: 0)), rule: .model, tree: .igzip),
            StreamParameters(
                model: .igzip(.init(level: 3, isWide: true, handed: 65536)), rule: .model, tree: .igzip),
        ]
        plan.compressedCount = 300
        plan.plainCount = 5_000_000
        plan.segments = [
            .init(plainCount: 2_000_000, compressedCount: 100, blocksCount: 3),
            .init(
                plainStart: 2_000_000, plainCount: 3_000_000, compressedStart: 100, compressedCount: 200, phase: 3,
                phaseBits: 5, lead: 17, history: 32768, age: 1_999_999, parameters: 1, tokensCount: 2),
        ]
        let read = try DeflatePlan(decoding: plan.encoded(payloads: [1, 2, 3, 4, 5]))
        #expect(read.parameters == plan.parameters)
        #expect(read.compressedCount == 300)
        #expect(read.segments.count == 2)
        #expect(read.segments[1].phaseBits == 5)
        #expect(read.segments[1].parameters == 1)
        #expect(read.segments[1].history == 32768)
        #expect(read.segments[1].payloadStart == read.segments[0].payloadStart + 3)
        #expect(throws: DeflateError("plan-version")) {
            var newer = plan.encoded(payloads: [1, 2, 3, 4, 5])
            newer[3] = 9
            _ = try DeflatePlan(decoding: newer)
        }
    }

    @Test("every length and distance has its code")
    func tables() {
        let table = DeflateTables.shared
        for length in 3...258 {
            let code = Int(table.lengthCode[length])
            let base = Int(DeflateTables.lengthBase[code])
            #expect(base <= length && length < base + 1 << Int(DeflateTables.lengthExtra[code]))
        }
        #expect(table.lengthCode[258] == 28)
        for distance in 1...32768 {
            let code = table.distanceCode(of: distance)
            let base = Int(DeflateTables.distanceBase[code])
            if base > distance || distance >= base + 1 << Int(DeflateTables.distanceExtra[code]) {
                Issue.record("distance \(distance) has code \(code)")
            }
        }
    }
}
