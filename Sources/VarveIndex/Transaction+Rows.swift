// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
package import VarveModel

// What all tables of rows share, and the tables of small things: numbers and notes of the store (`meta`), and the blobs
// that wait for being settled (`queue`, `queued`).

extension TransactionAccess {
    /// The row under `key`, or nil.
    func row<Row: CodedRow>(_ table: MDB_dbi, _ key: [UInt8]) throws(IndexError) -> Row? {
        guard let bytes = try get(table, key) else { return nil }
        return try Row(decoding: bytes, key: key)
    }

    func put<Row: CodedRow>(_ table: MDB_dbi, _ key: [UInt8], row: Row) throws(IndexError) {
        try put(table, key, row.encoded(key: key))
    }

    /// Bytes with a checksum behind, as `meta`, `inline`, `packIDs`, `queue` and `queued` hold them.
    func checked(_ table: MDB_dbi, _ key: [UInt8], _ what: StaticString) throws(IndexError) -> UnsafeRawBufferPointer? {
        guard let bytes = try get(table, key) else { return nil }
        return try TransactionAccess.checked(bytes, key: key, what)
    }

    static func checked(
        _ bytes: UnsafeRawBufferPointer, key: [UInt8], _ what: StaticString
    ) throws(IndexError) -> UnsafeRawBufferPointer {
        guard bytes.count >= 4 else { throw .corrupt("\(what)", "ends early") }
        let body = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 4)])
        let expected = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: body.count, as: UInt32.self))
        guard checksum(body, continuing: checksum(key)) == expected else {
            throw .corrupt("\(what)", "its checksum differs")
        }
        return body
    }

    func putChecked(_ table: MDB_dbi, _ key: [UInt8], _ bytes: [UInt8]) throws(IndexError) {
        var writer = RowWriter(capacity: bytes.count + 4)
        writer.raw(bytes)
        writer.fixed(checksum(bytes, continuing: checksum(key)))
        try put(table, key, writer.bytes)
    }

    func meta(_ name: String) throws(IndexError) -> [UInt8]? {
        try checked(tables.meta, Array(name.utf8), "meta row").map { Array($0) }
    }

    func setMeta(_ name: String, _ bytes: [UInt8]?) throws(IndexError) {
        let key = Array(name.utf8)
        if let bytes {
            try putChecked(tables.meta, key, bytes)
        } else {
            try delete(tables.meta, key)
        }
    }

    /// A number kept in `meta`; 0 where there is none.
    func counter(_ name: String) throws(IndexError) -> UInt64 {
        guard let bytes = try checked(tables.meta, Array(name.utf8), "meta row") else { return 0 }
        var reader = RowReader(bytes, of: "counter")
        return try reader.fixed(UInt64.self)
    }

    func setCounter(_ name: String, _ value: UInt64) throws(IndexError) {
        var writer = RowWriter(capacity: 8)
        writer.fixed(value)
        try setMeta(name, writer.bytes)
    }
}

extension IndexTransaction where Self: ~Copyable {
    /// A note of the store under a name of 1 to 255 bytes; nil if there is none. Names that begin with `index.` and
    /// `format` are this module's.
    package func meta(_ name: String) throws(IndexError) -> [UInt8]? { try access.meta(name) }

    /// The place of `digest` among the blobs that wait for being settled; nil if it does not wait.
    package func queueSequence(of digest: Digest) throws(IndexError) -> UInt64? {
        let access = access
        guard let bytes = try access.checked(access.tables.queued, Key.digest(digest), "queue row") else { return nil }
        var reader = RowReader(bytes, of: "queue row")
        return try reader.fixed(UInt64.self)
    }

    /// The blobs that wait for being settled, first come first, from behind the place `after`; `limit` at most.
    package func queue(
        after: UInt64? = nil, limit: Int
    ) throws(IndexError) -> [(sequence: UInt64, digest: Digest)] {
        var entries: [(sequence: UInt64, digest: Digest)] = []
        guard limit > 0 else { return entries }
        let access = access
        let start = after.map { Key.number($0) }
        try access.scan(access.tables.queue, prefix: [], after: start) { (rest, key, value) throws(IndexError) in
            var keyReader = RowReader(rest, of: "queue key")
            let sequence = try keyReader.ordered(UInt64.self)
            var reader = RowReader(try TransactionAccess.checked(value, key: Array(key), "queue row"), of: "queue row")
            entries.append((sequence, try reader.lastDigest()))
            return entries.count < limit
        }
        return entries
    }
}

extension WriteTransaction {
    /// Sets, or with nil removes, a note of the store.
    package func setMeta(_ name: String, _ bytes: [UInt8]?) throws(IndexError) { try access.setMeta(name, bytes) }

    /// Puts `digest` behind all blobs that wait for being settled, unless it waits already.
    /// - Returns: Its place.
    @discardableResult
    package func enqueue(_ digest: Digest) throws(IndexError) -> UInt64 {
        if let sequence = try queueSequence(of: digest) { return sequence }
        let sequence = try access.counter("index.queue") &+ 1
        try access.setCounter("index.queue", sequence)
        try access.putChecked(access.tables.queue, Key.number(sequence), Key.digest(digest))
        var writer = RowWriter(capacity: 8)
        writer.fixed(sequence)
        try access.putChecked(access.tables.queued, Key.digest(digest), writer.bytes)
        return sequence
    }

    /// Takes `digest` from the blobs that wait; false if it did not wait.
    @discardableResult
    package func dequeue(_ digest: Digest) throws(IndexError) -> Bool {
        guard let sequence = try queueSequence(of: digest) else { return false }
        try access.delete(access.tables.queued, Key.digest(digest))
        try access.delete(access.tables.queue, Key.number(sequence))
        return true
    }

    /// Puts `digest` behind all others, whether or not it waited before.
    /// - Returns: Its new place.
    @discardableResult
    package func requeue(_ digest: Digest) throws(IndexError) -> UInt64 {
        try dequeue(digest)
        return try enqueue(digest)
    }
}
