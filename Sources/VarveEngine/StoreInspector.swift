// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// Puts what lies on disk into words.
enum StoreInspector {
    /// Where a walk over a table goes on.
    enum Place: Sendable {
        case start
        case behindDigest(Digest)
        case behindNumber(UInt64)
        case behindText(String)
        case behindID(SIMD16<UInt8>)
    }

    /// A table that can be shown.
    struct Table: Sendable {
        var name: String
        /// Some rows from a place on, and where the next ones are.
        var page: @Sendable (Place, borrowing ReadTransaction) throws -> (lines: [String], next: Place?)
    }

    private static let pageRows = 500

    static let packs = Table(name: "packs") { place, transaction in
        var last: UInt32?
        if case .behindNumber(let number) = place { last = UInt32(clamping: number) }
        let page = try transaction.packs(after: last, limit: pageRows)
        return (
            page.map { "pack \($0.row.packID)  " + words(of: $0.row, number: $0.number) },
            page.count == pageRows ? page.last.map { .behindNumber(UInt64($0.number)) } : nil
        )
    }

    static let tables: [Table] = [
        Table(name: "blobs") { place, transaction in
            let page = try transaction.blobs(after: digest(place), limit: pageRows)
            return (page.map { "blobs  \($0.digest)  " + words(of: $0.row) }, next(page.count, page.last?.digest))
        },
        packs,
        Table(name: "forwards") { place, transaction in
            var last: SIMD16<UInt8>?
            if case .behindID(let id) = place { last = id }
            let page = try transaction.forwards(after: last, limit: 64)
            let lines = page.map { forward in
                let runs = forward.row.runs.map { "\($0.oldFirst)+\($0.count)→\($0.newFirst)" }
                return "forwards  \(PackID(forward.id))  to pack \(forward.row.pack)  runs "
                    + runs.joined(separator: " ")
            }
            return (lines, page.count == 64 ? page.last.map { .behindID($0.id) } : nil)
        },
        Table(name: "repositories") { place, transaction in
            try eachRepository(place, transaction) { name, transaction in
                ["repositories  \(name)  created \(try transaction.repository(name)?.createdAt ?? 0)"]
            }
        },
        Table(name: "links") { place, transaction in
            try eachRepository(place, transaction) { name, transaction in
                try all { try transaction.links(in: name, after: $0, limit: $1) }
                    .map { "links  \(name)  \($0.digest)  since \($0.row.linkedAt)" }
            }
        },
        Table(name: "manifests") { place, transaction in
            try eachRepository(place, transaction) { name, transaction in
                try all { try transaction.manifests(in: name, after: $0, limit: $1) }.map { digest, row in
                    let names = row.references.map { "\($0.kind) \($0.digest)" }.joined(separator: ", ")
                    return "manifests  \(name)  \(digest)  \(row.mediaType)  \(row.size) bytes  pushed \(row.pushedAt)"
                        + (row.subject.map { "  subject \($0)" } ?? "") + "  names \(names)"
                }
            }
        },
        Table(name: "tags") { place, transaction in
            try eachRepository(place, transaction) { name, transaction in
                try transaction.tags(in: name, limit: .max).compactMap { tag in
                    try transaction.tag(tag, in: name).map { "tags  \(name):\(tag)  \($0.digest)  set \($0.updatedAt)" }
                }
            }
        },
        Table(name: "referrers") { place, transaction in
            try eachRepository(place, transaction) { name, transaction in
                try all { try transaction.manifests(in: name, after: $0, limit: $1) }.compactMap { digest, row in
                    guard let subject = row.subject,
                        let referrer = try transaction.referrer(digest, of: subject, in: name)
                    else { return nil }
                    return "referrers  \(name)  \(subject)  by \(digest)  \(referrer.artifactType ?? "-")"
                }
            }
        },
        Table(name: "queue") { place, transaction in
            var last: UInt64?
            if case .behindNumber(let number) = place { last = number }
            let page = try transaction.queue(after: last, limit: pageRows)
            return (
                page.map { "queue  \($0.sequence)  \($0.digest)" },
                page.count == pageRows ? page.last.map { .behindNumber($0.sequence) } : nil
            )
        },
        Table(name: "chunks") { place, transaction in
            var last: UInt64?
            if case .behindNumber(let number) = place { last = number }
            let page = try transaction.chunks(after: last, limit: pageRows)
            let lines = page.map { chunk in
                let digest = withUnsafeBytes(of: (chunk.hi.littleEndian, chunk.lo.littleEndian)) { $0.hex }
                return "chunks  \(digest)…  pack \(chunk.pack)  ordinal \(chunk.ordinal)"
            }
            // A page ends with all chunks of a key.
            return (lines, page.count >= pageRows ? page.last.map { .behindNumber($0.hi) } : nil)
        },
    ]

