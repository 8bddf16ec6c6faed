// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveZstd

@Suite("table entries of restart points")
struct TableEntriesTests {
    /// Two models at the beginning of a frame, its text, and a place in it where a block ends.
    private func withModels(
        _ parameters: ZstdParameters, seed: UInt64,
        _ body: (KlauspostModel, KlauspostModel, UnsafePointer<UInt8>, Int) throws -> Void
    ) throws {
        let header = try FrameHeader([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70])
        let one = try #require(parameters.makeModels().0 as? KlauspostModel)
        let two = try #require(parameters.makeModels().0 as? KlauspostModel)
        for model in [one, two] { model.begin(header) }
        try repetitiveFile(300_000, seed: seed).plain.withUnsafeBufferPointer { buffer in
            try body(one, two, try #require(buffer.baseAddress), 262_144)
        }
    }

    private static let klausposts = ZstdAnalyzerTests.models.filter { $0.makeModels().0 is KlauspostModel }

    @Test("table entries are put where they were", arguments: klausposts)
    func tableEntries(parameters: ZstdParameters) throws {
        try withModels(parameters, seed: 14) { one, two, text, end in
            one.run(text, from: 0, to: end)
            two.beginRunUp(at: end)
            two.endRunUp(at: end)
            let entries = two.entries(unlike: one, at: end)
            #expect(entries.count > 100)
            let coded = TableEntries(entries, of: two, at: end, text)
            // Where a slot and a place would take five bytes.
            #expect(coded.coded.count < 3 * entries.count)
            try coded.apply(to: two, at: end, text)
            #expect(two.entries(unlike: one, at: end).isEmpty)
        }
    }

    @Test("an entry whose place was moved out of the tables is refused")
    func movedPlaces() throws {
        let (model, _) = ZstdParameters(.klauspost(level: 1, era: 3, windowLog: 10)).makeModels()
        model.begin(try FrameHeader([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70]))
        // Behind so much text places are moved down.
        let start = 1 << 30
        let point = start - 200_000
        try repetitiveFile(300_000, seed: 23).plain.withUnsafeBufferPointer { buffer in
            let text = try #require(buffer.baseAddress) - (start - 250_000)
            model.beginRunUp(at: point)
            model.endRunUp(at: point)
            let entry = TableEntries.Entry(slot: 5, distance: 100)
            #expect(model.set(entry, at: point, text))
            model.propose(text, from: start, to: start + model.blockBytes(at: start), into: SequenceList())
            #expect(!model.set(entry, at: point, text))
        }
    }
}

extension KlauspostModel {
    /// All entries that the other one has otherwise.
    fileprivate func entries(unlike other: KlauspostModel, at position: Int) -> [TableEntries.Entry] {
        var all: [TableEntries.Entry] = []
        compare(with: other, at: position) {
            all.append($0)
            return true
        }
        return all
    }

    /// Goes over text that is written as it proposes.
    fileprivate func run(_ text: UnsafePointer<UInt8>, from start: Int, to end: Int) {
        let list = SequenceList()
        var at = start
        while at < end {
            let next = min(at + blockBytes(at: at), end)
            propose(text, from: at, to: next, into: list)
            settle(recent: (0, 0, 0), isCompressed: true, asProposed: true)
            at = next
        }
    }
}
