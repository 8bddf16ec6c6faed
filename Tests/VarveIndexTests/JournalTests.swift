// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel

@testable import VarveIndex

@Suite("journal")
struct JournalTests {
    private let directory: TemporaryDirectory
    private var index: String { directory.path + "/index" }
    private var path: String { directory.path + "/journal" }
    private var scratch: String { directory.path + "/scratch" }

    init() throws { directory = try TemporaryDirectory() }

    /// Runs `body` on an index with a journal, and closes both.
    @discardableResult
    private func withStore<Value>(
        segmentBytes: UInt64 = 64 << 20, _ body: (IndexEnvironment, Journal, Committer) throws -> Value
    ) throws -> Value {
        var options = Journal.Options()
        options.segmentBytes = segmentBytes
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        let journal = try Journal(directory: path, options: options)
        defer { journal.close() }
        let committer = try Committer(environment: environment, journal: journal)
        defer { committer.close() }
        return try body(environment, journal, committer)
    }

    private func listing() throws -> JournalListing { try JournalListing(path) }

    private func lastSegment() throws -> String {
        path + "/" + JournalListing.segmentName(try #require(try listing().segments.last))
    }

    @Test("replaying gives the same catalogue, through segments and compactions", arguments: 0..<4 as Range<UInt64>)
    func replay(seed: UInt64) throws {
        var generator = SeededGenerator(100 + seed)
        try withStore(segmentBytes: 5_000) { environment, journal, committer in
            for round in 0..<200 {
                let change = randomChange(&generator)
                try? committer.commit(change)
                if round % 60 == 59 { try committer.compactJournal() }
                guard round % 20 == 0 else { continue }
                let (lines, report) = try replayed(path, beside: scratch)
                #expect(lines == (try catalogue(of: environment)), "seed \(SeededGenerator.seed), round \(round)")
                #expect(report.damage.isEmpty && report.missingSegments.isEmpty && report.tornBytes == 0)
                if journal.position.batch > 0 { #expect(report.end == journal.position) }
            }
        }
        #expect(try #require(listing().segments.last) >= 4)
        #expect(try listing().snapshots.count == 1)
    }

    @Test("replaying twice, or again from any earlier place on, changes nothing")
    func idempotent() throws {
        var generator = SeededGenerator(7)
        let expected = try withStore { environment, _, committer in
            for _ in 0..<150 {
                let change = randomChange(&generator)
                try? committer.commit(change)
            }
            return try catalogue(of: environment)
        }
        var records: [JournalRecord] = []
        _ = try Journal.replay(directory: path) { record in records.append(record) }
        #expect(records.count > 50)
        let environment = try IndexEnvironment(path: scratch)
        for start in [0, 0, records.count / 2, records.count - 5, records.count - 1] {
            try environment.write { (transaction) throws(IndexError) in
                for record in records[start...] { try record.apply(to: transaction) }
            }
            #expect(try catalogue(of: environment) == expected, "from record \(start)")
        }
    }

    @Test("a journal cut at each byte gives the batches that are whole, and goes on from there")
    func tornTail() throws {
        let states = try withStore { environment, journal, committer in
            var states = [(end: journal.position.offset, lines: try catalogue(of: environment))]
            for number in 0..<3 {
                try committer.commit { (transaction) in
                    try transaction.putInlineBlob(digest(number), bytes: [UInt8(number), 7], landedAt: 1)
                    try transaction.link(digest(number), in: repository("a/b"), at: 1)
                }
                states.append((journal.position.offset, try catalogue(of: environment)))
            }
            return states
        }
        let whole = try TemporaryDirectory.read(try lastSegment())
        #expect(UInt64(whole.count) == states.last?.end)
        for count in 0..<whole.count {
            try TemporaryDirectory.write(Array(whole[..<count]), to: try lastSegment())
            let (lines, report) = try replayed(path, beside: scratch)
            let expected = states.last { $0.end <= UInt64(count) }
            #expect(lines == expected?.lines ?? [])
            #expect(report.damage.isEmpty)
            #expect(report.tornBytes == UInt64(count) - (expected?.end ?? 0))
        }
    }

    @Test("what a crash left behind the index's position is cut at each byte, and nothing before it")
    func attachCuts() throws {
        try withStore { _, _, committer in
            try committer.commit { (transaction) in try transaction.createRepository(repository("a"), at: 1) }
        }
        let committedIndex = try TemporaryDirectory.read(index + "/data.mdb")
        let committed = try TemporaryDirectory.read(try lastSegment()).count
        let lines = try withStore { environment, _, committer in
            let lines = try catalogue(of: environment)
            try committer.commit { (transaction) in
                try transaction.putInlineBlob(digest(1), bytes: [1, 2, 3], landedAt: 1)
                try transaction.link(digest(1), in: repository("a"), at: 1)
            }
            return lines
        }
        let ahead = try TemporaryDirectory.read(try lastSegment())
        for count in committed...ahead.count {
            // The index's commit did not happen, and so much of the journal reached the disk.
            try TemporaryDirectory.write(committedIndex, to: index + "/data.mdb")
            try TemporaryDirectory.write(Array(ahead[..<count]), to: try lastSegment())
            try withStore { environment, journal, committer in
                #expect(journal.recovery.cutBytes == UInt64(count - committed))
                #expect(journal.recovery.cutBatches == (count == ahead.count ? 1 : 0))
                #expect(!journal.recovery.wasBehind)
                #expect(try catalogue(of: environment) == lines)
                try committer.commit { (transaction) in try transaction.createRepository(repository("b"), at: 2) }
                #expect(try replayed(path, beside: scratch).catalogue == (try catalogue(of: environment)))
            }
        }
    }

    @Test("an index that is older than the journal by more than a crash can explain is refused")
    func journalAhead() throws {
        try withStore { _, _, committer in
            try committer.commit { (transaction) in try transaction.createRepository(repository("a"), at: 1) }
        }
        let old = try TemporaryDirectory.read(index + "/data.mdb")
        try withStore { _, _, committer in
            for name in ["b", "c"] {
                try committer.commit { (transaction) in try transaction.createRepository(repository(name), at: 1) }
            }
        }
        let journal = try TemporaryDirectory.read(try lastSegment())
        try TemporaryDirectory.write(old, to: index + "/data.mdb")
        let error = #expect(throws: IndexError.self) { try withStore { _, _, _ in } }
        #expect(error?.reason == .journalAhead)
        // A lost index, too; and in neither case was anything of the journal changed.
        TemporaryDirectory.remove(index)
        let lost = #expect(throws: IndexError.self) { try withStore { _, _, _ in } }
        #expect(lost?.reason == .journalAhead)
        #expect(try TemporaryDirectory.read(try lastSegment()) == journal)
    }

    @Test("a segment that began and was not committed goes; two batches over two segments are refused")
    func laterSegments() throws {
        try withStore(segmentBytes: 1) { _, _, committer in
            try committer.commit { (transaction) in try transaction.createRepository(repository("a"), at: 1) }
        }
        let first = try TemporaryDirectory.read(index + "/data.mdb")
        try withStore(segmentBytes: 1) { _, _, committer in
            try committer.commit { (transaction) in try transaction.createRepository(repository("b"), at: 1) }
        }
        let second = try TemporaryDirectory.read(index + "/data.mdb")
        let segments = try listing().segments
        try TemporaryDirectory.write(first, to: index + "/data.mdb")
        try withStore(segmentBytes: 1) { environment, journal, _ in
            #expect(journal.recovery.cutBatches == 1)
            let (left, statistics) = (try listing().segments, try environment.statistics())
            #expect(left == segments.dropLast())
            #expect(statistics.repositories == 1)
        }
        try withStore(segmentBytes: 1) { _, _, committer in
            for name in ["b", "c"] {
                try committer.commit { (transaction) in try transaction.createRepository(repository(name), at: 1) }
            }
        }
        try TemporaryDirectory.write(first, to: index + "/data.mdb")
        let error = #expect(throws: IndexError.self) { try withStore { _, _, _ in } }
        #expect(error?.reason == .journalAhead)
        #expect(second != first)
    }

    @Test(
        "a journal that lost something is written anew from the index", arguments: ["all", "segment", "end", "header"])
    func journalBehind(loss: String) throws {
        let lines = try withStore(segmentBytes: 100) { environment, _, committer in
            for number in 0..<5 {
                try committer.commit { (transaction) in
                    try transaction.putInlineBlob(digest(number), bytes: [UInt8(number)], landedAt: 1)
                    try transaction.link(digest(number), in: repository("a"), at: 1)
                }
            }
            return try catalogue(of: environment)
        }
        switch loss {
        case "all": for name in try listing().all { unlink(path + "/" + name) }
        case "segment": unlink(try lastSegment())
        case "end":
            try TemporaryDirectory.write(
                Array(try TemporaryDirectory.read(lastSegment()).dropLast(3)), to: lastSegment())
        default:
            var bytes = try TemporaryDirectory.read(lastSegment())
            bytes[13] ^= 1
            try TemporaryDirectory.write(bytes, to: lastSegment())
        }
        try withStore { environment, journal, committer in
            #expect(journal.recovery.wasBehind)
            #expect(try catalogue(of: environment) == lines)
            let (found, report) = try replayed(path, beside: scratch)
            #expect(found == lines)
            #expect(report.damage.isEmpty && report.missingSegments.isEmpty)
            try committer.commit { (transaction) in try transaction.createRepository(repository("b"), at: 1) }
        }
        try withStore { environment, journal, _ in
            #expect(!journal.recovery.wasBehind)
            let found = try replayed(path, beside: scratch).catalogue
            #expect(try found == catalogue(of: environment))
        }
    }

    @Test("a flipped bit anywhere costs the record that it is in, and is told")
    func flippedBits() throws {
        let count = try withStore { _, _, committer in
            for number in 0..<6 {
                try committer.commit { (transaction) in
                    try transaction.createRepository(repository("r\(number)"), at: 1)
                    try transaction.createRepository(repository("s\(number)"), at: 1)
                }
            }
            return 12
        }
        let whole = try TemporaryDirectory.read(try lastSegment())
        var generator = SeededGenerator(8)
        for place in JournalHeader.byteCount..<whole.count {
            var bytes = whole
            bytes[place] ^= 1 << UInt8(generator.next() % 8)
            try TemporaryDirectory.write(bytes, to: try lastSegment())
            var names: Set<String> = []
            let report = try Journal.replay(directory: path) { record in
                guard case .repositoryCreated(let name, _) = record else { return }
                names.insert(name.description)
            }
            // The last batch can not be told from a torn one, and goes whole.
            let isLastBatch = names.isDisjoint(with: ["r5", "s5"])
            #expect(names.count >= count - (isLastBatch ? 2 : 1), "byte \(place)")
            #expect(!report.damage.isEmpty || report.tornBytes > 0, "byte \(place)")
        }
    }

    @Test("records inside a pushed blob are not believed behind damage")
    func forgedRecords() throws {
        var forged: [UInt8] = []
        // All that an outsider knows but the salt; and the offset, tried as the base of each record.
        for salt in 0..<4 as Range<UInt32> {
            for base in 0..<200 as Range<UInt64> {
                JournalFrame.append(
                    .repositoryCreated, JournalRecord.repositoryCreated(repository("forged"), at: 1).payload(),
                    salt: salt,
                    base: base, to: &forged)
            }
        }
        let bytes = forged
        try withStore { _, _, committer in
            try committer.commit { (transaction) in try transaction.putInlineBlob(digest(1), bytes: bytes, landedAt: 1)
            }
            try committer.commit { (transaction) in try transaction.createRepository(repository("real"), at: 1) }
        }
        var file = try TemporaryDirectory.read(try lastSegment())
        file[JournalHeader.byteCount + 2] ^= 1  // the length of the blob's record
        try TemporaryDirectory.write(file, to: try lastSegment())
        var names: [String] = []
        let report = try Journal.replay(directory: path) { record in
            if case .repositoryCreated(let name, _) = record { names.append(name.description) }
        }
        #expect(names == ["real"])
        #expect(report.damage.count == 1)
    }

    @Test("a compaction interrupted at any step loses nothing")
    func interruptedCompaction() throws {
        let lines = try withStore(segmentBytes: 200) { environment, _, committer in
            for number in 0..<10 {
                try committer.commit { (transaction) in
                    try transaction.putInlineBlob(digest(number), bytes: [UInt8(number)], landedAt: 1)
                    try transaction.link(digest(number), in: repository("a"), at: 1)
                }
            }
            return try catalogue(of: environment)
        }
        let before = directory.path + "/before"
        try TemporaryDirectory.copy(path, to: before)
        try withStore { _, _, committer in try committer.compactJournal() }
        let snapshot = JournalListing.snapshotName(try #require(try listing().snapshots.last))
        let snapshotBytes = try TemporaryDirectory.read(path + "/" + snapshot)
        let newest = try #require(try listing().segments.last)
        #expect(try listing().segments == [newest])
        #expect(try replayed(path, beside: scratch).catalogue == lines)

        let older = try JournalListing(before).segments
        let segmentBytes = try TemporaryDirectory.read(path + "/" + JournalListing.segmentName(newest))
        // With the snapshot whole, any of the older segments may be left, the newest of them first.
        for left in 0...older.count {
            let state = directory.path + "/state\(left)"
            try DurableDirectory.create(state)
            try TemporaryDirectory.write(snapshotBytes, to: state + "/" + snapshot)
            try TemporaryDirectory.write(segmentBytes, to: state + "/" + JournalListing.segmentName(newest))
            for segment in older.suffix(left) {
                let name = JournalListing.segmentName(segment)
                try TemporaryDirectory.write(try TemporaryDirectory.read(before + "/" + name), to: state + "/" + name)
            }
            let (found, report) = try replayed(state, beside: scratch)
            #expect(found == lines)
            #expect(report.damage.isEmpty)
        }
        // A snapshot that is not whole, with all older segments still there: torn at each byte, under either name.
        try TemporaryDirectory.write(segmentBytes, to: before + "/" + JournalListing.segmentName(newest))
        for count in stride(from: 0, to: snapshotBytes.count, by: 7) {
            for name in [JournalListing.unfinishedName, snapshot] {
                try TemporaryDirectory.write(Array(snapshotBytes[..<count]), to: before + "/" + name)
                #expect(try replayed(before, beside: scratch).catalogue == lines)
                unlink(before + "/" + name)
            }
        }
    }

    @Test("commits go on while the journal is compacted")
    func compactionBesideCommits() async throws {
        let environment = try IndexEnvironment(path: index)
        let journal = try Journal(directory: path)
        let committer = try Committer(environment: environment, journal: journal)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for number in 0..<200 {
                    try await committer.submit { (transaction) in
                        try transaction.link(digest(number), in: repository("r\(number % 7)"), at: 1)
                    }
                }
            }
            for _ in 0..<5 { group.addTask { try committer.compactJournal() } }
            try await group.waitForAll()
        }
        try committer.compactJournal()
        committer.close()
        #expect(try replayed(path, beside: scratch).catalogue == (try catalogue(of: environment)))
        #expect(try listing().all.count == 2)
        #expect(try journal.byteCount() > 0)
    }
}
