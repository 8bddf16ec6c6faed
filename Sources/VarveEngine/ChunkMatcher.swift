// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveIndex
import VarveModel

/// Finds chunks that the store has already. For the one thread that settles.
///
/// Three places are asked, cheapest first: whether the chunk is the one that follows, in its pack, the chunk matched
/// just before (a rebuilt layer is long runs of those); whether it is new in this batch and not in the index yet; the
/// index. The index knows 16 bytes of the digest: what it names is a candidate, and equality is the whole digest in the
/// pack's own table.
struct ChunkMatcher {
    private struct TableKey: Hashable {
        var pack: UInt32
        var frame: Int
    }

    private static let tableBytesMax = 48 << 20

    private let packs: PackStore
    private var fresh: [ChunkDigest: PackStore.ChunkPlace] = [:]
    private var tables: [TableKey: FrameTable] = [:]
    private var tableBytes = 0
    /// The match before: its pack, frame, table, and place in the frame.
    private var last: Match?
    private typealias Match = (reader: PackReader, frame: Int, table: FrameTable, index: Int, ordinal: UInt32)

    init(packs: PackStore) { self.packs = packs }

    /// Where the chunk `digest` of `length` bytes lies, or nil if it is new.
    mutating func find(
        _ digest: ChunkDigest, length: Int, in transaction: borrowing ReadTransaction
    ) throws -> PackStore.ChunkPlace? {
        if let place = try follower(digest) { return place }
        if let place = fresh[digest] {
            last = nil
            return place
        }
        let prefix = digest.prefix16
        guard let candidate = try transaction.lookupChunk(hi: prefix.0, lo: prefix.1) else {
            last = nil
            return nil
        }
        last = try match(digest, length: length, at: candidate)
        return last.map { _ in PackStore.ChunkPlace(pack: candidate.pack, ordinal: candidate.ordinal) }
    }

    /// Compares a candidate's whole digest; nil if it is another one, or not there: a row may outlive its pack.
    private mutating func match(
        _ digest: ChunkDigest, length: Int, at candidate: (pack: UInt32, ordinal: UInt32)
    ) throws(VarveError) -> Match? {
        do throws(VarveError) {
            let reader = try packs.reader(candidate.pack)
            guard !reader.isCondemned else { return nil }
            let (frame, entry) = try reader.frame(holding: candidate.ordinal)
            let table = try table(frame, of: reader)
            let index = Int(candidate.ordinal - entry.firstOrdinal)
            guard index < table.count, table.digest(index) == digest, table.length(index) == length else { return nil }
            return (reader, frame, table, index, candidate.ordinal)
        } catch {
            // Of a damaged pack nothing more is wanted: stored again, the chunk is whole.
            guard error.code == .corrupted else { throw error }
            return nil
        }
    }

    /// A chunk was added to a pack and is not in the index yet.
    mutating func added(_ digest: ChunkDigest, at place: PackStore.ChunkPlace) {
        fresh[digest] = place
        last = nil
    }

    /// Everything added is in the index now, or was taken back.
    mutating func forgetFresh() { fresh.removeAll(keepingCapacity: true) }

    /// Takes back what was added behind an ordinal of a pack.
    mutating func forgetFresh(behind place: PackStore.ChunkPlace) {
        // Frames that were taken back have been read like others by whoever followed a run into them.
        last = nil
        tables = tables.filter { $0.key.pack != place.pack }
        tableBytes = tables.values.reduce(0) { $0 + $1.memoryBytes }
        fresh = fresh.filter { $0.value.pack != place.pack || $0.value.ordinal < place.ordinal }
    }

    private mutating func follower(_ digest: ChunkDigest) throws(VarveError) -> PackStore.ChunkPlace? {
        guard let match = last else { return nil }
        var (frame, table, index) = (match.frame, match.table, match.index + 1)
        if index == table.count {
            frame += 1
            while let entry = match.reader.entry(frame), entry.chunkCount == 0 { frame += 1 }
            guard match.reader.entry(frame) != nil else { return nil }
            do throws(VarveError) {
                table = try self.table(frame, of: match.reader)
            } catch {
                guard error.code == .corrupted else { throw error }
                return nil
            }
            index = 0
        }
        guard table.digest(index) == digest else { return nil }
        let ordinal = match.ordinal + 1
        last = (match.reader, frame, table, index, ordinal)
        return PackStore.ChunkPlace(pack: match.reader.number, ordinal: ordinal)
    }

    private mutating func table(_ frame: Int, of reader: PackReader) throws(VarveError) -> FrameTable {
        let key = TableKey(pack: reader.number, frame: frame)
        if let table = tables[key] { return table }
        let table = try reader.table(frame)
        if tableBytes > Self.tableBytesMax {
            tables.removeAll(keepingCapacity: true)
            tableBytes = 0
        }
        tables[key] = table
        tableBytes += table.memoryBytes
        return table
    }
}
