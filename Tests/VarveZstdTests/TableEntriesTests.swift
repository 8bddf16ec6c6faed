// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveZstd

@Suite("table entries of restart points")
struct TableEntriesTests {
    /// Two models at the beginning of a frame, its text, and a place in it where a block ends.
    private func withModels(
        _ parameters: ZstdParameters, seed: UInt64,
        _ body: (any MatchModel, any MatchModel, UnsafePointer<UInt8>, Int) throws -> Void
    ) throws {
        let header = try FrameHeader([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70])
        let (one, _) = parameters.makeModels()
        let (two, _) = parameters.makeModels()
        for model in [one, two] { model.begin(header) }
        try repetitiveFile(300_000, seed: seed).plain.withUnsafeBufferPointer { buffer in
            try body(one, two, try #require(buffer.baseAddress), 262_144)
        }
    }

    @Test("places before another are forgotten", arguments: ZstdAnalyzerTests.models)
    func forgetting(parameters: ZstdParameters) throws {
        try withModels(parameters, seed: 21) { one, two, text, end in
            for model in [one, two] { model.run(text, from: 0, to: end) }
            // Whatever lies before everything, nothing is forgotten by it.
            two.forget(before: -(1 << 40))
            #expect(two.entries(unlike: one, at: end).isEmpty)
            two.forget(before: end - 10_000)
            let forgotten = two.entries(unlike: one, at: end)
            #expect(forgotten.count > 100)
            #expect(forgotten.allSatisfy { $0.distance > 10_000 })
            #expect(one.entries(unlike: two, at: end).allSatisfy { $0.distance == 0 })
            one.forget(before: end - 10_000)
            #expect(two.entries(unlike: one, at: end).isEmpty)
        }
    }

    @Test("table entries are put where they were", arguments: ZstdAnalyzerTests.models)
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

    @Test("entries whose text comes later are put where nothing was written since", arguments: ZstdAnalyzerTests.models)
    func laterEntries(parameters: ZstdParameters) throws {
        try withModels(parameters, seed: 22) { one, two, text, end in
            one.run(text, from: 0, to: end)
            two.beginRunUp(at: end)
            two.endRunUp(at: end)
            let coded = TableEntries(two.entries(unlike: one, at: end), of: two, at: end, text)
            let (other, _) = parameters.makeModels()
            other.begin(try FrameHeader([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70]))
            other.beginRunUp(at: end)
            other.endRunUp(at: end)
            try coded.apply(to: two, at: end, text) { _ in false }
            #expect(two.entries(unlike: other, at: end).isEmpty)
            try coded.add(to: two, at: end, text) { $0 < end - 20_000 }
            let missing = two.entries(unlike: one, at: end)
            #expect(!missing.isEmpty && missing.allSatisfy { $0.distance <= 20_000 })
            try coded.add(to: two, at: end, text) { $0 >= end - 20_000 }
            #expect(two.entries(unlike: one, at: end).isEmpty)
            // The text of two blocks of those that a search has written since, one of which had the entries before.
            let (third, _) = parameters.makeModels()
            third.begin(try FrameHeader([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70]))
            third.beginRunUp(at: end)
            third.endRunUp(at: end)
            let next = end + 20_000
            for model in [other, third] { model.run(text, from: end, to: next) }
            try coded.add(to: third, at: end, text) { _ in true }
            let later = third.entries(unlike: other, at: next)
            #expect(later.allSatisfy { $0.distance == 0 })
            #expect(other.entries(unlike: third, at: next).allSatisfy { $0.distance > next - end })
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

extension MatchModel {
    /// All entries that the other one has otherwise.
    func entries(unlike other: any MatchModel, at position: Int) -> [TableEntries.Entry] {
        var all: [TableEntries.Entry] = []
        compare(with: other, at: position) {
            all.append($0)
            return true
        }
        return all
    }

    /// Goes over text that is written as it proposes.
    func run(_ text: UnsafePointer<UInt8>, from start: Int, to end: Int) {
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
