// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

/// Makes an index anew beside a lost or damaged one, and puts it in its place when it is whole.
///
/// The order is the caller's: `replayJournal(directory:)` first, then what raw files and packs say of themselves, in
/// transactions of `environment`, then `finish()`. Until then the old index is as it was.
///
/// The old index is renamed away, then the new one gets its name. An interruption before leaves the old one, one
/// later the new one: `recover(indexPath:)` sees to that and removes what is left.
package final class IndexRebuilder {
    /// The new index.
    package let environment: IndexEnvironment
    private let path: String
    private let newPath: String

    static func newPath(_ path: String) -> String { path + ".new" }
    static func oldPath(_ path: String) -> String { path + ".old" }

    /// Begins a new index beside `indexPath`; one that was begun and not finished is removed.
    package init(indexPath: String, options: IndexEnvironment.Options = .init()) throws(IndexError) {
        path = indexPath
        newPath = IndexRebuilder.newPath(indexPath)
        try IndexRebuilder.remove(newPath)
        environment = try IndexEnvironment(path: newPath, options: options)
    }

    /// Recreates repositories, links, manifests, tags, referrers and small blobs out of the journal, and notes its end
    /// as the new index's position. Nothing of the journal is changed.
    /// - Returns: What was met; the caller decides whether damage is to be lived with.
    package func replayJournal(directory: String) throws(IndexError) -> ReplayReport {
        var batch: [JournalRecord] = []
        let report = try Journal.replay(directory: directory) { (record) throws(IndexError) in
            batch.append(record)
            if batch.count == 1000 { try apply(&batch) }
        }
        try apply(&batch)
        if let end = report.end {
            try environment.write { (transaction) throws(IndexError) in
                try transaction.setMeta(JournalPosition.metaKey, end.encoded())
            }
        }
        return report
    }

    private func apply(_ batch: inout [JournalRecord]) throws(IndexError) {
        let records = batch
        try environment.write { (transaction) throws(IndexError) in
            for record in records { try record.apply(to: transaction) }
        }
        batch.removeAll(keepingCapacity: true)
    }

    /// Closes the new index and puts it in the place of the old one, which is removed. Then writes it once more without
    /// its free pages: packs came in one by one, each with keys all over the table of chunks (95 bytes a chunk, of which 49
    /// are in use). If there is no room for that it stays as it is, which is whole.
    package func finish() throws(IndexError) {
        environment.close()
        try IndexRebuilder.replace(path)
        _ = try? IndexRebuilder.compact(indexPath: path)
    }

    /// Puts `<path>.new`, which is whole and closed, in the place of `path`, which is closed too.
    static func replace(_ path: String) throws(IndexError) {
        let newPath = newPath(path)
        try DurableDirectory.synchronize(newPath)
        let parent = DurableDirectory.parent(of: path)
        let old = IndexRebuilder.oldPath(path)
        try IndexRebuilder.remove(old)
        // Two renames: between them there is no index, and `recover` takes the new one, which is whole by then.
        if rename(path, old) != 0, errno != ENOENT { throw .system("rename", path) }
        try DurableDirectory.synchronize(parent)
        guard rename(newPath, path) == 0 else { throw .system("rename", newPath) }
        try DurableDirectory.synchronize(parent)
        try IndexRebuilder.remove(old)
    }

    /// Drops the new index; the old one stays.
    package func abandon() throws(IndexError) {
        environment.close()
        try IndexRebuilder.remove(newPath)
    }

    /// Finishes or undoes what an interrupted rebuild left. Call it before the index is opened.
    package static func recover(indexPath: String) throws(IndexError) {
        let (new, old) = (newPath(indexPath), oldPath(indexPath))
        if access(indexPath, F_OK) != 0, access(old, F_OK) == 0 {
            let source = access(new, F_OK) == 0 ? new : old
            guard rename(source, indexPath) == 0 else { throw .system("rename", source) }
            try DurableDirectory.synchronize(DurableDirectory.parent(of: indexPath))
        }
        try remove(new)
        try remove(old)
    }

    static func remove(_ path: String) throws(IndexError) {
        guard access(path, F_OK) == 0 else { return }
        for name in try DurableDirectory.names(in: path) {
            guard unlink(path + "/" + name) == 0 else { throw .system("unlink", path + "/" + name) }
        }
        guard rmdir(path) == 0 else { throw .system("rmdir", path) }
    }
}
