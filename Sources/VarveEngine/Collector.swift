// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOConcurrencyHelpers
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// One collection, on the thread that settles otherwise: so nothing new is referred to while it runs.
///
/// Names first, then blobs, then files that nothing knows, then packs. Everywhere the index comes before the bytes: a
/// crash leaves files that nothing knows, never a row without its file, and the next collection removes them.
final class Collector {
    /// A pack of which less is alive is rewritten, in percent of its bytes.
    static let rewriteBelowPercent: UInt64 = 75
    /// Uploads that nobody has written to for so long go.
    static let uploadSeconds: UInt64 = 7 * 24 * 3600
    /// Rows read, or changed in one commit, at a time.
    static let pageRows = 1000

    let core: Core
    let graceSeconds: UInt64
    let startedAt = now()
    var report = CollectReport()
    let stop: StopSign
    private let progress: (@Sendable (Progress) -> Void)?
    private let reached: @Sendable (CollectStep) throws(VarveError) -> Void

    init(
        core: Core, graceSeconds: UInt64, stop: StopSign, progress: (@Sendable (Progress) -> Void)?,
        reached: @escaping @Sendable (CollectStep) throws(VarveError) -> Void
    ) {
        self.core = core
        self.graceSeconds = graceSeconds
        self.stop = stop
        self.progress = progress
        self.reached = reached
    }

    func run() throws(VarveError) -> CollectReport {
        core.sweeps.collectionBegan()
        defer { core.sweeps.collectionEnded() }
        note("looking for names", 0, 0)
        // A manifest whose body ran before names were noted may still wait for its commit: what is read from here on
        // has to show it.
        try core.commitBlocking { _ in }
        try sweepRepositories()
        try did(.linksRemoved)
        try sweepBlobs()
        try sweepStrayFiles()
        try did(.strayFilesRemoved)
        try sweepPacks()
        do {
            try core.writer().compactJournal()
        } catch {
            throw core.asVarveError(error, "the journal could not be written anew")
        }
        if report.blobsRemoved > 0 || report.chunksRemoved > 0 { core.compactsIndex.withLockedValue { $0 = true } }
        try did(.journalCompacted)
        return report
    }

    func did(_ step: CollectStep) throws(VarveError) {
        try stop.check()
        try reached(step)
    }

    func note(_ activity: String, _ done: UInt64, _ total: UInt64) {
        progress?(Progress(activity: activity, done: min(done, total), total: total))
    }

    /// Whether something of that time is older than the grace period. Time is no order: what seems to come from the
    /// future is young.
    func isPastGrace(_ time: UInt64) -> Bool {
        time <= startedAt && startedAt - time >= graceSeconds
    }

    /// Removes a file; one that can not be removed ends the collection, but harms nothing.
    func remove(_ path: String) throws(VarveError) {
        do throws(DriverError) {
            let bytes = try core.files.length(of: path) ?? 0
            try core.files.remove(path)
            report.bytesFreed += bytes
        } catch {
            throw error.asVarveError
        }
    }
}

// MARK: - Names and blobs

extension Collector {
    /// Under this name the index notes that a manifest was deleted from a repository: its blobs are its manifests', and
    /// go with them.
    static func deletionNote(_ repository: RepositoryName) -> String { "deleted.\(repository)" }

    /// Lets repositories go of what they need not hold.
    func sweepRepositories() throws(VarveError) {
        try forEachRepository { name throws(VarveError) in
            let (named, hasManifests) = try names(in: name)
            let isManaged = try core.read { try hasManifests || $0.meta(Self.deletionNote(name)) != nil }
            if isManaged { try unlink(in: name, but: named) }
            try removeIfEmpty(name)
        }
    }

    func forEachRepository(_ body: (RepositoryName) throws(VarveError) -> Void) throws(VarveError) {
        var last: String?
        while true {
            let page = try core.read { [last] in try $0.repositories(after: last, limit: Self.pageRows) }
            for name in page { try body(name) }
            guard page.count == Self.pageRows else { return }
            last = page.last?.description
        }
    }

    private func forEachManifest(
        in name: RepositoryName, _ body: (Digest, ManifestRow) throws(VarveError) -> Void
    ) throws(VarveError) {
        var last: Digest?
        while true {
            let page = try core.read { [last] in try $0.manifests(in: name, after: last, limit: Self.pageRows) }
            for (digest, row) in page { try body(digest, row) }
            try stop.check()
            guard page.count == Self.pageRows else { return }
            last = page.last?.digest
        }
    }

    /// The manifests of a repository and everything that they name.
    private func names(in name: RepositoryName) throws(VarveError) -> (named: Set<Digest>, hasManifests: Bool) {
        var named: Set<Digest> = []
        var hasManifests = false
        try forEachManifest(in: name) { (digest, row) in
            hasManifests = true
            named.insert(digest)
            for reference in row.references { named.insert(reference.digest) }
        }
        return (named, hasManifests)
    }

