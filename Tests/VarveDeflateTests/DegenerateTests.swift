// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

/// Text that makes encoders search long, or that says nothing about them.
@Suite("runs and other text that is hard on encoders")
struct DegenerateTests {
    private func take(_ name: String) throws -> (plan: [UInt8], plain: [UInt8], summary: DeflateAnalyzer.Summary) {
        var plain: [UInt8] = []
        let bytes = try Fixtures.bytes(name)
        switch try DeflateAnalyzer(source: reader(bytes)).analyze(sink: { plain += [UInt8]($0) }) {
        case .plan(let plan, let summary): return (plan, plain, summary)
        case .unsupported(let reason): throw DeflateError(reason)
        }
    }

    @Test(
        "runs, small windows and odd strategies are recognised and need no corrections",
        arguments: [
            ("zeros-zlib-6.gz", "zlib-6"), ("runs-zlib-9.gz", "zlib-9"), ("runs-go1.26-9.gz", "go1.26-9"),
            ("klauspost-level9.gz", "klauspost-9"), ("zlib-6-window9.gz", "zlib-6-win9"),
            ("zlib-6-filtered.gz", "zlib-6-filtered"), ("zlib-6-runs.gz", "zlib-6-runs"),
        ])
    func runs(_ name: String, _ encoder: String) throws {
        let (plan, plain, summary) = try take(name)
        #expect(summary.encoder == encoder)
        #expect(summary.corrections == 0)
        #expect(try rebuild(plan: plan, plain: plain) == Fixtures.bytes(name))
    }

    @Test("an encoder that shows only behind millions of zeros is found there")
    func late() throws {
        let (plan, plain, summary) = try take("late-zlib-9.gz")
        #expect(summary.encoder.hasSuffix("zlib-9"))
        #expect(summary.corrections == 0)
        #expect(try rebuild(plan: plan, plain: plain) == Fixtures.bytes("late-zlib-9.gz"))
    }

    /// What a chain search finds, entry by entry, as encoders do it.
    private func plainSearch(
        _ text: [UInt8], _ chain: [Int], _ at: Int, most: Int, enough: Int, tries: Int
    ) -> (best: Int, start: Int, tries: Int) {
        var best = 3
        var start = 0
        var left = tries
        var candidate = chain[at]
        while candidate >= 0 && left > 0 {
            var n = 0
            while n < most && text[at + n] == text[candidate + n] { n += 1 }
            if n > best {
                best = n
                start = candidate
                if n >= enough || n >= most { return (best, start, 0) }
            }
            left -= 1
            candidate = chain[candidate]
        }
        return (best, start, 0)
    }

    private func skippingSearch(
        _ text: [UInt8], _ chain: [Int], _ at: Int, most: Int, enough: Int, tries: Int, skipped: inout Int
    ) -> (best: Int, start: Int, tries: Int) {
        var search = RunSkip.Search(candidate: chain[at], tries: tries, best: 3, start: 0)
        while search.candidate >= 0 && search.tries > 0 {
            var n = 0
            while n < most && text[at + n] == text[search.candidate + n] { n += 1 }
            if n > search.best {
                search.best = n
                search.start = search.candidate
                if n >= enough || n >= most { break }
            }
            search.tries -= 1
            if chain[search.candidate] == search.candidate - 1 {
                let before = search.tries
                let ends = text.withUnsafeBufferPointer { buffer in
                    guard let base = buffer.baseAddress else { return true }
                    return RunSkip.skip(base, at, most: most, enough: enough, lowest: 0, &search)
                }
                skipped += before - search.tries
                if ends { break }
            }
            search.candidate = chain[search.candidate]
        }
        return (search.best, search.start, 0)
    }

    @Test("skipping through runs finds what looking at every entry finds")
    func skipping() {
        var random = Seeded(state: 2026)
        var skipped = 0
        for _ in 0..<300 {
            // Runs of two bytes, of all lengths, with noise between.
            var text: [UInt8] = []
            while text.count < 700 {
                let byte = UInt8(random.next() % 2)
                text += [UInt8](repeating: byte, count: Int(random.next() % 90))
                if random.next() % 2 == 0 { text.append(UInt8(random.next() % 4)) }
            }
            var last: [Int: Int] = [:]
            var chain: [Int] = []
            for at in 0..<(text.count - 2) {
                let key = Int(text[at]) << 16 | Int(text[at + 1]) << 8 | Int(text[at + 2])
                chain.append(last[key] ?? -1)
                last[key] = at
            }
            for _ in 0..<40 {
                let at = Int(random.next() % UInt64(chain.count - 300))
                let most = 3 + Int(random.next() % 256)
                let enough = min(most, 4 + Int(random.next() % 256))
                let tries = 1 + Int(random.next() % 600)
                let wanted = plainSearch(text, chain, at, most: most, enough: enough, tries: tries)
                let found = skippingSearch(
                    text, chain, at, most: most, enough: enough, tries: tries, skipped: &skipped)
                #expect(wanted == found, "at \(at), most \(most), enough \(enough), tries \(tries)")
            }
        }
        #expect(skipped > 10_000)
    }

