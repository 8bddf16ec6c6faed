// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveDrivers
public import VarveModel

import VarveIndex

/// Objects by key, next to the blobs of the OCI front and of one kind with them.
///
/// An object is a row of extents in the index: bytes (small objects), parts of spool files, parts of blobs. Small ones
/// cost no file and no sync of their own. One whose key ends in the digest of its bytes is *adopted*: its bytes become
/// a blob like a pushed one, and the object a name of it. From then on it settles, is deduplicated and evicted, and
/// reads stay as they were.
extension Store: StorageDriver {
    // MARK: Buckets

    /// See ``StorageDriver/createBucket(_:)``.
    public func createBucket(_ bucket: BucketName) async throws(VarveError) -> Bool {
        let time = wallClockMilliseconds()
        return try await core.commit { try $0.createBucket(bucket.description, at: time) }
    }

    /// See ``StorageDriver/deleteBucket(_:)``.
    public func deleteBucket(_ bucket: BucketName) async throws(VarveError) {
        let released = try await core.commit { transaction in
            _ = try transaction.info(of: bucket)
            let objects = ObjectNamespace.objects.rawValue
            guard try transaction.objects(in: bucket.description, objects, limit: 1).isEmpty else {
                throw VarveError(.inUse, "bucket \(bucket) is not empty")
            }
            return try transaction.removeBucket(bucket.description) ?? []
        }
        core.spool.release(released)
    }

    /// See ``StorageDriver/bucket(_:)``.
    public func bucket(_ bucket: BucketName) async throws(VarveError) -> BucketInfo {
        try await core.pool.run { [core] () throws(VarveError) in try core.read { try $0.info(of: bucket) } }
    }

    /// See ``StorageDriver/buckets()``.
    public func buckets() async throws(VarveError) -> [BucketInfo] {
        try await core.pool.run { [core] () throws(VarveError) in
            try core.read { transaction in
                try transaction.buckets().compactMap { name, row in
                    BucketName(name).map { BucketInfo(name: $0, createdMilliseconds: row.createdMilliseconds) }
                }
            }
        }
    }

    // MARK: Objects

    /// See ``StorageDriver/stat(_:)``.
    public func stat(_ object: ObjectAddress) async throws(VarveError) -> ObjectInfo {
        try await core.pool.run { [core] () throws(VarveError) in
            ObjectInfo(key: object.key, row: try core.read { try $0.row(of: object) })
        }
    }

    /// See ``StorageDriver/open(_:)``.
    public func open(_ object: ObjectAddress) async throws(VarveError) -> any OpenObject {
        try await core.pool.run { [core] () throws(VarveError) in
            let (row, pin) = try core.pinned(object)
            return StoredObject(info: ObjectInfo(key: object.key, row: row), extents: row.extents, core: core, pin: pin)
        }
    }

    /// See ``StorageDriver/put(_:to:attributes:condition:)``.
    public func put(
        _ content: ByteBuffer, to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition
    ) async throws(VarveError) -> ObjectInfo {
        try attributes.check()
        guard content.readableBytes > StoreWriter.inlineMax else {
            return try await commit(
                ObjectDraft(extents: .bytes(content), attributes: attributes, condition: condition), to: object)
        }
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
        try core.checkWritable()
        let base = try await core.pool.run { [core] () throws(VarveError) -> (extents: [Extent], pin: SpoolPin?) in
            guard resuming else {
                _ = try core.read { try $0.info(of: object.bucket) }
                return ([], nil)
            }
            let (row, pin) = try core.pinned(object)
            return (row.extents, pin)
        }
        return StoreWriter(store: self, object: object, base: base.extents, pin: base.pin)
    }

