// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@testable import VarveCodec

@Suite("recipes")
struct RecipeTests {
    static func runs(_ chunks: [(pack: UInt32, ordinal: UInt32, bytes: UInt32)]) -> RecipeRuns {
        var runs = RecipeRuns()
        for chunk in chunks { runs.append(pack: chunk.pack, ordinal: chunk.ordinal, byteCount: chunk.bytes) }
        return runs
    }

    static func digest(_ algorithm: Digest.Algorithm, _ numbers: inout SeededNumbers) throws -> Digest {
        try #require(Digest(algorithm, bytes: numbers.bytes(algorithm.byteCount)))
    }

    /// A recipe with runs, headers and a weave that fit.
    static func random(_ numbers: inout SeededNumbers, pieces: Int = 40) throws -> Recipe {
        let packs = (0..<3).map { _ in PackID.random() }
        var builder = WeaveBuilder()
        var streams = [RecipeRuns(), RecipeRuns()]
        var next = [UInt32](repeating: 0, count: 3)
        for piece in 0..<pieces {
            let isHeader = piece % 2 == 0
            var total: UInt64 = 0
            for _ in 0..<numbers.int(1...5) {
                let count = UInt32(numbers.int(1...20_000))
                let pack = numbers.int(0...2)
                streams[isHeader ? 1 : 0].append(pack: UInt32(pack), ordinal: next[pack], byteCount: count)
                next[pack] += UInt32(numbers.int(1...2))
                total += UInt64(count)
            }
            if isHeader { builder.append(header: total) } else { builder.append(content: total) }
        }
        let weave = builder.finish()
        return Recipe(
            digest: try digest(.sha256, &numbers), blobBytes: weave.plainBytes, packs: packs, content: streams[0],
            headers: streams[1], weave: weave)
    }

    static func decode(_ bytes: [UInt8]) throws(CodecError) -> Recipe {
        try bytes.lend { bytes throws(CodecError) in try Recipe(decoding: bytes) }
    }

    // MARK: Runs

