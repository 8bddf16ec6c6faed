// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("dynamic blocks that are as long as the file")
struct LongBlockTests {
    /// Words in no order, some megabytes of them.
    private static let text: [UInt8] = {
        var random = Seeded(state: 20_261_201)
        let words = (0..<3000).map { _ in
            (0..<Int.random(in: 1...14, using: &random)).map { _ in UInt8.random(in: 97...122, using: &random) }
        }
        var result: [UInt8] = []
        while result.count < 5_600_000 {
            result += words[Int(random.next() % 3000)]
            result.append(UInt8(32 + random.next() % 8))
        }
        return result
    }()

    /// A member whose one block has the codes that igzip takes for all at level 0.
    private static func file(_ tokens: UnsafePointer<UInt32>, _ count: Int) throws -> [UInt8] {
        var scanner = try StreamScanner(source: reader(try Fixtures.bytes("igzip-0.gz")), plainCapacity: 1 << 20)
        _ = try scanner.next()
        guard case .block(let block)? = try scanner.next(), let header = block.header else {
            throw DeflateError("no-codes")
        }
        let sink = BitSink(capacity: 1 << 20, phase: 0, phaseBits: 0)
        for byte in [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255] { sink.put(byte, 8) }
        sink.put(1, 1)
        sink.put(2, 2)
        sink.putTokens(tokens, count: count, header)
        sink.align(0)
        for byte in 1...8 { sink.put(byte, 8) }
        return [UInt8](sink.bytes)
    }

    /// What igzip makes of the text at level 0: all of it one block.
    private static func file() throws -> [UInt8] {
        let model = IgzipModel(.init(level: 0))
        let tokens = TokenBuffer(capacity: text.count)
        var tape = VirtualTape(tokens.base, capacity: text.count)
        return try text.withUnsafeBufferPointer { text in
            guard let base = text.baseAddress else { return [] }
            model.begin(base, at: 0, history: 0, origin: 0)
            while model.position < text.count {
                model.run(&tape, maxTokens: 1 << 20, stopAt: text.count, inputEnd: text.count)
            }
            return try file(tokens.base, tape.index)
        }
    }

    private func take(_ bytes: [UInt8], _ parameters: StreamParameters? = nil) throws -> (
        plan: [UInt8], plain: [UInt8], summary: DeflateAnalyzer.Summary
    ) {
        var plain: [UInt8] = []
        let analyzer = DeflateAnalyzer(source: reader(bytes))
        let result =
            if let parameters { try analyzer.analyze(with: parameters, sink: { plain += [UInt8]($0) }) } else {
                try analyzer.analyze { plain += [UInt8]($0) }
            }
        guard case .plan(let plan, let summary) = result else { throw DeflateError("\(result)") }
        return (plan, plain, summary)
    }

    @Test("igzip's level 0 needs no corrections between segments, which end within the block")
    func igzip() throws {
        let bytes = try Self.file()
        let (plan, plain, summary) = try take(bytes)
        #expect(summary.encoder == "igzip-0")
        #expect(plain == Self.text)
        #expect(summary.segments >= 3)
        #expect(summary.corrections <= summary.segments)
        #expect(plan.count < 250 * summary.segments)
        #expect(try rebuild(plan: plan, plain: plain) == bytes)
        // Any segment alone: where the block goes on, the codes are known all the same.
        let rebuilder = try DeflateRebuilder(plan: plan)
        for index in rebuilder.segments.indices.reversed() {
            let made = try rebuild(rebuilder, index, plain, .init())
            #expect(made == Array(bytes[rebuilder.segments[index].compressed]))
        }
    }

    @Test("a model that wants to know a block's codes beforehand has them in each part")
    func planned() throws {
        let bytes = try Self.file()
        for costs in [OptimalModel.CostSource.refined, .greedy] {
            let parameters = StreamParameters(
                model: .optimal(.init(depth: 4, costs: costs)), rule: .none, tree: .zopfli)
            do {
                let (plan, plain, summary) = try take(bytes, parameters)
                #expect(summary.segments >= 2)
                #expect(try rebuild(plan: plan, plain: plain) == bytes)
            } catch let error as DeflateError {
                Issue.record("\(costs): \(error)")
            }
        }
    }
}
