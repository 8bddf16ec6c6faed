// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveModel

/// Objects by key in buckets: what a storage driver of a registry, or an S3 front end, needs.
///
/// **Consistency.** Every operation on an object is linearizable: it takes effect at one moment between call and return,
/// for readers, listings and other writers alike. Whoever reads, lists or stats after a write or delete has returned
/// sees it; a page of a listing is one moment's state, pages of one listing may be of different moments.
///
/// **Atomicity.** A write makes the whole object with its attributes or leaves what was there. ``compose(_:to:attributes:condition:removing:)``
/// makes one object and removes others in one step. Deleting many objects is one step for each of them.
///
/// **Durability.** What a write or delete did is durable when it returns, for drivers that outlive the process. An end
/// of the process at any point leaves the old or the new state.
///
/// **Order.** Keys are listed in the order of their bytes.
///
/// Every operation throws `bucketUnknown` if there is no such bucket, `poisoned` or `readOnly` if nothing may be
/// written, `io`, `corrupted`; what else, is said with it. An implementation passes `StorageDriverContract` of the test
/// kit.
public protocol StorageDriver: Sendable {
    // MARK: Buckets

    /// Makes a bucket.
    /// - Returns: False if it was there; nothing has changed then.
    func createBucket(_ bucket: BucketName) async throws(VarveError) -> Bool

    /// Removes a bucket that holds no objects. Unfinished uploads in it go with it.
    /// - Throws: `inUse` if it holds objects.
    func deleteBucket(_ bucket: BucketName) async throws(VarveError)

    /// What is known of a bucket.
    func bucket(_ bucket: BucketName) async throws(VarveError) -> BucketInfo

    /// All buckets, in order of their names.
    func buckets() async throws(VarveError) -> [BucketInfo]

    // MARK: Objects

    /// What is known of an object.
    /// - Throws: `notFound`.
    func stat(_ object: ObjectAddress) async throws(VarveError) -> ObjectInfo

    /// Opens the object as it is now.
    /// - Throws: `notFound`.
    func open(_ object: ObjectAddress) async throws(VarveError) -> any OpenObject

    /// Stores a whole object, in place of one that is there.
    /// - Throws: `preconditionFailed`, `uploadUnknown`, `tooLarge`, `outOfSpace`.
    func put(
        _ content: ByteBuffer, to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition
    ) async throws(VarveError) -> ObjectInfo

    /// Begins an object that arrives in parts.
    /// - Parameter resuming: The new object begins with what is at the address now; its bytes are joined, not copied,
    ///   where the driver can do that. `notFound` if nothing is.
    func writer(for object: ObjectAddress, resuming: Bool) async throws(VarveError) -> any ObjectWriter

    /// Makes an object of parts of others, joining references and never bytes where the driver can do that, and removes
    /// some, in one atomic step: copying, moving, copying a range into a part, completing a multipart upload.
    ///
    /// The pieces may be in any bucket and namespace and may include the target itself; they keep their bytes however
    /// soon their sources are deleted. No pieces make an empty object.
    /// - Parameter removing: Objects that are gone afterwards; one that was not there counts as removed. The target, if
    ///   it is named here, stays.
    /// - Throws: `notFound` if a source is not there, `rangeNotSatisfiable` if a range reaches past its end,
    ///   `preconditionFailed` if it has another version, or by `condition`; `uploadUnknown`, `tooLarge`, `outOfSpace`.
    ///   Nothing has changed then. The condition's error comes before those of the sources.
    func compose(
        _ pieces: [ObjectPiece], to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition,
        removing: [ObjectAddress]
    ) async throws(VarveError) -> ObjectInfo

    /// Removes objects; one that is not there counts as removed.
    /// - Returns: How many were there.
    @discardableResult
    func delete(_ objects: [ObjectAddress]) async throws(VarveError) -> Int

    /// Removes an object if the condition holds, which is looked at in the same atomic step.
    /// - Throws: `notFound` if nothing is there; `preconditionFailed`, `uploadUnknown`. Nothing has changed then.
    func delete(_ object: ObjectAddress, condition: WriteCondition) async throws(VarveError)

    /// A page of what a bucket's namespace holds. Costs about as much as the page is long.
    func list(
        _ bucket: BucketName, in namespace: ObjectNamespace, _ request: ListRequest
    ) async throws(VarveError) -> ObjectPage
}

