// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import Glibc

extension IndexRebuilder {
    /// Copies the index without the pages that are free in it, and puts the copy in its place: LMDB's file never becomes
    /// shorter by itself. The index must be closed, and the caller be alone with it.
    ///
    /// Takes as long as copying what is in use. Whatever interrupts it leaves one whole index, see `recover(indexPath:)`.
    /// - Returns: Bytes of the file before and after. If less than an eighth would be saved, it stays as it is.
    /// - Throws: What copying failed with, a full disk for instance; the index is then as before.
    @discardableResult
    package static func compact(indexPath: String) throws(IndexError) -> (before: UInt64, after: UInt64) {
        try recover(indexPath: indexPath)
        let new = newPath(indexPath)
        try DurableDirectory.create(new)
        do {
            let environment = try IndexEnvironment(path: indexPath)
            defer { environment.close() }
            try check(mdb_env_copy2(environment.handle, new, UInt32(MDB_CP_COMPACT)), "mdb_env_copy2")
            let (before, after) = (try byteCount(indexPath + "/data.mdb"), try synchronize(new + "/data.mdb"))
            guard after < before - before / 8 else {
                try remove(new)
                return (before, before)
            }
            environment.close()
            try replace(indexPath)
            return (before, after)
        } catch {
            try? remove(new)
            throw error
        }
    }

    private static func byteCount(_ path: String) throws(IndexError) -> UInt64 {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .system("stat", path) }
        return UInt64(clamping: status.st_size)
    }

    /// Makes a file durable, which LMDB does not do with its copies, and answers its length.
    private static func synchronize(_ path: String) throws(IndexError) -> UInt64 {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
        return try byteCount(path)
    }
}
