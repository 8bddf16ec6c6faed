// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel

@testable import VarveIndex

@Suite("committer")
struct CommitterTests {
    private let directory: TemporaryDirectory
    private let environment: IndexEnvironment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try IndexEnvironment(path: directory.path + "/index")
    }

    private func journal(_ files: JournalFiles = .system) throws -> Journal {
        try Journal(directory: directory.path + "/journal", files: files)
    }

    private func blob(_ number: Int) throws -> BlobRow? {
        try environment.read { (transaction) throws(IndexError) in try transaction.blob(digest(number)) }
    }

    /// Submits bodies that all end up in one batch, and answers what became of each.
    private func batch(
        _ committer: Committer, _ bodies: [@Sendable (borrowing WriteTransaction) throws -> Void]
    ) -> [Int: Outcome] {
        let hold = Hold()
        let outcomes = Outcomes()
        committer.enqueue { _ in
            hold.block()
        } completion: { _ in
        }
        hold.waitUntilReached()
        for (index, body) in bodies.enumerated() {
            committer.enqueue(body) { outcomes.set(index, $0) }
        }
        hold.release()
        return outcomes.wait(for: bodies.count)
    }

    @Test("what was committed is visible, and durable after reopening")
    func commit() async throws {
        let committer = try Committer(environment: environment, journal: try journal())
        let number = try committer.commit { (transaction) in
            try transaction.putBlob(digest(1), BlobRow(size: 1))
            return try transaction.allocatePackNumber()
        }
        #expect(number == 1)
        let second = try await committer.submit { (transaction) in
            try transaction.putBlob(digest(2), BlobRow(size: 2))
            return try transaction.allocatePackNumber()
        }
        #expect(second == 2)
        #expect(try blob(1)?.size == 1 && blob(2)?.size == 2)
        committer.close()
        environment.close()
        let again = try IndexEnvironment(path: directory.path + "/index")
        #expect(try again.statistics().blobs == 2)
        again.close()
    }

    @Test("bodies that wait are committed together, and see each other in order")
    func oneBatch() throws {
        let committer = try Committer(environment: environment, journal: try journal())
        defer { committer.close() }
        let before = committer.statistics
        let outcomes = batch(
            committer,
            (0..<100).map { number in
                { (transaction) in
                    #expect(try transaction.blobs(limit: .max).count == number)
                    try transaction.putBlob(digest(number), BlobRow(size: UInt64(number)))
                }
            })
        #expect(outcomes.values.allSatisfy { $0.error == nil })
        #expect(try environment.statistics().blobs == 100)
        // The one that held the thread, and the batch.
        #expect(committer.statistics.commits == before.commits + 2)
        #expect(committer.statistics.bodies == before.bodies + 101)
    }

    @Test("a body that throws leaves no trace in a batch, and only its caller hears of it")
    func nestedAbort() throws {
        let committer = try Committer(environment: environment, journal: try journal())
        let name = repository("a")
        let outcomes = batch(
            committer,
            (0..<20).map { number in
                { (transaction) in
                    try transaction.putInlineBlob(digest(number), bytes: [UInt8(number)], landedAt: 0)
                    try transaction.link(digest(number), in: name, at: UInt64(number))
                    if number % 3 == 0 { throw BodyError(number: number) }
                }
            })
        for number in 0..<20 {
            #expect((outcomes[number]?.error as? BodyError)?.number == (number % 3 == 0 ? number : nil))
            #expect(try (blob(number) == nil) == (number % 3 == 0))
        }
        committer.close()
        #expect(environment.poisoned == nil)
        // Nor in the journal.
        let expected = try catalogue(of: environment)
        #expect(expected.count == 13 + 13 + 1)
        #expect(try replayed(directory.path + "/journal", beside: directory.path + "/x").catalogue == expected)
    }

    @Test("a batch of nothing but throwing bodies commits nothing")
    func allThrow() throws {
        let committer = try Committer(environment: environment, journal: try journal())
        defer { committer.close() }
        let outcomes = batch(
            committer,
            (0..<3).map { number in
                { (transaction) in
                    try transaction.createRepository(repository("a"), at: 0)
                    throw BodyError(number: number)
                }
            })
        #expect(outcomes.count == 3 && outcomes.values.allSatisfy { $0.error != nil })
        let error = #expect(throws: BodyError.self) {
            try committer.commit { (transaction) in
                try transaction.createRepository(repository("a"), at: 0)
                throw BodyError(number: 9)
            }
        }
        #expect(error == BodyError(number: 9))
        #expect(try environment.statistics().repositories == 0)
        #expect(environment.poisoned == nil)
    }

    @Test("many threads commit at once, and none is lost")
    func manyCallers() async throws {
        let committer = try Committer(environment: environment, journal: try journal())
        defer { committer.close() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<16 {
                group.addTask {
                    for round in 0..<20 {
                        try await committer.submit { (transaction) in
                            try transaction.link(digest(caller * 100 + round), in: repository("r\(caller)"), at: 1)
                            _ = try transaction.allocatePackNumber()
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        let statistics = try environment.statistics()
        #expect(statistics.links == 320 && statistics.repositories == 16)
        #expect(try committer.commit { (transaction) in try transaction.allocatePackNumber() } == 321)
        #expect(committer.statistics.commits <= 321)
    }

    @Test("a full map grows, and every body runs again from the start")
    func fullMap() throws {
        environment.close()
        var options = IndexEnvironment.Options()
        options.mapSizeBytes = 1 << 20
        let small = try IndexEnvironment(path: directory.path + "/small", options: options)
        let committer = try Committer(environment: small, journal: try journal())
        let outcomes = batch(
            committer,
            (0..<8).map { number in
                { (transaction) in
                    let bytes = [UInt8](repeating: UInt8(number), count: 700_000)
                    try transaction.putInlineBlob(digest(number), bytes: bytes, landedAt: 0)
                    if number == 6 { throw BodyError(number: 6) }
                }
            })
        #expect(outcomes.filter { $0.value.error != nil }.map(\.key) == [6])
        #expect(committer.statistics.repeats > 0)
        committer.close()
        #expect(try small.statistics().blobs == 7)
        let expected = try catalogue(of: small)
        let (lines, report) = try replayed(directory.path + "/journal", beside: directory.path + "/x")
        #expect(lines == expected)
        #expect(report.damage.isEmpty)
    }

    @Test("a map that can not grow poisons, since from then on every write would fail")
    func largestMap() throws {
        environment.close()
        var options = IndexEnvironment.Options()
        options.mapSizeBytes = 1 << 20
        options.maximumMapSizeBytes = 2 << 20
        let small = try IndexEnvironment(path: directory.path + "/small", options: options)
        let committer = try Committer(environment: small, journal: try journal())
        defer { committer.close() }
        try committer.commit { (transaction) in try transaction.putBlob(digest(1), BlobRow(size: 1)) }
        for number in 2..<4 {
            let error = #expect(throws: IndexError.self) {
                try committer.commit { (transaction) in
                    try transaction.putInlineBlob(
                        digest(number), bytes: [UInt8](repeating: 1, count: 4 << 20), landedAt: 0)
                }
            }
            #expect(error?.isPoisoned == true)
        }
        #expect(try small.statistics().blobs == 1)
    }

    @Test("a body that hides a full map is run again all the same")
    func swallowedFault() throws {
        environment.close()
        var options = IndexEnvironment.Options()
        options.mapSizeBytes = 1 << 20
        let small = try IndexEnvironment(path: directory.path + "/small", options: options)
        let committer = try Committer(environment: small, journal: nil)
        defer { committer.close() }
        try committer.commit { (transaction) in
            try? transaction.putInlineBlob(digest(1), bytes: [UInt8](repeating: 1, count: 4 << 20), landedAt: 0)
        }
        #expect(try small.statistics().blobs == 1)
        #expect(committer.statistics.repeats > 0)
    }

    @Test(
        "a commit that fails poisons: nothing of the batch, nothing later, reads go on",
        arguments: [EIO, ENOSPC, MDB_PANIC_CODE])
    func commitFailure(_ code: Int32) throws {
        let fails = Switch()
        let committer = try Committer(environment: environment, journal: try journal()) { fails.isOn ? code : 0 }
        try committer.commit { (transaction) in try transaction.createRepository(repository("before"), at: 1) }
        let outcomes = batch(
            committer,
            (0..<3).map { number in
                { (transaction) in
                    fails.isOn = true
                    try transaction.createRepository(repository("r\(number)"), at: 1)
                }
            })
        #expect(outcomes.count == 3)
        for outcome in outcomes.values { #expect((outcome.error as? IndexError)?.isPoisoned == true) }
        fails.isOn = false
        let error = #expect(throws: IndexError.self) {
            try committer.commit { (transaction) in try transaction.createRepository(repository("later"), at: 1) }
        }
        #expect(error?.isPoisoned == true)
        #expect(
            try environment.read { (transaction) throws(IndexError) in try transaction.repositories(limit: 9) } == [
                repository("before")
            ])
        committer.close()
        environment.close()

        // The journal is ahead by the batch that nobody was told of: it goes.
        let again = try IndexEnvironment(path: directory.path + "/index")
        let journal = try journal()
        let second = try Committer(environment: again, journal: journal)
        #expect(journal.recovery.cutBatches == 1)
        try second.commit { (transaction) in try transaction.createRepository(repository("after"), at: 1) }
        second.close()
        let lines = try replayed(directory.path + "/journal", beside: directory.path + "/x").catalogue
        #expect(lines == (try catalogue(of: again)))
        #expect(lines.count == 2)
    }

    /// After every failing call, what was acknowledged is there, what was not is not, and the journal says the same.
    @Test("the n-th write or sync of the journal fails, for every n", arguments: [false, true])
    func journalFailures(isShortWrite: Bool) throws {
        environment.close()
        var didFail = true
        var failing = 0
        while didFail {
            failing += 1
            let root = directory.path + "/run\(failing)"
            try DurableDirectory.create(root)
            let counter = Countdown(failing)
            let files = JournalFiles(
                write: { descriptor, bytes, offset in
                    guard counter.fires() else { return JournalFiles.system.write(descriptor, bytes, offset) }
                    guard isShortWrite else { return -Int(ENOSPC) }
                    // Half of it, then nothing more ever.
                    let half = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)])
                    _ = JournalFiles.system.write(descriptor, half, offset)
                    return -Int(EIO)
                },
                synchronize: { descriptor in counter.fires() ? EIO : JournalFiles.system.synchronize(descriptor) })
            let acknowledged = try scenario(root, files)
            didFail = counter.hasFired
            // The first four are header and first batch.
            if failing > 4 { #expect(!acknowledged.isEmpty) }

            let index = try IndexEnvironment(path: root + "/index")
            let committer = try Committer(
                environment: index, journal: try Journal(directory: root + "/journal"))
            let found = try index.read { (transaction) throws(IndexError) in try transaction.repositories(limit: .max) }
            #expect(found.map(\.description).sorted() == acknowledged.sorted(), "failing call \(failing)")
            try committer.commit { (transaction) in try transaction.createRepository(repository("zz"), at: 1) }
            committer.close()
            let (lines, report) = try replayed(root + "/journal", beside: root + "/x")
            #expect(lines == (try catalogue(of: index)), "failing call \(failing)")
            #expect(report.damage.isEmpty)
        }
        #expect(failing > 15)
    }

    /// Twelve commits over segments that end after each few, with a compaction in between.
    private func scenario(_ root: String, _ files: JournalFiles) throws -> [String] {
        var options = Journal.Options()
        options.segmentBytes = 300
        let environment = try IndexEnvironment(path: root + "/index")
        defer { environment.close() }
        let journal = try Journal(directory: root + "/journal", options: options, files: files)
        guard let committer = try? Committer(environment: environment, journal: journal) else { return [] }
        defer { committer.close() }
        var acknowledged: [String] = []
        var isPoisoned = false
        for number in 0..<12 {
            if number == 6 { try? committer.compactJournal() }
            do {
                try committer.commit { (transaction) in
                    try transaction.createRepository(repository("r\(number)"), at: 1)
                }
                #expect(!isPoisoned)
                acknowledged.append("r\(number)")
            } catch let error as IndexError {
                #expect(error.isPoisoned)
                isPoisoned = true
            }
        }
        return acknowledged
    }

    @Test("closing runs what waits and refuses what comes later")
    func close() throws {
        let committer = try Committer(environment: environment, journal: nil)
        let outcomes = Outcomes()
        for number in 0..<10 {
            committer.enqueue { (transaction) in
                try transaction.putBlob(digest(number), BlobRow(size: 1))
            } completion: {
                outcomes.set(number, $0)
            }
        }
        committer.close()
        committer.close()
        #expect(outcomes.wait(for: 10).values.allSatisfy { $0.error == nil })
        let error = #expect(throws: IndexError.self) { try committer.commit { _ in } }
        #expect(error?.reason == .closed)
        #expect(try environment.statistics().blobs == 10)
    }

    @Test("a batch is cut where the journal would take too much at once")
    func largeBatch() throws {
        let committer = try Committer(environment: environment, journal: try journal())
        defer { committer.close() }
        let outcomes = batch(
            committer,
            (0..<6).map { number in
                { (transaction) in
                    let bytes = [UInt8](repeating: UInt8(number), count: 8 << 20)
                    try transaction.putInlineBlob(digest(number), bytes: bytes, landedAt: 0)
                }
            })
        #expect(outcomes.values.allSatisfy { $0.error == nil })
        #expect(committer.statistics.commits == 3)
        #expect(try environment.statistics().blobs == 6)
    }
}

/// LMDB's code for a lost environment.
private let MDB_PANIC_CODE: Int32 = -30795

final class Switch: @unchecked Sendable {  // guarded by its monitor
    private let monitor = Monitor()
    private var value = false

    var isOn: Bool {
        get { monitor.locked { value } }
        set { monitor.locked { value = newValue } }
    }
}

/// Says true at the n-th question, and at every one after it.
final class Countdown: @unchecked Sendable {  // guarded by its monitor
    private let monitor = Monitor()
    private var left: Int

    init(_ count: Int) { left = count }

    func fires() -> Bool {
        monitor.locked {
            left -= 1
            return left <= 0
        }
    }

    var hasFired: Bool { monitor.locked { left <= 0 } }
}
