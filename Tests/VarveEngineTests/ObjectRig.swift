// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import Testing
import VarveDrivers
import VarveIndex
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// Objects in a store, as a registry on the storage driver writes them.
struct ObjectRig: Sendable {
    let directory = TestDirectory()
    let bucket: BucketName

    init() throws { bucket = try #require(BucketName("registry")) }

    func open(faults: Faults? = nil, _ change: (inout StoreSettings) -> Void = { _ in }) async throws -> Store {
        var isReadOnly = false
        let store = try await Store.openQuietly(at: directory.path + "/store", faults: faults) { settings in
            change(&settings)
            isReadOnly = settings.readOnly
        }
        if !isReadOnly { _ = try await store.createBucket(bucket) }
        return store
    }

    func address(_ key: String, in namespace: ObjectNamespace = .objects) throws -> ObjectAddress {
        ObjectAddress(bucket, try #require(ObjectKey(key)), in: namespace)
    }

    /// Where CNCF Distribution keeps a blob.
    func blobAddress(_ digest: Digest) throws -> ObjectAddress {
        try address("r/docker/registry/v2/blobs/\(digest.algorithm.name)/\(digest.hex.prefix(2))/\(digest.hex)/data")
    }

    /// Uploads bytes in parts, joins them under an upload's key, copies that in ranges to the blob's key, and deletes the
    /// upload: what a registry does with a layer.
    @discardableResult
    func push(_ bytes: [UInt8], to store: Store, partBytes: Int = 100_000) async throws -> Digest {
        let digest = VarveTestKit.digest(of: bytes)
        let target = try blobAddress(digest)
        let upload = UploadName(startingAt: 1, key: try #require(ObjectKey("r/_uploads/\(digest.hex)/data")))
        let data = ObjectAddress(bucket, upload.key)
        let record = ObjectAddress(bucket, upload.uploadKey, in: .uploads)
        _ = try await store.put(ByteBuffer(), to: record, attributes: ObjectAttributes())
        var parts: [ObjectAddress] = []
        for start in stride(from: 0, to: bytes.count, by: partBytes) {
            let part = ObjectAddress(bucket, try #require(upload.partKey(parts.count + 1)), in: .parts)
            let writer = try await store.writer(for: part, resuming: false)
            try await writer.append(ByteBuffer(bytes: bytes[start..<min(start + partBytes, bytes.count)]))
            _ = try await writer.commit(ObjectAttributes(), condition: WriteCondition(upload: record))
            parts.append(part)
        }
        _ = try await store.compose(
            parts.map { ObjectPiece($0) }, to: data, attributes: ObjectAttributes(etag: "up"),
            condition: WriteCondition(upload: record), removing: parts + [record])
        var ranges: [ObjectPiece] = []
        let step = 3 * partBytes / 2
        for start in stride(from: 0, to: bytes.count, by: step) {
            ranges.append(ObjectPiece(data, range: UInt64(start)..<UInt64(min(start + step, bytes.count))))
        }
        _ = try await store.compose(
            ranges, to: target, attributes: ObjectAttributes(etag: "moved"), condition: .none, removing: [])
        try await store.delete([data])
        return digest
    }

    func bytes(_ object: ObjectAddress, of store: Store, range: Range<UInt64>? = nil) async throws -> [UInt8] {
        try await store.open(object).content(in: range).gathered()
    }

    /// Names in `spool/`, once nothing that was let go of waits to be removed.
    func spoolFiles(of store: Store) async -> [String] {
        // Removals are queued behind one another on the threads of the pool: as many empty jobs come after them.
        for _ in 0..<16 { await store.core.pool.runAlways {} }
        return directory.files(below: "store/spool")
    }
}
