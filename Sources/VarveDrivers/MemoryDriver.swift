// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
public import NIOCore
public import VarveModel

/// Objects in memory, gone with the process: for tests and for trying things out. Durable is what it keeps only as long
/// as it lives.
public final class MemoryDriver: StorageDriver {
    /// One version of an object: its bytes as slices of what was written, never copied.
    private struct Stored {
        var info: ObjectInfo
        var pieces: [ByteBuffer]
    }

    private struct Bucket {
        var info: BucketInfo
        var spaces: [ObjectNamespace: SortedObjects<Stored>] = [:]
    }

    private struct State {
        var buckets: [BucketName: Bucket] = [:]
        var version: UInt64 = 0

        func bucket(_ name: BucketName) throws(VarveError) -> Bucket {
            guard let bucket = buckets[name] else { throw VarveError(.bucketUnknown, "no bucket \(name)") }
            return bucket
        }

        func object(_ address: ObjectAddress) throws(VarveError) -> Stored {
            guard let stored = try bucket(address.bucket).spaces[address.namespace]?[address.key] else {
                throw VarveError(.notFound, "no object \(address)")
            }
            return stored
        }

        func check(_ condition: WriteCondition, at address: ObjectAddress) throws(VarveError) {
            let there = try bucket(address.bucket).spaces[address.namespace]?[address.key]
            try condition.check(etag: there?.info.attributes.etag)
            if let upload = condition.upload,
                buckets[upload.bucket]?.spaces[upload.namespace]?[upload.key] == nil
            {
                throw VarveError(.uploadUnknown, "no upload \(upload)")
            }
        }

        mutating func store(
            _ pieces: [ByteBuffer], at address: ObjectAddress, _ attributes: ObjectAttributes
        ) -> ObjectInfo {
            version += 1
            let info = ObjectInfo(
                key: address.key, size: pieces.reduce(0) { $0 + UInt64($1.readableBytes) },
                modifiedMilliseconds: wallClockMilliseconds(), version: version, attributes: attributes)
            buckets[address.bucket]?.spaces[address.namespace, default: SortedObjects()]
                .put(Stored(info: info, pieces: pieces), address.key)
            return info
        }

        mutating func remove(_ address: ObjectAddress) -> Bool {
            buckets[address.bucket]?.spaces[address.namespace]?.remove(address.key) != nil
        }
    }
    private let state = NIOLockedValueBox(State())

    /// An empty driver, without buckets.
    public init() {}

