// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("making the index anew")
struct RebuildIndexTests {
    private func rebuild(_ files: ImageStore) async throws -> RebuildIndexReport {
        try await Store.rebuildIndex(at: files.path, logger: .quiet)
    }

    /// Images in every state: settled with and without raw bytes, raw for good, waiting to be settled, small blobs.
    private func prepared(_ files: ImageStore, salt: UInt64) async throws -> [TestImage] {
        try await files.with({ $0.cacheBudget = .bytes(1 << 30) }) { store in
            var images = try await pushVersions(to: store, salt: salt, files: 20, averageBytes: 10_000)
            images.append(
                try await store.pushImage(
                    name("other/raw"), tag("r"),
                    layers: [SeededBytes(salt + 1).copyOfBytes(150_000), Array("small".utf8)]))
            images.append(
                try await store.pushImage(
                    name("cached"), tag("c"), layers: [FileTree(salt + 2, files: 10, averageBytes: 10_000).tar]))
            try await store.settle(evict: false)
            images.append(
                try await store.pushImage(
                    name("queued"), tag("q"), layers: [FileTree(salt + 3, files: 10, averageBytes: 10_000).tar]))
            return images
        }
    }

    @Test("with the index deleted, every blob, manifest and tag comes back, and what was settled is settled")
    func deleted() async throws {
        let files = ImageStore()
        let images = try await prepared(files, salt: 301)
        let before = try await files.with({ $0.cacheBudget = .bytes(1 << 30) }) { store in try await store.stats() }
        #expect(before.cacheBytes > 0 && before.queuedCount > 0)
        files.directory.remove("store/index")
        let report = try await rebuild(files)
        #expect(report.problems.isEmpty)
        try await files.with({ $0.cacheBudget = .bytes(1 << 30) }) { store in
            try await expectWhole(store, images)
            let after = try await store.stats()
            #expect(after.blobsCount == before.blobsCount)
            #expect(after.settledCount == before.settledCount)
            #expect(after.settledBytes == before.settledBytes)
            #expect(after.cacheBytes == before.cacheBytes)
            #expect(after.chunksCount == before.chunksCount)
            #expect(after.packsCount == before.packsCount)
            #expect(after.inlineCount == before.inlineCount)
            #expect(after.manifestsCount == before.manifestsCount)
            #expect(after.tagsCount == before.tagsCount)
            #expect(after.repositoriesCount == before.repositoriesCount)
            #expect(try await store.verify().damage.isEmpty)

            // It is used as if nothing had happened: what waits settles, what is known is found.
            try await store.settle(evict: true)
            let packs = try await store.stats().packsBytes
            let layer = try #require(images[0].blobs.values.max { $0.count < $1.count })
            let again = try await store.pushImage(name("again"), tag("a"), layers: [layer + [1, 2, 3]])
            try await store.settle(evict: true)
            #expect(try await store.stats().packsBytes < packs + UInt64(layer.count) / 10)
            try await expectWhole(store, images + [again])
            #expect(try await store.collect(graceSeconds: 0).blobsRemoved == 0)
            try await expectWhole(store, images + [again])
        }
    }

    @Test("forwards of rewritten packs come back from their footers, and what was deleted stays so")
    func afterCollecting() async throws {
        let files = ImageStore()
        let (images, deleted) = try await files.with({ $0.packBytes = 8 << 20 }) { store in
            var kept: [TestImage] = []
            var deleted: [TestImage] = []
            var tree = FileTree(311, files: 30, averageBytes: 10_000)
            for round in 0..<3 {
                let waste = try await store.pushImage(
                    name("waste"), tag("w\(round)"),
                    layers: [FileTree(UInt64(320 + round), files: 40, averageBytes: 10_000).tar])
                kept.append(try await store.pushImage(name("keep"), tag("k\(round)"), layers: [tree.tar]))
                tree.change(percent: 30)
                try await store.settle(evict: true)
                try await store.removeManifest(.digest(waste.manifest), from: waste.repository)
                #expect(try await store.collect(graceSeconds: 0).packsRewritten > 0)
                deleted.append(waste)
            }
            return (kept, deleted)
        }
        files.directory.remove("store/index")
        #expect(try await rebuild(files).problems.isEmpty)
        try await files.with { store in
            try await expectWhole(store, images)
            for image in deleted {
                for digest in image.blobs.keys {
                    await #expect(throws: VarveError.self) { try await store.blob(digest, in: nil) }
                }
            }
            #expect(try await store.verify().damage.isEmpty)
        }
    }

