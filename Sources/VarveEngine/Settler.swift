// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOConcurrencyHelpers
import NIOPosix
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// Works through the settle queue, one batch after another, on one thread of its own, in a server with low priority.
///
/// One thread settles, so two layers that come together find each other's chunks; compression runs beside it on the
/// workers. A batch is made durable together: pack bytes, then chunk rows, then the proof of every blob, then the rows
/// that say "settled". Whatever stops the process before that leaves the blob landed and queued.
final class Settler: Sendable {
    private static let batchBlobs = 64
    private static let batchBytes: UInt64 = 128 << 20

    private let core: Core
    private let thread = BlockingPool(threads: 1)

    private struct State {
        var isRunning = false
        var isStopped = false
        /// Those who wait for the thread.
        var callers = 0
    }
    private let state = NIOLockedValueBox(State())
    /// Kept between batches by the one thread: the open pack and the tables of packs matched last.
    private final class Work: @unchecked Sendable {  // only the settling thread touches it
        var writer: PackWriter?
        var matcher: ChunkMatcher
        init(packs: PackStore) { matcher = ChunkMatcher(packs: packs) }
    }
    private let work: Work
    private let pace: SettlingPace

    init(core: Core) {
        self.core = core
        work = Work(packs: core.packs)
        pace = SettlingPace(
            cores: core.coreCount, isStopped: { [state] in state.withLockedValue { $0.isStopped } },
            isHurried: { [state, settings = core.settings] in
                !settings.settlingYields || state.withLockedValue { $0.callers > 0 }
            })
    }

    /// Counts what is settled, for the cache's budget, queues what an earlier version could not settle, and goes on with
    /// what an earlier process left queued.
    func start() {
        thread.submit { [self] isActive in
            guard isActive else { return }
            do throws(VarveError) {
                try core.countSettled()
                try core.trimCache()
            } catch {
                core.logger.error("the hot cache could not be counted", metadata: ["error": "\(error)"])
            }
            do throws(VarveError) {
                try core.retryWithNewAbility()
            } catch {
                core.logger.error("blobs could not be queued again", metadata: ["error": "\(error)"])
            }
        }
        if core.settings.settling != .off { kick() }
    }

    /// No batch begins after this; the running one is given up, and its blobs stay queued: a large layer may take minutes,
    /// and whoever closes the store waits for it.
    func stop() async {
        state.withLockedValue { $0.isStopped = true }
        await thread.shutdown()
        work.writer = nil
    }

    /// Runs `body` while nothing settles. The open pack is let go before, and looked up again after.
    func alone<Value: Sendable>(
        _ body: @escaping @Sendable () throws(VarveError) -> Value
    ) async throws(VarveError) -> Value {
        try await onThread { [self] () throws(VarveError) in
            work.writer = nil
            defer { work.matcher = ChunkMatcher(packs: core.packs) }
            return try body()
        }
    }

