// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

// Packs: which chunks are alive, which packs go, which are rewritten.
//
// Rewriting: the new pack is durable → one commit (the new pack's row, places of chunks, forwards, places of recipes, the
// old packs condemned) → the old files go → their rows go. Removing: condemned → chunks not found any more → file → row.
// A crash leaves, at most, a file that nothing knows, or a condemned pack that nothing needs: the next collection finds
// that nothing in it is alive and removes it.

extension Collector {
    private struct Candidate {
        var number: UInt32
        var row: PackRow
        var liveBytes: UInt64
    }

    /// Removes dead packs and rewrites those of which too little is alive.
    func sweepPacks() throws(VarveError) {
        let live = try mark()
        try removeForwards(but: live)
        var dead: [(number: UInt32, row: PackRow)] = []
        var rewritten: [Candidate] = []
        try forEachPack { (number, row) throws(VarveError) in
            if live.isEmpty(number) {
                dead.append((number, row))
                return
            }
            let directory = try core.packs.reader(number).directory
            let liveBytes = live.bytes(of: number, directory)
            let bytes = directory.endOffset - min(directory.endOffset, UInt64(PackHeader.byteCount))
            if liveBytes < bytes / 100 * Self.rewriteBelowPercent + bytes % 100 * Self.rewriteBelowPercent / 100 {
                rewritten.append(Candidate(number: number, row: row, liveBytes: liveBytes))
            } else {
                try noteLiveBytes(number, row, liveBytes, dead: bytes - min(bytes, liveBytes))
            }
        }
        try rewrite(rewritten, live)
        for (index, pack) in dead.enumerated() {
            note("removing packs", UInt64(index), UInt64(dead.count))
            try removePack(pack.number, pack.row)
        }
    }

    private func forEachPack(_ body: (UInt32, PackRow) throws(VarveError) -> Void) throws(VarveError) {
        var last: UInt32?
        while true {
            let page = try core.read { [last] in try $0.packs(after: last, limit: Self.pageRows) }
            for (number, row) in page { try body(number, row) }
            try stop.check()
            guard page.count == Self.pageRows else { return }
            last = page.last?.number
        }
    }

    func forEachSettledBlob(_ body: (Digest, RecipePlace) throws(VarveError) -> Void) throws(VarveError) {
        var last: Digest?
        while true {
            let page = try core.read { [last] in try $0.blobs(after: last, limit: Self.pageRows) }
            for (digest, row) in page {
                if let place = row.recipe { try body(digest, place) }
            }
            try stop.check()
            guard page.count == Self.pageRows else { return }
            last = page.last?.digest
        }
    }

    /// Finds what the blobs that are left need.
    private func mark() throws(VarveError) -> LiveChunks {
        var live = LiveChunks()
        var done: UInt64 = 0
        try forEachSettledBlob { (digest, place) throws(VarveError) in
            do throws(VarveError) {
                try live.add(digest, place, core: core)
            } catch {
                throw VarveError(
                    error.code, "no pack was collected, since it is not known what blob \(digest) needs", cause: error)
            }
            done += 1
            if done % 64 == 0 { note("reading recipes", 0, 0) }
        }
        return live
    }

    /// Forgets forwards that no recipe needs any more.
    private func removeForwards(but live: LiveChunks) throws(VarveError) {
        var last: SIMD16<UInt8>?
        while true {
            let page = try core.read { [last] in try $0.forwards(after: last, limit: 64) }
            let unused = page.filter { !live.names.contains(PackID($0.id)) }
            if !unused.isEmpty {
                try core.commitBlocking { for forward in unused { try $0.removeForward(forward.id) } }
            }
            guard page.count == 64 else { return }
            last = page.last?.id
        }
    }

