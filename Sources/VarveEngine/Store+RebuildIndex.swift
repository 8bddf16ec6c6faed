// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import Logging
public import VarveModel

import VarveDrivers
import VarveIndex

/// What making the index anew found.
public struct RebuildIndexReport: Sendable {
    /// Packs.
    public var packs: UInt64 = 0
    /// Chunks in them.
    public var chunks: UInt64 = 0
    /// Blobs that have a recipe.
    public var settled: UInt64 = 0
    /// Raw files whose bytes are as their names say.
    public var rawFiles: UInt64 = 0
    /// One line for each thing that was lost, damaged, or is not sure.
    public var problems: [String] = []
}

extension Store {
    /// Makes the index anew from packs, recipes, raw files and the journal. No process may have the store open.
    ///
    /// Chunks and recipes come from the packs, raw blobs from their files, which are read and hashed; names, manifests and
    /// small blobs come from the journal. A recipe of a blob without raw bytes is taken as it is, since those go only when
    /// it is proven; where raw bytes are there too, or there is more than one recipe, it is proven again. The end of a
    /// pack that is not sealed is cut off behind its last whole frame. The old index stays until the new one is whole.
    ///
    /// If the journal is damaged or lost, blobs that nothing names any more are put into the repository `recovered`, so
    /// that the next collection does not take them for garbage.
    /// - Returns: What was found. Damage does not end it: what is whole is kept.
    /// - Throws: `inUse`, `notAStore`, `outOfSpace`, `io`, `unsupported`, `cancelled`.
    @discardableResult
    public static func rebuildIndex(
        at path: String, logger: Logger = Logger(label: "varve"), progress: (@Sendable (Progress) -> Void)? = nil
    ) async throws(VarveError) -> RebuildIndexReport {
        let thread = BlockingPool(threads: 1)
        let stop = StopSign()
        let found: Result<IndexRestorer.Outcome, VarveError>
        do {
            found = .success(
                try await withTaskCancellationHandler {
                    try await thread.run { () throws(VarveError) in
                        try IndexRestorer(path: path, logger: logger, stop: stop, progress: progress).run()
                    }
                } onCancel: {
                    stop.set()
                })
        } catch {
            found = .failure(error as? VarveError ?? VarveError(.io, "the index could not be made anew", cause: error))
        }
        await thread.shutdown()
        let outcome = try found.get()

        var settings = StoreSettings()
        settings.settling = .off
        // What is in the cache is whoever opens the store next to judge.
        settings.cacheBudget = .bytes(.max)
        let store = try await Store.open(at: path, settings: settings, logger: logger)
        let proven: Result<RebuildIndexReport, VarveError>
        do throws(VarveError) {
            proven = .success(try await store.prove(outcome, stop: stop, progress: progress))
        } catch {
            proven = .failure(error)
        }
        await store.close()
        let report = try proven.get()
        for problem in report.problems {
            logger.warning("making the index anew met a problem", metadata: ["problem": "\(problem)"])
        }
        return report
    }

    private func prove(
        _ outcome: IndexRestorer.Outcome, stop: StopSign, progress: (@Sendable (Progress) -> Void)?
    ) async throws(VarveError) -> RebuildIndexReport {
        try await self.outcome {
            try await withTaskCancellationHandler {
                try await settler.alone { [core] () throws(VarveError) in
                    try RecipeProver(core: core, stop: stop, progress: progress).run(outcome)
                }
            } onCancel: {
                stop.set()
            }
        }
    }
}