    @Test("with the journal gone too, blobs come back without their names, and are not collected")
    func withoutJournal() async throws {
        let files = ImageStore()
        let images = try await prepared(files, salt: 331)
        files.directory.remove("store/index")
        files.directory.remove("store/journal")
        let report = try await rebuild(files)
        #expect(report.problems.contains { $0.contains("journal") })
        try await files.with { store in
            _ = try await store.collect(graceSeconds: 0)
            let layers = images.flatMap(\.blobs).filter { $0.value.count > 16 << 10 }
            #expect(layers.count >= 8)
            for (digest, bytes) in layers {
                #expect(try await store.pull(digest, from: name("recovered")) == bytes)
            }
            try await store.settle(evict: true)
            for (digest, bytes) in layers {
                #expect(try await store.pull(digest, from: name("recovered")) == bytes)
            }
        }
    }

    @Test("what a crash left behind the last whole frame of a pack is cut off")
    func tornPack() async throws {
        let files = ImageStore()
        let images = try await files.with({ $0.packBytes = 64 << 20 }) { store in
            let images = try await pushVersions(to: store, salt: 341, files: 20, averageBytes: 10_000)
            return images
        }
        let pack = try #require(files.directory.files(below: "store/packs").first)
        let whole = files.directory.read(pack)
        let frame = try #require(whole.indices.first { whole[$0...].starts(with: "VFRM".utf8) })
        var numbers = SeededBytes(342)
        let tails = [numbers.bytes(1), numbers.bytes(100_000), Array(whole[frame..<frame + 5000])]
        for tail in tails {
            files.directory.write(whole + tail, to: pack)
            files.directory.remove("store/index")
            _ = try await rebuild(files)
            #expect(files.directory.read(pack).count == whole.count)
            // A frame's header in the tail: kept for whoever wants to look at it.
            let cut = files.directory.read(String(pack.dropLast(5)) + ".cut")
            #expect(cut == (tail.count == 5000 ? tail : []))
            try await files.with({ $0.packBytes = 64 << 20 }) { store in
                try await expectWhole(store, images)
                let next = try await store.pushImage(
                    name("next"), tag("n"), layers: [FileTree(343, files: 10, averageBytes: 10_000).tar])
                try await store.settle(evict: true)
                try await expectWhole(store, images + [next])
                try await store.removeManifest(.digest(next.manifest), from: next.repository)
            }
            files.directory.write(whole, to: pack)
        }
    }

    @Test("damage is said, and what is whole is kept")
    func damaged() async throws {
        let files = ImageStore()
        let images = try await prepared(files, salt: 351)
        // The layer that waits to be settled: nothing else has its bytes.
        let image = try #require(images.last)
        let lost = try #require(image.blobs.max { $0.value.count < $1.value.count })
        let hex = lost.key.hex
        let raw = try #require(files.directory.files(below: "store/raw").first { $0.hasSuffix(hex) })
        files.directory.flip(1, at: lost.value.count / 2, of: raw)
        files.directory.remove("store/index")
        let report = try await rebuild(files)
        #expect(report.problems.contains { $0.contains(hex) })
        #expect(!files.directory.read(raw + ".damaged").isEmpty)
        try await files.with { store in
            try await expectWhole(store, images.dropLast())
            let damage = try await store.verify().damage
            #expect(damage.contains { $0.contains(hex) && $0.contains("queued:q") })
            // Pushed again, it is whole again.
            try await store.push(lost.value, to: image.repository)
            try await expectWhole(store, images)
            #expect(try await store.verify().damage.isEmpty)
        }
    }

    @Test("refuses a store that is open, and a directory that is none")
    func refusals() async throws {
        let files = ImageStore()
        let store = try await files.open()
        await #expect { _ = try await rebuild(files) } throws: { ($0 as? VarveError)?.code == .inUse }
        await store.close()
        let none = TestDirectory()
        await #expect {
            _ = try await Store.rebuildIndex(at: none.path)
        } throws: {
            ($0 as? VarveError)?.code == .notAStore
        }
        #expect(none.files().isEmpty)
    }
}

extension SeededBytes {
    /// Bytes from the beginning of the sequence.
    fileprivate func copyOfBytes(_ count: Int) -> [UInt8] {
        var numbers = self
        return numbers.bytes(count)
    }
}