    @Test("a model that starts at a buffer's first byte looks at nothing before it")
    func nothingBefore() {
        // One byte before the text that is like it: taken for text, it would give matches at once.
        let buffer = [UInt8](repeating: 97, count: 400)
        let models: [any TokenModel] = [
            ChainModel(.init(level: 1)), ChainModel(.init(level: 6)), GoModel(.init(level: 2)),
            GoModel(.init(level: 6)),
            KlauspostLazyModel(.init(level: 9)), KlauspostLazyModel(.init(level: 9, era: .since1_14_2)),
            KlauspostModel(.init(level: 5)), KlauspostModel(.init(level: 4, era: .since1_18)),
            KlauspostModel(.init(level: 0)), KlauspostModel(.init(level: 3, era: .before1_14_3)),
            GoFastModel(follows: true), GoFastModel(follows: false),
            ZlibNGModel(.init(level: 1)), ZlibNGModel(.init(level: 2)), ZlibNGModel(.init(level: 6)),
            ZlibNGModel(.init(level: 6, chunk: 7)), ChainModel(.init(level: 9, descendant: .ngJumping)),
            ChainModel(.init(level: 6, descendant: .chromium)), LibdeflateFastModel(),
            LibdeflateModel(.init(level: 2)), LibdeflateModel(.init(level: 9)), IgzipModel(.init(level: 2)),
            OptimalModel(.init(depth: 9)),
        ]
        for model in models {
            var tokens = [UInt32](repeating: 0, count: 1 << 10)
            tokens.withUnsafeMutableBufferPointer { room in
                guard let room = room.baseAddress else { return }
                buffer.withUnsafeBufferPointer { text in
                    guard let text = text.baseAddress else { return }
                    var tape = VirtualTape(room, capacity: 1 << 10)
                    // The encoder's window begins far before.
                    model.begin(text + 1, at: 0, history: 0, origin: -100_000)
                    model.run(&tape, maxTokens: 1000, stopAt: 300, inputEnd: 300)
                }
            }
            #expect(tokens[0] == 97, "\(type(of: model))")
        }
    }

    @Test("what lies behind the end of the input makes no difference to a model")
    func nothingBehind() {
        let models: [() -> any TokenModel] = [
            { ChainModel(.init(level: 1)) }, { ChainModel(.init(level: 6)) },
            { ChainModel(.init(level: 9, descendant: .ngJumping)) },
            { ChainModel(.init(level: 8, descendant: .ng(.multiplied))) },
            { ChainModel(.init(level: 6, descendant: .chromium)) },
            { ZlibNGModel(.init(level: 1)) }, { ZlibNGModel(.init(level: 2)) }, { ZlibNGModel(.init(level: 4)) },
            { ZlibNGModel(.init(level: 6)) }, { ZlibNGModel(.init(level: 6, chunk: 100)) },
            { KlauspostModel(.init(level: 4, era: .since1_18)) }, { KlauspostModel(.init(level: 0)) },
            { KlauspostModel(.init(level: 3, era: .before1_14_3)) },
            { KlauspostModel(.init(level: 1, era: .before1_10_2)) },
            { KlauspostLazyModel(.init(level: 9, era: .since1_14_2)) },
            { GoModel(.init(level: 6)) }, { LibdeflateFastModel() }, { LibdeflateModel(.init(level: 3)) },
            { LibdeflateModel(.init(level: 6)) }, { LibdeflateModel(.init(level: 9)) },
            { IgzipModel(.init(level: 0)) }, { IgzipModel(.init(level: 1)) }, { IgzipModel(.init(level: 2)) },
        ]
        var random = Seeded(state: 4)
        for _ in 0..<60 {
            // Few kinds of words, so that matches are long and reach the end.
            let words = (0..<4).map { _ in
                (0..<Int.random(in: 3...90, using: &random)).map { _ in UInt8(random.next() % 3) }
            }
            var text: [UInt8] = []
            while text.count < 1500 { text += words[Int(random.next() % 4)] }
            let end = Int.random(in: 300...900, using: &random)
            var other = text
            for index in end..<other.count { other[index] = UInt8(random.next() % 3) }
            for make in models {
                #expect(tokens(make(), text, end) == tokens(make(), other, end), "\(type(of: make())) to \(end)")
            }
        }
    }

    private func tokens(_ model: any TokenModel, _ text: [UInt8], _ end: Int) -> [UInt32] {
        var tokens = [UInt32](repeating: 0, count: 1 << 12)
        var count = 0
        tokens.withUnsafeMutableBufferPointer { room in
            text.withUnsafeBufferPointer { text in
                guard let room = room.baseAddress, let text = text.baseAddress else { return }
                var tape = VirtualTape(room, capacity: 1 << 12)
                model.begin(text, at: 0, history: 0, origin: 0)
                model.run(&tape, maxTokens: 4000, stopAt: end, inputEnd: end)
                count = tape.index
            }
        }
        return Array(tokens[0..<count])
    }

    @Test("a description is given up where it takes too long or becomes too long")
    func budget() throws {
        var scanner = try StreamScanner(source: reader(try Fixtures.bytes("runs-zlib-9.gz")), plainCapacity: 1 << 20)
        var elements: [StreamElement] = []
        while let element = try scanner.next() { elements.append(element) }
        let plain = scanner.reader.plain
        func describe(_ level: Int, _ effort: Effort) -> any SegmentCoding {
            let set = StreamParameters(model: .chain(.init(level: level)), rule: .tokens(16383))
            let walk = set.model.makeWalk(set)
            _ = walk.write(
                elements[...], plain: UnsafePointer(plain.base), plainOrigin: 0,
                geometry: SegmentGeometry(start: 0, end: plain.end, available: plain.end),
                tokens: scanner.reader.tokens.base, endings: [plain.end], effort: effort)
            return walk
        }
        let whole = describe(9, .any)
        #expect(whole.gaveUp == nil)
        #expect(whole.steps > 1000)
        #expect(describe(9, Effort(stepsMax: whole.steps)).gaveUp == nil)
        #expect(describe(9, Effort(stepsMax: whole.steps / 2)).gaveUp == .steps)
        #expect(describe(1, Effort(bytesMax: 20)).gaveUp == .bytes)
    }
}
