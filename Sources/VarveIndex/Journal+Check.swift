// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

// What `attach` refuses, asked without changing anything: before an index is made where one was lost, and by whoever
// opens a store for reading only. An empty index beside a journal with content would show an empty store.

extension Journal {
    /// Refuses to make an index at `indexPath` where the journal in `directory` says that there was one.
    /// - Throws: `journalAhead`; what reading the journal failed with.
    package static func checkNotLost(directory: String, indexPath: String) throws(IndexError) {
        guard try PageFile.open(in: indexPath) == nil, access(directory, F_OK) == 0 else { return }
        let listing = try JournalListing(directory)
        guard listing.snapshots.isEmpty, try contentBatches(directory, listing.segments) == 0 else {
            throw IndexError(.journalAhead, call: "journal", detail: "the index is lost, the journal is not")
        }
    }

    /// Refuses an index that lacks what the journal in `directory` holds, as `attach` does. Another process may write to
    /// both meanwhile.
    /// - Throws: `journalAhead`; what reading failed with.
    package static func check(directory: String, against environment: IndexEnvironment) throws(IndexError) {
        guard access(directory, F_OK) == 0 else { return }
        // One batch may be on its way into the index. More than one, and the index must have moved on by then.
        for _ in 0..<16 {
            let position = try position(in: environment)
            let batches: Int
            do throws(IndexError) {
                batches = try batchesBehind(position, directory)
            } catch {
                // Replaced by a snapshot between being listed and being opened.
                guard error.reason == .returnCode(ENOENT) else { throw error }
                continue
            }
            if batches <= 1 { return }
            if try Self.position(in: environment) == position {
                throw IndexError(.journalAhead, call: "journal", detail: "\(batches) batches behind the index")
            }
        }
    }

    private static func position(in environment: IndexEnvironment) throws(IndexError) -> JournalPosition? {
        try environment.read { (transaction) throws(IndexError) in try transaction.journalPosition() }
    }

    /// Whole batches that an index with this position lacks; an index that never had a journal lacks any content.
    private static func batchesBehind(_ position: JournalPosition?, _ directory: String) throws(IndexError) -> Int {
        let listing = try JournalListing(directory)
        guard let position else {
            let batches = try contentBatches(directory, listing.segments)
            return batches == 0 && listing.snapshots.isEmpty ? 0 : .max
        }
        var batches = try contentBatches(directory, listing.segments.filter { $0 > position.segment })
        if listing.segments.contains(position.segment) {
            batches += try wholeBatches(directory, position.segment, from: position.offset).count
        }
        return batches
    }
}