    /// Runs `body` on the thread, which hurries meanwhile.
    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws(VarveError) -> Value
    ) async throws(VarveError) -> Value {
        state.withLockedValue { $0.callers += 1 }
        defer { state.withLockedValue { $0.callers -= 1 } }
        return try await thread.run(body)
    }

    /// A blob has landed and is queued.
    func landed(_ digest: Digest, inline: Bool) async throws(VarveError) {
        switch core.settings.settling {
        case .background: kick()
        case .inline: try await drain(progress: nil, retries: false)
        case .off: break
        }
    }

    /// An object waits to be adopted.
    func objectWaits() async throws(VarveError) {
        switch core.settings.settling {
        case .background: kick()
        case .inline: try await drain(progress: nil, retries: false)
        case .off: break
        }
    }

    private func kick() {
        let starts = state.withLockedValue { state in
            guard !state.isRunning, !state.isStopped else { return false }
            state.isRunning = true
            return true
        }
        guard starts else { return }
        thread.submit { [self] isActive in
            guard isActive else { return }
            do throws(VarveError) {
                // Landings from here on kick again; the look at the queue comes after.
                while true {
                    state.withLockedValue { $0.isRunning = false }
                    guard try runBatch(after: nil, progress: nil) != nil else { return }
                }
            } catch {
                if error.code == .cancelled, state.withLockedValue({ $0.isStopped }) { return }
                core.logger.error("settling stopped", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Settles until nothing is queued; with `retries` also what failed before for a reason that may have passed.
    func drain(progress: (@Sendable (Progress) -> Void)?, retries: Bool = true) async throws(VarveError) {
        try core.checkWritable()
        if retries {
            try await onThread { [core] () throws(VarveError) -> Void in try core.retry(where: RawReason.mayPass) }
        }
        let total = try await core.pool.run { [core] () throws(VarveError) in try core.queuedBytes() }
        let done = NIOLockedValueBox<UInt64>(0)
        var more = true
        while more {
            more = try await onThread { [self] () throws(VarveError) in
                try runBatch(after: nil) { bytes in
                    let sum = done.withLockedValue { value in
                        value += bytes
                        return value
                    }
                    progress?(Progress(activity: "settling", done: min(sum, total), total: total))
                } != nil
            }
        }
    }

    /// Drops the raw bytes of settled blobs until at most `limit` are left.
    func evict(to limit: UInt64?) async throws(VarveError) {
        try core.checkWritable()
        try await onThread { [core] () throws(VarveError) in try core.trimCache(to: limit) }
    }

    /// Settles the blobs at the head of the queue.
    /// - Returns: nil if there was nothing to do.
    private func runBatch(after: UInt64?, progress: ((UInt64) -> Void)?) throws(VarveError) -> Int? {
        if state.withLockedValue({ $0.isStopped }) { return nil }
        if core.settings.settlingYields { lowerPriority() }
        try core.adoptObjects(pace) { state.withLockedValue { $0.isStopped } }
        let queued = try core.read { transaction -> [(digest: Digest, row: BlobRow)] in
            var batch: [(digest: Digest, row: BlobRow)] = []
            var bytes: UInt64 = 0
            for item in try transaction.queue(after: nil, limit: Self.batchBlobs) {
                guard let row = try transaction.blob(item.digest) else {
                    batch.append((item.digest, BlobRow(size: 0)))
                    continue
                }
                if bytes > 0, bytes + row.size > Self.batchBytes { break }
                bytes += row.size
                batch.append((item.digest, row))
            }
            return batch
        }
        guard !queued.isEmpty else { return nil }
        var outcomes: [(digest: Digest, row: BlobRow)] = []
        let writer: PackWriter
        if let open = work.writer { writer = open } else { writer = try PackWriter(core: core) }
        work.writer = writer
        do throws(VarveError) {
            for (digest, row) in queued {
                outcomes.append((digest, try settle(digest, row, writer)))
                progress?(row.size / 2)
            }
            try writer.commit()
            work.matcher.forgetFresh()
            for index in outcomes.indices {
                try prove(&outcomes[index].row, outcomes[index].digest)
                progress?(outcomes[index].row.size - outcomes[index].row.size / 2)
            }
        } catch {
            // The packs' state is not known any more; the next batch begins from what is committed.
            work.writer = nil
            work.matcher = ChunkMatcher(packs: core.packs)
            throw error
        }
        try core.commitBlocking { [outcomes] transaction in
            for (digest, row) in outcomes {
                _ = try transaction.dequeue(digest)
                // A blob that was removed meanwhile stays removed.
                if try transaction.blob(digest) != nil { try transaction.putBlob(digest, row) }
            }
        }
        for (digest, row) in outcomes where row.isSettled {
            core.cache.settled(digest, size: row.size, isRaw: row.flags.contains(.rawFile))
        }
        try core.trimCache()
        return outcomes.count
    }

    private func settle(_ digest: Digest, _ row: BlobRow, _ writer: PackWriter) throws(VarveError) -> BlobRow {
        var row = row
        guard !row.isSettled, row.flags.contains(.rawFile) else { return row }
        do throws(VarveError) {
            let outcome = try BlobSettling(core: core, digest: digest, size: row.size, writer: writer, pace: pace)
                .run(&work.matcher)
            switch outcome {
            case .settled(let place, let storedBytes, let plainBytes):
                row.recipe = place
                row.settledBytes = storedBytes
                row.plainSize = plainBytes
                row.reason = ""
            case .raw(let reason):
                row.reason = reason
            }
        } catch {
            guard error.code == .corrupted else { throw error }
            core.logger.error("a blob could not be settled", metadata: ["blob": "\(digest)", "error": "\(error)"])
            row.reason = RawReason.damaged
        }
        return row
    }

    /// Rebuilds the blob from what is now on disk and compares its digest; only then may it count as settled.
    private func prove(_ row: inout BlobRow, _ digest: Digest) throws(VarveError) {
        guard let place = row.recipe, row.reason.isEmpty else { return }
        do throws(VarveError) {
            try core.rebuild(digest, size: row.size, recipe: place, range: 0..<row.size).prove(pace)
        } catch {
            if error.isTransient || error.code == .cancelled { throw error }
            core.logger.error("a proof failed", metadata: ["blob": "\(digest)", "error": "\(error)"])
            row.recipe = nil
            row.settledBytes = 0
            row.reason = RawReason.proofFailed
        }
    }
}

extension Core {
    /// Pushed bytes of what waits to be settled.
    func queuedBytes() throws(VarveError) -> UInt64 {
        try read { transaction in
            var total: UInt64 = 0
            var last: UInt64?
            while true {
                let page = try transaction.queue(after: last, limit: 1000)
                for item in page { total += try transaction.blob(item.digest)?.size ?? 0 }
                guard page.count == 1000 else { return total }
                last = page.last?.sequence
            }
        }
    }

    /// Tells the cache what is settled and what of it has raw bytes.
    func countSettled() throws(VarveError) {
        var last: Digest?
        while true {
            let page = try read { [last] in try $0.blobs(after: last, limit: 1000) }
            for (digest, row) in page where row.isSettled {
                cache.settled(digest, size: row.size, isRaw: row.flags.contains(.rawFile))
            }
            guard page.count == 1000 else { return }
            last = page.last?.digest
        }
    }

    /// Lets raw bytes of settled blobs go until the cache is within its budget. The index forgets them first: a crash in
    /// between leaves a file that nothing names, never a name without its file.
    func trimCache(to limit: UInt64? = nil) throws(VarveError) {
        let victims = cache.victims(limit: limit)
        guard !victims.isEmpty else { return }
        let gone = try commitBlocking { transaction -> [Digest] in
            var gone: [Digest] = []
            for digest in victims {
                guard var row = try transaction.blob(digest), row.isSettled, row.flags.contains(.rawFile) else {
                    continue
                }
                row.flags.remove(.rawFile)
                try transaction.putBlob(digest, row)
                gone.append(digest)
            }
            return gone
        }
        for digest in victims { cache.removed(digest) }
        for digest in gone {
            do throws(VarveError) {
                _ = try removeRawFile(digest)
            } catch {
                logger.warning("a raw file could not be removed", metadata: ["error": "\(error)"])
            }
        }
    }
}
