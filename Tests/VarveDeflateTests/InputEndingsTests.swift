// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("where an encoder's input ended")
struct InputEndingsTests {
    private var endings = InputEndings()
    private var bit = 80
    private var plain = 0

    /// Takes a block of some plain bytes whose end leaves `over` bits of a byte.
    private mutating func text(_ count: Int, tokens: Int = 100, kind: DeflateBlock.Kind = .dynamic, over: Int) {
        var block = DeflateBlock(kind: kind, isFinal: false, bitStart: bit)
        block.plainStart = plain
        block.plainCount = count
        block.tokenCount = tokens
        endings.take(block)
        plain += count
        bit += (count | 7) + 1 + (over - bit) & 7
    }

    private mutating func empty(_ kind: DeflateBlock.Kind) {
        var block = DeflateBlock(kind: kind, isFinal: false, bitStart: bit)
        block.plainStart = plain
        endings.take(block)
        bit += kind == .fixed ? 10 : 32 + (5 - bit) & 7 + 3
    }

    @Test("pigz leaves the marker out where a block ends with its byte, also before it was known to be pigz")
    mutating func pigz() {
        text(1000, over: 0)
        text(500, over: 6)
        #expect(endings.places.isEmpty)
        empty(.fixed)
        text(700, over: 3)
        #expect(endings.places == [1000, 1500])
        empty(.stored)
        text(100, over: 0)
        text(100, tokens: 16383, over: 0)
        text(100, over: 1)
        #expect(endings.places == [1000, 1500, 2200, 2300])
        endings.drop(upTo: 1500)
        #expect(endings.places == [2200, 2300])
    }

    @Test("a stored block that is not full ended with the input, which pigz does not mark")
    mutating func stored() {
        text(1000, over: 6)
        empty(.fixed)
        text(500, kind: .stored, over: 0)
        text(16383, kind: .stored, over: 0)
        text(100, over: 1)
        #expect(endings.places == [1000, 1500])
    }

    @Test("a job goes to the last end of input within its size, as far as that is known")
    mutating func jobs() {
        for count in [40, 30, 20, 80, 95, 10, 300, 50] {
            text(count, over: 3)
            empty(.fixed)
        }
        #expect(endings.places == [40, 70, 90, 170, 265, 275, 575, 625])
        let found = [0, 89, 90, 169, 170, 264, 265, 274, 275, 574, 575, 700].map {
            endings.lastJob(upTo: $0, from: 0, size: 100)
        }
        #expect(found == [0, 0, 90, 90, 170, 170, 265, 265, 275, 275, 575, 575])
        #expect(endings.lastJob(upTo: 300, from: 170, size: 100) == 275)
    }

    @Test("an empty fixed block that leads to no byte boundary is not pigz's")
    mutating func others() {
        text(1000, over: 0)
        text(500, over: 5)
        empty(.fixed)
        text(700, over: 0)
        text(500, over: 6)
        empty(.fixed)
        text(700, over: 0)
        text(700, over: 1)
        #expect(endings.places == [1500, 2700])
    }
}