    private func noteLiveBytes(
        _ number: UInt32, _ row: PackRow, _ liveBytes: UInt64, dead deadBytes: UInt64
    ) throws(VarveError) {
        guard row.liveBytes != liveBytes || row.deadBytes != deadBytes else { return }
        try core.commitBlocking { transaction in
            guard var row = try transaction.pack(number) else { return }
            row.liveBytes = liveBytes
            row.deadBytes = deadBytes
            try transaction.putPack(number, row)
        }
    }

    // MARK: Removing

    private func removePack(_ number: UInt32, _ row: PackRow) throws(VarveError) {
        if row.state != .condemned {
            try core.commitBlocking { transaction in
                guard var row = try transaction.pack(number) else { return }
                row.state = .condemned
                row.liveBytes = 0
                row.deadBytes = row.committedBytes
                try transaction.putPack(number, row)
            }
        }
        try did(.packCondemned)
        try forgetChunks(of: number)
        try did(.chunkRowsRemoved)
        try removeFile(of: number, row)
        try did(.packFileRemoved)
        try core.commitBlocking { _ = try $0.removePack(number) }
        try did(.packRowRemoved)
    }

    /// Makes chunks of a pack that goes not findable. Of a damaged pack not all are known: who finds one of those is told
    /// that the pack is gone.
    private func forgetChunks(of number: UInt32) throws(VarveError) {
        guard let reader = try? core.packs.reader(number) else { return }
        var entries: [ChunkEntry] = []
        func flush() throws(VarveError) {
            guard !entries.isEmpty else { return }
            entries.sort { ($0.hi, $0.lo) < ($1.hi, $1.lo) }
            report.chunksRemoved += UInt64(entries.count)
            try core.commitBlocking { [entries] transaction in
                for entry in entries { try transaction.removeChunk(hi: entry.hi, lo: entry.lo, ifIn: number) }
            }
            entries.removeAll(keepingCapacity: true)
            try stop.check()
        }
        for (index, entry) in reader.directory.entries.enumerated() where entry.kind.holdsChunks {
            guard let table = try? reader.table(index) else { continue }
            for chunk in 0..<table.count {
                let prefix = table.digest(chunk).prefix16
                entries.append(ChunkEntry(hi: prefix.0, lo: prefix.1, ordinal: 0))
            }
            if entries.count >= 1 << 16 { try flush() }
        }
        try flush()
    }

    private func removeFile(of number: UInt32, _ row: PackRow) throws(VarveError) {
        core.packs.forget(number)
        try remove(StoreLayout.pack(row.packID.hex).path)
    }

    // MARK: Rewriting

    /// Rewrites packs, as many into one new pack as it holds.
    private func rewrite(_ candidates: [Candidate], _ live: LiveChunks) throws(VarveError) {
        guard !candidates.isEmpty else { return }
        let recipes = try recipes(in: Set(candidates.map(\.number)))
        let total = candidates.reduce(0) { $0 + $1.liveBytes }
        var done: UInt64 = 0
        var mover: PackMover?
        for candidate in candidates {
            note("rewriting packs", done, total)
            if let full = mover, full.directory.endOffset + candidate.liveBytes > core.settings.packBytes {
                try replace(full, live)
                mover = nil
            }
            let target: PackMover
            if let mover { target = mover } else { target = try PackMover(core: core) }
            mover = target
            do throws(VarveError) {
                try target.move(
                    candidate.number, candidate.row, try core.packs.reader(candidate.number),
                    live: live.chunks[candidate.number], recipes: recipes[candidate.number] ?? [:])
            } catch {
                guard error.code == .corrupted else { throw error }
                // What is left of it may be needed for a repair.
                core.logger.error(
                    "a damaged pack is not rewritten",
                    metadata: ["pack": "\(candidate.row.packID)", "error": "\(error)"])
            }
            done += candidate.liveBytes
            try stop.check()
        }
        if let mover { try replace(mover, live) }
    }

