// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
public import NIOCore
public import VarveModel

/// Objects as plain files, one each: the simplest driver that outlives its process. It copies bytes where the engine
/// joins references, and reads the end of every file when it is opened.
///
///     DIR/lock                            held by the one process that has it open
///     DIR/buckets/<32 hex>/name           the bucket's name and when it was made; without it there is no bucket
///     DIR/buckets/<32 hex>/<namespace>/<32 hex>   objects, their keys inside (see `ObjectTrailer`)
///     DIR/temporary/<32 hex>              what is being written
///
/// No name comes from a client. An object appears by one rename; its file names the files that go with that step, those
/// it replaces and those that were moved, so a crash right behind the rename is made up for when the driver is opened
/// again.
public final class FileSystemDriver: StorageDriver {
    struct Entry: Sendable {
        var info: ObjectInfo
        /// The file, relative to the root.
        var path: String
    }

    struct Bucket: Sendable {
        var info: BucketInfo
        /// The directory, relative to the root.
        var path: String
        var spaces: [ObjectNamespace: SortedObjects<Entry>] = [:]
    }

    struct State: Sendable {
        var buckets: [BucketName: Bucket] = [:]
        var version: UInt64 = 0
        var poison: String?
    }

    let files: FileSystem
    let pool: BlockingPool
    let state = NIOLockedValueBox(State())
    /// Held while something is committed: one step at a time.
    let commits = NIOLock()
    /// The open lock; nil once closed.
    private let lock: NIOLockedValueBox<File?>

    private init(files: FileSystem, lock: File, pool: BlockingPool) {
        self.files = files
        self.lock = NIOLockedValueBox(lock)
        self.pool = pool
    }

    /// Opens the objects in directory `path`, which is made if it is absent.
    /// - Throws: `inUse` if another process has it open, `corrupted` if a file in it is not what this driver wrote, `io`.
    public static func open(at path: String) async throws(VarveError) -> FileSystemDriver {
        try await open(at: path, faults: nil)
    }

    /// The same, with file operations that can be made to fail.
    package static func open(at path: String, faults: Faults?) async throws(VarveError) -> FileSystemDriver {
        let pool = BlockingPool(threads: 4)
        do throws(VarveError) {
            return try await pool.run { () throws(VarveError) in
                let files = FileSystem(root: path, faults: faults)
                do throws(DriverError) {
                    try files.makeDirectory("")
                    let lock = try files.open("lock", .write)
                    guard try lock.tryLock() else { throw DriverError("flock", "lock", EWOULDBLOCK) }
                    let driver = FileSystemDriver(files: files, lock: lock, pool: pool)
                    do throws(DriverError) {
                        try driver.load()
                    } catch {
                        driver.releaseLock()
                        throw error
                    }
                    return driver
                } catch {
                    if error.number == EWOULDBLOCK {
                        throw VarveError(.inUse, "another process has \(path) open", cause: error)
                    }
                    if error.number == EBADMSG {
                        throw VarveError(.corrupted, "\(error.path) is damaged", cause: error)
                    }
                    throw error.asVarveError
                }
            }
        } catch {
            await pool.shutdown()
            throw error
        }
    }

    /// Ends its threads. Nothing may be using it any more; objects that are open stay readable.
    public func close() async {
        await pool.shutdown()
        releaseLock()
    }

    private func releaseLock() {
        lock.withLockedValue { lock in
            lock?.unlock()
            lock = nil
        }
    }

    // MARK: Buckets

    /// See ``StorageDriver/createBucket(_:)``.
    public func createBucket(_ bucket: BucketName) async throws(VarveError) -> Bool {
        try await committing { [self] () throws(VarveError) in
            if state.withLockedValue({ $0.buckets[bucket] }) != nil { return false }
            let path = "buckets/" + Self.randomName()
            let time = wallClockMilliseconds()
            try writing { () throws(DriverError) in
                for namespace in ObjectNamespace.allCases { try files.makeDirectory("\(path)/\(namespace)") }
                try files.replace("\(path)/name", with: Array("\(bucket)\n\(time)\n".utf8))
            }
            let info = BucketInfo(name: bucket, createdMilliseconds: time)
            state.withLockedValue { $0.buckets[bucket] = Bucket(info: info, path: path) }
            return true
        }
    }

