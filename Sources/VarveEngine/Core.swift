// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// What the parts of an open store share: files, index, threads, and whether it may still be written to.
///
/// Once a write or an fsync has failed the store is *poisoned*: reads go on, writes are refused until it is opened
/// again. The kernel marks pages clean after a failed fsync, and LMDB's next commit would succeed as if nothing had
/// happened, so nothing that follows in this process could be trusted to be durable.
final class Core: Sendable {
    let files: FileSystem
    let settings: StoreSettings
    let logger: Logger
    let format: StoreFormat
    let environment: IndexEnvironment
    /// nil in a store opened for reading only.
    let committer: Committer?
    let journal: Journal?
    let landing: Landing
    let packs: PackStore
    let cache: HotCache
    let sweeps = SweepGuard()
    let spool: Spool
    /// Requests' file and index work.
    let pool: BlockingPool
    /// Compression and decompression beside the thread that settles or rebuilds.
    let workers: BlockingPool
    let workerCount: Int
    /// Makes compressed blobs again: as many segments at a time as there are cores, whoever asks.
    let rebuilders: BlockingPool
    let coreCount: Int
    /// For readers of zstd layers, each of whom holds a window and models: about 25 MB.
    let zstdPlaces: StreamPlaces
    private let lock: NIOLockedValueBox<File?>
    /// Set by a collection: much of the index may be free pages, which closing gives back.
    let compactsIndex = NIOLockedValueBox(false)
    private let poisonBox = NIOLockedValueBox(String?.none)

    init(path: String, settings: StoreSettings, logger: Logger, faults: Faults? = nil) throws(VarveError) {
        let files = FileSystem(root: path, faults: faults)
        self.files = files
        self.settings = settings
        self.logger = logger
        let held: File?
        let wasClosed: Bool
        (format, held, wasClosed) = try Core.prepare(files, readOnly: settings.readOnly)
        lock = NIOLockedValueBox(held)
        let (index, journalDirectory) = (files.absolute(StoreLayout.index), files.absolute(StoreLayout.journal))
        if !settings.readOnly {
            do throws(IndexError) {
                try IndexRebuilder.recover(indexPath: index)
            } catch {
                throw error.asVarveError("the index could not be opened")
            }
            try Core.refuseLost(files)
        }
        do throws(IndexError) {
            var options = IndexEnvironment.Options()
            options.isReadOnly = settings.readOnly
            options.walksPages = !wasClosed
            if settings.readOnly {
                environment = try IndexEnvironment(path: index, options: options)
                journal = nil
                committer = nil
                try Journal.check(directory: journalDirectory, against: environment)
            } else {
                environment = try IndexEnvironment(path: index, options: options)
                let journal = try Journal(directory: journalDirectory)
                self.journal = journal
                committer = try Committer(environment: environment, journal: journal)
            }
        } catch {
            guard error.isCorrupt || error.reason == .journalAhead else {
                throw error.asVarveError("the index could not be opened")
            }
            throw error.asVarveError(Self.lostText)
        }
        let cores = max(1, System.coreCount)
        workerCount = settings.workers > 0 ? settings.workers : max(1, cores - 1)
        pool = BlockingPool(threads: settings.ioThreads > 0 ? settings.ioThreads : max(8, 4 * cores))
        workers = BlockingPool(threads: workerCount)
        rebuilders = BlockingPool(threads: cores)
        coreCount = cores
        zstdPlaces = StreamPlaces(max(4, 2 * cores))
        landing = Landing(files: files)
        packs = PackStore(files: files, environment: environment, frameCacheBytes: settings.frameCacheBytes)
        cache = HotCache(budget: settings.cacheBudget)
        spool = Spool(
            files: files, environment: environment, pool: pool, logger: logger,
            isSound: { [poisonBox, environment] in
                poisonBox.withLockedValue { $0 } == nil && environment.poisoned == nil
            })
        if !settings.readOnly { spool.sweep() }
    }

    /// What the lock file says while nobody has the store open that writes, if the last one closed it.
    private static let closedText = "closed"

