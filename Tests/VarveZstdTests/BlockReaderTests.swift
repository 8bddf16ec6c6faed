// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveZstd

@Suite("blocks, as they are read")
struct BlockReaderTests {
    @Test("a block that says the same in other bytes is seen and comes back")
    func otherBytes() throws {
        let parameters = ZstdAnalyzerTests.models[7]
        let plain = repetitiveFile(6000, seed: 21).plain
        let file = try modelFile(plain, parameters)
        let content = Array(file[9...])
        let reader = BlockReader()
        #expect(content.withUnsafeBufferPointer { reader.read($0) })
        #expect(reader.isCanonical)
        #expect((4..<128).contains(reader.sequences.count))

        // A number of sequences that takes two bytes, and other states that end in the same symbols.
        let long = (1..<content.count).filter { content[$0] == UInt8(reader.sequences.count) }
            .map { content[..<$0] + [128] + content[$0...] }
        var flipped: [ArraySlice<UInt8>] = []
        for bit in 0..<(8 * content.count) {
            for other in bit..<min(bit + 6, 8 * content.count) {
                var changed = content[...]
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                if other > bit { changed[other / 8] ^= 1 << UInt8(other % 8) }
                flipped.append(changed)
            }
        }
        let other = BlockReader()
        let variants = [long, flipped].map { $0.filter { saysTheSame($0, as: reader, reading: other) } }
        #expect(variants.allSatisfy { !$0.isEmpty })
        for variant in variants.joined() {
            #expect(variant.withUnsafeBufferPointer { other.read($0) })
            #expect(!other.isCanonical)
            let word = 1 | 2 << 1 | variant.count << 3
            let changed =
                file[..<6] + [UInt8(word & 255), UInt8(word >> 8 & 255), UInt8(word >> 16)] + variant
            var made: [UInt8] = []
            let pass = ZstdPass(source: source(Array(changed)), parameters: parameters)
            try pass.run(plainMax: .max) { made.append(contentsOf: $0) }
            #expect(isEqual(made, plain))
            #expect(pass.summary.exceptions == 1)
            #expect(try isEqual(rebuilt(plan: pass.plan(), plain: plain), Array(changed)))
        }
    }

    private func saysTheSame(
        _ content: ArraySlice<UInt8>, as wanted: BlockReader, reading reader: BlockReader
    ) -> Bool {
        content.withUnsafeBufferPointer { reader.read($0) } && reader.sequences == wanted.sequences
            && reader.layout == wanted.layout && reader.literalCount == wanted.literalCount
            && (0..<reader.literalCount).allSatisfy { reader.literals[$0] == wanted.literals[$0] }
    }
}