    // MARK: One pack, one recipe

    /// A pack's row, its frames, and what it was forwarded from.
    static func pack(_ hex: String, _ core: Core) throws(VarveError) -> [String] {
        guard let id = PackID(hex: hex) else { throw VarveError(.notFound, "no pack is called \(hex)") }
        let found = try core.read { transaction -> (UInt32, PackRow)? in
            guard let number = try transaction.packNumber(of: id.vector), let row = try transaction.pack(number) else {
                return nil
            }
            return (number, row)
        }
        guard let (number, row) = found else { throw VarveError(.notFound, "no pack \(hex)") }
        let reader = try PackReader(number: number, row: row, files: core.files)
        var lines = ["pack \(id)  " + words(of: row, number: number)]
        for (index, entry) in reader.directory.entries.enumerated() {
            var line = "frame \(index)  \(entry.kind)  offset \(entry.offset)  bytes \(entry.frameBytes)"
            line += "  payload \(entry.payloadBytes) of \(entry.rawBytes)"
            if entry.kind.holdsChunks {
                line += "  chunks \(entry.chunkCount) from \(entry.firstOrdinal)  raw address \(entry.rawAddress)"
            } else {
                do throws(VarveError) {
                    line += "  of \(try reader.recipe(at: entry.offset, byteCount: entry.frameBytes).digest)"
                } catch {
                    line += "  damaged: \(error.plain)"
                }
            }
            lines.append(line)
        }
        if row.state != .open, let table = try? PackReader.forwarding(of: reader.file, length: row.committedBytes) {
            for entry in table.entries {
                let runs = entry.runs.map { "\($0.oldFirst)+\($0.count)→\($0.newFirst)" }.joined(separator: " ")
                lines.append("was \(entry.pack)  runs \(runs)")
            }
        }
        return lines
    }

    static func recipe(_ digest: Digest, _ core: Core) throws(VarveError) -> [String] {
        guard let row = try core.read({ try $0.blob(digest) }) else { throw VarveError(.notFound, "no blob \(digest)") }
        guard let place = row.recipe else {
            throw VarveError(.notFound, "blob \(digest) has no recipe: it is not settled (\(row.reason))")
        }
        let recipe = try core.recipe(of: digest, at: place)
        let resolver = try core.resolver(for: recipe)
        let pack = try core.packs.reader(place.pack).id
        var lines = [
            "recipe of \(digest)  in pack \(pack) at \(place.offset), \(place.byteCount) bytes",
            "blob \(recipe.blobBytes) bytes  plain \(recipe.plainBytes) bytes  outer encoding "
                + "\(recipe.outerEncoding.rawValue), \(recipe.outerPlan.count) bytes",
        ]
        for (index, id) in recipe.packs.enumerated() {
            let now = try core.packs.reader(resolver.numbers[index]).id
            lines.append("pack \(index)  \(id)" + (resolver.isForwarded(index) ? "  rewritten, now in \(now)" : ""))
        }
        for stream in StreamKind.allCases {
            let runs = recipe.runs(of: stream)
            guard runs.byteCount > 0 else { continue }
            lines.append("stream \(stream)  \(runs.byteCount) bytes  \(runs.runs.count) runs")
            let present = try resolver.resolve(runs, of: recipe)
            for (run, now) in zip(runs.runs, present) {
                lines.append(
                    "run  pack \(run.pack)  chunks \(run.ordinals)  \(run.byteCount) bytes  at \(run.streamOffset)"
                        + (now.firstOrdinal == run.firstOrdinal ? "" : "  now \(now.ordinals)"))
            }
        }
        lines.append(
            "weave  \(recipe.weave.entryCount) entries  \(recipe.weave.headerBytes) header bytes  "
                + "\(recipe.weave.contentBytes) content bytes")
        return lines
    }

