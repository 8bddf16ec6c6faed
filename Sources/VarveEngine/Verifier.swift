// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// One pass over everything in a store.
///
/// Work is done in pieces of some megabytes on the pool of blocking threads, a few at a time, so a serving process goes
/// on and memory stays bounded. Rows are read a page a snapshot; whatever seems damaged is looked up again, and counts
/// only if the index still says the same.
final class Verifier: Sendable {
    /// What a damaged thing touches, to be found out at the end.
    enum Touched: Sendable {
        case nothing
        case blob(Digest)
        case chunks(pack: UInt32, Range<UInt32>)
        case recipe(pack: UInt32, offset: UInt64)
        case pack(UInt32)
    }

    /// Something that is not as it was written.
    struct Damage: Sendable {
        var what: String
        var touched: Touched
    }

    /// Bytes read or rebuilt in one piece of work.
    static let pieceBytes = 8 << 20
    private static let pageRows = 256

    let core: Core
    private let progress: (@Sendable (Progress) -> Void)?
    private struct State {
        var report = VerifyReport()
        var damage: [Damage] = []
        var total: UInt64 = 0
    }
    private let state = NIOLockedValueBox(State())

    init(core: Core, progress: (@Sendable (Progress) -> Void)?) {
        self.core = core
        self.progress = progress
    }

    func run() async throws -> VerifyReport {
        if let damage = try await core.pool.run({ [self] () throws(VarveError) in try pageDamage() }) {
            // Whoever reads on through such an index risks the process.
            return state.withLockedValue {
                $0.report.damage = ["\(damage); 'varve rebuild-index' makes it anew. Nothing else was looked at"]
                return $0.report
            }
        }
        let total = try await core.pool.run { [self] () throws(VarveError) -> UInt64 in try bytesToRead() }
        state.withLockedValue { $0.total = total }
        try await verifyIndex()
        try await verifyPacks()
        try await verifyBlobs()
        try await core.pool.run { [self] () throws(VarveError) -> Void in
            try verifyNames()
            try verifyObjects()
            try verifyJournal()
        }
        let damage = state.withLockedValue { $0.damage }
        let lines = try await core.pool.run { [self] () throws(VarveError) -> [String] in
            try self.lines(for: damage)
        }
        return state.withLockedValue {
            $0.report.damage = lines
            return $0.report
        }
    }

    // MARK: Book-keeping

    func note(_ what: String, _ touched: Touched) {
        state.withLockedValue { $0.damage.append(Damage(what: what, touched: touched)) }
    }

    func count(blobs: UInt64 = 0, chunks: UInt64 = 0, bytes: UInt64 = 0) {
        let (done, total) = state.withLockedValue {
            $0.report.blobsChecked += blobs
            $0.report.chunksChecked += chunks
            $0.report.bytesChecked += bytes
            return ($0.report.bytesChecked, $0.total)
        }
        progress?(Progress(activity: "verifying", done: min(done, total), total: total))
    }

    private func bytesToRead() throws(VarveError) -> UInt64 {
        var total: UInt64 = 0
        try core.forEachBlob { _, row in
            if row.flags.contains(.rawFile) { total += row.size }
            if row.flags.contains(.inline) { total += row.size }
            if row.isSettled { total += row.size }
        }
        try core.forEachPack { _, row in total += row.committedBytes }
        return total
    }

