// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

/// The parts of the model for encoders that look for the cheapest way.
@Suite("cheapest ways")
struct OptimalModelTests {
    /// Words of three letters, so that matches are many and long.
    private static func text(_ count: Int, _ random: inout Seeded) -> [UInt8] {
        let words = (0..<6).map { _ in
            (0..<Int.random(in: 2...70, using: &random)).map { _ in UInt8(random.next() % 3) }
        }
        var text: [UInt8] = []
        while text.count < count { text += words[Int(random.next() % 6)] }
        return Array(text[0..<count])
    }

    @Test("a description that is usual for this predictor is dear again where another member begins")
    func members() throws {
        let source = reader(try Fixtures.bytes("zopfli-5.gz"))
        var pass = try AnalysisPass(source: source, StreamIdentifier(source: source).identify())
        guard case .optimal = pass.parameters.model else { throw DeflateError("not taken for zopfli's") }
        #expect(!pass.isDear(2000, 100_000, before: 0))
        #expect(pass.isDear(3000, 100_000, before: 0))
        pass.place.member = 1 << 20
        #expect(pass.isDear(2000, 100_000, before: 0))
        #expect(!pass.isDear(600, 100_000, before: 0))
    }

    @Test("the trees find for every length the nearest place that matches")
    func nearest() {
        var random = Seeded(state: 11)
        for round in 0..<40 {
            let text = Self.text(900, &random)
            let lowest = round % 2 == 0 ? 0 : 100
            let trees = MatchTrees(depth: 1024)
            var found = [UInt32](repeating: 0, count: 260)
            for at in lowest..<(text.count - 300) {
                let count = text.withUnsafeBufferPointer { plain in
                    found.withUnsafeMutableBufferPointer { room in
                        guard let plain = plain.baseAddress, let room = room.baseAddress else { return 0 }
                        return trees.insert(plain, at, most: 258, lowest: lowest, found: room)
                    }
                }
                var wanted: [UInt32] = []
                var best = 2
                for start in stride(from: at - 1, through: lowest, by: -1) {
                    var length = 0
                    while length < 258 && text[start + length] == text[at + length] { length += 1 }
                    if length > best {
                        best = length
                        wanted.append(Token.match(length: length, distance: at - start))
                    }
                }
                #expect(Array(found[0..<count]) == wanted, "round \(round) at \(at)")
            }
            #expect(trees.steps > 0)
        }
    }

    @Test("no way through a stretch is cheaper than the one found")
    func cheapest() {
        var random = Seeded(state: 12)
        // Matches of at most 34 bytes, for which all lengths are considered.
        let text = (0..<3000).map { _ in UInt8(random.next() % 2) }
        let costs = TokenCosts()
        for symbol in 0..<256 { costs.literal[symbol] = Int32.random(in: 1...9, using: &random) }
        for length in 3...258 { costs.length[length] = Int32.random(in: 2...14, using: &random) }
        for code in 0..<30 { costs.distance[code] = Int32.random(in: 2...20, using: &random) }
        let ways = CostsToGo()
        let trees = MatchTrees(depth: 1024)
        var least = [Int32](repeating: 0, count: text.count + 1)
        var matches: [[UInt32]] = []
        text.withUnsafeBufferPointer { plain in
            guard let plain = plain.baseAddress else { return }
            ways.restart(at: 0)
            for at in 0..<text.count {
                guard let room = ways.room else { return }
                let most = min(258, text.count - at)
                ways.append(most < 3 ? 0 : trees.insert(plain, at, most: most, lowest: 0, found: room))
                matches.append(Array(ways.matches(at: at)))
            }
            ways.solve(plain, costs)
        }
        for at in stride(from: text.count - 1, through: 0, by: -1) {
            least[at] = costs.literal[Int(text[at])] + least[at + 1]
            var length = 3
            for token in matches[at] {
                let code = DeflateTables.shared.distanceCode(of: Token.distance(token))
                #expect(Token.length(token) <= 34)
                while length <= Token.length(token) {
                    least[at] = min(least[at], costs.length[length] + costs.distance[code] + least[at + length])
                    length += 1
                }
            }
            #expect(ways.cost(from: at)[0] == least[at])
        }
    }

    @Test("logarithms are those of mathematics, rounded down to 256ths of a bit")
    func logarithms() {
        // 2^(1/2), 2^(3/4) and the like, as whole numbers.
        for (value, wanted) in [(1, 0), (2, 256), (3, 405), (5, 594), (7, 718), (100, 1700), (1 << 20, 5120)] {
            #expect(TokenCosts.logarithm(Int32(value)) == Int32(wanted), "\(value)")
        }
        for value in Int32(1)..<5000 {
            #expect(TokenCosts.logarithm(value) <= TokenCosts.logarithm(value + 1))
        }
        #expect(TokenCosts.logarithm(.max) == 31 * 256 - 1)
    }

