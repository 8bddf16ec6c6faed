// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine
import VarveRegistry

/// `varve stats`.
struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show what the store holds, what that takes on disk, and what was saved.",
        discussion: """
            Works beside a server: then the figures are the server's own.

            With --json, one object; counts and bytes are numbers, and keys are only ever added:
              blobs.count, blobs.bytes       blobs, and their bytes as they were pushed
              settled.count, settled.bytes   those that can be rebuilt from chunks, bytes as pushed
              raw.count, raw.bytes           those that can be served from their raw bytes only
              raw.reasons                    object: reason → count of those
              inline.count, inline.bytes     small blobs and manifests, kept in the journal and the index
              cache.bytes                    raw bytes kept of settled blobs, for fast pulls
              queue.count                    blobs that wait to be settled
              chunks.count                   distinct chunks
              packs.count, packs.bytes       files of compressed chunks
              index.bytes, journal.bytes     what finds them again
              stored.bytes                   every file of the store together
              repositories.count, manifests.count, tags.count
              ratio                          blobs.bytes / stored.bytes; 0 for an empty store

            Example:
              varve stats --store ./layers --json | jq .ratio
            """)

    @OptionGroup var store: StoreOptions
    @OptionGroup var format: FormatOptions

    func run() async throws {
        let access = StoreAccess(store)
        let served = try await access.askServer { try await $0.stats() }
        let stats = if let served { served } else { try await access.reading { try await $0.stats() } }
        if format.json {
            try Output.json(StatsDocument(stats))
        } else {
            try Output.write(StatsReport(stats).text)
        }
    }
}

/// `stats --json`. Keys are a promise: they may be added, never renamed, moved or made strings.
struct StatsDocument: Encodable {
    struct CountAndBytes: Encodable {
        var count: UInt64
        var bytes: UInt64
    }
    struct Raw: Encodable {
        var count: UInt64
        var bytes: UInt64
        var reasons: [String: UInt64]
    }
    struct Count: Encodable { var count: UInt64 }
    struct Bytes: Encodable { var bytes: UInt64 }

    var blobs: CountAndBytes
    var settled: CountAndBytes
    var raw: Raw
    var inline: CountAndBytes
    var cache: Bytes
    var queue: Count
    var chunks: Count
    var packs: CountAndBytes
    var index: Bytes
    var journal: Bytes
    var spool: Bytes
    var adopting: Count
    var buckets: Count
    var stored: Bytes
    var repositories: Count
    var manifests: Count
    var tags: Count
    var ratio: Double

    init(_ stats: StoreStats) {
        blobs = CountAndBytes(count: stats.blobsCount, bytes: stats.blobsBytes)
        settled = CountAndBytes(count: stats.settledCount, bytes: stats.settledBytes)
        raw = Raw(count: stats.rawCount, bytes: stats.rawBytes, reasons: stats.rawReasons)
        inline = CountAndBytes(count: stats.inlineCount, bytes: stats.inlineBytes)
        cache = Bytes(bytes: stats.cacheBytes)
        queue = Count(count: stats.queuedCount)
        chunks = Count(count: stats.chunksCount)
        packs = CountAndBytes(count: stats.packsCount, bytes: stats.packsBytes)
        index = Bytes(bytes: stats.indexBytes)
        journal = Bytes(bytes: stats.journalBytes)
        spool = Bytes(bytes: stats.spoolBytes)
        adopting = Count(count: stats.adoptingCount)
        buckets = Count(count: stats.bucketsCount)
        stored = Bytes(bytes: stats.storedBytes)
        repositories = Count(count: stats.repositoriesCount)
        manifests = Count(count: stats.manifestsCount)
        tags = Count(count: stats.tagsCount)
        ratio = stats.ratio
    }
}

/// `stats` for people.
struct StatsReport {
    let text: String

    init(_ stats: StoreStats) {
        var table = TextTable([("", .left), ("COUNT", .right), ("SIZE", .right), ("", .left)])
        func row(_ name: String, _ count: UInt64?, _ bytes: UInt64?, _ remark: String = "") {
            table.add([name, count.map(Units.grouped) ?? "", bytes.map(Units.bytes) ?? "", remark])
        }
        let reasons = stats.rawReasons.filter { $0.value > 0 }
            .sorted { ($0.value, $1.key) > ($1.value, $0.key) }
            .map { "\($0.key) \($0.value)" }
            .joined(separator: ", ")
        row("blobs", stats.blobsCount, stats.blobsBytes, "as they were pushed")
        row("  settled", stats.settledCount, stats.settledBytes, "rebuilt from chunks when asked for")
        row("  raw", stats.rawCount, stats.rawBytes, reasons.isEmpty ? "" : "because: \(reasons)")
        row("  inline", stats.inlineCount, stats.inlineBytes, "small: kept in journal and index")
        if stats.queuedCount > 0 { row("  waiting", stats.queuedCount, nil, "to be settled") }
        row("chunks", stats.chunksCount, nil, "distinct")
        row("packs", stats.packsCount, stats.packsBytes, "compressed chunks")
        row("cache", nil, stats.cacheBytes, "raw bytes kept of settled blobs")
        if stats.bucketsCount > 0 {
            row("spool", nil, stats.spoolBytes, "bytes of objects in buckets that are no blobs")
            if stats.adoptingCount > 0 { row("  waiting", stats.adoptingCount, nil, "to become blobs") }
        }
        row("index", nil, stats.indexBytes)
        row("journal", nil, stats.journalBytes)
        row("stored", nil, stats.storedBytes, Self.saving(stats))
        let names = [
            Units.count(stats.repositoriesCount, "repository", plural: "repositories"),
            Units.count(stats.manifestsCount, "manifest"), Units.count(stats.tagsCount, "tag"),
        ]
        text = table.text + names.joined(separator: ", ") + "\n"
    }

    private static func saving(_ stats: StoreStats) -> String {
        guard stats.blobsBytes > 0, stats.storedBytes > 0 else { return "every file of the store" }
        return "\(Units.percent(stats.storedBytes, of: stats.blobsBytes)) of what was pushed, "
            + "ratio \(Units.decimal(stats.ratio, digits: 2))"
    }
}