    /// Runs `body` for each item, some at a time.
    private func forEach<Item: Sendable>(
        _ items: [Item], _ body: @escaping @Sendable (Item) async throws -> Void
    ) async throws {
        let next = NIOLockedValueBox(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<min(items.count, core.workerCount + 1) {
                group.addTask {
                    while true {
                        let index = next.withLockedValue { value in
                            defer { value += 1 }
                            return value
                        }
                        guard index < items.count else { return }
                        try Task.checkCancellation()
                        try await body(items[index])
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: Index and journal

    /// The first damaged page of the index.
    private func pageDamage() throws(VarveError) -> String? {
        do throws(IndexError) {
            _ = try core.environment.walkPages()
            return nil
        } catch {
            guard error.isCorrupt else { throw error.asVarveError("the index could not be read") }
            return error.detail.isEmpty ? "the index is damaged" : "index: \(error.detail)"
        }
    }

    private func verifyIndex() async throws {
        try await core.pool.run { [self] () throws(VarveError) in
            let found = try core.read { try $0.verify() }
            for damage in found.damage {
                note("index: table \(damage.table), row \(damage.key): \(damage.problem)", .nothing)
            }
        }
    }

    /// What manifests name must be there, but for what need not be, and for manifests that were deleted from an index.
    private func verifyNames() throws(VarveError) {
        var missing: Set<Digest> = []
        try core.forEachRepository { repository throws(VarveError) in
            try core.forEachManifest(in: repository) { (digest, _) throws(VarveError) in
                let absent = try core.read { transaction in
                    try (transaction.manifest(digest, in: repository)?.references ?? [])
                        .filter { try $0.kind == .blob && transaction.blob($0.digest) == nil }
                }
                missing.formUnion(absent.map(\.digest))
            }
        }
        for digest in missing.sorted() { note("blob \(digest): it is not in the store", .blob(digest)) }
    }

    private func verifyJournal() throws(VarveError) {
        // Beside a process that writes, segments may be replaced by a snapshot between being listed and being read.
        for _ in 0..<3 {
            guard
                let report = try? Journal.replay(directory: core.files.absolute(StoreLayout.journal), { _ in })
            else { continue }
            let missing = report.missingSegments
            if core.settings.readOnly, !missing.isEmpty { continue }
            for damage in report.damage {
                note("journal: bytes \(damage.range) of \(damage.file) are damaged", .nothing)
            }
            if !missing.isEmpty { note("journal: segments \(missing) are missing", .nothing) }
            return
        }
        if !core.settings.readOnly { note("journal: it can not be read", .nothing) }
    }

    // MARK: Packs

    private func verifyPacks() async throws {
        var last: UInt32?
        while true {
            let page = try await core.pool.run { [core, last] () throws(VarveError) in
                try core.read { try $0.packs(after: last, limit: Self.pageRows) }
            }
            try await forEach(page) { [self] item in try await verifyPack(item.number, item.row) }
            guard page.count == Self.pageRows else { return }
            last = page.last?.number
        }
    }

    // MARK: Blobs

    private func verifyBlobs() async throws {
        var last: Digest?
        while true {
            let page = try await core.pool.run { [core, last] () throws(VarveError) in
                try core.read { try $0.blobs(after: last, limit: Self.pageRows) }
            }
            try await forEach(page) { [self] item in try await verifyBlob(item.digest, item.row) }
            guard page.count == Self.pageRows else { return }
            last = page.last?.digest
        }
    }
}

extension Core {
    /// Hands every blob's row to `body`, a thousand a snapshot.
    func forEachBlob(_ body: (Digest, BlobRow) throws(VarveError) -> Void) throws(VarveError) {
        var last: Digest?
        while true {
            let page = try read { [last] in try $0.blobs(after: last, limit: 1000) }
            for (digest, row) in page { try body(digest, row) }
            guard page.count == 1000 else { return }
            last = page.last?.digest
        }
    }

    /// Hands every pack's row to `body`, a thousand a snapshot.
    func forEachPack(_ body: (UInt32, PackRow) throws(VarveError) -> Void) throws(VarveError) {
        var last: UInt32?
        while true {
            let page = try read { [last] in try $0.packs(after: last, limit: 1000) }
            for (number, row) in page { try body(number, row) }
            guard page.count == 1000 else { return }
            last = page.last?.number
        }
    }

    /// Hands every repository's name to `body`, a thousand a snapshot.
    func forEachRepository(_ body: (RepositoryName) throws(VarveError) -> Void) throws(VarveError) {
        var last: String?
        while true {
            let page = try read { [last] in try $0.repositories(after: last, limit: 1000) }
            for name in page { try body(name) }
            guard page.count == 1000 else { return }
            last = page.last?.description
        }
    }

    /// Hands every manifest of a repository to `body`, a thousand a snapshot.
    func forEachManifest(
        in name: RepositoryName, _ body: (Digest, ManifestRow) throws(VarveError) -> Void
    ) throws(VarveError) {
        var last: Digest?
        while true {
            let page = try read { [last] in try $0.manifests(in: name, after: last, limit: 1000) }
            for (digest, row) in page { try body(digest, row) }
            guard page.count == 1000 else { return }
            last = page.last?.digest
        }
    }
}