    private func locked<Value: Sendable>(
        _ body: (inout State) throws(VarveError) -> Value
    ) throws(VarveError) -> Value {
        let result: Result<Value, VarveError> = state.withLockedValue { state in
            do throws(VarveError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    // MARK: Buckets

    /// See ``StorageDriver/createBucket(_:)``.
    public func createBucket(_ bucket: BucketName) async throws(VarveError) -> Bool {
        try locked { state throws(VarveError) in
            guard state.buckets[bucket] == nil else { return false }
            state.buckets[bucket] = Bucket(
                info: BucketInfo(name: bucket, createdMilliseconds: wallClockMilliseconds()))
            return true
        }
    }

    /// See ``StorageDriver/deleteBucket(_:)``.
    public func deleteBucket(_ bucket: BucketName) async throws(VarveError) {
        try locked { state throws(VarveError) in
            guard try state.bucket(bucket).spaces[.objects]?.isEmpty ?? true else {
                throw VarveError(.inUse, "bucket \(bucket) is not empty")
            }
            state.buckets[bucket] = nil
        }
    }

    /// See ``StorageDriver/bucket(_:)``.
    public func bucket(_ bucket: BucketName) async throws(VarveError) -> BucketInfo {
        try locked { state throws(VarveError) in try state.bucket(bucket).info }
    }

    /// See ``StorageDriver/buckets()``.
    public func buckets() async throws(VarveError) -> [BucketInfo] {
        try locked { state throws(VarveError) in state.buckets.values.map(\.info).sorted { $0.name < $1.name } }
    }

    // MARK: Objects

    /// See ``StorageDriver/stat(_:)``.
    public func stat(_ object: ObjectAddress) async throws(VarveError) -> ObjectInfo {
        try locked { state throws(VarveError) in try state.object(object).info }
    }

    /// See ``StorageDriver/open(_:)``.
    public func open(_ object: ObjectAddress) async throws(VarveError) -> any OpenObject {
        let stored = try locked { state throws(VarveError) in try state.object(object) }
        return Opened(info: stored.info, pieces: stored.pieces)
    }

    /// See ``StorageDriver/put(_:to:attributes:condition:)``.
    public func put(
        _ content: ByteBuffer, to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition
    ) async throws(VarveError) -> ObjectInfo {
        try store(to: object, attributes, condition) { _ throws(VarveError) in [content] }
    }

    /// See ``StorageDriver/writer(for:resuming:)``.
    public func writer(for object: ObjectAddress, resuming: Bool) async throws(VarveError) -> any ObjectWriter {
        let pieces = try locked { state throws(VarveError) in
            _ = try state.bucket(object.bucket)
            return resuming ? try state.object(object).pieces : []
        }
        return Writer(driver: self, object: object, pieces: pieces)
    }

    /// See ``StorageDriver/compose(_:to:attributes:condition:removing:)``.
    public func compose(
        _ pieces: [ObjectPiece], to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition,
        removing: [ObjectAddress]
    ) async throws(VarveError) -> ObjectInfo {
        try store(to: object, attributes, condition, removing: removing) { state throws(VarveError) in
            var joined: [ByteBuffer] = []
            for piece in pieces {
                let source = try state.object(piece.source)
                try piece.check(source.info)
                joined += Self.cut(source.pieces, to: piece.range ?? 0..<source.info.size)
            }
            return joined
        }
    }

    /// See ``StorageDriver/delete(_:)``.
    @discardableResult
    public func delete(_ objects: [ObjectAddress]) async throws(VarveError) -> Int {
        try locked { state throws(VarveError) in
            for object in objects { _ = try state.bucket(object.bucket) }
            return objects.count { state.remove($0) }
        }
    }

    /// See ``StorageDriver/delete(_:condition:)``.
    public func delete(_ object: ObjectAddress, condition: WriteCondition) async throws(VarveError) {
        try locked { state throws(VarveError) in
            _ = try state.object(object)
            try state.check(condition, at: object)
            _ = state.remove(object)
        }
    }

    /// See ``StorageDriver/list(_:in:_:)``.
    public func list(
        _ bucket: BucketName, in namespace: ObjectNamespace, _ request: ListRequest
    ) async throws(VarveError) -> ObjectPage {
        try locked { state throws(VarveError) in
            try state.bucket(bucket).spaces[namespace]?.page(request, \.info) ?? ObjectPage()
        }
    }

    private func store(
        to object: ObjectAddress, _ attributes: ObjectAttributes, _ condition: WriteCondition,
        removing: [ObjectAddress] = [], _ content: (State) throws(VarveError) -> [ByteBuffer]
    ) throws(VarveError) -> ObjectInfo {
        try attributes.check()
        return try locked { state throws(VarveError) in
            try state.check(condition, at: object)
            let pieces = try content(state)
            for address in removing where address != object { _ = state.remove(address) }
            return state.store(pieces, at: object, attributes)
        }
    }

    private static func cut(_ pieces: [ByteBuffer], to range: Range<UInt64>) -> [ByteBuffer] {
        var parts: [ByteBuffer] = []
        var start: UInt64 = 0
        for piece in pieces {
            let end = start + UInt64(piece.readableBytes)
            let wanted = range.clamped(to: start..<end)
            if !wanted.isEmpty,
                let part = piece.getSlice(
                    at: piece.readerIndex + Int(wanted.lowerBound - start), length: wanted.count)
            {
                parts.append(part)
            }
            start = end
        }
        return parts
    }

    private struct Opened: OpenObject {
        let info: ObjectInfo
        let pieces: [ByteBuffer]

        func content(in range: Range<UInt64>?) async throws(VarveError) -> ObjectContent {
            let parts = MemoryDriver.cut(pieces, to: try checked(range))
            if parts.count <= 1 { return .bytes(parts.first ?? ByteBuffer()) }
            let left = NIOLockedValueBox(parts[...])
            return .stream(
                ObjectStream(length: parts.reduce(0) { $0 + UInt64($1.readableBytes) }) { () throws(VarveError) in
                    left.withLockedValue { $0.popFirst() }
                })
        }
    }

    private final class Writer: ObjectWriter {
        private let driver: MemoryDriver
        private let object: ObjectAddress
        private let pieces: NIOLockedValueBox<[ByteBuffer]>
        private let isDone = NIOLockedValueBox(false)

        init(driver: MemoryDriver, object: ObjectAddress, pieces: [ByteBuffer]) {
            self.driver = driver
            self.object = object
            self.pieces = NIOLockedValueBox(pieces)
        }

        var size: UInt64 { pieces.withLockedValue { $0.reduce(0) { $0 + UInt64($1.readableBytes) } } }

        func append(_ bytes: ByteBuffer) async throws(VarveError) {
            try checkOpen()
            if bytes.readableBytes > 0 { pieces.withLockedValue { $0.append(bytes) } }
        }

        func commit(
            _ attributes: ObjectAttributes, condition: WriteCondition
        ) async throws(VarveError) -> ObjectInfo {
            try checkOpen()
            let info = try driver.store(to: object, attributes, condition) { _ throws(VarveError) in
                pieces.withLockedValue { $0 }
            }
            isDone.withLockedValue { $0 = true }
            return info
        }

        func cancel() async {
            isDone.withLockedValue { $0 = true }
            pieces.withLockedValue { $0 = [] }
        }

        private func checkOpen() throws(VarveError) {
            if isDone.withLockedValue({ $0 }) {
                throw VarveError(.invalidArgument, "the writer was committed or cancelled before")
            }
        }
    }
}

extension ObjectPiece {
    /// - Throws: `preconditionFailed`, `rangeNotSatisfiable`.
    package func check(_ info: ObjectInfo) throws(VarveError) {
        guard version == nil || version == info.version else {
            throw VarveError(.preconditionFailed, "\(source) has been replaced")
        }
        if let range, range.upperBound > info.size {
            throw VarveError(.rangeNotSatisfiable, "\(source) has \(info.size) bytes")
        }
    }
}

/// Milliseconds since 1970. Shown to people and used for grace periods, never for order.
package func wallClockMilliseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(clamping: time.tv_sec) * 1000 + UInt64(clamping: time.tv_nsec) / 1_000_000
}
