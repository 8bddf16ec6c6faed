// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB

extension Committer {
    /// What became of one attempt to commit a batch.
    private enum Attempt {
        /// Each body's error, or nil; what had none is durable.
        case done([(any Error)?])
        /// The map was full: once more from the start with a larger one.
        case mapFull
        /// Nothing was committed, and nothing will be.
        case failed(IndexError)
    }

    /// Bytes of journal records after which a batch takes no further body.
    private static let journalMaximumBytes = 32 << 20

    /// Commits a batch, or as much of its beginning as is enough at a time.
    /// - Returns: For one or more of the first bodies, the error, or nil if it is durable.
    func commit(_ batch: [Item]) -> [(any Error)?] {
        environment.writer.lock()
        defer { environment.writer.unlock() }
        var repeats: UInt64 = 0
        do throws(IndexError) {
            while true {
                try environment.checkWritable()
                try environment.growIfNearlyFull()
                switch attempt(batch) {
                case .done(let errors):
                    count(bodies: errors.count, repeats: repeats)
                    return errors
                case .mapFull:
                    repeats &+= 1
                    try environment.grow()
                case .failed(let error):
                    environment.poison(IndexEnvironment.explained(error, environment.path))
                    throw environment.poisoned ?? error
                }
            }
        } catch {
            // A map that can not grow, too, would fail every batch from now on, some in the middle of a journal write.
            if error.isFull { environment.poison(error) }
            let answer = error.isFull ? environment.poisoned ?? error : error
            return batch.map { _ in answer }
        }
    }

    private func attempt(_ batch: [Item]) -> Attempt {
        let fault = TransactionFault()
        let buffer = JournalBuffer()
        do throws(IndexError) {
            let transaction = try WriteTransaction(
                in: environment, fault: fault, journal: journal == nil ? nil : buffer)
            let errors = run(batch, in: transaction, fault, buffer)
            if let error = fault.error { throw error }
            // All bodies failed: there is nothing to commit, and the transaction goes when it leaves this scope.
            guard errors.contains(where: { $0 == nil }) else { return .done(errors) }
            try writeJournal(buffer, transaction, fault)
            return .done(errors)
        } catch {
            return fault.isMapFull ? .mapFull : .failed(fault.error ?? error)
        }
    }

    /// Runs the bodies, each in its own transaction within `transaction`.
    private func run(
        _ batch: [Item], in transaction: borrowing WriteTransaction, _ fault: TransactionFault, _ buffer: JournalBuffer
    ) -> [(any Error)?] {
        var errors: [(any Error)?] = []
        for item in batch {
            let recordsBefore = buffer.records.count
            do {
                if batch.count == 1 {
                    // The only one needs no transaction of its own: if it throws, nothing is committed.
                    try item.body(transaction)
                } else {
                    let nested = try WriteTransaction(nestedIn: transaction, environment)
                    try item.body(nested)
                    if let error = fault.error { throw error }
                    try nested.commit()
                }
                errors.append(nil)
            } catch {
                buffer.truncate(to: recordsBefore)
                errors.append(error)
            }
            if fault.error != nil || buffer.byteCount >= Committer.journalMaximumBytes { break }
        }
        return errors
    }

    /// The journal first, then the index.
    private func writeJournal(
        _ buffer: JournalBuffer, _ transaction: consuming WriteTransaction, _ fault: TransactionFault
    ) throws(IndexError) {
        let before = journal?.position
        if let journal, !buffer.records.isEmpty {
            let position = try journal.flush(buffer)
            do throws(IndexError) {
                try transaction.setMeta(JournalPosition.metaKey, position.encoded())
            } catch {
                if fault.isMapFull, let before { try journal.takeBack(to: before) }
                throw error
            }
        }
        if let code = commitFault?(), code != MDB_SUCCESS {
            fault.note(code, "mdb_txn_commit")
            throw IndexError(.returnCode(code), call: "mdb_txn_commit")
        }
        do throws(IndexError) {
            try transaction.commit()
        } catch {
            if fault.isMapFull, let before, let journal, !buffer.records.isEmpty { try journal.takeBack(to: before) }
            throw error
        }
    }
}
