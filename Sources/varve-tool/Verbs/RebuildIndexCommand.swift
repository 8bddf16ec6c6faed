// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine
import VarveModel

/// `varve rebuild-index`.
struct RebuildIndexCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild-index",
        abstract: "Make the index anew from packs, recipes, raw files and the journal.",
        discussion: """
            The index is what finds everything; it can be lost (deleted, damaged, left out of a backup) without losing a \
            layer. The end of a pack that no commit knows of is cut off (frames in it are kept beside it, as ID.cut), \
            and a raw file that is not what its name says is renamed (.damaged); nothing else but the index is written. \
            What was lost or is not sure is said, a line each.

            Needs the store to itself: stop the server first.

            Example:
              varve rebuild-index --store ./layers && varve verify --store ./layers
            """)

    @OptionGroup var store: StoreOptions

    func run() async throws {
        let access = StoreAccess(store)
        try access.requireStore()
        let bar = ProgressBar()
        defer { bar.finish() }
        let report: RebuildIndexReport
        do {
            report = try await Store.rebuildIndex(at: access.path, logger: access.logger, progress: bar.sink)
        } catch {
            guard error.code == .inUse else { throw error }
            throw await access.inUse("rebuild-index", instead: "stop the server, rebuild, and start it again")
        }
        bar.finish()
        let stats = try await access.reading { try await $0.stats() }
        let found = [
            Units.count(stats.blobsCount, "blob"), Units.count(stats.chunksCount, "chunk"),
            Units.count(stats.packsCount, "pack"), Units.count(stats.tagsCount, "tag"),
        ]
        for problem in report.problems { try Output.write("\(problem)\n") }
        try Output.write("rebuilt: \(found.joined(separator: ", "))\n")
    }
}
