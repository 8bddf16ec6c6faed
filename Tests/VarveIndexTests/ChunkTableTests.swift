// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing

@testable import VarveIndex

@Suite("chunk table")
struct ChunkTableTests {
    private let directory: TemporaryDirectory
    private let environment: IndexEnvironment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try IndexEnvironment(path: directory.path + "/index")
    }

    private func lookup(_ hi: UInt64, _ lo: UInt64) throws -> [UInt32]? {
        try environment.read { (transaction) throws(IndexError) in
            try transaction.lookupChunk(hi: hi, lo: lo).map { [$0.pack, $0.ordinal] }
        }
    }

    @Test("chunks are found, absent ones are not")
    func insertAndLookUp() throws {
        var generator = SeededGenerator(4)
        var entries = (0..<3_000).map { ChunkEntry(hi: generator.next(), lo: generator.next(), ordinal: UInt32($0)) }
        let original = entries
        let inserted = try environment.write { (transaction) throws(IndexError) in
            try transaction.insertChunks(sorting: &entries, pack: 7)
        }
        #expect(inserted == 3_000)
        for entry in original {
            #expect(try lookup(entry.hi, entry.lo) == [7, entry.ordinal])
            #expect(try lookup(entry.hi, entry.lo &+ 1) == nil)
            #expect(try lookup(entry.hi &+ 1, entry.lo) == nil)
        }
        #expect(try environment.statistics().chunks == 3_000)
    }

    @Test("a chunk that is known keeps its place")
    func firstStays() throws {
        try environment.write { (transaction) throws(IndexError) in
            var first = [ChunkEntry(hi: 1, lo: 1, ordinal: 10), ChunkEntry(hi: 1, lo: 1, ordinal: 11)]
            #expect(try transaction.insertChunks(sorting: &first, pack: 1) == 1)
            var second = [ChunkEntry(hi: 1, lo: 1, ordinal: 20), ChunkEntry(hi: 2, lo: 1, ordinal: 21)]
            #expect(try transaction.insertChunks(sorting: &second, pack: 2) == 1)
        }
        #expect(try lookup(1, 1) == [1, 10])
        #expect(try lookup(2, 1) == [2, 21])
    }

    @Test("digests that begin with the same eight bytes share a row, up to its bound")
    func sharedRow() throws {
        try environment.write { (transaction) throws(IndexError) in
            for lo in 0..<100 as Range<UInt64> {
                var entries = [ChunkEntry(hi: 5, lo: lo, ordinal: UInt32(lo)), ChunkEntry(hi: 6, lo: lo, ordinal: 1)]
                #expect(try transaction.insertChunks(sorting: &entries, pack: 3) == (lo < 64 ? 2 : 0))
            }
        }
        #expect(try environment.statistics().chunks == 2)
        for lo in 0..<100 as Range<UInt64> {
            #expect(try lookup(5, lo) == (lo < 64 ? [3, UInt32(lo)] : nil))
        }
        try environment.write { (transaction) throws(IndexError) in
            for lo in 0..<64 as Range<UInt64> where lo % 2 == 0 {
                #expect(try transaction.removeChunk(hi: 5, lo: lo, ifIn: 3))
                #expect(try !transaction.removeChunk(hi: 5, lo: lo, ifIn: 3))
            }
        }
        for lo in 0..<64 as Range<UInt64> { #expect(try lookup(5, lo) == (lo % 2 == 0 ? nil : [3, UInt32(lo)])) }
    }

    @Test("a chunk is removed or moved only out of the pack that it is in")
    func removeAndMove() throws {
        try environment.write { (transaction) throws(IndexError) in
            var entries = [ChunkEntry(hi: 1, lo: 1, ordinal: 10), ChunkEntry(hi: 1, lo: 2, ordinal: 11)]
            try transaction.insertChunks(sorting: &entries, pack: 1)
            #expect(try !transaction.removeChunk(hi: 1, lo: 1, ifIn: 2))
            #expect(try !transaction.moveChunk(hi: 1, lo: 1, from: 2, to: 3, ordinal: 5))
            #expect(try transaction.moveChunk(hi: 1, lo: 1, from: 1, to: 3, ordinal: 5))
            #expect(try transaction.lookupChunk(hi: 1, lo: 1)?.pack == 3)
            #expect(try transaction.lookupChunk(hi: 1, lo: 2)?.pack == 1)
            #expect(try transaction.removeChunk(hi: 1, lo: 2, ifIn: 1))
            #expect(try transaction.removeChunk(hi: 1, lo: 1, ifIn: 3))
        }
        #expect(try environment.statistics().chunks == 0)
    }

    @Test("keys follow a model, edges of the number range included")
    func model() throws {
        var generator = SeededGenerator(5)
        var model: [UInt64: [UInt64: UInt32]] = [:]
        let keys: [UInt64] = [0, 1, 255, 256, 65_535, 65_536, 1 << 32, 1 << 63, .max - 1, .max]
        for round in 0..<200 as Range<UInt32> {
            try environment.write { (transaction) throws(IndexError) in
                var entries = (0..<20).map { _ in
                    ChunkEntry(
                        hi: keys[Int(generator.next() % 10)] &+ generator.next() % 3, lo: generator.next() % 4,
                        ordinal: UInt32(truncatingIfNeeded: generator.next()))
                }
                try transaction.insertChunks(sorting: &entries, pack: round)
                for entry in entries where model[entry.hi]?[entry.lo] == nil {
                    model[entry.hi, default: [:]][entry.lo] = round
                }
                let (hi, lo) = (keys[Int(generator.next() % 10)], generator.next() % 4)
                if let pack = model[hi]?[lo] {
                    #expect(try transaction.removeChunk(hi: hi, lo: lo, ifIn: pack))
                    model[hi]?[lo] = nil
                }
            }
        }
        for (hi, row) in model {
            for lo in 0..<4 as Range<UInt64> {
                #expect(try lookup(hi, lo)?.first == row[lo], "seed \(SeededGenerator.seed)")
            }
        }
    }

    /// 100,000 chunks; `VARVE_INDEX_CHUNKS` sets another number.
    @Test("evenly spread chunks in batches of 10,000 take 64 bytes of file each, at most")
    func fileSize() throws {
        let count = getenv("VARVE_INDEX_CHUNKS").flatMap { Int(String(cString: $0)) } ?? 100_000
        let committer = try Committer(environment: environment, journal: nil)
        defer { committer.close() }
        var generator = SeededGenerator(6)
        var all: [ChunkEntry] = []
        let clock = ContinuousClock()
        let start = clock.now
        for batch in 0..<(count / 10_000) {
            let entries = (0..<10_000 as Range<UInt32>).map {
                ChunkEntry(hi: generator.next(), lo: generator.next(), ordinal: $0)
            }
            #expect(try committer.insertChunks(entries, pack: UInt32(batch + 1)) == 10_000)
            all += entries
        }
        let insertion = clock.now - start
        let statistics = try environment.statistics()
        var status = stat()
        #expect(stat(environment.path + "/data.mdb", &status) == 0)
        let bytesPerChunk = Double(status.st_size) / Double(statistics.chunks)
        var found = 0
        let lookups = 1_000_000
        // Processor time of this thread: the machine may have other things to do.
        let lookupStart = processorSeconds()
        try environment.read { (transaction) throws(IndexError) in
            for _ in 0..<lookups {
                let entry = all[Int(generator.next() % UInt64(all.count))]
                if try transaction.lookupChunk(hi: entry.hi, lo: entry.lo)?.ordinal == entry.ordinal { found += 1 }
            }
        }
        let lookupsPerSecond = Double(lookups) / (processorSeconds() - lookupStart)
        print(
            "\(statistics.chunks) chunks: \(bytesPerChunk) bytes of file each; inserted in \(insertion)",
            "(\(committer.statistics.commits) commits); \(Int(lookupsPerSecond)) look-ups a second of processor time")
        #expect(statistics.chunks == count / 10_000 * 10_000)
        #expect(found == lookups)
        #expect(bytesPerChunk <= 64)
    }

    @Test("large insertions are cut into commits, small ones are not")
    func slices() {
        #expect(Committer.slices(entries: 10_000, leafPages: 0) == 1)
        #expect(Committer.slices(entries: 0, leafPages: 10_000) == 1)
        #expect(Committer.slices(entries: 10, leafPages: 10_000) == 1)
        #expect(Committer.slices(entries: 10_000, leafPages: 12_000) == 14)
        #expect(Committer.slices(entries: 1_000_000, leafPages: 12_000) == 16)
    }
}

private func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
