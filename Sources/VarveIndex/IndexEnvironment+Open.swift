// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import Glibc

extension IndexEnvironment {
    /// Walks over every page of the last commit as opening does. Reads and commits go on meanwhile, but pages that they
    /// give back are not used again before it ends.
    /// - Returns: What there is; nil if commits follow each other too fast.
    /// - Throws: `corrupt` with the first thing that is wrong: the index must be made anew.
    package func walkPages() throws(IndexError) -> IndexPages? {
        for _ in 0..<16 {
            do throws(IndexError) {
                return try read { (transaction) throws(IndexError) in
                    try PageWalk.run(path, transaction: UInt64(mdb_txn_id(transaction.access.handle)))
                }
            } catch {
                guard error.reason == .returnCode(ESTALE) else { throw error }
            }
        }
        return nil
    }

    /// Version of the tables and rows that this module writes.
    static let formatVersion: UInt32 = 1
    static let formatKey = "format"

    /// Opens LMDB and all tables, making them unless `options` say otherwise.
    static func open(
        _ path: String, _ options: Options
    ) throws(IndexError) -> (handle: OpaquePointer, tables: Tables) {
        try reserveLockFile(in: path, options)
        if let file = try PageFile.open(in: path) {
            _ = try PageMeta.current(of: file, transaction: nil, isAlone: !options.isReadOnly)
        } else if options.isReadOnly {
            throw .corrupt("index", "there is none")
        }
        let handle = try openHandle(path, options)
        do throws(IndexError) {
            var cleared: Int32 = 0
            try check(mdb_reader_check(handle, &cleared), "mdb_reader_check")
            guard mdb_env_get_maxkeysize(handle) >= Key.maximumBytes else {
                throw IndexError(.unsupportedVersion, call: "mdb_env_get_maxkeysize")
            }
            let isSmall = try fileBytes(path) <= walkedAlwaysBytes
            if options.walksPages || isSmall { try walk(handle, path) }
            let tables = try openTables(handle, options)
            // LMDB never syncs the directory in which it made its files.
            if !options.isReadOnly { try DurableDirectory.synchronize(path) }
            return (handle, tables)
        } catch {
            mdb_env_close(handle)
            throw explained(error, path)
        }
    }

    /// An index up to here is walked over at every opening: that takes a fifth of a second at most, once it is in memory.
    private static let walkedAlwaysBytes: UInt64 = 256 << 20

    private static func fileBytes(_ path: String) throws(IndexError) -> UInt64 {
        guard let file = try PageFile.open(in: path) else { return 0 }
        return try file.byteCount()
    }

