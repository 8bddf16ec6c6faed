// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine
import VarveModel
import VarveRegistry

/// `varve settle`.
struct SettleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle",
        abstract: "Settle everything that waits, now.",
        discussion: """
            Every blob that has landed and not been settled is cut into chunks, stored, and proved: rebuilt, and compared \
            with its digest. A blob that can not be rebuilt exactly, or saves nothing, stays raw; 'varve stats' counts \
            those by reason.

            With --evict, the raw bytes of all settled blobs are dropped as well, whatever the cache's budget: what is \
            left is the store at its smallest.

            Works beside a server, which then does the work.

            Example:
              varve settle --store ./layers --evict
            """)

    @OptionGroup var store: StoreOptions
    @Flag(help: "Drop the raw bytes of every settled blob.")
    var evict = false
    @OptionGroup var tuning: SettlingOptions

    func run() async throws {
        let access = StoreAccess(store)
        let bar = ProgressBar()
        defer { bar.finish() }
        let evict = evict
        // What was pushed to a serving process meanwhile is queued again by now, and not this command's to wait for.
        let (stats, left) = try await access.aloneOrServed("settle", settings: tuning.settings) { store in
            try await store.settle(evict: evict, progress: bar.sink)
            let stats = try await store.stats()
            return (stats, stats.queuedCount)
        } served: { client in
            try await client.settle(evict: evict, progress: bar.sink)
            return (try await client.stats(), 0)
        }
        bar.finish()
        let states = "\(stats.settledCount) settled, \(stats.rawCount) raw, \(stats.inlineCount) inline"
        let sizes = "\(Units.bytes(stats.blobsBytes)) as pushed, \(Units.bytes(stats.storedBytes)) stored"
        try Output.write("\(Units.count(stats.blobsCount, "blob")): \(states); \(sizes)\n")
        if left > 0 {
            throw ToolError(.partial, "\(Units.count(left, "blob")) still to be settled")
        }
    }
}

/// How settling spends its time: what `serve`, `settle` and `import` take.
struct SettlingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "zstd level of new chunks, 1 (fast) to 19 (small).", valueName: "n"))
    var level: Int = StoreSettings().compressionLevel
    @Option(
        help: ArgumentHelp(
            "Threads that compress, besides the one that cuts; 0 = one less than there are cores.", valueName: "n"))
    var workers: Int = StoreSettings().workers

    func validate() throws {
        guard (1...19).contains(level) else { throw ValidationError("--level takes 1 to 19.") }
        guard (0...256).contains(workers) else { throw ValidationError("--workers takes 0 to 256.") }
    }

    var settings: StoreSettings {
        var settings = StoreSettings()
        settings.compressionLevel = level
        settings.workers = workers
        return settings
    }
}
