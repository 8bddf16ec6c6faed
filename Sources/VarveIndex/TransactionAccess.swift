// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import Glibc

/// What went wrong inside a write transaction beneath its body: kept apart from what the body throws, since a body may
/// wrap or swallow it.
final class TransactionFault {
    /// The first error that says the transaction, or the environment, is lost.
    private(set) var error: IndexError?
    /// Whether anything was written: LMDB does not commit a transaction without changes.
    var hasChanges = false

    /// Notes `returnCode` unless it is the caller's own mistake.
    func note(_ returnCode: Int32, _ call: StaticString) {
        switch returnCode {
        case MDB_SUCCESS, MDB_NOTFOUND, MDB_KEYEXIST, MDB_BAD_VALSIZE: return
        default: if error == nil { error = IndexError(.returnCode(returnCode), call: "\(call)") }
        }
    }

    /// Whether a larger map would have helped.
    var isMapFull: Bool { error?.reason == .returnCode(MDB_MAP_FULL) }
}

/// The handle of a transaction, for this module's table functions. Pointers into the map that its functions answer are
/// good until the transaction ends or writes, and never leave this module but lent to a closure.
package struct TransactionAccess {
    let handle: OpaquePointer
    let tables: Tables
    /// Nil in a read transaction.
    let fault: TransactionFault?

    @inline(__always)
    func check(_ returnCode: Int32, _ call: StaticString) throws(IndexError) {
        guard returnCode == MDB_SUCCESS else {
            fault?.note(returnCode, call)
            let reason: IndexError.Reason =
                returnCode == MDB_BAD_VALSIZE ? .invalidArgument : .returnCode(returnCode)
            throw IndexError(reason, call: "\(call)")
        }
    }

    /// The value under `key`, or nil.
    @inline(__always)
    func get(_ table: MDB_dbi, _ key: UnsafeRawBufferPointer) throws(IndexError) -> UnsafeRawBufferPointer? {
        var keyValue = MDB_val(lending: key)
        var value = MDB_val()
        let returnCode = mdb_get(handle, table, &keyValue, &value)
        if returnCode == MDB_NOTFOUND { return nil }
        try check(returnCode, "mdb_get")
        return value.bytes
    }

    func get(_ table: MDB_dbi, _ key: [UInt8]) throws(IndexError) -> UnsafeRawBufferPointer? {
        try key.withUnsafeBufferPointer { (key) throws(IndexError) in try get(table, UnsafeRawBufferPointer(key)) }
    }

    func put(_ table: MDB_dbi, _ key: [UInt8], _ value: UnsafeRawBufferPointer) throws(IndexError) {
        guard !key.isEmpty, key.count <= Key.maximumBytes else { throw IndexError(.invalidArgument, call: "mdb_put") }
        try key.withUnsafeBufferPointer { (key) throws(IndexError) in
            var keyValue = MDB_val(lending: UnsafeRawBufferPointer(key))
            var data = MDB_val(lending: value)
            try check(mdb_put(handle, table, &keyValue, &data, 0), "mdb_put")
            fault?.hasChanges = true
        }
    }

    func put(_ table: MDB_dbi, _ key: [UInt8], _ value: [UInt8]) throws(IndexError) {
        try value.withUnsafeBufferPointer { (value) throws(IndexError) in
            try put(table, key, UnsafeRawBufferPointer(value))
        }
    }

    /// Removes the row under `key`; false if there is none.
    @discardableResult
    func delete(_ table: MDB_dbi, _ key: [UInt8]) throws(IndexError) -> Bool {
        try key.withUnsafeBufferPointer { (key) throws(IndexError) in
            var keyValue = MDB_val(lending: UnsafeRawBufferPointer(key))
            let returnCode = mdb_del(handle, table, &keyValue, nil)
            if returnCode == MDB_NOTFOUND { return false }
            try check(returnCode, "mdb_del")
            fault?.hasChanges = true
            return true
        }
    }

    /// Number of rows of a table.
    func count(_ table: MDB_dbi) throws(IndexError) -> Int {
        var statistics = MDB_stat()
        try check(mdb_stat(handle, table, &statistics), "mdb_stat")
        return Int(clamping: statistics.ms_entries)
    }

    /// Calls `body` for the rows whose keys begin with `prefix` in order, from the first one behind the key
    /// `prefix ‖ after`, or from the first one where `after` is nil, until it answers false.
    ///
    /// `body` is handed what follows the prefix in the key, the whole key, and the value.
    func scan(
        _ table: MDB_dbi, prefix: [UInt8], after: [UInt8]?,
        _ body: (
            _ rest: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
        ) throws(IndexError) -> Bool
    ) throws(IndexError) {
        let start = Array((prefix + (after ?? [])).prefix(Key.maximumBytes))
        let cursor = try Cursor(self, table)
        var row = start.isEmpty ? try cursor.first() : try cursor.seek(start)
        if after != nil, let found = row, found.key.elementsEqual(start) { row = try cursor.next() }
        while let (key, value) = row {
            guard key.starts(with: prefix) else { return }
            guard try body(UnsafeRawBufferPointer(rebasing: key[prefix.count...]), key, value) else { return }
            row = try cursor.next()
        }
    }

    /// Removes every row whose key begins with `prefix`, after `body` has seen what follows the prefix in its key.
    func deleteAll(
        _ table: MDB_dbi, prefix: [UInt8], _ body: (_ rest: [UInt8]) throws(IndexError) -> Void
    ) throws(IndexError) {
        let cursor = try Cursor(self, table)
        while let (key, _) = try cursor.seek(prefix), key.starts(with: prefix) {
            let rest = Array(key[prefix.count...])
            try cursor.deleteCurrent()
            try body(rest)
        }
    }
}

