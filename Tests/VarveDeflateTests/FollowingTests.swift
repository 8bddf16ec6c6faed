// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("models that go on as the encoder did, where it did otherwise")
struct FollowingTests {
    private static let piece = 65_535

    /// Text with many short matches, which an encoder with one table and growing steps finds or not by where it looks.
    private static let text: [UInt8] = {
        var state: UInt64 = 7
        return (0..<(8 * piece)).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(97 + state >> 61)
        }
    }()

    /// What a model makes of the text by itself, a block for each piece.
    private func encoded<Model: TokenModel>(_ model: Model) -> (blocks: [DeflateBlock], tokens: TokenBuffer) {
        let tokens = TokenBuffer(capacity: Self.text.count)
        var blocks: [DeflateBlock] = []
        Self.text.withUnsafeBufferPointer { text in
            guard let plain = text.baseAddress else { return }
            model.begin(plain, at: 0, history: 0, origin: 0)
            var tape = VirtualTape(tokens.base, capacity: Self.text.count)
            for start in stride(from: 0, to: text.count, by: Self.piece) {
                var block = DeflateBlock(kind: .fixed, isFinal: false, bitStart: 0)
                block.plainStart = start
                block.plainCount = Self.piece
                block.tokenStart = tape.index
                model.run(&tape, maxTokens: .max, stopAt: start + Self.piece, inputEnd: start + Self.piece)
                block.tokenCount = tape.index - block.tokenStart
                block.matchCount = (block.tokenStart..<tape.index).count { Token.isMatch(tokens.base[$0]) }
                blocks.append(block)
            }
        }
        return (blocks, tokens)
    }

    /// How often a model that knows nothing is wrong from the third block on, up to some block.
    private func departures(_ model: ModelChoice, _ blocks: ArraySlice<DeflateBlock>, _ tokens: TokenBuffer) -> Int {
        let parameters = StreamParameters(model: model, rule: .plain(Self.piece), tree: .go)
        let walk = parameters.model.makeWalk(parameters)
        let start = blocks.first?.plainStart ?? 0
        Self.text.withUnsafeBufferPointer { text in
            guard let plain = text.baseAddress else { return }
            _ = walk.write(
                blocks.map { .block($0) }[...], plain: plain, plainOrigin: 0,
                geometry: SegmentGeometry(
                    start: start, end: start + blocks.count * Self.piece, available: text.count, lead: 0, history: 0,
                    age: start),
                tokens: tokens.base, endings: [], effort: .any)
        }
        #expect(!walk.unrepresentable)
        return walk.corrections
    }

    @Test("klauspost's level 1 gets in step by following, and stays out of it otherwise")
    func klauspost() {
        let (blocks, tokens) = encoded(KlauspostModel(.init(level: 1)))
        func departures(_ follows: Bool, upTo end: Int) -> Int {
            self.departures(.klauspost(.init(level: 1, follows: follows)), blocks[2..<end], tokens)
        }
        let following = departures(true, upTo: 8)
        #expect(following > 0)
        #expect(departures(true, upTo: 5) == following)
        let others = departures(false, upTo: 8)
        #expect(departures(false, upTo: 5) < others)
        #expect(following * 4 < others)
    }

    @Test("Go's level 1 gets in step sooner by following")
    func go() {
        let (blocks, tokens) = encoded(GoFastModel(follows: false))
        let following = departures(.goFast(follows: true), blocks[2...], tokens)
        #expect(following > 0)
        #expect(departures(.goFast(follows: true), blocks[2..<5], tokens) == following)
        #expect(following * 3 < departures(.goFast(follows: false), blocks[2...], tokens) * 2)
    }

    @Test("plans that do not say it are of models that did not follow")
    func plans() {
        for follows in [false, true] {
            for model: ModelChoice in [.goFast(follows: follows), .klauspost(.init(level: 1, follows: follows))] {
                #expect(ModelChoice(raw: model.raw) == model)
            }
        }
        #expect(ModelChoice(raw: [5, 1, 0]) == .goFast(follows: false))
        #expect(ModelChoice(raw: [4, 1, 1]) == .klauspost(.init(level: 1, follows: false)))
        #expect(ModelChoice(raw: [4, 1, 33]) == nil)
        #expect(ModelChoice(raw: [4, 2, 16]) == nil)
        #expect(ModelChoice(raw: [5, 1, 2]) == nil)
    }
}
