// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("short looks at who may have made a stream")
struct ShortLooksTests {
    private func prefix(_ name: String) throws -> StreamPrefix {
        var scanner = try StreamScanner(source: reader(try Fixtures.bytes(name)), plainCapacity: 3 << 20)
        return try StreamPrefix(&scanner)
    }

    @Test("nobody else is asked once a model leaves nothing to be said, but who searches alike")
    func few() throws {
        let prefix = try prefix("text-gzip-6.gz")
        var looks = ShortLooks(at: prefix, isFirst: true)
        looks.look(at: prefix.families(prefix.treeEvidence()))
        #expect(looks.trials.map(\.parameters.model.name) == ["gzip-6", "zlib-6-mem9"])
        #expect(looks.trials.first?.cost.isPerfect == true)
        #expect(looks.untried.contains { $0.model.name == "gzip-9" })
        let found = prefix.best()
        #expect(found.parameters.model.name == "gzip-6")
        #expect(found.alternatives == looks.untried)
    }

    @Test("what the encoder does where input ends does not count in the short look")
    func independent() throws {
        let prefix = try prefix("text-pigz-i.gz")
        var looks = ShortLooks(at: prefix, isFirst: true)
        looks.look(at: prefix.families(prefix.treeEvidence()))
        #expect(looks.trials.first?.cost.isPerfect == true)
        #expect(looks.trials.count <= 2)
        guard case .block(let last)? = prefix.glance.last else { throw DeflateError("no block") }
        #expect(last.plainStart + last.plainCount == 128 << 10)
        let found = prefix.best().parameters
        #expect(found.model.name == "zlib-6")
        #expect(found.unitSize == 128 << 10 && found.unitDictionary == 0)
    }

    @Test("where input ended often, a description is not taken for dear")
    func endings() throws {
        let prefix = try prefix("rsyncable-pigz-6.gz")
        var looks = ShortLooks(at: prefix, isFirst: true)
        looks.look(at: prefix.families(prefix.treeEvidence()))
        let first = try #require(looks.trials.first)
        #expect(first.parameters.model.name == "zlib-6")
        #expect(first.cost.isPerfect && looks.isCheap(first.cost))
        #expect(prefix.endings(in: prefix.glance) > 5)
    }

    @Test("of a block that was cut short its share of the file counts")
    func shares() throws {
        let prefix = try prefix("text-gzip-6.gz")
        // A block of gzip's has some 30000 tokens, of which a very short look takes the first.
        guard case .block(let last)? = prefix.blink.last, case .block(let whole)? = prefix.glance.dropFirst().first
        else { throw DeflateError("no block") }
        #expect(last.tokenCount < whole.tokenCount / 2)
        let share = prefix.compressed(prefix.blink)
        #expect(share > 4000 && share < 12_000)
    }
}
