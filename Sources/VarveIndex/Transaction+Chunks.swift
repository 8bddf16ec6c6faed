// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB

// Which pack holds which chunk: the largest table by far, so every byte of a row counts.
//
// Key: bytes 0..<8 of the chunk's digest as a number. Value: one slot of 16 bytes for each chunk with that key: bytes
// 8..<16 of the digest, pack number, ordinal. That is a 16-byte digest prefix spelled so that LMDB compares numbers
// and not strings. Only somebody who looks for it finds two chunks with one key (2^32 hashes); they share a row.
// Two chunks whose first 16 bytes are equal are not told apart here: the first one keeps the slot, and the one who asks
// compares the whole digest with the pack's table and finds that it is another one: a chunk stored again, nothing worse.
//
// There is no checksum: a wrong answer is found out by the same comparison. The truth is the packs' digest tables.

/// A slot of a row: one chunk.
private struct ChunkSlot {
    static let byteCount = 16

    /// The slot for `lo` among `slots`, or nil.
    @inline(__always)
    static func find(_ lo: UInt64, in slots: UnsafeRawBufferPointer) -> (offset: Int, pack: UInt32, ordinal: UInt32)? {
        var offset = 0
        while offset + byteCount <= slots.count {
            if UInt64(littleEndian: slots.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) == lo {
                let pack = slots.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self)
                let ordinal = slots.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self)
                return (offset, UInt32(littleEndian: pack), UInt32(littleEndian: ordinal))
            }
            offset += byteCount
        }
        return nil
    }

    @inline(__always)
    static func spell(_ lo: UInt64, _ pack: UInt32, _ ordinal: UInt32) -> (UInt64, UInt32, UInt32) {
        (lo.littleEndian, pack.littleEndian, ordinal.littleEndian)
    }

    /// Chunks in a row, at most: whoever crafts more gets no more of them found.
    static let slotsMax = 64
}

extension IndexTransaction where Self: ~Copyable {
    /// Where the chunk lies whose digest begins with these 16 bytes; nil if none is known.
    ///
    /// It is a candidate: the caller compares the whole digest, and treats an ordinal that the pack's row does not cover
    /// as absent.
    /// - Parameters:
    ///   - hi: Bytes 0 to 7 of the digest, read as a little-endian number.
    ///   - lo: Bytes 8 to 15 of the digest, read as a little-endian number.
    @inline(__always)
    package func lookupChunk(hi: UInt64, lo: UInt64) throws(IndexError) -> (pack: UInt32, ordinal: UInt32)? {
        try access.chunk(hi, lo)
    }
}

extension TransactionAccess {
    @inline(__always)
    func chunk(_ hi: UInt64, _ lo: UInt64) throws(IndexError) -> (pack: UInt32, ordinal: UInt32)? {
        var key = hi
        var value = MDB_val()
        let returnCode = withUnsafeMutableBytes(of: &key) { bytes in
            var keyValue = MDB_val(mv_size: 8, mv_data: bytes.baseAddress)
            return mdb_get(handle, tables.chunks, &keyValue, &value)
        }
        if returnCode == MDB_NOTFOUND { return nil }
        try check(returnCode, "mdb_get")
        guard let slot = ChunkSlot.find(lo, in: value.bytes) else { return nil }
        return (slot.pack, slot.ordinal)
    }

    /// Rewrites the row of `hi`: the slots that are there but the 16 bytes at `removed`, then `added`.
    fileprivate func rewriteChunks(
        _ hi: UInt64, without removed: Int?, adding added: (UInt64, UInt32, UInt32)?
    ) throws(IndexError) {
        var key = hi
        let keyBytes = withUnsafeBytes(of: &key) { Array($0) }
        var slots = Array(try get(tables.chunks, keyBytes) ?? UnsafeRawBufferPointer(start: nil, count: 0))
        if let removed, removed + ChunkSlot.byteCount <= slots.count {
            slots.removeSubrange(removed..<removed + ChunkSlot.byteCount)
        }
        if let added { withUnsafeBytes(of: added) { slots.append(contentsOf: $0) } }
        if slots.isEmpty {
            try delete(tables.chunks, keyBytes)
        } else {
            try put(tables.chunks, keyBytes, slots)
        }
    }
}