    /// See ``StorageDriver/deleteBucket(_:)``.
    public func deleteBucket(_ bucket: BucketName) async throws(VarveError) {
        try await committing { [self] () throws(VarveError) in
            let known = try self.known(bucket)
            guard known.spaces[.objects]?.isEmpty ?? true else {
                throw VarveError(.inUse, "bucket \(bucket) is not empty")
            }
            try writing { () throws(DriverError) in
                try files.remove("\(known.path)/name")
                try files.syncDirectory(known.path)
            }
            state.withLockedValue { $0.buckets[bucket] = nil }
            // It is gone; what it leaves goes when the driver is opened next if it does not go now.
            try? removeDirectory(known.path)
        }
    }

    /// See ``StorageDriver/bucket(_:)``.
    public func bucket(_ bucket: BucketName) async throws(VarveError) -> BucketInfo { try known(bucket).info }

    /// See ``StorageDriver/buckets()``.
    public func buckets() async throws(VarveError) -> [BucketInfo] {
        state.withLockedValue { $0.buckets.values.map(\.info).sorted { $0.name < $1.name } }
    }

    // MARK: Objects

    /// See ``StorageDriver/stat(_:)``.
    public func stat(_ object: ObjectAddress) async throws(VarveError) -> ObjectInfo { try entry(object).info }

    /// See ``StorageDriver/open(_:)``.
    public func open(_ object: ObjectAddress) async throws(VarveError) -> any OpenObject {
        try await pool.run { [self] () throws(VarveError) in try opened(object) }
    }

    /// See ``StorageDriver/put(_:to:attributes:condition:)``.
    public func put(
        _ content: ByteBuffer, to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition
    ) async throws(VarveError) -> ObjectInfo {
        try attributes.check()
        let writer = try await writer(for: object, resuming: false)
        do throws(VarveError) {
            try await writer.append(content)
            return try await writer.commit(attributes, condition: condition)
        } catch {
            await writer.cancel()
            throw error
        }
    }

    /// See ``StorageDriver/writer(for:resuming:)``.
    public func writer(for object: ObjectAddress, resuming: Bool) async throws(VarveError) -> any ObjectWriter {
        _ = try known(object.bucket)
        return try await pool.run { [self] () throws(VarveError) in
            let draft = try FileDraft(self)
            if resuming { try draft.copy(opened(object), range: nil) }
            return FileSystemWriter(self, object, draft)
        }
    }

    /// See ``StorageDriver/compose(_:to:attributes:condition:removing:)``.
    public func compose(
        _ pieces: [ObjectPiece], to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition,
        removing: [ObjectAddress]
    ) async throws(VarveError) -> ObjectInfo {
        try attributes.check()
        return try await pool.run { [self] () throws(VarveError) in
            while true {
                try check(condition, at: object)
                let draft = try FileDraft(self)
                var versions: [ObjectAddress: UInt64] = [:]
                for piece in pieces {
                    let source = try opened(piece.source)
                    try piece.check(source.info)
                    versions[piece.source] = source.info.version
                    try draft.copy(source, range: piece.range)
                }
                if let info = try commit(
                    draft, to: object, attributes, condition, removing: removing, sources: versions)
                {
                    return info
                }
            }
        }
    }

    /// See ``StorageDriver/delete(_:)``.
    @discardableResult
    public func delete(_ objects: [ObjectAddress]) async throws(VarveError) -> Int {
        try await committing { [self] () throws(VarveError) in
            for object in objects { _ = try known(object.bucket) }
            return try remove(objects)
        }
    }

    /// See ``StorageDriver/delete(_:condition:)``.
    public func delete(_ object: ObjectAddress, condition: WriteCondition) async throws(VarveError) {
        try await committing { [self] () throws(VarveError) in
            _ = try entry(object)
            try check(condition, at: object)
            _ = try remove([object])
        }
    }

    /// Within a step.
    private func remove(_ objects: [ObjectAddress]) throws(VarveError) -> Int {
        var count = 0
        var directories: Set<String> = []
        for object in objects {
            guard let entry = try? entry(object) else { continue }
            try writing { () throws(DriverError) in try files.remove(entry.path) }
            directories.insert(Self.directory(of: entry.path))
            state.withLockedValue { $0.remove(object) }
            count += 1
        }
        for directory in directories {
            try writing { () throws(DriverError) in try files.syncDirectory(directory) }
        }
        return count
    }

    /// See ``StorageDriver/list(_:in:_:)``.
    public func list(
        _ bucket: BucketName, in namespace: ObjectNamespace, _ request: ListRequest
    ) async throws(VarveError) -> ObjectPage {
        try known(bucket).spaces[namespace]?.page(request, \.info) ?? ObjectPage()
    }
}

extension FileSystemDriver.State {
    mutating func remove(_ object: ObjectAddress) {
        buckets[object.bucket]?.spaces[object.namespace]?.remove(object.key)
    }
}