    /// The blobs whose recipes lie in some packs: by pack, then by offset.
    private func recipes(
        in packs: Set<UInt32>
    ) throws(VarveError) -> [UInt32: [UInt64: (Digest, RecipePlace)]] {
        var found: [UInt32: [UInt64: (Digest, RecipePlace)]] = [:]
        try forEachSettledBlob { (digest, place) in
            if packs.contains(place.pack) { found[place.pack, default: [:]][place.offset] = (digest, place) }
        }
        return found
    }

    /// Puts a new pack in the place of the old ones.
    private func replace(_ mover: PackMover, _ live: LiveChunks) throws(VarveError) {
        let moved = mover.moved
        guard !moved.isEmpty else { return try mover.discard() }
        let forwards = try forwards(for: mover, live)
        let row = try mover.seal(
            ForwardingTable(forwards.map { ForwardingTable.Entry(pack: PackID($0.id), runs: $0.runs.forwarding) }))
        try did(.packWritten)
        try core.commitBlocking { transaction in
            let number = try transaction.allocatePackNumber()
            try transaction.putPack(number, row)
            for (id, runs) in forwards { try transaction.putForward(id, ForwardRow(pack: number, runs: runs)) }
            for pack in moved { try Self.refer(to: number, insteadOf: pack, in: transaction) }
        }
        report.packsRewritten += UInt64(moved.count)
        report.chunksRemoved += moved.reduce(0) { $0 + UInt64($1.dead.count) }
        try did(.packReplaced)
        let freedBefore = report.bytesFreed
        for pack in moved { try removeFile(of: pack.number, pack.row) }
        report.bytesFreed -= min(report.bytesFreed - freedBefore, row.committedBytes)
        try did(.replacedFilesRemoved)
        try core.commitBlocking { transaction in
            for pack in moved { try transaction.removePack(pack.number) }
        }
        try did(.replacedRowsRemoved)
    }

    /// What the names by which recipes know chunks of the new pack are forwarded to: the old packs themselves, and what
    /// had been forwarded to them before.
    private func forwards(
        for mover: PackMover, _ live: LiveChunks
    ) throws(VarveError) -> [(id: SIMD16<UInt8>, runs: [ForwardRow.Run])] {
        var result: [(id: SIMD16<UInt8>, runs: [ForwardRow.Run])] = []
        var runs: [UInt32: [ForwardRow.Run]] = [:]
        for pack in mover.moved {
            runs[pack.number] = pack.runs
            if live.names.contains(pack.row.packID) { result.append((pack.row.id, pack.runs)) }
        }
        var last: SIMD16<UInt8>?
        while true {
            let page = try core.read { [last] in try $0.forwards(after: last, limit: 64) }
            for (id, row) in page where live.names.contains(PackID(id)) {
                if let next = runs[row.pack] { result.append((id, row.runs.followed(by: next))) }
            }
            guard page.count == 64 else { return result }
            last = page.last?.id
        }
    }

    private static func refer(
        to number: UInt32, insteadOf old: PackMover.Moved, in transaction: borrowing WriteTransaction
    ) throws {
        // What is alive first: where a chunk lay twice in the pack, the one that is alive is to be found.
        for entry in old.live {
            try transaction.moveChunk(
                hi: entry.hi, lo: entry.lo, from: old.number, to: number, ordinal: entry.ordinal)
        }
        for entry in old.dead { try transaction.removeChunk(hi: entry.hi, lo: entry.lo, ifIn: old.number) }
        for (digest, place, offset) in old.recipes {
            guard var row = try transaction.blob(digest), row.recipe == place else { continue }
            row.recipe = RecipePlace(pack: number, offset: offset, byteCount: place.byteCount)
            try transaction.putBlob(digest, row)
        }
        guard var row = try transaction.pack(old.number) else { return }
        row.state = .condemned
        row.liveBytes = 0
        row.deadBytes = row.committedBytes
        try transaction.putPack(old.number, row)
    }
}

extension PackID {
    /// The id that the index keeps as a vector.
    init(_ vector: SIMD16<UInt8>) {
        self = PackRow(id: vector).packID
    }
}
