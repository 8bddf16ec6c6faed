// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel

@testable import VarveIndex

@Suite("index rebuilder")
struct IndexRebuilderTests {
    private let directory: TemporaryDirectory
    private var index: String { directory.path + "/index" }
    private var journal: String { directory.path + "/journal" }

    init() throws { directory = try TemporaryDirectory() }

    private func fill() throws -> [String] {
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        let committer = try Committer(environment: environment, journal: try Journal(directory: journal))
        defer { committer.close() }
        var generator = SeededGenerator(9)
        for _ in 0..<100 {
            let change = randomChange(&generator)
            try? committer.commit(change)
        }
        return try catalogue(of: environment)
    }

    private func marked(_ path: String, _ mark: UInt8) throws {
        let environment = try IndexEnvironment(path: path)
        try environment.write { (transaction) throws(IndexError) in try transaction.setMeta("mark", [mark]) }
        environment.close()
    }

    private func mark() throws -> [UInt8]? {
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        return try environment.read { (transaction) throws(IndexError) in try transaction.meta("mark") }
    }

    @Test("an index made anew takes at most 64 bytes a chunk")
    func size() throws {
        let rebuilder = try IndexRebuilder(indexPath: index)
        var generator = SeededGenerator(31)
        let (packs, chunks) = (12, 5_000)
        for pack in 0..<packs {
            var entries = (0..<chunks).map {
                ChunkEntry(hi: generator.next(), lo: generator.next(), ordinal: UInt32($0))
            }
            try rebuilder.environment.write { (transaction) throws(IndexError) in
                try transaction.insertChunks(sorting: &entries, pack: UInt32(pack))
            }
        }
        try rebuilder.finish()
        var status = stat()
        #expect(stat(index + "/data.mdb", &status) == 0)
        #expect(status.st_size <= 64 * packs * chunks)
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        #expect(try environment.statistics().chunks == packs * chunks)
    }

    @Test("a lost or damaged index is made anew and goes on with the same journal", arguments: [true, false])
    func rebuild(isLost: Bool) throws {
        let lines = try fill()
        if isLost { TemporaryDirectory.remove(index) }
        let rebuilder = try IndexRebuilder(indexPath: index)
        let report = try rebuilder.replayJournal(directory: journal)
        #expect(report.records > 0 && report.damage.isEmpty)
        try rebuilder.finish()
        #expect(try DurableDirectory.names(in: directory.path).sorted() == ["index", "journal"])

        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        #expect(try catalogue(of: environment) == lines)
        let second = try Journal(directory: journal)
        let committer = try Committer(environment: environment, journal: second)
        defer { committer.close() }
        #expect(second.recovery == Journal.Recovery())
        try committer.commit { (transaction) in try transaction.createRepository(repository("new"), at: 1) }
        #expect(try replayed(journal, beside: directory.path + "/x").catalogue == (try catalogue(of: environment)))
    }

    @Test("an index that was made anew behind a torn journal cuts the torn end")
    func rebuildTorn() throws {
        _ = try fill()
        let name = journal + "/" + JournalListing.segmentName(1)
        try TemporaryDirectory.write(Array(try TemporaryDirectory.read(name).dropLast()), to: name)
        let rebuilder = try IndexRebuilder(indexPath: index)
        let report = try rebuilder.replayJournal(directory: journal)
        #expect(report.tornBytes > 0)
        try rebuilder.finish()
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        let second = try Journal(directory: journal)
        let committer = try Committer(environment: environment, journal: second)
        defer { committer.close() }
        #expect(second.recovery.cutBytes == report.tornBytes)
        #expect(try replayed(journal, beside: directory.path + "/x").catalogue == (try catalogue(of: environment)))
    }

    @Test("an abandoned rebuild leaves the old index")
    func abandon() throws {
        try marked(index, 1)
        let rebuilder = try IndexRebuilder(indexPath: index)
        try rebuilder.abandon()
        #expect(try DurableDirectory.names(in: directory.path) == ["index"])
        #expect(try mark() == [1])
    }

    @Test("an interruption leaves the old index or the new one", arguments: 0..<5)
    func interrupted(step: Int) throws {
        let (new, old) = (index + ".new", index + ".old")
        switch step {
        case 0:  // while the new one is made
            try marked(index, 1)
            try marked(new, 2)
        case 1:  // between the renames
            try marked(old, 1)
            try marked(new, 2)
        case 2:  // before the old one is removed
            try marked(old, 1)
            try marked(index, 2)
        case 3:  // while it is removed
            try marked(index, 2)
            try DurableDirectory.create(old)
        default:  // nothing happened
            try marked(index, 1)
        }
        try IndexRebuilder.recover(indexPath: index)
        #expect(try mark() == [step == 0 || step == 4 ? 1 : 2])
        #expect(try DurableDirectory.names(in: directory.path) == ["index"])
    }

    @Test("recovering where there is no index makes none")
    func nothingThere() throws {
        try IndexRebuilder.recover(indexPath: index)
        #expect(try DurableDirectory.names(in: directory.path).isEmpty)
    }
}
