// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveIndex
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("a lost or damaged index")
struct IndexLossTests {
    private func prepared(salt: UInt64) async throws -> (ImageStore, [TestImage]) {
        let files = ImageStore()
        let images = try await files.with { store in try await pushVersions(to: store, salt: salt, files: 12) }
        return (files, images)
    }

    /// What opening says.
    private func refusal(_ files: ImageStore, readOnly: Bool) async -> VarveError? {
        do {
            try await files.open { $0.readOnly = readOnly }.close()
            return nil
        } catch {
            return error as? VarveError
        }
    }

    private func expectRefusal(_ files: ImageStore, _ comment: String) async {
        for readOnly in [false, true, false, true] {
            let error = await refusal(files, readOnly: readOnly)
            #expect(error?.code == .corrupted, "\(comment), read only: \(readOnly)")
            #expect(error?.message.contains("rebuild-index") == true, "\(comment): \(error?.message ?? "opened")")
        }
    }

    @Test("neither a reader nor a writer takes a store without its index for an empty one")
    func lost() async throws {
        let (files, images) = try await prepared(salt: 701)
        files.directory.remove("store/index")
        await expectRefusal(files, "no index")
        #expect(files.directory.read("store/index/data.mdb").isEmpty)
        try await rebuild(files)
        try await files.with { store in try await expectWhole(store, images) }
    }

    @Test("nor with an empty index in its place")
    func replaced() async throws {
        let (files, images) = try await prepared(salt: 702)
        files.directory.remove("store/index")
        try IndexEnvironment(path: files.path + "/index").close()
        await expectRefusal(files, "an empty index")
        try await rebuild(files)
        try await files.with { store in try await expectWhole(store, images) }
    }

    @Test("nor an index of the day before, however it is opened")
    func old() async throws {
        let (files, images) = try await prepared(salt: 703)
        let old = files.directory.read("store/index/data.mdb")
        let more = try await files.with { store in
            try await pushVersions(to: store, salt: 704, files: 4, repositories: ["late", "later"])
        }
        files.directory.write(old, to: "store/index/data.mdb")
        await expectRefusal(files, "an old index")
        try await rebuild(files)
        try await files.with { store in try await expectWhole(store, images + more) }
    }

    @Test("without index and journal, a store with packs is not a new one")
    func lostWithJournal() async throws {
        let (files, _) = try await prepared(salt: 705)
        files.directory.remove("store/index")
        files.directory.remove("store/journal")
        await expectRefusal(files, "no index and no journal")
    }

    @Test("a damaged page is told by opening and by verify, and ends no process", arguments: [0, 10, 12, 14, 16, 17])
    func damagedPage(_ offset: Int) async throws {
        let (files, images) = try await prepared(salt: 707)
        let data = "store/index/data.mdb"
        let whole = files.directory.read(data)
        // The root of the table of tables, as the newer meta page names it: every opening needs it.
        let slot = number(whole, 144) > number(whole, 4096 + 144) ? 0 : 4096
        let root = number(whole, slot + 40 + 48 + 40) * 4096
        try await files.with { store in
            // What opening leaves to a thread of its own is done: nobody writes while the file is damaged.
            try await store.settler.alone {}
            files.directory.flip(0x40, at: root + offset, of: data)
            let report = try await store.verify()
            #expect(report.damage.count == 1)
            #expect(report.damage.first?.contains("rebuild-index") == true)
            await #expect(throws: VarveError.self) { try await store.inspect(.index) { _ in } }
            files.directory.flip(0x40, at: root + offset, of: data)
            #expect(try await store.verify().damage.isEmpty)
        }
        files.directory.flip(0x40, at: root + offset, of: data)
        await expectRefusal(files, "offset \(offset)")
        try await rebuild(files)
        try await files.with { store in try await expectWhole(store, images) }
    }

    @Test("an index that was cut off is refused")
    func truncated() async throws {
        let (files, images) = try await prepared(salt: 708)
        let whole = files.directory.read("store/index/data.mdb")
        for count in [1, 4096, 8192, whole.count / 2] {
            files.directory.write(Array(whole[..<count]), to: "store/index/data.mdb")
            await expectRefusal(files, "\(count) bytes")
        }
        try await rebuild(files)
        try await files.with { store in try await expectWhole(store, images) }
    }

    @Test("the pages are shown, table by table")
    func shown() async throws {
        let (files, _) = try await prepared(salt: 709)
        try await files.with { store in
            var lines: [String] = []
            try await store.inspect(.index) { lines.append($0) }
            #expect(lines.first?.contains(" 0 neither") == true)
            #expect(lines.contains { $0.hasPrefix("index  chunks  ") })
        }
    }

    @Test("the lock file says whether the store was closed")
    func closed() async throws {
        let (files, _) = try await prepared(salt: 710)
        func text() -> String {
            String(decoding: files.directory.read("store/lock").prefix { $0 != 10 }, as: UTF8.self)
        }
        #expect(text() == "closed")
        try await files.with { _ in #expect(text().hasPrefix("pid ")) }
        #expect(text() == "closed")
    }

    @Test("where no directory can be made, the message says which")
    func noDirectory() async {
        let error = await #expect(throws: VarveError.self) { try await Store.open(at: "/proc/no-such-thing") }
        #expect(error.map { "\($0)" }?.contains("/proc/no-such-thing") == true)
    }

    private func rebuild(_ files: ImageStore) async throws {
        let report = try await Store.rebuildIndex(at: files.path, logger: .quiet)
        #expect(report.problems.isEmpty)
    }

    private func number(_ bytes: [UInt8], _ offset: Int) -> Int {
        (0..<8).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
}