    /// Makes or checks the directory and takes the writer's lock.
    /// - Returns: What the store is, the lock, and whether the last process that wrote closed the store.
    static func prepare(
        _ files: FileSystem, readOnly: Bool
    ) throws(VarveError) -> (format: StoreFormat, lock: File?, wasClosed: Bool) {
        do {
            let existing = try readFormat(files)
            if readOnly {
                guard let existing else { throw VarveError(.notAStore, "there is no store at \(files.root)") }
                let lock = try? files.open(StoreLayout.lock, .read)
                return (existing, nil, try lock.map { try lockText(of: $0) } == closedText)
            }
            if existing == nil {
                try files.makeDirectory("")
                // What an opening that was interrupted left: the lock, empty directories.
                let others = try files.list("").filter { name in
                    name != StoreLayout.lock && name != StoreLayout.format + ".new"
                        && !(StoreLayout.directories.contains(name) && (try? files.list(name))?.isEmpty == true)
                }
                guard others.isEmpty else {
                    throw VarveError(.notAStore, "\(files.root) holds other things and no store")
                }
            }
            let lock = try files.open(StoreLayout.lock, .write)
            let text = try lockText(of: lock)
            guard try lock.tryLock() else { throw VarveError(.inUse, "another process (\(text)) has the store open") }
            // Durable before anything is written, or a power failure would look like an orderly end.
            try setLockText("pid \(getpid())", of: lock)
            try lock.sync()
            for name in StoreLayout.directories { try files.makeDirectory(name) }
            if let existing {
                return (existing, lock, text == closedText)
            }
            let format = StoreFormat(storeID: randomBytes(16).hex, chunkerID: ContentCutter.standard.identifier)
            try files.replace(StoreLayout.format, with: Array(format.text.utf8))
            return (format, lock, false)
        } catch let error as VarveError {
            throw error
        } catch let error as DriverError {
            throw error.asVarveError
        } catch {
            throw VarveError(.io, "the store could not be opened", cause: error)
        }
    }

    /// The lock file's length never changes: writing it needs no room on a full disk.
    private static let lockTextBytes = 24

