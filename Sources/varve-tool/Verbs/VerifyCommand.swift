// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine
import VarveModel
import VarveRegistry

/// `varve verify`.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read everything again and compare it with its digests.",
        discussion: """
            Every pack, every chunk, every blob: raw bytes are hashed, settled blobs are rebuilt and hashed. What is \
            damaged is listed on standard output, a line each, and the exit code is 12.

            Works beside a server, which then does the work.

            With --json, one object: blobs.count, chunks.count, bytes (counts of what was checked), damage (a list of \
            strings, empty if all is well).

            Example:
              varve verify --store ./layers && echo whole
            """)

    @OptionGroup var store: StoreOptions
    @OptionGroup var format: FormatOptions

    func run() async throws {
        let access = StoreAccess(store)
        let bar = ProgressBar()
        defer { bar.finish() }
        let report = try await access.aloneOrServed("verify") { store in
            try await store.verify(progress: bar.sink)
        } served: { client in
            try await client.verify(progress: bar.sink)
        }
        bar.finish()
        if format.json {
            try Output.json(VerifyDocument(report))
        } else {
            let output = Output()
            for line in report.damage { try output.line(line) }
            let checked = [
                Units.count(report.blobsChecked, "blob"), Units.count(report.chunksChecked, "chunk"),
                Units.bytes(report.bytesChecked),
            ]
            let verdict = report.damage.isEmpty ? "all whole" : Units.count(UInt64(report.damage.count), "finding")
            try output.line("checked \(checked.joined(separator: ", ")): \(verdict)")
            try output.flush()
        }
        if !report.damage.isEmpty {
            throw ToolError(
                .damaged, "the store is damaged: \(Units.count(UInt64(report.damage.count), "finding"))")
        }
    }
}

/// `verify --json`.
struct VerifyDocument: Encodable {
    var blobs: StatsDocument.Count
    var chunks: StatsDocument.Count
    var bytes: UInt64
    var damage: [String]

    init(_ report: VerifyReport) {
        blobs = StatsDocument.Count(count: report.blobsChecked)
        chunks = StatsDocument.Count(count: report.chunksChecked)
        bytes = report.bytesChecked
        damage = report.damage
    }
}