    @Test("consecutive chunks of one pack are one run")
    func coalescing() {
        let runs = Self.runs([
            (0, 5, 10), (0, 6, 20), (0, 7, 30), (0, 9, 1), (1, 10, 2), (1, 11, 3), (0, 12, 4), (0, 12, 4),
        ])
        #expect(runs.byteCount == 74)
        #expect(
            runs.runs == [
                RecipeRun(pack: 0, firstOrdinal: 5, chunkCount: 3, byteCount: 60, streamOffset: 0),
                RecipeRun(pack: 0, firstOrdinal: 9, chunkCount: 1, byteCount: 1, streamOffset: 60),
                RecipeRun(pack: 1, firstOrdinal: 10, chunkCount: 2, byteCount: 5, streamOffset: 61),
                RecipeRun(pack: 0, firstOrdinal: 12, chunkCount: 1, byteCount: 4, streamOffset: 66),
                RecipeRun(pack: 0, firstOrdinal: 12, chunkCount: 1, byteCount: 4, streamOffset: 70),
            ])
        #expect(runs.runs[0].ordinals == 5..<8)
    }

    @Test("runs are found for any range of a stream")
    func ranges() throws {
        var numbers = SeededNumbers(60)
        let runs = try Self.random(&numbers).content
        for _ in 0..<500 {
            let from = UInt64.random(in: 0...runs.byteCount, using: &numbers)
            let to = UInt64.random(in: from...runs.byteCount, using: &numbers)
            var position = from
            runs.forEachRun(in: from..<to) { run, part in
                #expect(!part.isEmpty)
                #expect(run.streamOffset + part.lowerBound == position)
                #expect(part.upperBound <= run.byteCount)
                position = run.streamOffset + part.upperBound
            }
            #expect(position == to)
        }
        runs.forEachRun(in: runs.byteCount..<UInt64.max) { _, _ in Issue.record("there is nothing") }
        var last: Range<UInt64>?
        runs.forEachRun(in: runs.byteCount - 1..<UInt64.max) { run, part in last = part }
        #expect(last?.count == 1)
    }

    // MARK: Round trips

    @Test("recipes come back from their bytes")
    func roundTrip() throws {
        var numbers = SeededNumbers(61)
        for pieces in [1, 2, 3, 500] {
            let recipe = try Self.random(&numbers, pieces: pieces)
            #expect(try Self.decode(try recipe.encoded()) == recipe)
        }
        let empty = Recipe(
            digest: try Self.digest(.sha512, &numbers), blobBytes: 0, packs: [], content: RecipeRuns(),
            weave: .contentOnly(byteCount: 0))
        #expect(try Self.decode(try empty.encoded()) == empty)
        let plain = Recipe(
            digest: try Self.digest(.sha512, &numbers), blobBytes: 9, packs: [.random()],
            content: Self.runs([(0, 0, 4), (0, 1, 5)]), weave: .contentOnly(byteCount: 9))
        #expect(try Self.decode(try plain.encoded()) == plain)
        #expect(plain.runs(of: .content) == plain.content && plain.runs(of: .headers).byteCount == 0)
    }

    @Test("an outer encoding keeps its plan and its corrections")
    func outer() throws {
        var numbers = SeededNumbers(62)
        var recipe = try Self.random(&numbers)
        recipe.outerEncoding = .deflate
        recipe.outerPlan = numbers.bytes(1000)
        recipe.blobBytes = 77
        recipe.corrections = Self.runs([(2, 7, 700)])
        #expect(try Self.decode(try recipe.encoded()) == recipe)
        // Corrections without headers: the header stream is there and empty.
        var flat = Recipe(
            digest: recipe.digest, blobBytes: 50, outerEncoding: .init(rawValue: 200), packs: [.random()],
            content: Self.runs([(0, 0, 9)]), weave: .contentOnly(byteCount: 9))
        flat.corrections = Self.runs([(0, 4, 3)])
        #expect(try Self.decode(try flat.encoded()) == flat)
    }

    @Test("a rebuilt layer costs a handful of bytes beside its weave")
    func size() throws {
        var numbers = SeededNumbers(63)
        let runs = Self.runs((0..<10_000).map { (0, $0, 8192) })
        let recipe = Recipe(
            digest: try Self.digest(.sha256, &numbers), blobBytes: 81_920_000, packs: [.random()], content: runs,
            weave: .contentOnly(byteCount: 81_920_000))
        #expect(try recipe.encoded().count < 90)
    }

    @Test("the first bytes are what the format says")
    func bytes() throws {
        var numbers = SeededNumbers(64)
        let digest = try Self.digest(.sha256, &numbers)
        let pack = PackID.random()
        var builder = WeaveBuilder()
        builder.append(header: 512)
        builder.append(content: 3)
        let recipe = Recipe(
            digest: digest, blobBytes: 515, packs: [pack], content: Self.runs([(0, 300, 3)]),
            headers: Self.runs([(0, 9, 512)]), weave: builder.finish())
        let expected: [UInt8] =
            Array("VRCP".utf8) + [1, 1] + digest.bytes + [0x83, 0x04, 0x83, 0x04, 0, 0, 1] + pack.bytes
            + [2, 1, 0, 0xac, 0x02, 1, 3, 1, 0, 9, 1, 0x80, 0x04, 1, 0x80, 0x04, 3]
        let bytes = try recipe.encoded()
        #expect(Array(bytes.dropLast(4)) == expected)
        #expect(bytes == resealed(bytes))
    }

    // MARK: Refusals

    @Test("a recipe whose parts contradict one another is not written")
    func contradictions() throws {
        var numbers = SeededNumbers(65)
        let good = try Self.random(&numbers)
        func code(_ change: (inout Recipe) -> Void) -> CodecError.Code? {
            var recipe = good
            change(&recipe)
            return codecErrorCode { _ = try recipe.encoded() }
        }
        #expect(code { _ in } == nil)
        #expect(code { $0.blobBytes += 1 } == .malformed)
        #expect(code { $0.outerPlan = [1] } == .malformed)
        #expect(code { $0.content.append(pack: 0, ordinal: 0, byteCount: 1) } == .malformed)
        #expect(code { $0.headers = RecipeRuns() } == .malformed)
        #expect(code { $0.weave = .contentOnly(byteCount: $0.blobBytes) } == .malformed)
        #expect(
            code {
                $0.outerEncoding = .deflate; $0.blobBytes = 1 << 62 + 1
            } == .limitExceeded)
        #expect(
            code {
                $0.outerEncoding = .deflate; $0.outerPlan = [UInt8](repeating: 0, count: 64 << 20)
            } == .limitExceeded)
    }

    /// A recipe of one content run, with some of its numbers changed, and a right checksum.
    private func code(
        magic: UInt32 = Recipe.magic, version: UInt8 = 1, algorithm: UInt8 = 1, blob: UInt64 = 9, plain: UInt64 = 9,
        outer: UInt8 = 0, planCount: UInt64 = 0, packCount: UInt64 = 1, streamCount: UInt64 = 1, runCount: UInt64 = 1,
        run: [UInt64] = [0, 0, 2, 9], weave: [UInt64] = [0], tail: [UInt8] = []
    ) -> CodecError.Code? {
        var writer = ByteWriter()
        writer.write(magic)
        writer.write(version)
        writer.write(algorithm)
        writer.writeZeros(32)
        writer.writeVarint(blob)
        writer.writeVarint(plain)
        writer.write(outer)
        writer.writeVarint(planCount)
        writer.writeVarint(packCount)
        writer.writeZeros(16)
        writer.writeVarint(streamCount)
        writer.writeVarint(runCount)
        for number in run + weave { writer.writeVarint(number) }
        writer.write(tail)
        writer.writeChecksum()
        return codecErrorCode { _ = try Self.decode(writer.bytes) }
    }

    @Test("every number of a recipe is checked")
    func refusals() {
        #expect(code() == nil)
        #expect(code(magic: 0) == .malformed)
        #expect(code(version: 2) == .unsupported)
        #expect(code(algorithm: 0) == .unsupported)
        #expect(code(algorithm: 3) == .unsupported)
        #expect(code(blob: 10) == .malformed)
        #expect(code(blob: 10, outer: 1) == nil)
        #expect(code(blob: .max, outer: 1) == .limitExceeded)
        #expect(code(blob: 8, plain: 8) == .malformed)
        #expect(code(plain: .max, outer: 1) == .limitExceeded)
        #expect(code(planCount: 1 << 40) == .truncated)
        #expect(code(planCount: .max) == .truncated)
        #expect(code(packCount: 2) == .truncated)
        #expect(code(packCount: .max) == .truncated)
        #expect(code(streamCount: 0) == .unsupported)
        #expect(code(streamCount: 4) == .unsupported)
        #expect(code(streamCount: 3) != nil)
        #expect(code(runCount: 1 << 30) == .truncated)
        #expect(code(runCount: .max) == .truncated)
        #expect(code(run: [1, 0, 2, 9]) == .malformed)  // no such pack
        #expect(code(run: [.max, 0, 2, 9]) == .limitExceeded)
        #expect(code(run: [0, .max, 2, 9]) == .limitExceeded)
        #expect(code(run: [0, UInt64(UInt32.max) - 1, 2, 9]) == .malformed)  // ordinals overflow
        #expect(code(run: [0, UInt64(UInt32.max) - 2, 2, 9]) == nil)
        #expect(code(run: [0, 0, 0, 9]) == .malformed)  // no chunks
        #expect(code(run: [0, 0, 10, 9]) == .malformed)  // chunks without bytes
        #expect(code(run: [0, 0, .max, 9]) == .limitExceeded)
        #expect(code(run: [0, 0, 2, 8]) == .malformed)  // too short
        #expect(code(run: [0, 0, 2, .max]) == .limitExceeded)
        // chunks too long
        #expect(code(blob: 1 << 21 + 1, plain: 1 << 21 + 1, run: [0, 0, 2, 1 << 21 + 1]) == .malformed)
        #expect(code(blob: 1 << 21, plain: 1 << 21, run: [0, 0, 2, 1 << 21]) == nil)
        #expect(code(weave: [1, 4, 5]) == .malformed)  // headers that no stream gives
        #expect(code(weave: [.max]) == .truncated)
        #expect(code(tail: [0]) == .malformed)
        #expect(codecErrorCode { _ = try Self.decode([]) } == .truncated)
    }

    @Test("many runs do not overflow a stream")
    func overflow() {
        let limit: UInt64 = 1 << 52  // the longest run of 2^32 - 1 chunks, nearly
        var run: [UInt64] = []
        for _ in 0..<1100 { run += [0, 0, UInt64(UInt32.max), limit - (1 << 20)] }
        #expect(code(runCount: 1100, run: run) == .limitExceeded)
    }

    @Test("every changed bit is noticed, and every cut")
    func everyBit() throws {
        var numbers = SeededNumbers(66)
        let bytes = try Self.random(&numbers, pieces: 6).encoded()
        for bit in 0..<8 * bytes.count {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(codecErrorCode { _ = try Self.decode(damaged) } == (bit < 32 ? .malformed : .checksumMismatch))
        }
        for count in 0..<bytes.count { #expect(codecErrorCode { _ = try Self.decode(Array(bytes[..<count])) } != nil) }
    }

    @Test("10,000 mutated recipes with right checksums are refused or agree with themselves")
    func mutations() throws {
        var numbers = SeededNumbers(67)
        let recipe = try Self.random(&numbers, pieces: 30)
        let bytes = try recipe.encoded()
        var decoded = 0
        for round in 0..<10_000 {
            let changed = resealed(numbers.mutation(of: Array(bytes.dropLast(4))) + [0, 0, 0, 0])
            guard let other = try? Self.decode(changed) else { continue }
            decoded += 1
            #expect(other.plainBytes == other.blobBytes || other.outerEncoding != .none)
            #expect(other.content.byteCount == other.weave.contentBytes)
            for stream in [other.content, other.headers, other.corrections] {
                #expect(
                    stream.runs.allSatisfy { $0.pack < other.packs.count }, "seed \(SeededNumbers.seed), round \(round)"
                )
            }
        }
        #expect(decoded > 50, "seed \(SeededNumbers.seed): \(decoded)")
    }
}
