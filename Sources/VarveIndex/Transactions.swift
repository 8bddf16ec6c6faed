// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import Glibc

/// What can be read: the state of all tables at one moment.
package protocol IndexTransaction: ~Copyable {
    /// The transaction's handle, for this module's table functions.
    var access: TransactionAccess { get }
}

/// A view of the index as of one commit, lent to the body of `IndexEnvironment.read(_:)`. It sees nothing of what is
/// committed later and keeps the pages it may read from being used again: keep bodies short.
package struct ReadTransaction: ~Copyable, IndexTransaction {
    package let access: TransactionAccess
    private let environment: IndexEnvironment

    init(_ handle: OpaquePointer, _ environment: IndexEnvironment) {
        access = TransactionAccess(handle: handle, tables: environment.tables, fault: nil)
        self.environment = environment
    }

    deinit { environment.endRead(access.handle) }
}

/// A write transaction's handle. Aborts unless committed.
private struct WriteHandle: ~Copyable {
    let pointer: OpaquePointer

    init(_ environment: OpaquePointer, parent: OpaquePointer?, _ fault: TransactionFault) throws(IndexError) {
        var handle: OpaquePointer?
        let returnCode = mdb_txn_begin(environment, parent, 0, &handle)
        fault.note(returnCode, "mdb_txn_begin")
        try check(returnCode, "mdb_txn_begin")
        guard let handle else { throw IndexError(.returnCode(ENOMEM), call: "mdb_txn_begin") }
        pointer = handle
    }

    deinit { mdb_txn_abort(pointer) }

    /// Commits. LMDB frees the handle even if that fails.
    consuming func commit() -> Int32 {
        let pointer = pointer
        discard self
        return commitTransaction(pointer)
    }
}

/// The index's single write transaction, or one nested in it. Aborts unless committed.
package struct WriteTransaction: ~Copyable, IndexTransaction {
    private let handle: WriteHandle
    private let tables: Tables
    let fault: TransactionFault
    private let isNested: Bool
    /// Collects the catalogue changes of the transaction; nil where nothing is journalled.
    let journal: JournalBuffer?

    package var access: TransactionAccess {
        TransactionAccess(handle: handle.pointer, tables: tables, fault: fault)
    }

    /// Begins the write transaction of `environment`, whose writer lock the caller holds.
    init(
        in environment: borrowing IndexEnvironment, fault: TransactionFault, journal: JournalBuffer?
    ) throws(IndexError) {
        handle = try WriteHandle(environment.handle, parent: nil, fault)
        tables = environment.tables
        isNested = false
        self.fault = fault
        self.journal = journal
    }

    /// Begins a transaction inside `parent`, which must not be used until this one has ended.
    init(nestedIn parent: borrowing WriteTransaction, _ environment: borrowing IndexEnvironment) throws(IndexError) {
        handle = try WriteHandle(environment.handle, parent: parent.handle.pointer, parent.fault)
        tables = parent.tables
        isNested = true
        fault = parent.fault
        journal = parent.journal
    }

    /// Commits; a failure is noted as the transaction's fault, too.
    consuming func commit() throws(IndexError) {
        if !isNested, fault.hasChanges { try access.stamp() }
        let fault = fault
        let returnCode = handle.commit()
        fault.note(returnCode, "mdb_txn_commit")
        try check(returnCode, "mdb_txn_commit")
    }
}