    @Test("the way that is followed is a cheapest one, and of those it has the longest last step")
    func followed() {
        var random = Seeded(state: 14)
        let text = Self.text(2000, &random)
        let costs = TokenCosts(scale: 8)
        for symbol in 0..<256 { costs.literal[symbol] = 8 << 8 }
        for length in 3...258 { costs.length[length] = 9 << 8 }
        for code in 0..<30 { costs.distance[code] = Int32(5 + code / 2) << 8 }
        let ways = CostsToGo(most: .most)
        let trees = MatchTrees(depth: 1024)
        text.withUnsafeBufferPointer { plain in
            guard let plain = plain.baseAddress else { return }
            ways.restart(at: 0)
            for at in 0..<text.count {
                guard let room = ways.room else { return }
                let most = min(258, text.count - at)
                ways.append(most < 3 ? 0 : trees.insert(plain, at, most: most, lowest: 0, found: room))
            }
            ways.solve(plain, costs)
            ways.follow(plain, costs)
            var at = 0
            var spent: Int32 = 0
            while at < text.count {
                let step = ways.followed(from: at)
                guard step > 0, at + step <= text.count else {
                    Issue.record("the way ends at \(at)")
                    return
                }
                if step == 1 {
                    spent += costs.literal[Int(text[at])]
                } else if let match = ways.matches(at: at).first(where: { Token.length($0) >= step }) {
                    let code = DeflateTables.shared.distanceCode(of: Token.distance(match))
                    spent += costs.length[step] + costs.distance[code]
                }
                for between in (at + 1)..<(at + step) { #expect(ways.followed(from: between) == 0) }
                at += step
                #expect(spent + ways.cost(from: at)[0] == ways.cost(from: 0)[0])
            }
            #expect(at == text.count)
        }
    }

    @Test("zopfli writes lengths in the shortest of eight ways, and all of them say the same")
    func runs() {
        var random = Seeded(state: 15)
        for _ in 0..<200 {
            var header = DynamicHeader()
            while header.lengths.count < 290 {
                let run = Int.random(in: 1...(random.next() % 4 == 0 ? 30 : 4), using: &random)
                let value = random.next() % 3 == 0 ? 0 : UInt8(Int.random(in: 6...9, using: &random))
                header.lengths += [UInt8](repeating: value, count: run)
            }
            header.literalCount = 270
            header.distanceCount = header.lengths.count - 270
            var lengths: [UInt8] = []
            for operation in RunLengths.operations(.zopfli, header) {
                let extra = Int(operation >> 8)
                switch operation & 255 {
                case 16: lengths += [UInt8](repeating: lengths.last ?? 0, count: 3 + extra)
                case 17: lengths += [UInt8](repeating: 0, count: 3 + extra)
                case 18: lengths += [UInt8](repeating: 0, count: 11 + extra)
                default: lengths.append(UInt8(operation))
                }
            }
            #expect(lengths == header.lengths)
        }
    }

    @Test("what lies behind the end of the input makes no difference to a description, and it can be read again")
    func nothingBehind() {
        var random = Seeded(state: 13)
        for _ in 0..<30 {
            let text = Self.text(1500, &random)
            let end = Int.random(in: 300...900, using: &random)
            var other = text
            for index in end..<other.count { other[index] = UInt8(random.next() % 3) }
            // Some way through: mostly literals, matches at hand now and then.
            var tokens: [UInt32] = []
            var at = 0
            while at < end {
                var token = UInt32(text[at])
                let distance = Int.random(in: 1...40, using: &random)
                var length = 0
                if distance <= at {
                    while length < min(258, end - at) && text[at + length] == text[at - distance + length] {
                        length += 1
                    }
                }
                if length >= 3 { token = Token.match(length: length, distance: distance) }
                tokens.append(token)
                at += Token.span(token)
            }
            for costs in OptimalModel.CostSource.allCases {
                let coded = describe(tokens, text, end, costs)
                #expect(coded == describe(tokens, other, end, costs))
                #expect(read(coded, other, end, costs) == tokens)
            }
        }
    }

    private func describe(_ tokens: [UInt32], _ text: [UInt8], _ end: Int, _ costs: OptimalModel.CostSource)
        -> [UInt8]
    {
        var known = tokens + [0]
        let probabilities = Probabilities(count: TokenTape<BinaryEncoder>.probabilityCount)
        return known.withUnsafeMutableBufferPointer { tokens in
            text.withUnsafeBufferPointer { text in
                guard let tokens = tokens.baseAddress, let text = text.baseAddress else { return [] }
                var tape = TokenTape(
                    coder: BinaryEncoder(), tokens: tokens, probabilities: probabilities.base, sparse: false,
                    isEmpty: false)
                run(&tape, text, end, costs)
                return tape.coder.finish()
            }
        }
    }

    private func read(_ coded: [UInt8], _ text: [UInt8], _ end: Int, _ costs: OptimalModel.CostSource) -> [UInt32] {
        var made = [UInt32](repeating: 0, count: end + 16)
        let probabilities = Probabilities(count: TokenTape<BinaryEncoder>.probabilityCount)
        let count = made.withUnsafeMutableBufferPointer { made in
            text.withUnsafeBufferPointer { text in
                coded.withUnsafeBufferPointer { coded in
                    guard let made = made.baseAddress, let text = text.baseAddress, let base = coded.baseAddress else {
                        return 0
                    }
                    var tape = TokenTape(
                        coder: BinaryDecoder(base: base, count: coded.count), tokens: made,
                        probabilities: probabilities.base, sparse: false, isEmpty: false)
                    run(&tape, text, end, costs)
                    return tape.index
                }
            }
        }
        return Array(made[0..<count])
    }

    private func run<C: BinaryCoder>(
        _ tape: inout TokenTape<C>, _ text: UnsafePointer<UInt8>, _ end: Int, _ costs: OptimalModel.CostSource
    ) {
        let model = OptimalModel(.init(depth: 20, costs: costs))
        model.resetProbabilities()
        model.begin(text, at: 0, history: 0, origin: 0)
        model.beginBlock(end: end, inputEnd: end)
        if model.codesComeLast {
            model.goWithoutCodes()
        } else {
            FixedCodes.lengths.withUnsafeBufferPointer {
                if let base = $0.baseAddress { model.useCodes(base, literals: 288, distances: 30) }
            }
        }
        model.run(&tape, maxTokens: .max, stopAt: end, inputEnd: end)
        #expect(model.position == end)
    }
}