    /// Walks over all pages of the last commit, which a read transaction keeps from being written over meanwhile.
    /// - Throws: `corrupt` with the first thing that is wrong. Nothing if other processes commit so often that no state can be
    ///   taken hold of: then one of them has walked.
    private static func walk(_ handle: OpaquePointer, _ path: String) throws(IndexError) {
        for _ in 0..<16 {
            var transaction: OpaquePointer?
            try check(mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &transaction), "mdb_txn_begin")
            guard let transaction else { throw IndexError(.returnCode(ENOMEM), call: "mdb_txn_begin") }
            defer { mdb_txn_abort(transaction) }
            do throws(IndexError) {
                _ = try PageWalk.run(path, transaction: UInt64(mdb_txn_id(transaction)))
                return
            } catch {
                guard error.reason == .returnCode(ESTALE) else { throw error }
            }
        }
    }

    /// Gives the file of the readers' table all its blocks. LMDB makes it with holes and maps it: on a full disk the
    /// first reader in a hole would end the process (`SIGBUS`).
    ///
    /// To be called before LMDB opens the file: closing any descriptor of it lets its locks go.
    private static func reserveLockFile(in path: String, _ options: Options) throws(IndexError) {
        let file = path + "/lock.mdb"
        let descriptor = Glibc.open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            // Who may only read a store can not make it larger either.
            if options.isReadOnly { return }
            throw .system("open", file)
        }
        defer { Glibc.close(descriptor) }
        // A cache line a reader, a few for the head, and the rest of the page that is mapped with it.
        let bytes = (Int(options.maxReaders) + 8) * 64
        let code = posix_fallocate(descriptor, 0, off_t((bytes + 4095) / 4096 * 4096))
        guard code == 0 else { throw IndexError(.returnCode(code), call: "posix_fallocate", detail: file) }
    }

    /// LMDB calls a write that was cut short an input error: where so few blocks are left as it writes at a time, 64, it was the
    /// disk that was full.
    static func explained(_ error: IndexError, _ path: String) -> IndexError {
        var status = statvfs()
        guard error.reason == .returnCode(EIO), statvfs(path, &status) == 0, status.f_bavail < 64 else { return error }
        return IndexError(.returnCode(ENOSPC), call: error.call, detail: error.detail)
    }

    private static func openHandle(_ path: String, _ options: Options) throws(IndexError) -> OpaquePointer {
        var size = min(options.mapSizeBytes, options.maximumMapSizeBytes)
        while true {
            var created: OpaquePointer?
            try check(mdb_env_create(&created), "mdb_env_create")
            guard let handle = created else { throw IndexError(.returnCode(ENOMEM), call: "mdb_env_create") }
            do throws(IndexError) {
                try check(mdb_env_set_mapsize(handle, Int(clamping: size)), "mdb_env_set_mapsize")
                try check(mdb_env_set_maxreaders(handle, options.maxReaders), "mdb_env_set_maxreaders")
                try check(mdb_env_set_maxdbs(handle, 32), "mdb_env_set_maxdbs")
                let flags = UInt32(MDB_NOTLS) | (options.isReadOnly ? UInt32(MDB_RDONLY) : 0)
                try check(mdb_env_open(handle, path, flags, 0o600), "mdb_env_open")
                return handle
            } catch {
                mdb_env_close(handle)
                // Where the address space is limited, a smaller map does as well until the file needs more.
                guard error.reason == .returnCode(ENOMEM), size > 64 << 20 else { throw error }
                size /= 2
            }
        }
    }

    private static func tableCount(_ transaction: OpaquePointer) throws(IndexError) -> Int {
        var main: MDB_dbi = 0
        try check(mdb_dbi_open(transaction, nil, 0, &main), "mdb_dbi_open")
        var statistics = MDB_stat()
        try check(mdb_stat(transaction, main, &statistics), "mdb_stat")
        return Int(clamping: statistics.ms_entries)
    }

    private static func openTables(_ handle: OpaquePointer, _ options: Options) throws(IndexError) -> Tables {
        var transaction: OpaquePointer?
        let flags = options.isReadOnly ? UInt32(MDB_RDONLY) : 0
        try check(mdb_txn_begin(handle, nil, flags, &transaction), "mdb_txn_begin")
        guard let transaction else { throw IndexError(.returnCode(ENOMEM), call: "mdb_txn_begin") }
        do throws(IndexError) {
            let before = try tableCount(transaction)
            let tables = try Tables(opening: transaction, creating: !options.isReadOnly)
            let access = TransactionAccess(handle: transaction, tables: tables, fault: nil)
            let number = UInt64(mdb_txn_id(transaction))
            try access.checkStamp(options.isReadOnly ? number : number &- 1)
            if let found = try access.meta(formatKey) {
                let version = try found.withUnsafeBufferPointer { (bytes) throws(IndexError) in
                    var reader = RowReader(UnsafeRawBufferPointer(bytes), of: "format version")
                    return try reader.fixed(UInt32.self)
                }
                guard version == formatVersion else {
                    throw IndexError(.unsupportedVersion, call: "index", detail: "format \(version)")
                }
            } else if options.isReadOnly {
                throw IndexError.corrupt("format version", "missing")
            } else {
                var writer = RowWriter(capacity: 4)
                writer.fixed(formatVersion)
                try access.setMeta(formatKey, writer.bytes)
            }
            if try tableCount(transaction) != before { try access.stamp() }
            // Committing keeps the table handles open, in a read transaction too; it frees the transaction in any case.
            try check(commitTransaction(transaction), "mdb_txn_commit")
            return tables
        } catch {
            if error.call != "mdb_txn_commit" { mdb_txn_abort(transaction) }
            throw error
        }
    }
}

/// How many read transactions of one environment the current thread has open.
struct ReadDepth: ~Copyable {
    private let key: pthread_key_t

    init() throws(IndexError) {
        var key = pthread_key_t()
        let code = pthread_key_create(&key, nil)
        guard code == 0 else { throw IndexError(.returnCode(code), call: "pthread_key_create") }
        self.key = key
    }

    deinit { pthread_key_delete(key) }

    var current: Int { Int(bitPattern: pthread_getspecific(key)) }

    func add(_ change: Int) {
        pthread_setspecific(key, UnsafeRawPointer(bitPattern: current + change))
    }
}