extension StorageDriver {
    /// Stores a whole object, whatever is there.
    public func put(
        _ content: ByteBuffer, to object: ObjectAddress, attributes: ObjectAttributes
    ) async throws(VarveError) -> ObjectInfo {
        try await put(content, to: object, attributes: attributes, condition: .none)
    }

    /// Begins an object that arrives in parts.
    public func writer(for object: ObjectAddress) async throws(VarveError) -> any ObjectWriter {
        try await writer(for: object, resuming: false)
    }

    /// The whole of a small object.
    /// - Throws: `notFound`; `tooLarge` if it has more than `limit` bytes.
    public func content(of object: ObjectAddress, limit: Int = 16 << 20) async throws(VarveError) -> ByteBuffer {
        let open = try await open(object)
        guard open.info.size <= UInt64(clamping: limit) else {
            throw VarveError(.tooLarge, "the object has \(open.info.size) bytes")
        }
        switch try await open.content(in: nil) {
        case .bytes(let buffer): return buffer
        case .stream(let stream): return try await gather(stream)
        case .file(let file):
            defer { file.close() }
            return try file.read(at: 0, count: Int(clamping: file.length))
        }
    }

    private func gather(_ stream: ObjectStream) async throws(VarveError) -> ByteBuffer {
        var whole = ByteBuffer()
        while var piece = try await stream.next() { whole.writeBuffer(&piece) }
        return whole
    }

    /// Moves an object with its attributes.
    /// - Throws: `notFound`; `preconditionFailed` if it was replaced meanwhile.
    public func move(_ object: ObjectAddress, to target: ObjectAddress) async throws(VarveError) -> ObjectInfo {
        let info = try await stat(object)
        return try await compose(
            [ObjectPiece(object, version: info.version)], to: target, attributes: info.attributes, condition: .none,
            removing: [object])
    }

    /// Calls `body` with every object below a prefix, in order, a page at a time.
    public func walk(
        _ bucket: BucketName, in namespace: ObjectNamespace = .objects, prefix: [UInt8] = [],
        _ body: (ObjectInfo) async throws(VarveError) -> Void
    ) async throws(VarveError) {
        var start: ListRequest.Start? = .beginning
        while let here = start {
            let page = try await list(bucket, in: namespace, ListRequest(prefix: prefix, start: here))
            for object in page.objects { try await body(object) }
            start = page.next
        }
    }

    /// Removes multipart uploads to which nothing has been added for `idleSeconds`, with their parts, and parts whose
    /// upload is gone.
    /// - Parameter now: Milliseconds since 1970.
    /// - Returns: How many uploads were removed.
    @discardableResult
    public func expireUploads(idleSeconds: UInt64, now: UInt64) async throws(VarveError) -> Int {
        var count = 0
        for bucket in try await buckets() {
            count += try await expireUploads(in: bucket.name, before: now - min(now, idleSeconds * 1000))
        }
        return count
    }

    private func expireUploads(in bucket: BucketName, before limit: UInt64) async throws(VarveError) -> Int {
        // Parts first: those of an upload that begins meanwhile are not among them.
        var parts: [String: (keys: [ObjectKey], latest: UInt64)] = [:]
        try await walk(bucket, in: .parts) { (part: ObjectInfo) throws(VarveError) in
            let id = String(decoding: part.key.bytes.prefix(32), as: UTF8.self)
            var known = parts[id] ?? ([], 0)
            known.keys.append(part.key)
            known.latest = max(known.latest, part.modifiedMilliseconds)
            parts[id] = known
        }
        var expired: [(key: ObjectKey, id: String)] = []
        try await walk(bucket, in: .uploads) { (upload: ObjectInfo) throws(VarveError) in
            let id = UploadName(uploadKey: upload.key)?.id ?? ""
            if max(upload.modifiedMilliseconds, parts[id]?.latest ?? 0) < limit {
                expired.append((upload.key, id))
            } else {
                parts[id] = nil
            }
        }
        for (key, _) in expired { try await delete([ObjectAddress(bucket, key, in: .uploads)]) }
        for (_, part) in parts where part.latest < limit {
            try await delete(part.keys.map { ObjectAddress(bucket, $0, in: .parts) })
        }
        return expired.count
    }
}