extension WriteTransaction {
    /// Makes the chunks of a pack findable, those that are not yet: a chunk that is known keeps its place.
    ///
    /// All of them in this transaction, which with many of them in a large index touches most of the table's pages and
    /// makes the file grow by as many; `Committer.insertChunks(_:pack:)` does not. `entries` is left sorted.
    /// - Returns: How many were not known.
    @discardableResult
    package func insertChunks(sorting entries: inout [ChunkEntry], pack: UInt32) throws(IndexError) -> Int {
        entries.sort { ($0.hi, $0.lo) < ($1.hi, $1.lo) }
        return try entries.withUnsafeBufferPointer { (entries) throws(IndexError) in
            try insertChunks(sorted: entries, pack: pack)
        }
    }

    /// The same for entries that are sorted by `hi`, with one cursor that goes forward.
    @discardableResult
    func insertChunks(sorted entries: UnsafeBufferPointer<ChunkEntry>, pack: UInt32) throws(IndexError) -> Int {
        let cursor = try Cursor(access, access.tables.chunks)
        var inserted = 0
        for entry in entries {
            var key = entry.hi
            var slot = ChunkSlot.spell(entry.lo, pack, entry.ordinal)
            var value = MDB_val()
            let returnCode = withUnsafeMutableBytes(of: &key) { keyBytes in
                withUnsafeMutableBytes(of: &slot) { slotBytes in
                    var keyValue = MDB_val(mv_size: 8, mv_data: keyBytes.baseAddress)
                    value = MDB_val(mv_size: ChunkSlot.byteCount, mv_data: slotBytes.baseAddress)
                    return mdb_cursor_put(cursor.handle, &keyValue, &value, UInt32(MDB_NOOVERWRITE))
                }
            }
            if returnCode == MDB_KEYEXIST {
                guard ChunkSlot.find(entry.lo, in: value.bytes) == nil,
                    value.mv_size < ChunkSlot.slotsMax * ChunkSlot.byteCount
                else { continue }
                try access.rewriteChunks(entry.hi, without: nil, adding: slot)
            } else {
                try access.check(returnCode, "mdb_cursor_put")
            }
            inserted += 1
        }
        if inserted > 0 { fault.hasChanges = true }
        return inserted
    }

    /// Forgets where a chunk lies, if that is in `pack`; false if it is not.
    @discardableResult
    package func removeChunk(hi: UInt64, lo: UInt64, ifIn pack: UInt32) throws(IndexError) -> Bool {
        guard let slot = try chunkSlot(hi, lo), slot.pack == pack else { return false }
        try access.rewriteChunks(hi, without: slot.offset, adding: nil)
        return true
    }

    /// Says that a chunk lies in another pack now, if so far it lay in `pack`; false if it did not.
    @discardableResult
    package func moveChunk(
        hi: UInt64, lo: UInt64, from pack: UInt32, to newPack: UInt32, ordinal: UInt32
    ) throws(IndexError) -> Bool {
        guard let slot = try chunkSlot(hi, lo), slot.pack == pack else { return false }
        try access.rewriteChunks(hi, without: slot.offset, adding: ChunkSlot.spell(lo, newPack, ordinal))
        return true
    }

    private func chunkSlot(_ hi: UInt64, _ lo: UInt64) throws(IndexError) -> (offset: Int, pack: UInt32)? {
        let keyBytes = withUnsafeBytes(of: hi) { Array($0) }
        guard let slots = try access.get(access.tables.chunks, keyBytes),
            let slot = ChunkSlot.find(lo, in: slots)
        else { return nil }
        return (slot.offset, slot.pack)
    }
}
