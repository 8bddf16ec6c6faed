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

@Suite("objects after a restart, and after damage")
struct ObjectRecoveryTests {
    @Test("what waits to be adopted is gone on with after a restart, and files that nothing knows are removed")
    func restart() async throws {
        let rig = try ObjectRig()
        let tar = FileTree(420, files: 30, averageBytes: 20_000).tar
        var store = try await rig.open()
        let digest = try await rig.push(tar, to: store)
        await store.close()
        rig.directory.write([1, 2, 3], to: "store/spool/" + String(repeating: "ab", count: 16))
        rig.directory.write([1, 2, 3], to: "store/spool/not-ours")
        store = try await rig.open()
        #expect(rig.directory.files(below: "store/spool").count == 2)
        #expect(try await store.stats().adoptingCount == 1)
        #expect(try await rig.bytes(try rig.blobAddress(digest), of: store) == tar)
        try await store.settle(evict: true)
        #expect(try await store.blob(digest, in: nil).isSettled)
        await store.close()
        store = try await rig.open { $0.readOnly = true }
        #expect(try await rig.bytes(try rig.blobAddress(digest), of: store) == tar)
        await #expect(throws: VarveError.self) { try await store.delete([try rig.blobAddress(digest)]) }
        await store.close()
    }

    @Test("an index made anew knows every object, adopted or not", arguments: [false, true])
    func rebuiltIndex(isAdopted: Bool) async throws {
        let rig = try ObjectRig()
        var store = try await rig.open()
        let tar = FileTree(430, files: 30, averageBytes: 20_000).tar
        var random = SeededBytes(431)
        let plain = random.bytes(80_000)
        let digest = try await rig.push(tar, to: store)
        _ = try await store.put(
            ByteBuffer(bytes: plain), to: try rig.address("plain"), attributes: ObjectAttributes(etag: "p"))
        _ = try await store.put(
            ByteBuffer(bytes: [1, 2]), to: try rig.address("small"), attributes: ObjectAttributes(fields: ["a": "b"]))
        if isAdopted { try await store.settle(evict: true) }
        let expected = try await store.list(rig.bucket, in: .objects, ListRequest())
        await store.close()
        rig.directory.remove("store/index")
        let report = try await Store.rebuildIndex(at: rig.directory.path + "/store")
        #expect(report.problems == [])
        store = try await rig.open()
        #expect(try await store.list(rig.bucket, in: .objects, ListRequest()) == expected)
        #expect(try await rig.bytes(try rig.blobAddress(digest), of: store) == tar)
        #expect(try await rig.bytes(try rig.address("plain"), of: store) == plain)
        try await store.settle(evict: true)
        #expect(try await store.blob(digest, in: nil).isSettled)
        #expect(try await rig.bytes(try rig.blobAddress(digest), of: store) == tar)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("objects whose bytes are lost are missed, and bytes whose objects are lost are found")
    func lostAndFound() async throws {
        let rig = try ObjectRig()
        var store = try await rig.open()
        var random = SeededBytes(440)
        let (lost, found) = (random.bytes(80_000), random.bytes(90_000))
        _ = try await store.put(ByteBuffer(bytes: lost), to: try rig.address("lost"), attributes: ObjectAttributes())
        let lostFile = try #require(rig.directory.files(below: "store/spool").first)
        await store.close()
        rig.directory.remove(lostFile)
        store = try await rig.open()
        #expect(try await store.verify().damage.count == 1)
        await #expect(throws: VarveError.self) { try await rig.bytes(try rig.address("lost"), of: store) }
        await store.close()
        var report = try await Store.rebuildIndex(at: rig.directory.path + "/store")
        #expect(report.problems == ["object registry/lost is lost"])
        store = try await rig.open()
        #expect(try await store.list(rig.bucket, in: .objects, ListRequest()) == ObjectPage())
        #expect(try await store.verify().damage == [])
        _ = try await store.put(ByteBuffer(bytes: found), to: try rig.address("found"), attributes: ObjectAttributes())
        await store.close()
        rig.directory.remove("store/index")
        rig.directory.remove("store/journal")
        // Opened, it would make a new index and remove what that does not know.
        await #expect(throws: VarveError.self) { try await rig.open() }
        report = try await Store.rebuildIndex(at: rig.directory.path + "/store")
        #expect(report.problems.contains { $0.contains("bucket recovered") })
        store = try await rig.open()
        let recovered = try #require(BucketName("recovered"))
        let object = try #require(try await store.list(recovered, in: .objects, ListRequest()).objects.first)
        #expect(try await rig.bytes(ObjectAddress(recovered, object.key), of: store) == found)
        await store.close()
    }

    @Test("uploads that nobody goes on with go with a collection or when another one begins", arguments: [true, false])
    func expiry(isCollected: Bool) async throws {
        let rig = try ObjectRig()
        var store = try await rig.open()
        let upload = UploadName(startingAt: 1, key: try #require(ObjectKey("k")))
        let record = ObjectAddress(rig.bucket, upload.uploadKey, in: .uploads)
        _ = try await store.put(ByteBuffer(), to: record, attributes: ObjectAttributes())
        _ = try await store.collect(graceSeconds: 0)
        _ = try await store.stat(record)
        let place = record.place
        try await store.core.commit { transaction in
            var row = try #require(try transaction.object(at: place))
            row.modifiedMilliseconds -= 9 * 24 * 3600 * 1000
            _ = try transaction.putObject(at: place, row)
        }
        if isCollected {
            _ = try await store.collect(graceSeconds: 0)
        } else {
            // An open store has looked today.
            await store.close()
            store = try await rig.open()
            let next = UploadName(startingAt: 2, key: upload.key)
            let other = ObjectAddress(rig.bucket, next.uploadKey, in: .uploads)
            _ = try await store.put(ByteBuffer(), to: other, attributes: ObjectAttributes())
            _ = try await store.stat(other)
        }
        await #expect(throws: VarveError.self) { try await store.stat(record) }
        await store.close()
    }
}