    private static func lockText(of lock: File) throws(DriverError) -> String {
        let bytes = try lock.read(at: 0, count: Int(min(lock.length(), UInt64(lockTextBytes))))
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    private static func setLockText(_ text: String, of lock: File) throws(DriverError) {
        var bytes = Array(text.utf8.prefix(lockTextBytes))
        bytes += [UInt8](repeating: UInt8(ascii: "\n"), count: lockTextBytes - bytes.count)
        let failure: DriverError? = bytes.withUnsafeBytes { bytes in
            do throws(DriverError) { try lock.write(bytes, at: 0) } catch { return error }
            return nil
        }
        if let failure { throw failure }
    }

    /// Refuses to make an index where there was one.
    private static func refuseLost(_ files: FileSystem) throws(VarveError) {
        do throws(IndexError) {
            try Journal.checkNotLost(
                directory: files.absolute(StoreLayout.journal), indexPath: files.absolute(StoreLayout.index))
        } catch {
            throw error.asVarveError(lostText)
        }
        let holdsData: Bool
        do throws(DriverError) {
            guard try files.length(of: "\(StoreLayout.index)/data.mdb") == nil else { return }
            // None of them comes before the index.
            let (packs, raw) = (try files.list(StoreLayout.packs), try files.list(StoreLayout.raw))
            let spool = try files.list(StoreLayout.spool)
            holdsData = !packs.isEmpty || !raw.isEmpty || !spool.isEmpty
        } catch {
            throw error.asVarveError
        }
        if holdsData { throw VarveError(.corrupted, lostText) }
    }

    private static let lostText = "the index is damaged or lost, 'varve rebuild-index' makes it anew"

    private static func readFormat(_ files: FileSystem) throws -> StoreFormat? {
        guard let length = try files.length(of: StoreLayout.format) else { return nil }
        guard length < 4096 else { throw VarveError(.notAStore, "the format file is not a Varve store's") }
        let bytes = try files.open(StoreLayout.format, .read).read(at: 0, count: Int(length))
        let format = try StoreFormat(parsing: String(decoding: bytes, as: UTF8.self))
        guard format.chunkerID == ContentCutter.standard.identifier else {
            throw VarveError(.unsupported, "the store is cut by chunker \(format.chunkerID), which this version lacks")
        }
        return format
    }

    // MARK: Reading and writing the index

    /// Runs `body` over a read snapshot, on the calling thread.
    func read<Value>(
        _ body: (borrowing ReadTransaction) throws -> Value
    ) throws(VarveError) -> Value {
        var result: Result<Value, any Error>?
        do throws(IndexError) {
            try environment.read { (transaction) throws(IndexError) in
                result = Result { try body(transaction) }
            }
        } catch {
            throw error.asVarveError("the index could not be read")
        }
        switch result {
        case .success(let value): return value
        case .failure(let error): throw asVarveError(error, "the index could not be read")
        case nil: throw VarveError(.io, "the index ran no body")
        }
    }

    /// Commits `body` with whatever else waits; durable when it returns. Does not block a thread of the caller.
    func commit<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing WriteTransaction) throws -> Value
    ) async throws(VarveError) -> Value {
        let committer = try writer()
        do {
            return try await committer.submit(body)
        } catch {
            throw noted(error, "the index commit failed")
        }
    }

    /// The same for threads that may block.
    func commitBlocking<Value>(
        _ body: (borrowing WriteTransaction) throws -> Value
    ) throws(VarveError) -> Value {
        let committer = try writer()
        do {
            return try withoutActuallyEscaping(body) { try committer.commit($0) }
        } catch {
            throw noted(error, "the index commit failed")
        }
    }

    /// Puts chunks of a pack, whose row is committed, into the index.
    func insertChunks(_ entries: [ChunkEntry], pack: UInt32) throws(VarveError) {
        let committer = try writer()
        do {
            _ = try committer.insertChunks(entries, pack: pack)
        } catch {
            throw noted(error, "chunks could not be put into the index")
        }
    }

    func writer() throws(VarveError) -> Committer {
        try checkWritable()
        guard let committer else { throw VarveError(.readOnly, "the store was opened for reading only") }
        return committer
    }

    /// - Throws: `readOnly`, `poisoned`.
    func checkWritable() throws(VarveError) {
        if settings.readOnly { throw VarveError(.readOnly, "the store was opened for reading only") }
        if let reason = poisonReason {
            throw VarveError(.poisoned, "the store takes no writes until reopened: \(reason)")
        }
    }

    var poisonReason: String? {
        poisonBox.withLockedValue { $0 } ?? environment.poisoned.map { "\($0)" }
    }

    /// Refuses writes from now on.
    func poison(_ reason: String) {
        let isFirst = poisonBox.withLockedValue { value in
            guard value == nil else { return false }
            value = reason
            return true
        }
        if isFirst { logger.error("writes are refused until the store is reopened", metadata: ["reason": "\(reason)"]) }
    }

    /// Runs a step that writes files; a failure of the system poisons the store.
    func writing<Value>(_ body: () throws -> Value) throws(VarveError) -> Value {
        do {
            return try body()
        } catch {
            throw noted(error, "a write failed")
        }
    }

    /// The error as the engine's own, poisoning the store if it means that something may not have become durable.
    private func noted(_ error: any Error, _ what: String) -> VarveError {
        let known = asVarveError(error, what)
        switch known.code {
        case .io where known.isTransient: break
        case .io, .outOfSpace: poison("\(known)")
        default: break
        }
        return known
    }

    func asVarveError(_ error: any Error, _ what: String) -> VarveError {
        switch error {
        case let error as VarveError: error
        case let error as DriverError: error.asVarveError
        case let error as IndexError: error.asVarveError(what)
        case let error as CodecError: VarveError(.corrupted, what, cause: error)
        case is CancellationError: VarveError(.cancelled, what)
        default: VarveError(.io, what, cause: error)
        }
    }

    /// Ends threads and closes the index. Nothing may be using the store any more.
    func close() async {
        landing.spillAll()
        spool.closeIdle()
        await pool.shutdown()
        await workers.shutdown()
        await rebuilders.shutdown()
        committer?.close()
        environment.close()
        if poisonReason == nil, compactsIndex.withLockedValue({ $0 }) { await compactIndex() }
        if let lock = lock.withLockedValue({ $0 }), poisonReason == nil {
            try? Self.setLockText(Self.closedText, of: lock)
        }
        lock.withLockedValue { lock in
            lock?.unlock()
            lock = nil
        }
    }
}

extension IndexError {
    /// The same for callers of the engine.
    func asVarveError(_ what: String) -> VarveError {
        let code: VarveError.Code =
            if isPoisoned { .poisoned } else if isFull { .outOfSpace } else if isCorrupt { .corrupted } else {
                switch reason {
                case .readOnly: .readOnly
                case .alreadyOpen: .inUse
                case .unsupportedVersion: .unsupported
                case .journalAhead: .corrupted
                default: .io
                }
            }
        return VarveError(code, what, cause: self)
    }
}

extension VarveError {
    /// Whether there were no descriptors or no memory to open a file with: nothing was changed.
    var isTransient: Bool { (cause as? DriverError)?.isTransient ?? false }
}

/// A running hash; that the crypto library has no such algorithm can not happen, and is an error all the same.
func runningHash(_ algorithm: Digest.Algorithm) throws(VarveError) -> RunningHash {
    do {
        return try RunningHash(algorithm)
    } catch {
        throw VarveError(.unsupported, "no hash function \(algorithm.name)", cause: error)
    }
}

func finishHash(_ hash: consuming RunningHash) -> Digest { hash.finish() }
