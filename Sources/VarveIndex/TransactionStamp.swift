// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB

// Each transaction that changes something notes its own number in a row. LMDB has two meta pages and takes the one with
// the higher number; if the older one's number becomes higher by a wrong bit, the state before the last commit is back,
// whole in itself, and what was acknowledged last is gone without a word. The row says of which transaction the state is.

extension TransactionAccess {
    private static let stampKey = "index.transaction"

    /// Notes the number of this transaction, which is to be committed.
    func stamp() throws(IndexError) {
        try setCounter(TransactionAccess.stampKey, UInt64(mdb_txn_id(handle)))
    }

    /// Compares the row with `number`, the transaction that the meta page names.
    ///
    /// A copy that LMDB made begins to count anew, with 1; what was written before there were such rows has none.
    func checkStamp(_ number: UInt64) throws(IndexError) {
        guard number > 1, try get(tables.meta, Array(TransactionAccess.stampKey.utf8)) != nil else { return }
        guard try counter(TransactionAccess.stampKey) == number else {
            throw .corrupt("index", "a meta page's transaction")
        }
    }
}
