// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB

/// How large the index is.
package struct IndexStatistics: Sendable, Equatable {
    /// Bytes of the file that were ever used; free pages within are used again before it grows.
    package var fileBytes: UInt64 = 0
    /// Bytes of the map.
    package var mapBytes: UInt64 = 0
    /// Blobs known.
    package var blobs = 0
    /// Chunks that can be found. Chunks whose digests begin with the same eight bytes count once.
    package var chunks = 0
    /// Packs known.
    package var packs = 0
    /// Repositories.
    package var repositories = 0
    /// Blobs in repositories: one for every pair.
    package var links = 0
    /// Manifests in repositories.
    package var manifests = 0
    /// Tags.
    package var tags = 0
    /// Blobs that wait for being settled.
    package var queued = 0
    /// Buckets.
    package var buckets = 0
    /// Objects that wait for being taken in as blobs.
    package var adoptions = 0
}

extension IndexEnvironment {
    /// How large the index is now; takes no time that grows with it.
    package func statistics() throws(IndexError) -> IndexStatistics {
        try read { (transaction) throws(IndexError) in
            let access = transaction.access
            let use = mapUse()
            var statistics = IndexStatistics()
            statistics.fileBytes = use.used
            statistics.mapBytes = use.map
            statistics.blobs = try access.count(access.tables.blobs)
            statistics.chunks = try access.count(access.tables.chunks)
            statistics.packs = try access.count(access.tables.packs)
            statistics.repositories = try access.count(access.tables.repositories)
            statistics.links = try access.count(access.tables.links)
            statistics.manifests = try access.count(access.tables.manifests)
            statistics.tags = try access.count(access.tables.tags)
            statistics.queued = try access.count(access.tables.queued)
            statistics.buckets = try access.count(access.tables.buckets)
            statistics.adoptions = try access.count(access.tables.adoptions)
            return statistics
        }
    }
}