    private func unlink(in name: RepositoryName, but named: Set<Digest>) throws(VarveError) {
        var last: Digest?
        while true {
            let page = try core.read { [last] in try $0.links(in: name, after: last, limit: Self.pageRows) }
            let stale = page.filter { !named.contains($0.digest) && isPastGrace($0.row.linkedAt) }
            if !stale.isEmpty {
                try core.commitBlocking { [sweeps = core.sweeps] transaction in
                    for (digest, row) in stale where try transaction.link(of: digest, in: name) == row {
                        guard !sweeps.isNamed(digest) else { continue }
                        try transaction.unlink(digest, in: name)
                    }
                }
            }
            try stop.check()
            guard page.count == Self.pageRows else { return }
            last = page.last?.digest
        }
    }

    private func removeIfEmpty(_ name: RepositoryName) throws(VarveError) {
        func isEmpty(_ transaction: borrowing some IndexTransaction & ~Copyable) throws -> Bool {
            guard let row = try transaction.repository(name), isPastGrace(row.createdAt) else { return false }
            return try transaction.links(in: name, limit: 1).isEmpty
                && transaction.manifests(in: name, limit: 1).isEmpty && transaction.tags(in: name, limit: 1).isEmpty
        }
        guard try core.read({ try isEmpty($0) }) else { return }
        try core.commitBlocking { transaction in
            guard try isEmpty(transaction) else { return }
            try transaction.removeRepository(name)
            try transaction.setMeta(Self.deletionNote(name), nil)
        }
    }

    /// Removes the blobs that no repository and no object holds and no manifest names or is.
    func sweepBlobs() throws(VarveError) {
        let kept = try namedWithoutHolder()
        var removed: [(digest: Digest, row: BlobRow)] = []
        var last: Digest?
        while true {
            let (page, unheld) = try core.read { [last] transaction in
                let page = try transaction.blobs(after: last, limit: Self.pageRows)
                let unheld = try page.filter {
                    try !kept.contains($0.digest) && !transaction.isHeld($0.digest)
                }
                return (page, unheld)
            }
            if !unheld.isEmpty {
                removed += try core.commitBlocking { [sweeps = core.sweeps] transaction in
                    var removed: [(digest: Digest, row: BlobRow)] = []
                    for (digest, _) in unheld where try !transaction.isHeld(digest) {
                        guard !sweeps.isNamed(digest), let row = try transaction.blob(digest) else { continue }
                        try transaction.removeBlob(digest)
                        removed.append((digest, row))
                    }
                    return removed
                }
            }
            try stop.check()
            guard page.count == Self.pageRows else { break }
            last = page.last?.digest
        }
        for (digest, row) in removed { core.cache.removed(digest, settledBytes: row.isSettled ? row.size : 0) }
        report.blobsRemoved += UInt64(removed.count)
        try did(.blobRowsRemoved)
        for (digest, row) in removed where row.flags.contains(.rawFile) {
            report.bytesFreed += try core.removeRawFile(digest)
        }
        try did(.rawFilesRemoved)
    }

    /// Manifests have no link of their own, and a blob may have been taken out of a repository whose manifest names it:
    /// those stay although no repository holds them.
    private func namedWithoutHolder() throws(VarveError) -> Set<Digest> {
        var kept: Set<Digest> = []
        try forEachRepository { name throws(VarveError) in
            try forEachManifest(in: name) { (digest, row) throws(VarveError) in
                kept.insert(digest)
                try core.read { transaction in
                    for reference in row.references
                    where try transaction.holders(of: reference.digest, limit: 1).isEmpty {
                        kept.insert(reference.digest)
                    }
                }
            }
        }
        return kept
    }
}

extension IndexTransaction where Self: ~Copyable {
    /// Whether a repository or an object holds a blob.
    func isHeld(_ digest: Digest) throws(IndexError) -> Bool {
        if try objectHolders(of: digest) > 0 { return true }
        return try !holders(of: digest, limit: 1).isEmpty
    }
}

extension Core {
    /// Writes the index anew without its free pages. It is closed; the store's lock is still held.
    func compactIndex() async {
        let thread = BlockingPool(threads: 1)
        do throws(VarveError) {
            try await thread.run { [path = files.absolute(StoreLayout.index)] () throws(VarveError) in
                do throws(IndexError) {
                    try IndexRebuilder.compact(indexPath: path)
                } catch {
                    throw error.asVarveError("the index could not be compacted")
                }
            }
        } catch {
            // It is as it was: only longer than it need be.
            logger.warning("the index was not compacted", metadata: ["error": "\(error)"])
        }
        await thread.shutdown()
    }
}
