// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

import VarveDrivers

extension Store {
    /// Removes what nothing names any more and gives the space back. The store must be this process's alone. Pushes may go
    /// on, and what they acknowledge stays; nothing settles meanwhile. A blob that is being read may break off when its
    /// pack is rewritten; asked for again, it is there.
    ///
    /// What is kept: every manifest of every repository (untagged ones too: they go when they are deleted), what it
    /// names, and every blob that a repository holds. A repository lets go of a blob that none of its manifests names
    /// once it has held it for the grace period. One that never had a manifest deleted and has none keeps what it holds:
    /// it is a place for blobs without manifests. An object holds the blobs that its bytes are in. Uploads that nobody has
    /// written to for seven days go.
    ///
    /// Packs in which nothing is alive go, and those of which less than three quarters are alive are rewritten. Whatever
    /// interrupts a collection leaves a whole store; the next one goes on.
    /// - Parameter graceSeconds: Instead of the setting. Also the age up to which a file that nothing knows is left alone.
    /// - Throws: `readOnly`, `poisoned`, `outOfSpace`, `io`, `cancelled`; `corrupted` when a recipe can not be read, since
    ///   then it is not known which chunks are needed: no pack is touched in that case.
    public func collect(
        graceSeconds: UInt64? = nil, progress: (@Sendable (Progress) -> Void)? = nil
    ) async throws(VarveError) -> CollectReport {
        try await collect(graceSeconds: graceSeconds, progress: progress, reached: { _ in })
    }

    /// The same; `reached` is told of every step that has been done, and ends the collection where it is by throwing.
    package func collect(
        graceSeconds: UInt64?, progress: (@Sendable (Progress) -> Void)?,
        reached: @escaping @Sendable (CollectStep) throws(VarveError) -> Void
    ) async throws(VarveError) -> CollectReport {
        try core.checkWritable()
        try await expireUploads(idleSeconds: Self.uploadIdleSeconds, now: wallClockMilliseconds())
        let stop = StopSign()
        return try await outcome {
            try await withTaskCancellationHandler {
                try await settler.alone { [core, settings = core.settings] () throws(VarveError) in
                    try Collector(
                        core: core, graceSeconds: graceSeconds ?? settings.graceSeconds, stop: stop,
                        progress: progress, reached: reached
                    ).run()
                }
            } onCancel: {
                stop.set()
            }
        }
    }

    /// Runs `body`, whose errors are the engine's own wherever they come from.
    func outcome<Value>(_ body: () async throws -> Value) async throws(VarveError) -> Value {
        do {
            return try await body()
        } catch {
            throw core.asVarveError(error, "the operation was not finished")
        }
    }
}

/// The steps of a collection in their order. A crash behind any of them leaves a whole store.
package enum CollectStep: String, Sendable, CaseIterable {
    /// Repositories hold only what they should.
    case linksRemoved
    /// The index knows no blob that nothing holds.
    case blobRowsRemoved
    /// Neither are there raw files of them.
    case rawFilesRemoved
    /// Files that the index does not know are gone.
    case strayFilesRemoved
    /// A new pack with what is alive of old ones is durable; nothing refers to it.
    case packWritten
    /// The index refers to it instead of the old ones.
    case packReplaced
    /// Files of the old ones are gone.
    case replacedFilesRemoved
    /// So are their rows.
    case replacedRowsRemoved
    /// A pack with nothing alive may not be referred to any more.
    case packCondemned
    /// Its chunks can not be found any more.
    case chunkRowsRemoved
    /// Its file is gone.
    case packFileRemoved
    /// Its row is.
    case packRowRemoved
    /// The journal says no more than the index.
    case journalCompacted
}
