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

@Suite("adopted objects")
struct ObjectAdoptionTests {
    @Test("keys that promise a digest are those of registries, and no others")
    func keys() throws {
        let digest = VarveTestKit.digest(of: [1])
        let hex = digest.hex
        let two = hex.prefix(2)
        for text in [
            "r/docker/registry/v2/blobs/sha256/\(two)/\(hex)/data", "blobs/sha256/\(two)/\(hex)/data",
            "repo/blobs/sha256/\(hex)", "blobs/sha256/\(hex)", "/a/b/c/blobs/sha256/\(hex)",
        ] {
            #expect(Digest(promisedBy: try #require(ObjectKey(text))) == digest, "\(text)")
        }
        let other = two == "00" ? "11" : "00"
        for text in [
            "blobs/sha256/\(hex)/data", "blobs/sha256/\(other)/\(hex)/data", "blobs/sha256/\(hex.dropLast())",
            "blobs/sha512/\(hex)", "blobs/sha256/\(hex.uppercased())", "sha256/\(hex)", hex, "blobs//\(hex)",
            "r/_layers/sha256/\(hex)/link", "blobs/sha256/\(two)/\(hex)/data/", "xblobs/sha256/\(hex)",
        ] {
            #expect(Digest(promisedBy: try #require(ObjectKey(text))) == nil, "\(text)")
        }
    }

    @Test("a moved layer becomes the blob that a push would have made, without a copy, and reads stay as they were")
    func layer() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open { $0.cacheBudget = .bytes(.max) }
        let tar = FileTree(401, files: 60, averageBytes: 20_000).tar
        let digest = try await rig.push(tar, to: store)
        let key = try rig.blobAddress(digest)
        #expect(try await store.stats().adoptingCount == 1)
        let before = try await store.open(key)
        let files = await rig.spoolFiles(of: store)
        #expect(files.count == 1, "the parts of an upload share a file")
        var status = stat()
        #expect(stat(rig.directory.path + "/" + (files.first ?? ""), &status) == 0)
        let inode = status.st_ino

        try await store.settle(evict: false)
        #expect(try await store.stats().adoptingCount == 0)
        let info = try await store.blob(digest, in: nil)
        #expect(info.isSettled && info.size == UInt64(tar.count))
        #expect(stat(rig.directory.path + "/store/" + StoreLayout.raw(digest).path, &status) == 0)
        #expect(status.st_ino == inode, "the raw file is the spool file")
        #expect(try await before.content(in: nil).gathered() == tar, "open from before it was adopted")
        #expect(try await store.stat(key).attributes.etag == "moved")
        #expect(try await store.stat(key) == before.info)

        try await store.settle(evict: true)
        #expect(try await !store.blob(digest, in: nil).isRaw)
        #expect(try await rig.bytes(key, of: store) == tar, "rebuilt")
        #expect(try await rig.bytes(key, of: store, range: 5000..<90_000) == Array(tar[5000..<90_000]))
        #expect(try await before.content(in: 7..<5000).gathered() == Array(tar[7..<5000]))
        withExtendedLifetime(before) {}