/// A position in a table, for one scan within one transaction.
struct Cursor: ~Copyable {
    private let access: TransactionAccess
    let handle: OpaquePointer

    init(_ access: TransactionAccess, _ table: MDB_dbi) throws(IndexError) {
        var cursor: OpaquePointer?
        try access.check(mdb_cursor_open(access.handle, table, &cursor), "mdb_cursor_open")
        guard let cursor else { throw IndexError(.returnCode(ENOMEM), call: "mdb_cursor_open") }
        self.access = access
        handle = cursor
    }

    deinit { mdb_cursor_close(handle) }

    typealias Row = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)

    /// The first row of the table.
    func first() throws(IndexError) -> Row? { try move([], MDB_FIRST) }

    /// The last row of the table.
    func last() throws(IndexError) -> Row? { try move([], MDB_LAST) }

    /// The row with the least key that is not below `key`.
    func seek(_ key: [UInt8]) throws(IndexError) -> Row? { try move(key, MDB_SET_RANGE) }

    /// The row behind the current one.
    func next() throws(IndexError) -> Row? { try move([], MDB_NEXT) }

    /// Removes the current row.
    func deleteCurrent() throws(IndexError) {
        try access.check(mdb_cursor_del(handle, 0), "mdb_cursor_del")
        access.fault?.hasChanges = true
    }

    private func move(_ key: [UInt8], _ operation: MDB_cursor_op) throws(IndexError) -> Row? {
        try key.withUnsafeBufferPointer { (key) throws(IndexError) in
            var keyValue = MDB_val(lending: UnsafeRawBufferPointer(key))
            var value = MDB_val()
            let returnCode = mdb_cursor_get(handle, &keyValue, &value, operation)
            if returnCode == MDB_NOTFOUND { return nil }
            try access.check(returnCode, "mdb_cursor_get")
            return (keyValue.bytes, value.bytes)
        }
    }
}

extension MDB_val {
    /// A value that points at `bytes`, which LMDB only reads.
    @inline(__always)
    init(lending bytes: UnsafeRawBufferPointer) {
        self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    @inline(__always)
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}
