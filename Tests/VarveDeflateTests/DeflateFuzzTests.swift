// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveDeflate

@Suite("hostile input")
struct DeflateFuzzTests {
    /// A gzip file of some hundred bytes with a stored, a fixed and a dynamic block, made by the packer itself.
    private func small() throws -> [UInt8] {
        let sink = BitSink(capacity: 4096, phase: 0, phaseBits: 0)
        for byte in [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255] { sink.put(byte, 8) }
        let text = Array("a small text, a small text with matches; a small text without an end".utf8)
        sink.put(0, 3)
        sink.align(0)
        sink.put(text.count, 16)
        sink.put(text.count ^ 0xffff, 16)
        for byte in text { sink.put(Int(byte), 8) }
        var tokens: [UInt32] = text.prefix(20).map { UInt32($0) }
        tokens += [Token.match(length: 30, distance: 68), Token.match(length: 3, distance: 1), 65]
        sink.put(0, 1)
        sink.put(1, 2)
        sink.putTokens(tokens, count: tokens.count, nil)
        var literals = [Int32](repeating: 0, count: 288)
        var distances = [Int32](repeating: 0, count: 32)
        for token in tokens {
            if Token.isMatch(token) {
                literals[257 + Int(DeflateTables.shared.lengthCode[Token.length(token)])] += 1
                distances[DeflateTables.shared.distanceCode(of: Token.distance(token))] += 1
            } else {
                literals[Int(token)] += 1
            }
        }
        literals[256] = 1
        var none = BinaryDecoder(base: [0], count: 0)
        let header = HeaderCoder().code(
            &none, nil, kind: .zlib, literalCounts: literals, distanceCounts: &distances)
        sink.put(1, 1)
        sink.put(2, 2)
        sink.putTokens(tokens, count: tokens.count, header)
        sink.align(0)
        for byte in 1...8 { sink.put(byte, 8) }
        return [UInt8](sink.bytes)
    }

    private func mutate(_ bytes: [UInt8], _ random: inout Seeded) -> [UInt8] {
        var result = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let at = Int.random(in: 0..<result.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1, 2: result[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 3: result[at] = UInt8.random(in: 0...255, using: &random)
            case 4: result.insert(UInt8.random(in: 0...255, using: &random), at: at)
            default: if result.count > 12 { result.remove(at: at) }
            }
        }
        return result
    }

    private static let models: [StreamParameters] = [
        StreamParameters(model: .generic(.init(hashBytes: 3, depth: 16)), rule: .none, tree: .zlib),
        StreamParameters(model: .generic(.init(hashBytes: 4, depth: 16)), rule: .tokens(9), tree: .go),
        StreamParameters(
            model: .chain(.init(level: 6)), rule: .tokens(16), tree: .zlib, unitSize: 50, unitDictionary: 20),
        StreamParameters(model: .chain(.init(level: 1)), rule: .gnu(12, looks: true, ahead: 0), tree: .zlib),
        StreamParameters(
            model: .chain(.init(level: 2)), rule: .tokens(16), tree: .zlib, unitSize: 30, unitDictionary: 40,
            jobSize: 100),
        StreamParameters(model: .sevenZipFast, rule: .model, tree: .libdeflate),
        StreamParameters(model: .miniz(.init(level: 1)), rule: .model, tree: .libdeflate),
        StreamParameters(
            model: .miniz(.init(level: 5)), rule: .model, tree: .libdeflate, unitSize: 60, unitDictionary: 30),
        StreamParameters(model: .go(.init(level: 6)), rule: .tokens(7), tree: .go, unitSize: 64, unitDictionary: -1),
        StreamParameters(model: .goFast(follows: true), rule: .plain(65535), tree: .go),
        StreamParameters(
            model: .klauspost(.init(level: 5)), rule: .plain(33), tree: .go, unitSize: 70, unitDictionary: 30),
        StreamParameters(model: .klauspost(.init(level: 3)), rule: .plain(200), tree: .go),
        StreamParameters(model: .libdeflate(.init(level: 1)), rule: .model, tree: .libdeflateOld),
        StreamParameters(
            model: .libdeflate(.init(level: 8)), rule: .model, tree: .libdeflate, unitSize: 60, unitDictionary: 30),
        StreamParameters(model: .igzip(.init(level: 1)), rule: .model, tree: .igzip),
        StreamParameters(
            model: .igzip(.init(level: 3)), rule: .model, tree: .igzip, unitSize: 700, unitDictionary: 30),
        StreamParameters(model: .igzip(.init(level: 3, isWide: true)), rule: .model, tree: .igzip),
        StreamParameters(
            model: .optimal(.init(depth: 9)), rule: .none, tree: .libdeflate, unitSize: 60, unitDictionary: 30),
        StreamParameters(model: .optimal(.init(depth: 30, costs: .refined)), rule: .none, tree: .zopfli),
        StreamParameters(
            model: .optimal(.init(depth: 30, costs: .greedy)), rule: .none, tree: .zopfli, unitSize: 90,
            unitDictionary: 50),
        StreamParameters(model: .optimal(.init(depth: 30, costs: .previous)), rule: .none, tree: .zlib),
    ]

