// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How a store is opened. Every value has a default that suits a fresh install.
public struct StoreSettings: Sendable {
    /// When landed blobs are turned into chunks.
    public enum Settling: String, Sendable, CaseIterable {
        /// By a worker behind the clients' backs (the default).
        case background
        /// Before the push is acknowledged. A push then takes as long as settling does, and its time tells whether the
        /// bytes were known.
        case inline
        /// Only when asked to (`varve settle`).
        case off
    }

    /// How many raw bytes of settled blobs are kept for fast pulls.
    public enum CacheBudget: Sendable, Hashable {
        /// A share of the bytes that the settled blobs were pushed with, in percent.
        case percentOfSettled(Int)
        /// That many bytes; 0 keeps none.
        case bytes(UInt64)
    }

    /// When landed blobs settle.
    public var settling: Settling = .background
    /// Budget of the hot cache.
    public var cacheBudget: CacheBudget = .percentOfSettled(10)
    /// Threads that compress and decompress, besides the one that settles. 0 = one less than there are cores, at least 1.
    public var workers: Int = 0
    /// Threads for file and index work of requests. 0 = 4 per core, at least 8.
    public var ioThreads: Int = 0
    /// zstd level of new frames.
    public var compressionLevel: Int = 3
    /// Seconds for which a blob or manifest that nothing names yet is safe from collection.
    public var graceSeconds: UInt64 = 24 * 3600
    /// Bytes of decoded frames kept in memory for all readers together.
    public var frameCacheBytes: Int = 64 << 20
    /// A pack that has grown past this is sealed. Smaller only in tests.
    package var packBytes: UInt64 = 64 << 20
    /// Whether settling in the background has a low priority and steps back while other threads of the process are busy:
    /// for a server, whose requests go before.
    public var settlingYields = false
    /// Opens without the right to write; works beside a process that serves the store.
    public var readOnly: Bool = false

    /// The defaults.
    public init() {}
}