    // MARK: Words

    private static func words(of row: PackRow, number: UInt32) -> String {
        "number \(number)  \(row.state)  bytes \(row.committedBytes)  frames \(row.frameCount)  chunks \(row.chunkCount)  "
            + "live \(row.liveBytes)  dead \(row.deadBytes)  created \(row.createdAt)"
    }

    private static func words(of row: BlobRow) -> String {
        var words = "\(row.size) bytes"
        if row.flags.contains(.inline) { words += "  inline" }
        if row.flags.contains(.rawFile) { words += "  raw" }
        if let place = row.recipe {
            words += "  recipe in pack \(place.pack) at \(place.offset), \(place.byteCount) bytes"
            words += "  settled for \(row.settledBytes)"
        }
        if !row.reason.isEmpty { words += "  (\(row.reason))" }
        return words + "  landed \(row.landedAt)"
    }

    private static func digest(_ place: Place) -> Digest? {
        if case .behindDigest(let digest) = place { digest } else { nil }
    }

    private static func next(_ count: Int, _ last: Digest?) -> Place? {
        count == pageRows ? last.map { .behindDigest($0) } : nil
    }

    /// The rows of some repositories, whole repositories at a time.
    private static func eachRepository(
        _ place: Place, _ transaction: borrowing ReadTransaction,
        _ body: (RepositoryName, borrowing ReadTransaction) throws -> [String]
    ) throws -> (lines: [String], next: Place?) {
        var last: String?
        if case .behindText(let text) = place { last = text }
        var lines: [String] = []
        while true {
            guard let name = try transaction.repositories(after: last, limit: 1).first else { return (lines, nil) }
            lines += try body(name, transaction)
            last = name.description
            if lines.count >= pageRows { return (lines, .behindText(name.description)) }
        }
    }

    /// All pages of something that is ordered by digest.
    private static func all<Row>(
        _ page: (Digest?, Int) throws -> [(digest: Digest, row: Row)]
    ) throws -> [(digest: Digest, row: Row)] {
        var all: [(digest: Digest, row: Row)] = []
        while true {
            let rows = try page(all.last?.digest, pageRows)
            all += rows
            guard rows.count == pageRows else { return all }
        }
    }
}

extension PackReader {
    /// The forwarding table in the footer of a sealed pack of `length` bytes.
    /// - Throws: `corrupted`, `io`.
    static func forwarding(of file: File, length: UInt64) throws(VarveError) -> ForwardingTable {
        do {
            guard length >= UInt64(PackHeader.byteCount + PackTrailer.byteCount) else { return ForwardingTable() }
            let end = try file.read(at: length - UInt64(PackTrailer.byteCount), count: PackTrailer.byteCount)
            let trailer = try end.lend { bytes throws(CodecError) in try PackTrailer(decoding: bytes, fileBytes: length)
            }
            let footer = try file.read(at: trailer.footerOffset, count: trailer.footerBytes)
            return try footer.lend { bytes throws(CodecError) in
                try ForwardingTable(decodingFooter: bytes, trailer: trailer)
            }
        } catch let error as DriverError {
            throw error.asVarveError
        } catch {
            throw VarveError(.corrupted, "a pack's footer is damaged", cause: error)
        }
    }
}