    /// See ``StorageDriver/delete(_:)``.
    @discardableResult
    public func delete(_ objects: [ObjectAddress]) async throws(VarveError) -> Int {
        var count = 0
        var first = 0
        repeat {
            let page = Array(objects[first..<min(objects.count, first + 1000)])
            first += page.count
            let removed = try await core.commit { transaction in
                for bucket in Set(page.map(\.bucket)) { _ = try transaction.info(of: bucket) }
                var count = 0
                var released: [SpoolID] = []
                for object in page {
                    guard let gone = try transaction.removeObject(at: object.place) else { continue }
                    count += 1
                    released += gone
                }
                return (count, released)
            }
            count += removed.0
            core.letGo(page, removed.1)
        } while first < objects.count
        return count
    }

    /// See ``StorageDriver/delete(_:condition:)``.
    public func delete(_ object: ObjectAddress, condition: WriteCondition) async throws(VarveError) {
        let released = try await core.commit { transaction in
            _ = try transaction.row(of: object)
            try transaction.check(condition, at: object)
            return try transaction.removeObject(at: object.place) ?? []
        }
        core.letGo([object], released)
    }

    /// See ``StorageDriver/list(_:in:_:)``.
    public func list(
        _ bucket: BucketName, in namespace: ObjectNamespace, _ request: ListRequest
    ) async throws(VarveError) -> ObjectPage {
        try await core.pool.run { [core] () throws(VarveError) in
            try core.read { transaction in
                _ = try transaction.info(of: bucket)
                return try transaction.scanObjects(in: bucket.description, namespace.rawValue) {
                    (scan) throws(IndexError) in
                    try request.page { (key) throws(IndexError) in
                        try ObjectInfo(scan.seek(key))
                    } next: { () throws(IndexError) in
                        try ObjectInfo(scan.next())
                    }
                }
            }
        }
    }
}

// MARK: - Rows

extension ObjectAddress {
    var place: ObjectPlace {
        ObjectPlace(bucket: bucket.description, namespace: namespace.rawValue, key: key.bytes)
    }
}

extension ObjectInfo {
    init(key: ObjectKey, row: ObjectRow) {
        self.init(
            key: key, size: row.size, modifiedMilliseconds: row.modifiedMilliseconds, version: row.version,
            attributes: ObjectAttributes(etag: row.etag, contentType: row.contentType, fields: row.fields))
    }

    fileprivate init?(_ found: ObjectScan.Found?) throws(IndexError) {
        guard let found else { return nil }
        guard let key = ObjectKey(derived: found.key) else {
            throw IndexError(.corrupt, call: "object key", detail: "\(found.key.count) bytes")
        }
        self.init(key: key, row: found.row)
    }
}

extension IndexTransaction where Self: ~Copyable {
    /// - Throws: `bucketUnknown`.
    func info(of bucket: BucketName) throws -> BucketInfo {
        guard let row = try self.bucket(bucket.description) else {
            throw VarveError(.bucketUnknown, "no bucket \(bucket)")
        }
        return BucketInfo(name: bucket, createdMilliseconds: row.createdMilliseconds)
    }

    /// - Throws: `notFound`, `bucketUnknown`.
    func row(of object: ObjectAddress) throws -> ObjectRow {
        if let row = try self.object(at: object.place) { return row }
        _ = try info(of: object.bucket)
        throw VarveError(.notFound, "no object \(object)")
    }
}

extension Core {
    /// An object's row, whose spool files stay as long as the pin is held.
    func pinned(_ object: ObjectAddress) throws(VarveError) -> (row: ObjectRow, pin: SpoolPin?) {
        var row = try read { try $0.row(of: object) }
        while true {
            let spools = row.spools
            if spools.isEmpty { return (row, nil) }
            let pin = spool.pin(spools)
            // Its files may have gone before they were pinned; not if the row is the same still.
            let again = try read { try $0.row(of: object) }
            if again == row { return (row, pin) }
            row = again
        }
    }

    /// After a commit: spool files that nothing holds any more, and uploads that are over.
    func letGo(_ objects: [ObjectAddress], _ released: [SpoolID]) {
        for object in objects where object.namespace == .uploads {
            if let upload = UploadName(uploadKey: object.key) { spool.forgetIdle(upload.id) }
        }
        spool.release(released)
    }
}
