// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

import VarveDrivers
import VarveIndex

extension Store {
    /// Settles everything that waits, and with `evict` drops the raw bytes of every settled blob.
    /// - Throws: `poisoned`, `outOfSpace`, `io`.
    public func settle(
        evict: Bool, progress: (@Sendable (Progress) -> Void)? = nil
    ) async throws(VarveError) {
        try await settler.drain(progress: progress)
        if evict { try await settler.evict(to: 0) }
    }

    /// Counts and sizes. Also works on a store opened `readOnly`.
    public func stats() async throws(VarveError) -> StoreStats {
        try await core.pool.run { [core] () throws(VarveError) in try core.stats() }
    }
}

extension Core {
    /// Walks the rows of all blobs, a thousand a snapshot, so that no snapshot stays open for long.
    func stats() throws(VarveError) -> StoreStats {
        var stats = StoreStats()
        var last: Digest?
        while true {
            let page = try read { [last] in try $0.blobs(after: last, limit: 1000) }
            for (_, row) in page { stats.count(row) }
            guard page.count == 1000 else { break }
            last = page.last?.digest
        }
        let rows: IndexStatistics
        do throws(IndexError) {
            rows = try environment.statistics()
        } catch {
            throw error.asVarveError("the index could not be read")
        }
        stats.chunksCount = UInt64(rows.chunks)
        stats.packsCount = UInt64(rows.packs)
        stats.queuedCount = UInt64(rows.queued)
        stats.repositoriesCount = UInt64(rows.repositories)
        stats.manifestsCount = UInt64(rows.manifests)
        stats.tagsCount = UInt64(rows.tags)
        stats.bucketsCount = UInt64(rows.buckets)
        stats.adoptingCount = UInt64(rows.adoptions)
        do throws(DriverError) {
            stats.packsBytes = try files.usage(of: StoreLayout.packs).bytes
            stats.indexBytes = try files.usage(of: StoreLayout.index).bytes
            stats.spoolBytes = try files.usage(of: StoreLayout.spool).bytes
            stats.journalBytes = try files.usage(of: StoreLayout.journal).bytes
            stats.storedBytes = try files.usage(of: "").bytes
        } catch {
            throw error.asVarveError
        }
        return stats
    }
}

extension StoreStats {
    fileprivate mutating func count(_ row: BlobRow) {
        blobsCount += 1
        blobsBytes += row.size
        if row.flags.contains(.inline) {
            inlineCount += 1
            inlineBytes += row.size
        } else if row.isSettled {
            settledCount += 1
            settledBytes += row.size
            if row.flags.contains(.rawFile) { cacheBytes += row.size }
        } else {
            rawCount += 1
            rawBytes += row.size
            rawReasons[row.reason.isEmpty ? RawReason.pending : row.reason, default: 0] += 1
        }
    }
}
