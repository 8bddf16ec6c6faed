// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine

/// `varve gc`.
struct CollectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc",
        abstract: "Remove what nothing names any more, and give the space back.",
        discussion: """
            What is named stays: every manifest in a repository, and every blob that a manifest or a repository names. \
            A blob or an upload that is younger than the grace period stays as well, since the manifest that will \
            name it may still be on its way.

            Needs the store to itself: stop the server first.

            Example:
              varve rm --store ./layers demo:1 --manifest
              varve gc --store ./layers --grace 0
            """)

    @OptionGroup var store: StoreOptions
    @Option(
        help: ArgumentHelp("How long what nothing names yet is safe, as in 30m, 24h or 7d.", valueName: "time"))
    var grace = TimeSpan(seconds: StoreSettings().graceSeconds)
    @OptionGroup var format: FormatOptions

    func run() async throws {
        let access = StoreAccess(store)
        let bar = ProgressBar()
        defer { bar.finish() }
        let grace = grace.seconds
        let report = try await access.alone(
            "gc", instead: "stop the server, collect, and start it again; pushes and pulls wait until then"
        ) { store in
            try await store.collect(graceSeconds: grace, progress: bar.sink)
        }
        bar.finish()
        if format.json {
            try Output.json(CollectDocument(report))
        } else {
            let removed = [
                Units.count(report.blobsRemoved, "blob"), Units.count(report.chunksRemoved, "chunk"),
            ]
            let packs = Units.count(report.packsRewritten, "pack")
            try Output.write(
                "removed \(removed.joined(separator: ", ")); rewrote \(packs); "
                    + "gave back \(Units.bytes(report.bytesFreed))\n")
        }
    }
}

/// `gc --json`.
struct CollectDocument: Encodable {
    struct Removed: Encodable {
        var blobs: UInt64
        var chunks: UInt64
    }
    struct Rewritten: Encodable { var packs: UInt64 }
    var removed: Removed
    var rewritten: Rewritten
    var freed: StatsDocument.Bytes

    init(_ report: CollectReport) {
        removed = Removed(blobs: report.blobsRemoved, chunks: report.chunksRemoved)
        rewritten = Rewritten(packs: report.packsRewritten)
        freed = StatsDocument.Bytes(bytes: report.bytesFreed)
    }
}
