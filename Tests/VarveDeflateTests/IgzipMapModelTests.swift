// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("igzip's level 3, which finds matches for thousands of positions at once")
struct IgzipMapModelTests {
    /// Words in an order that repeats here and there, with zeros between.
    private static func text(_ count: Int) -> [UInt8] {
        var state: UInt64 = 20_261_129
        func next() -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 40)
        }
        var text: [UInt8] = []
        while text.count < count {
            let word = next() % 2000
            for index in 0..<(3 + word % 7) { text.append(UInt8(97 + (word * (index + 3)) % 26)) }
            if next() % 50 == 0 { text += [UInt8](repeating: 0, count: next() % 600) }
        }
        return Array(text[0..<count])
    }

    /// What the model makes of the text from `at` to `end`.
    private static func tokens(
        _ model: IgzipMapModel, _ text: UnsafePointer<UInt8>, from: Int, history: Int, to end: Int, inputEnd: Int
    ) -> [UInt32] {
        let room = UnsafeMutablePointer<UInt32>.allocate(capacity: 1 << 11)
        defer { room.deallocate() }
        model.begin(text, at: from, history: history, origin: 0)
        var all: [UInt32] = []
        while model.position < end {
            var tape = VirtualTape(room, capacity: 1 << 11)
            model.run(&tape, maxTokens: 1 << 11, stopAt: end, inputEnd: inputEnd)
            all += UnsafeBufferPointer(start: room, count: tape.index)
        }
        return all
    }

    @Test(
        "from a place where a piece began the model is in step, over the ends of the encoder's input too",
        arguments: [false, true])
    func restart(_ isWide: Bool) throws {
        let text = Self.text(2_300_000)
        try text.withUnsafeBufferPointer { buffer in
            let base = try #require(buffer.baseAddress)
            let all = Self.tokens(
                IgzipMapModel(.init(level: 3, isWide: isWide)), base, from: 0, history: 0, to: text.count,
                inputEnd: text.count)
            #expect(all.reduce(0) { $0 + Token.span($1) } == text.count)
            #expect(all.contains { Token.isMatch($0) })
            for cut in [1_000_000, 1_100_000, 1_400_000, 2_200_000] {
                let model = IgzipMapModel(.init(level: 3, isWide: isWide))
                _ = Self.tokens(model, base, from: 0, history: 0, to: cut, inputEnd: text.count)
                let place = try #require(model.restart(before: cut - 131_072))
                #expect(place > cut - 131_072 - 80_000)
                let again = Self.tokens(
                    IgzipMapModel(.init(level: 3, isWide: isWide)), base, from: place, history: 32768, to: text.count,
                    inputEnd: text.count)
                // What lies far behind is the same; right behind the place some entries of the table are not known.
                let count = text.count - cut - 300
                var (left, right) = (all.count, again.count)
                var span = 0
                while span < count {
                    left -= 1
                    right -= 1
                    span += Token.span(all[left])
                    if all[left] != again[right] {
                        Issue.record("another token \(span) bytes before the end, with a restart at \(place)")
                        break
                    }
                }
            }
        }
    }

    @Test("no place is known before the model has begun a piece, and none before all that are kept")
    func places() throws {
        let text = Self.text(700_000)
        try text.withUnsafeBufferPointer { buffer in
            let base = try #require(buffer.baseAddress)
            let model = IgzipMapModel(.init(level: 3))
            model.begin(base, at: 0, history: 0, origin: 0)
            #expect(model.restart(before: .max) == nil)
            _ = Self.tokens(model, base, from: 0, history: 0, to: text.count, inputEnd: text.count)
            #expect(model.restart(before: 1000) == nil)
            #expect(model.restart(before: text.count) != nil)
        }
    }

    @Test(
        "text of any length has its last bytes", arguments: [1, 3, 4, 12, 288, 289, 300, 4096, 4100, 9000],
        [false, true])
    func short(_ count: Int, _ isWide: Bool) throws {
        let text = Self.text(count)
        try text.withUnsafeBufferPointer { buffer in
            let base = try #require(buffer.baseAddress)
            let all = Self.tokens(
                IgzipMapModel(.init(level: 3, isWide: isWide)), base, from: 0, history: 0, to: count, inputEnd: count)
            #expect(all.reduce(0) { $0 + Token.span($1) } == count)
        }
    }
}