    @Test("10,000 damaged files: the decoder refuses or goes through, nothing else")
    func decoder() throws {
        let bytes = try small()
        let seed: UInt64 = 20_261_123
        var random = Seeded(state: seed)
        var read = 0
        for round in 0..<(10_000 * Self.factor) {
            let input = mutate(bytes, &random)
            do {
                var scanner = try StreamScanner(source: reader(input), plainCapacity: 1 << 12)
                while let element = try scanner.next() {
                    if case .block(let block) = element { #expect(block.plainCount >= 0) }
                }
                read += 1
            } catch let error as DeflateError {
                #expect(!error.reason.isEmpty, "seed \(seed) round \(round)")
            }
        }
        #expect(read > 100)
    }

    @Test("damaged files that still decode come back bit for bit under any model, fitting or not")
    func anyModel() throws {
        let bytes = try small()
        let seed: UInt64 = 7
        var random = Seeded(state: seed)
        var exact = 0
        for round in 0..<(400 * Self.factor) {
            let input = round == 0 ? bytes : mutate(bytes, &random)
            let parameters = Self.models[round % Self.models.count]
            var plain: [UInt8] = []
            guard
                let result = try? DeflateAnalyzer(source: reader(input)).analyze(
                    with: parameters, sink: { plain += [UInt8]($0) }),
                case .plan(let plan, _) = result
            else { continue }
            let made = try? rebuild(plan: plan, plain: plain)
            #expect(made == input, "seed \(seed) round \(round)")
            exact += 1
        }
        #expect(exact > 20)
    }

    /// How much more than usual is to be done: set VARVE_DEFLATE_FUZZ to a factor for a long run.
    private static let factor = Int(ProcessInfo.processInfo.environment["VARVE_DEFLATE_FUZZ"] ?? "") ?? 1

    @Test("damaged fixtures that still decode come back bit for bit, encoder guessed anew")
    func fixtures() throws {
        let names = Fixtures.names.filter { !$0.hasPrefix("long") }
        let seed: UInt64 = 4242
        var random = Seeded(state: seed)
        for round in 0..<(12 * Self.factor) {
            var input = try Fixtures.bytes(names[round % names.count])
            // Mostly near the end, so that much of the file still makes sense.
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let at = Int.random(in: 0..<input.count, using: &random)
                input[max(at, Bool.random(using: &random) ? input.count * 3 / 4 : 0)] ^=
                    1 << UInt8.random(in: 0..<8, using: &random)
            }
            var plain: [UInt8] = []
            guard
                case .plan(let plan, _) = try DeflateAnalyzer(source: reader(input)).analyze(sink: {
                    plain += [UInt8]($0)
                })
            else { continue }
            let made = try? rebuild(plan: plan, plain: plain)
            #expect(made == input, "seed \(seed) round \(round)")
        }
    }

    @Test("damaged plans are refused, or lead to an error or to wrong bytes, never farther")
    func plans() throws {
        let bytes = try Fixtures.bytes("zlib-6-flushed.gz")
        let seed: UInt64 = 99
        var random = Seeded(state: seed)
        var refused = 0
        for round in 0..<(320 * Self.factor) {
            var plain: [UInt8] = []
            let parameters = Self.models[round % Self.models.count]
            guard
                case .plan(var plan, _) = try DeflateAnalyzer(source: reader(bytes)).analyze(
                    with: parameters, sink: { plain += [UInt8]($0) })
            else { continue }
            // Without a new check sum any change is noticed at once.
            var broken = plan
            broken[Int.random(in: 0..<plan.count, using: &random)] ^= 1
            #expect(throws: DeflateError.self) { try DeflateRebuilder(plan: broken) }
            let body = mutate(Array(plan[8...]), &random)
            let check = Checksum.crc32(body[...])
            plan = Array(plan[0..<4]) + (0..<4).map { UInt8(truncatingIfNeeded: check >> UInt32(8 * $0)) } + body
            do {
                let rebuilder = try DeflateRebuilder(plan: plan)
                if rebuilder.plainCount != plain.count { throw DeflateError("other-size") }
                let workspace = DeflateRebuilder.Workspace()
                for index in rebuilder.segments.indices { _ = try rebuild(rebuilder, index, plain, workspace) }
            } catch is DeflateError {
                refused += 1
            }
        }
        #expect(refused > 50)
    }
}
