// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import Glibc

/// The index: one LMDB environment with all tables open.
///
/// One writer at a time, any number of readers beside it, each on the state of one commit. Everything here blocks the
/// calling thread; where it runs is decided by the caller.
///
/// The map is an address range, not memory and not disk: it is chosen large, and when it is full all the same it grows
/// in between transactions. LMDB itself can not do that while a transaction of this process is open, so readers pass a
/// gate that closes for that moment.
///
/// LMDB forgets a failed write: the next commit succeeds as if nothing had happened, on top of pages that may never
/// have reached the disk. So a failure makes this object `poisoned`, for good: reads go on, writes are refused until
/// the directory is opened again.
package final class IndexEnvironment: @unchecked Sendable {  // mutable parts are guarded by `gate`
    /// How to open an environment.
    package struct Options: Sendable {
        /// Open for reading only; nothing is made.
        package var isReadOnly = false
        /// Address range to begin with, in bytes; at least what the file holds.
        package var mapSizeBytes: UInt64 = 64 << 30
        /// Where growing ends, in bytes; behind it a write fails as full.
        package var maximumMapSizeBytes: UInt64 = 16 << 40
        /// Read transactions at a time, of all processes.
        package var maxReaders: UInt32 = 1024
        /// Walk over all pages before LMDB may touch them, however large the file is; a small one always is.
        package var walksPages = true

        package init() {}
    }

    let handle: OpaquePointer
    let tables: Tables
    /// The directory of the environment.
    package let path: String
    private let options: Options
    private let identity: OpenDirectories.Identity
    /// Held by the thread that has the write transaction, and by growth.
    let writer = Monitor()

    let readDepth: ReadDepth
    private let gate = Monitor()
    private var activeReaders = 0
    private var isGrowing = false
    private var isClosed = false
    private var hasNoMap = false
    private var idleReaders: [OpaquePointer] = []
    private var poison: IndexError?

    /// Read transactions kept for the next reader, at most.
    private static let idleReadersMax = 64

    /// Opens, and unless it is to be read only makes, the environment in the directory `path`.
    ///
    /// The directory and its entry are durable when this returns. Readers that a killed process left behind are removed.
    /// - Throws: `alreadyOpen` if this process has it open; `unsupportedVersion` if a later version wrote it; `corrupt` if
    ///   its pages are damaged, or if there is none to be read.
    package init(path: String, options: Options = Options()) throws(IndexError) {
        readDepth = try ReadDepth()
        if options.isReadOnly {
            guard access(path, F_OK) == 0 || errno != ENOENT else { throw .corrupt("index", "there is none") }
        } else {
            try DurableDirectory.create(path)
        }
        let identity = try OpenDirectories.enter(path)
        do throws(IndexError) {
            let opened = try IndexEnvironment.open(path, options)
            handle = opened.handle
            tables = opened.tables
        } catch {
            OpenDirectories.leave(identity)
            throw error
        }
        self.path = path
        self.options = options
        self.identity = identity
    }

    deinit { close() }

    /// Closes the environment. No transaction may be open or begin later; a second call does nothing.
    package func close() {
        writer.lock()
        gate.lock()
        while activeReaders > 0 { gate.wait() }
        let wasClosed = isClosed
        isClosed = true
        let idle = idleReaders
        idleReaders = []
        gate.unlock()
        if !wasClosed {
            for reader in idle { mdb_txn_abort(reader) }
            mdb_env_close(handle)
            OpenDirectories.leave(identity)
        }
        writer.unlock()
    }

    // MARK: Poison

    /// Why writes are refused; nil while they are not.
    package var poisoned: IndexError? { gate.locked { poison } }

    /// Refuses all writes from now on. The first reason stays.
    package func poison(_ cause: IndexError) {
        gate.locked {
            if poison == nil {
                poison = IndexError(.poisoned, call: cause.call, detail: cause.description)
            }
        }
    }

    func checkWritable() throws(IndexError) {
        let (closed, poison) = gate.locked { () -> (Bool, IndexError?) in (isClosed, self.poison) }
        if closed { throw IndexError(.closed, call: "index") }
        if options.isReadOnly { throw IndexError(.readOnly, call: "index") }
        if let poison { throw poison }
    }

    // MARK: Reading

    /// Runs `body` on the state of the last commit.
    ///
    /// Bodies may nest. They must not wait for a commit to this environment: growth of the map waits for them.
    package func read<Value: ~Copyable>(
        _ body: (borrowing ReadTransaction) throws(IndexError) -> Value
    ) throws(IndexError) -> Value {
        let transaction = ReadTransaction(try beginRead(), self)
        return try body(transaction)
    }

    private func beginRead() throws(IndexError) -> OpaquePointer {
        gate.lock()
        // A reader inside a reader of the same thread must not wait for a growth that waits for the outer one.
        while isGrowing && readDepth.current == 0 { gate.wait() }
        guard !isClosed, !hasNoMap else {
            gate.unlock()
            throw IndexError(.closed, call: "index", detail: hasNoMap ? "its map is lost" : "")
        }
        activeReaders += 1
        let idle = idleReaders.popLast()
        gate.unlock()

        var reader: OpaquePointer?
        var returnCode: Int32
        if let idle {
            returnCode = mdb_txn_renew(idle)
            if returnCode == MDB_SUCCESS { reader = idle } else { mdb_txn_abort(idle) }
        } else {
            returnCode = mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &reader)
        }
        guard returnCode == MDB_SUCCESS, let reader else {
            leaveGate(keeping: nil)
            throw IndexError(.returnCode(returnCode), call: "mdb_txn_begin")
        }
        readDepth.add(1)
        return reader
    }

    func endRead(_ reader: OpaquePointer) {
        readDepth.add(-1)
        mdb_txn_reset(reader)
        leaveGate(keeping: reader)
    }

    private func leaveGate(keeping reader: OpaquePointer?) {
        gate.lock()
        var surplus = reader
        if let reader, idleReaders.count < IndexEnvironment.idleReadersMax {
            idleReaders.append(reader)
            surplus = nil
        }
        if let surplus { mdb_txn_abort(surplus) }
        activeReaders -= 1
        if activeReaders == 0 { gate.wakeAll() }
        gate.unlock()
    }

    // MARK: Writing

    /// Runs `body` as the single writer; commits if it returns, leaves no trace if it throws.
    ///
    /// Nothing goes to the journal: this is for rebuilding and for tests, `Committer` is for everything else. `body` may
    /// run again from the start after the map has grown, so it changes nothing but the transaction.
    @discardableResult
    package func write<Value: ~Copyable>(
        _ body: (borrowing WriteTransaction) throws(IndexError) -> Value
    ) throws(IndexError) -> Value {
        precondition(readDepth.current == 0, "a write inside a read could wait for itself")
        writer.lock()
        defer { writer.unlock() }
        try checkWritable()
        while true {
            try growIfNearlyFull()
            let fault = TransactionFault()
            do throws(IndexError) {
                let transaction = try WriteTransaction(in: self, fault: fault, journal: nil)
                let value = try body(transaction)
                if let error = fault.error { throw error }
                try transaction.commit()
                return value
            } catch {
                guard let cause = fault.error else { throw error }
                if fault.isMapFull {
                    try grow()
                } else {
                    poison(cause)
                    throw cause
                }
            }
        }
    }

    // MARK: The map

    /// Makes the map larger if less than a sixteenth of it, and less than 64 MiB, is left. The writer lock is held.
    func growIfNearlyFull() throws(IndexError) {
        let (map, used) = mapUse()
        let slack = min(64 << 20, map / 16)
        // Close to the limit there may still be free pages within: let the transaction try.
        if used > map - slack, map < options.maximumMapSizeBytes { try grow() }
    }

    /// Makes the map twice as large, or less where the address space has not that much. The writer lock is held and no
    /// write transaction is open.
    /// - Throws: an error that `isFull` at the configured limit, and where there is no room for a larger one.
    func grow() throws(IndexError) {
        let (map, _) = mapUse()
        var size = min(map * 2, options.maximumMapSizeBytes)
        // LMDB gives the old mapping up before it tries to make the new one: so it is tried before.
        while size > map, !IndexEnvironment.canMap(size) { size = map + (size - map) / 2 }
        guard size >= map + min(map, 1 << 20) else {
            throw IndexError(.returnCode(MDB_MAP_FULL), call: "index", detail: "the map can not grow")
        }
        gate.lock()
        isGrowing = true
        while activeReaders > 0 { gate.wait() }
        for reader in idleReaders { mdb_txn_abort(reader) }
        idleReaders = []
        let returnCode = mdb_env_set_mapsize(handle, Int(clamping: size))
        isGrowing = false
        if returnCode != MDB_SUCCESS { hasNoMap = true }
        gate.wakeAll()
        gate.unlock()
        guard returnCode == MDB_SUCCESS else {
            let error = IndexError(.returnCode(returnCode), call: "mdb_env_set_mapsize")
            poison(error)
            throw error
        }
    }

    private static func canMap(_ byteCount: UInt64) -> Bool {
        guard let size = Int(exactly: byteCount) else { return false }
        let probe = mmap(nil, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let probe, probe != MAP_FAILED else { return false }
        munmap(probe, size)
        return true
    }

    /// Bytes of the map, and bytes of it that the file has ever used.
    func mapUse() -> (map: UInt64, used: UInt64) {
        var info = MDB_envinfo()
        var statistics = MDB_stat()
        mdb_env_info(handle, &info)
        mdb_env_stat(handle, &statistics)
        let used = (UInt64(info.me_last_pgno) &+ 1) &* UInt64(statistics.ms_psize)
        return (UInt64(info.me_mapsize), min(used, UInt64(info.me_mapsize)))
    }
}
