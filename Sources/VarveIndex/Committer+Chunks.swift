// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB

extension Committer {
    /// Makes the chunks of a pack findable, those that are not yet, in several commits; blocks the calling thread.
    ///
    /// LMDB never writes over a page in use, and gives a page back only two commits later. Chunks' keys are spread
    /// evenly, so ten thousand of them touch most of the pages of a table of a million, and the file would grow to three
    /// times what it holds (measured: 105 bytes a chunk against 49 in use). So a batch that would touch a large part of
    /// the table is cut into ranges of keys, each a commit of its own on its own pages: 53-58 bytes a chunk.
    ///
    /// That gives atomicity away, which is not needed: come here after the pack's row is committed. If it is interrupted,
    /// some chunks can not be found and are stored again when they come again; nothing is lost, and nothing is wrong.
    /// - Returns: How many chunks were not known.
    @discardableResult
    package func insertChunks(_ entries: [ChunkEntry], pack: UInt32) throws -> Int {
        let sorted = entries.sorted { ($0.hi, $0.lo) < ($1.hi, $1.lo) }
        let slices = try environment.read { (transaction) throws(IndexError) in
            let access = transaction.access
            var statistics = MDB_stat()
            try access.check(mdb_stat(access.handle, access.tables.chunks, &statistics), "mdb_stat")
            return Committer.slices(entries: sorted.count, leafPages: Int(clamping: statistics.ms_leaf_pages))
        }
        var inserted = 0
        for slice in 0..<slices {
            let range = sorted.count * slice / slices..<sorted.count * (slice + 1) / slices
            inserted += try commit { (transaction) in
                try sorted.withUnsafeBufferPointer { (sorted) throws(IndexError) in
                    try transaction.insertChunks(sorted: UnsafeBufferPointer(rebasing: sorted[range]), pack: pack)
                }
            }
        }
        return inserted
    }

    /// Commits that an insertion of evenly spread keys is cut into, so that each touches about a sixteenth of the
    /// table's pages at most.
    static func slices(entries: Int, leafPages: Int) -> Int {
        // A small table is not worth the commits: what it grows by is less than the space that is left for other rows.
        guard entries > 0, leafPages >= 128 else { return 1 }
        // Of `leafPages`, this many are touched by `entries` keys: leafPages (1 - (1 - 1 / leafPages) ^ entries), within
        // a sixth min(entries, leafPages).
        let touched = min(entries, leafPages)
        return min(max((16 * touched + leafPages - 1) / leafPages, 1), 16)
    }
}

extension Committer {
    /// Writes the journal anew as the present state, and removes what is older: when it has become much longer than what
    /// it says. Blocks the calling thread; commits of others go on meanwhile.
    package func compactJournal() throws {
        guard let journal else { return }
        journal.rotateAtNextFlush()
        // A record, so that there is a batch, a new segment, and a position in it.
        try commit { (transaction) in transaction.journal?.add(.checkpoint) }
        try environment.read { (transaction) throws(IndexError) in try journal.compact(from: transaction) }
    }
}
