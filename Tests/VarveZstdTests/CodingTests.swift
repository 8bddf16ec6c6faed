// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveZstd

@Suite("zstd's entropy coders and the plan's numbers")
struct CodingTests {
    @Test("a distribution that is written is read again")
    func distributions() throws {
        var random = Seeded(state: 4)
        for _ in 0..<2000 {
            let symbols = Int.random(in: 2...53, using: &random)
            var counts = (0..<symbols).map { _ in
                Bool.random(using: &random) ? UInt32.random(in: 0...900, using: &random) : 0
            }
            counts[0] += 1
            counts[symbols - 1] += 1
            let total = counts.reduce(0) { $0 + Int($1) }
            let log = FseNorm.accuracy(most: 9, total: total, symbolMax: symbols - 1, sourceBits: total.highBit + 1)
            guard let norm = FseNorm.scale(counts, total: total, log: log, low: -1, poor: symbols) else { continue }
            let bytes = FseNorm.write(norm, log: log)
            let read = bytes.withUnsafeBufferPointer { FseNorm.read($0, symbolsMax: 53, logMax: 9) }
            #expect(read?.norm == norm)
            #expect(read?.log == log)
            #expect(read?.count == bytes.count)
            #expect(FseTable().build(norm, log: log))
        }
    }

    @Test("Huffman codes are full, within the limit, and survive their description", arguments: [true, false])
    func codes(isReference: Bool) throws {
        var random = Seeded(state: 5)
        let weights = FseTable()
        for _ in 0..<1000 {
            let symbols = Int.random(in: 2...256, using: &random)
            let steep = Double.random(in: 0.5...12, using: &random)
            var counts = (0..<symbols).map { _ in
                UInt32(Double(UInt32.random(in: 0...1000, using: &random)) * steep.squareRoot())
            }
            for index in counts.indices where Bool.random(using: &random) { counts[index] >>= UInt32(steep) }
            counts[0] += 1
            counts[symbols - 1] += 1
            let total = counts.reduce(0) { $0 + Int($1) }
            let limit = HuffmanBuilder.limit(symbols: symbols, total: total, most: 11)
            let lengths = HuffmanBuilder.lengths(counts, limit: limit, isReference: isReference)
            let code = HuffmanTable()
            #expect(code.build(lengths))
            guard
                let bytes = HuffmanDescription.write(
                    code, symbolCount: symbols, isReference: isReference, using: weights)
            else { continue }
            let other = HuffmanTable()
            let taken = bytes.withUnsafeBufferPointer { other.read($0, using: weights) }
            #expect(taken == bytes.count)
            #expect((0..<256).allSatisfy { other.lengths[$0] == code.lengths[$0] })
        }
    }

    @Test("edits turn the proposed list into the real one")
    func edits() throws {
        var random = Seeded(state: 6)
        for _ in 0..<500 {
            let proposed = SequenceList()
            for _ in 0..<Int.random(in: 0...60, using: &random) {
                proposed.append(
                    .random(in: 0...6, using: &random), .random(in: 3...9, using: &random),
                    .random(in: 1...50, using: &random))
            }
            let real = SequenceList()
            for index in 0..<proposed.count {
                let each = proposed.base[index]
                switch Int.random(in: 0..<8, using: &random) {
                case 0: break
                case 1: real.append(Int(each.literals), Int(each.length), Int(each.offset) + 1)
                case 2:
                    real.append(Int(each.literals), 3, 9)
                    real.append(0, Int(each.length), 5)
                default: real.append(Int(each.literals), Int(each.length), Int(each.offset))
                }
            }
            let edits = Edits(from: proposed, to: real)
            let made = SequenceList()
            #expect(edits.apply(to: proposed, into: made))
            #expect(made.count == real.count)
            #expect((0..<min(made.count, real.count)).allSatisfy { made.base[$0] == real.base[$0] })
        }
    }
}