        // The same layer through the other front is the same blob.
        let repository = try #require(RepositoryName("library/one"))
        #expect(try await store.push(tar, to: repository) == digest)
        #expect(try await store.stats().blobsCount == 1)
        #expect(try await store.pull(digest, from: repository) == tar)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("spool files go when nothing holds them and nobody reads them")
    func spoolFiles() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open()
        let bytes = FileTree(402, files: 20, averageBytes: 20_000).tar
        let digest = try await rig.push(bytes, to: store)
        try await store.settle(evict: true)
        #expect(await rig.spoolFiles(of: store) == [])
        #expect(try await rig.bytes(try rig.blobAddress(digest), of: store) == bytes)
        let plain = try rig.address("plain")
        _ = try await store.put(ByteBuffer(bytes: bytes), to: plain, attributes: ObjectAttributes())
        var open: (any OpenObject)? = try await store.open(plain)
        try await store.delete([plain])
        #expect(await rig.spoolFiles(of: store).count == 1)
        #expect(try await open?.content(in: nil).gathered() == bytes)
        open = nil
        #expect(await rig.spoolFiles(of: store) == [])
        let writer = try await store.writer(for: plain, resuming: false)
        try await writer.append(ByteBuffer(bytes: bytes))
        try await writer.append(ByteBuffer(bytes: bytes))
        await writer.cancel()
        #expect(await rig.spoolFiles(of: store) == [])
        await store.close()
    }

    @Test("a part that is still being written behind a layer's bytes does not lengthen the blob")
    func latePart() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open { $0.cacheBudget = .bytes(.max) }
        let layer = FileTree(1461, files: 30, averageBytes: 30_000).tar
        let digest = VarveTestKit.digest(of: layer)
        let target = try rig.blobAddress(digest)
        let upload = UploadName(startingAt: 1, key: target.key)
        let record = ObjectAddress(rig.bucket, upload.uploadKey, in: .uploads)
        _ = try await store.put(ByteBuffer(), to: record, attributes: ObjectAttributes())
        let part = ObjectAddress(rig.bucket, try #require(upload.partKey(1)), in: .parts)
        let first = try await store.writer(for: part, resuming: false)
        try await first.append(ByteBuffer(bytes: layer))
        _ = try await first.commit(ObjectAttributes(), condition: WriteCondition(upload: record))
        let late = try await store.writer(
            for: ObjectAddress(rig.bucket, try #require(upload.partKey(2)), in: .parts), resuming: false)
        _ = try await store.compose(
            [ObjectPiece(part)], to: target, attributes: ObjectAttributes(),
            condition: WriteCondition(upload: record), removing: [])
        // Adopted, and kept raw beside its chunks.
        try await store.settle(evict: false)
        try await late.append(ByteBuffer(repeating: 7, count: 600_000))
        #expect(await rig.spoolFiles(of: store).count == 1, "both parts are in one file")
        #expect(try await store.blob(digest, in: nil).isRaw)
        #expect(try await store.verify().damage == [])
        await late.cancel()
        try await store.delete([part, record])
        #expect(try await store.blob(digest, in: nil).size == UInt64(layer.count))
        #expect(try await rig.bytes(target, of: store) == layer)
        try await store.settle(evict: true)
        #expect(try await store.stats().rawReasons == [:])
        #expect(try await rig.bytes(target, of: store) == layer)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("a layer in many pieces is copied into a blob, and small objects are blobs at once")
    func pieces() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open()
        let tar = FileTree(403, files: 30, averageBytes: 20_000).tar
        let digest = VarveTestKit.digest(of: tar)
        let key = try rig.blobAddress(digest)
        // Pieces out of two files and of a row, in no order.
        let cuts = [0, 300, 120_000, 121_000, tar.count]
        var pieces: [ObjectPiece] = []
        for (start, end) in zip(cuts, cuts.dropFirst()).reversed() {
            let object = try rig.address("piece\(start)")
            _ = try await store.put(
                ByteBuffer(bytes: tar[start..<end]), to: object, attributes: ObjectAttributes())
            pieces.insert(ObjectPiece(object), at: 0)
        }
        _ = try await store.compose(
            pieces, to: key, attributes: ObjectAttributes(), condition: .none, removing: pieces.map(\.source))
        #expect(try await rig.bytes(key, of: store) == tar)
        try await store.settle(evict: true)
        #expect(try await store.blob(digest, in: nil).isSettled)
        #expect(try await rig.bytes(key, of: store) == tar)
        #expect(await rig.spoolFiles(of: store) == [])

        let config = Array("{\"os\":\"linux\"}".utf8)
        let configDigest = VarveTestKit.digest(of: config)
        _ = try await store.put(
            ByteBuffer(bytes: config), to: try rig.blobAddress(configDigest), attributes: ObjectAttributes())
        #expect(try await store.stats().adoptingCount == 0)
        #expect(try await store.blob(configDigest, in: nil).isRaw)
        #expect(try await rig.bytes(try rig.blobAddress(configDigest), of: store) == config)
        let empty = VarveTestKit.digest(of: [])
        _ = try await store.put(ByteBuffer(), to: try rig.blobAddress(empty), attributes: ObjectAttributes())
        #expect(try await rig.bytes(try rig.blobAddress(empty), of: store) == [])
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("an object that is not what its key promises stays as it is")
    func liar() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open()
        var random = SeededBytes(404)
        let promised = VarveTestKit.digest(of: [9])
        for (name, bytes) in [("small", random.bytes(100)), ("large", random.bytes(50_000))] {
            let key = try rig.address("\(name)/blobs/sha256/\(promised.hex)")
            _ = try await store.put(ByteBuffer(bytes: bytes), to: key, attributes: ObjectAttributes())
            try await store.settle(evict: true)
            #expect(try await rig.bytes(key, of: store) == bytes)
            #expect(try await store.stats().adoptingCount == 0)
            #expect(try await store.stats().blobsCount == 0)
        }
        // A blob of that name that comes later is not what the object holds.
        let repository = try #require(RepositoryName("a"))
        #expect(try await store.push([9], to: repository) == promised)
        let large = try rig.address("large/blobs/sha256/\(promised.hex)")
        #expect(try await store.stat(large).size == 50_000)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("a blob that was found damaged is whole again when an object brings its bytes")
    func damagedBlob() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open()
        let tar = FileTree(407, files: 20, averageBytes: 20_000).tar
        let repository = try #require(RepositoryName("library/one"))
        let digest = try await store.push(tar, to: repository)
        rig.directory.write([1, 2, 3], to: "store/" + StoreLayout.raw(digest).path)
        try await store.settle(evict: true)
        await #expect(throws: VarveError.self) { try await store.pull(digest, from: repository) }
        try await rig.push(tar, to: store)
        try await store.settle(evict: true)
        #expect(try await store.blob(digest, in: nil).isSettled)
        #expect(try await store.pull(digest, from: repository) == tar)
        #expect(try await rig.bytes(try rig.blobAddress(digest), of: store) == tar)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("an object holds its blob: a collection takes it only after the object and everything else is gone")
    func collection() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open()
        let first = FileTree(405, files: 30, averageBytes: 20_000).tar
        let second = FileTree(406, files: 30, averageBytes: 20_000).tar
        let repository = try #require(RepositoryName("library/one"))
        let one = try await rig.push(first, to: store)
        let two = try await rig.push(second, to: store)
        try await store.settle(evict: true)
        _ = try await store.push(first, to: repository)
        try await store.removeBlob(one, from: repository)
        _ = try await store.collect(graceSeconds: 0)
        #expect(try await rig.bytes(try rig.blobAddress(one), of: store) == first)
        #expect(try await rig.bytes(try rig.blobAddress(two), of: store) == second)
        // A copy of a part holds all of it.
        let part = try rig.address("part")
        _ = try await store.compose(
            [ObjectPiece(try rig.blobAddress(two), range: 1000..<70_000)], to: part, attributes: ObjectAttributes(),
            condition: .none, removing: [try rig.blobAddress(one), try rig.blobAddress(two)])
        #expect(try await store.collect(graceSeconds: 0).blobsRemoved == 1)
        #expect(try await rig.bytes(part, of: store) == Array(second[1000..<70_000]))
        await #expect(throws: VarveError.self) { try await store.blob(one, in: nil) }
        try await store.delete([part])
        #expect(try await store.collect(graceSeconds: 0).blobsRemoved == 1)
        let stats = try await store.stats()
        #expect(stats.blobsCount == 0 && stats.chunksCount == 0)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("readers beside adoption, settling, eviction and copying get the right bytes")
    func readers() async throws {
        let rig = try ObjectRig()
        let store = try await rig.open {
            $0.settling = .background
            $0.cacheBudget = .bytes(0)
        }
        let layers = (0..<4).map { FileTree(410 + UInt64($0), files: 20, averageBytes: 20_000).tar }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for tar in layers {
                group.addTask {
                    let digest = try await rig.push(tar, to: store)
                    let key = try rig.blobAddress(digest)
                    var random = SeededBytes(UInt64(tar.count))
                    for round in 0..<60 {
                        let start = random.int(0...tar.count - 1)
                        let end = random.int(start...tar.count)
                        let found = try await rig.bytes(key, of: store, range: UInt64(start)..<UInt64(end))
                        #expect(found == Array(tar[start..<end]), "seed \(SeededBytes.seed)")
                        if round % 20 == 7 {
                            let copy = try rig.address("copy/\(digest.hex)")
                            _ = try await store.compose(
                                [ObjectPiece(key, range: UInt64(start)..<UInt64(end))], to: copy,
                                attributes: ObjectAttributes(), condition: .none, removing: [])
                            #expect(try await rig.bytes(copy, of: store) == Array(tar[start..<end]))
                        }
                    }
                }
            }
            group.addTask {
                for _ in 0..<5 { try await store.settle(evict: true) }
            }
            try await group.waitForAll()
        }
        try await store.settle(evict: true)
        #expect(try await store.stats().settledCount == 4)
        for tar in layers {
            #expect(try await rig.bytes(try rig.blobAddress(VarveTestKit.digest(of: tar)), of: store) == tar)
        }
        #expect(try await store.verify().damage == [])
        await store.close()
    }
}
