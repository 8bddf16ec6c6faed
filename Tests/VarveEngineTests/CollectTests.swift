// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import Testing
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("collecting")
struct CollectTests {
    private func remove(_ image: TestImage, from store: Store) async throws {
        try await store.removeManifest(.digest(image.manifest), from: image.repository)
    }

    @Test(
        "with two of three images deleted, their space comes back and the third stays as it was",
        arguments: [["app", "app", "app"], ["one", "two", "three"]])
    func twoOfThree(_ repositories: [String]) async throws {
        let files = ImageStore()
        try await files.with { store in
            let images = try await pushVersions(to: store, salt: 1, repositories: repositories)
            let other = try await store.pushImage(
                name("other"), tag("v1"), layers: [FileTree(99, files: 60, averageBytes: 30_000).tar])
            try await store.settle(evict: true)
            let before = try await store.stats()
            let packsBefore = files.directory.byteCount(below: "store/packs")

            try await remove(images[0], from: store)
            try await remove(other, from: store)
            let report = try await store.collect(graceSeconds: 0)
            try await expectWhole(store, [images[1], images[2]])
            #expect(report.blobsRemoved >= 5, "two manifests, two configs, two layers, but not the base")
            #expect(report.bytesFreed > 0)

            try await remove(images[2], from: store)
            let second = try await store.collect(graceSeconds: 0)
            try await expectWhole(store, [images[1]])
            #expect(second.chunksRemoved > 0)
            let after = try await store.stats()
            #expect(after.settledCount == 2)
            #expect(after.blobsCount == 4, "manifest, config and two layers")
            #expect(after.chunksCount < before.chunksCount)

            // What is left is about what the image takes in a store of its own.
            let alone = ImageStore()
            let packsAlone = try await alone.with { fresh in
                let layers = images[1].blobs.values.filter { $0.count > 100_000 }
                _ = try await fresh.pushImage(name("app"), tag("v2"), layers: Array(layers))
                try await fresh.settle(evict: true)
                return alone.directory.byteCount(below: "store/packs")
            }
            let packsAfter = files.directory.byteCount(below: "store/packs")
            #expect(packsAfter < packsBefore / 2)
            #expect(Double(packsAfter) < 1.4 * Double(packsAlone))
            let report3 = try await store.verify()
            #expect(report3.damage.isEmpty)
        }
        // All of it is so on disk, too.
        try await files.with { store in
            let left = try await store.repositories(after: nil, limit: 10)
            #expect(left.map(\.description) == (repositories[0] == "app" ? ["app"] : ["two"]))
            #expect(try await store.collect(graceSeconds: 0).bytesFreed < 100_000)
        }
    }

    @Test("forwards follow a pack that is rewritten again and again")
    func rewrittenOften() async throws {
        let files = ImageStore()
        // Packs that hold many layers, so that each collection leaves holes in them.
        try await files.with({ $0.packBytes = 8 << 20 }) { store in
            var tree = FileTree(5, files: 30, averageBytes: 10_000)
            let first = try await store.pushImage(name("keep"), tag("first"), layers: [tree.tar])
            try await store.settle(evict: true)
            var kept = [first]
            var rewritten: UInt64 = 0
            for round in 0..<8 {
                // Something that goes at once lies between what stays, so packs become sparse over and over.
                let waste = FileTree(UInt64(100 + round), files: 40, averageBytes: 10_000).tar
                let image = try await store.pushImage(name("waste"), tag("w\(round)"), layers: [waste])
                tree.change(percent: 40)
                let next = try await store.pushImage(name("keep"), tag("r\(round)"), layers: [tree.tar])
                try await store.settle(evict: true)
                try await remove(image, from: store)
                if round % 3 == 2 { try await remove(kept.remove(at: 1), from: store) }
                kept.append(next)
                rewritten += try await store.collect(graceSeconds: 0).packsRewritten
                try await expectWhole(store, kept, "round \(round)")
                // What is stored from now on shares chunks with what was moved.
                let again = try await store.pushImage(name("keep"), tag("again"), layers: [tree.tar + [1, 2, 3]])
                try await store.settle(evict: true)
                try await expectWhole(store, [again], "round \(round)")
                try await remove(again, from: store)
            }
            #expect(rewritten >= 8)
            #expect(try await store.verify().damage.isEmpty)
        }
    }

    @Test("compressed layers are collected, moved, found again and verified as others are")
    func compressedLayers() async throws {
        let files = ImageStore()
        let kept = try await files.with({ $0.packBytes = 8 << 20 }) { store in
            var tree = FileTree(651, files: 12, averageBytes: 10_000)
            var images: [TestImage] = []
            for version in 0..<3 {
                let layer = Gzip.compress(tree.tar, level: [1, 6, 9][version])
                try #require(layer.count > 30_000, "there is no gzip")
                images.append(try await store.pushImage(name("zip"), tag("v\(version)"), layers: [layer]))
                // What shares nothing hardly saves anything, and stays raw.
                var other = tree
                other.change(percent: 60)
                let waste = Gzip.compress(other.tar)
                images.append(try await store.pushImage(name("waste"), tag("w\(version)"), layers: [waste]))
                tree.change(percent: 20)
            }
            try await store.settle(evict: true)
            let stats = try await store.stats()
            #expect(stats.settledCount == 6, "\(stats.rawReasons)")
            #expect(try await store.usage(of: .tag(tag("v1")), in: name("zip")).sharesWith.count == 5)
            for image in images where image.repository.description == "waste" || image.tag.description == "v0" {
                try await remove(image, from: store)
            }
            #expect(try await store.collect(graceSeconds: 0).packsRewritten > 0)
            let kept = images.filter { $0.repository.description == "zip" && $0.tag.description != "v0" }
            try await expectWhole(store, kept)
            #expect(try await store.verify().damage.isEmpty)
            return kept
        }
        files.directory.remove("store/index")
        #expect(try await Store.rebuildIndex(at: files.path).problems.isEmpty)
        try await files.with { store in
            try await expectWhole(store, kept)
            #expect(try await store.stats().settledCount == 2)
            for image in kept {
                let layer = try #require(image.blobs.max { $0.value.count < $1.value.count })
                let range = UInt64(layer.value.count / 3)..<UInt64(layer.value.count / 2)
                let part = try await store.pull(layer.key, from: image.repository, range: range)
                #expect(part == Array(layer.value[Int(range.lowerBound)..<Int(range.upperBound)]))
            }
        }
    }

    @Test("a blob that no manifest names stays for the grace period, and then goes")
    func grace() async throws {
        let files = ImageStore()
        try await files.with { store in
            let image = try await store.pushImage(
                name("app"), tag("v1"), layers: [FileTree(7, files: 5, averageBytes: 20_000).tar])
            let lonely = try await store.push(FileTree(8, files: 5, averageBytes: 20_000).tar, to: name("app"))
            try await store.settle(evict: true)
            #expect(try await store.collect(graceSeconds: 3600).blobsRemoved == 0)
            _ = try await store.blob(lonely, in: name("app"))
            #expect(try await store.collect(graceSeconds: 0).blobsRemoved == 1)
            await #expect(throws: VarveError.self) { try await store.blob(lonely, in: nil) }
            try await expectWhole(store, [image])
        }
    }

    @Test("blobs in a repository that never had a manifest stay")
    func withoutManifests() async throws {
        let files = ImageStore()
        try await files.with { store in
            let bytes = FileTree(9, files: 5, averageBytes: 20_000).tar
            let digest = try await store.push(bytes, to: name("imported"))
            try await store.settle(evict: true)
            #expect(try await store.collect(graceSeconds: 0).blobsRemoved == 0)
            #expect(try await store.pull(digest, from: name("imported")) == bytes)
            try await store.removeBlob(digest, from: name("imported"))
            #expect(try await store.collect(graceSeconds: 0).blobsRemoved == 1)
            #expect(try await store.stats().packsCount == 0)
            #expect(files.directory.files(below: "store/packs").isEmpty)
        }
    }

    @Test("untagged manifests, children of indexes and blobs taken out of their repository stay")
    func whatIsNamed() async throws {
        let files = ImageStore()
        try await files.with { store in
            let image = try await store.pushImage(
                name("app"), tag("v1"), layers: [FileTree(11, files: 5, averageBytes: 20_000).tar])
            let layer = try #require(image.blobs.max { $0.value.count < $1.value.count })
            try await store.settle(evict: true)
            try await store.removeManifest(.tag(image.tag), from: image.repository)
            try await store.removeBlob(layer.key, from: image.repository)
            #expect(try await store.collect(graceSeconds: 0).blobsRemoved == 0)
            #expect(try await store.pull(layer.key, from: nil) == layer.value)
            _ = try await store.manifest(.digest(image.manifest), in: image.repository)
        }
    }

    @Test("files that nothing knows go, others are left alone")
    func strayFiles() async throws {
        let files = ImageStore()
        let image = try await files.with { store in
            let image = try await store.pushImage(
                name("app"), tag("v1"), layers: [FileTree(13, files: 5, averageBytes: 20_000).tar])
            try await store.settle(evict: false)
            return image
        }
        var numbers = SeededBytes(14)
        let hex = numbers.bytes(32).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        let id = numbers.bytes(16).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        let raw = "store/raw/sha256/\(hex.prefix(2))/\(hex)"
        let pack = "store/packs/\(id.prefix(2))/\(id).pack"
        let foreign = ["store/raw/sha256/\(hex.prefix(2))/notes.txt", "store/packs/\(id.prefix(2))/\(id).cut"]
        for file in [raw, pack] + foreign {
            mkdir(files.directory.path + "/" + file.split(separator: "/").dropLast().joined(separator: "/"), 0o755)
            files.directory.write([1, 2, 3], to: file)
        }
        try await files.with { store in
            _ = try await store.collect(graceSeconds: 3600)
            #expect(!files.directory.read(raw).isEmpty, "it is young: a push may be about to commit it")
            #expect(files.directory.read(pack).isEmpty, "only this process makes packs")
            _ = try await store.collect(graceSeconds: 0)
            #expect(files.directory.read(raw).isEmpty)
            for file in foreign { #expect(files.directory.read(file) == [1, 2, 3]) }
            try await expectWhole(store, [image])
        }
    }

    @Test("the index gives its space back when the store is closed")
    func indexShrinks() async throws {
        let files = ImageStore()
        try await files.with { store in
            var layers: [[UInt8]] = []
            for number in 0..<300 { layers.append(SeededBytes(UInt64(1600 + number)).copyOfBytes(16_000)) }
            let big = try await store.pushImage(name("big"), tag("b"), layers: layers)
            let small = try await store.pushImage(name("small"), tag("s"), layers: Array(layers.prefix(3)))
            try await store.removeManifest(.digest(big.manifest), from: big.repository)
            let before = files.directory.byteCount(below: "store/index")
            _ = try await store.collect(graceSeconds: 0)
            await store.close()
            #expect(files.directory.byteCount(below: "store/index") < before / 4)
            try await files.with { store in
                try await expectWhole(store, [small])
                #expect(try await store.verify().damage.isEmpty)
            }
        }
    }

    @Test("a recipe that can not be read keeps every pack as it is")
    func damagedRecipe() async throws {
        let files = ImageStore()
        let images = try await files.with { store in try await pushVersions(to: store, salt: 15) }
        let layer = try #require(images[2].blobs.max { $0.value.count < $1.value.count }?.key)
        let (pack, offset) = try await files.with { store in
            let place = try #require(try store.core.read { try $0.blob(layer)?.recipe })
            let id = try store.core.packs.reader(place.pack).id.hex
            return ("store/" + StoreLayout.pack(id).path, Int(place.offset))
        }
        let packs = files.directory.files(below: "store/packs")
        files.directory.flip(1, at: offset + 60, of: pack)
        try await files.with { store in
            try await store.removeManifest(.digest(images[1].manifest), from: images[1].repository)
            await #expect(throws: VarveError.self) { try await store.collect(graceSeconds: 0) }
        }
        files.directory.flip(1, at: offset + 60, of: pack)
        #expect(files.directory.files(below: "store/packs") == packs)
        try await files.with { store in
            _ = try await store.collect(graceSeconds: 0)
            try await expectWhole(store, [images[0], images[2]])
        }
    }

    // MARK: Crashes

    /// A store with something for every step to do: three images of which two are deleted, garbage that fills packs of its
    /// own, an upload's leftovers.
    private func prepared(_ files: ImageStore, salt: UInt64) async throws -> TestImage {
        try await files.with { store in
            let images = try await pushVersions(to: store, salt: salt, files: 20, averageBytes: 10_000)
            let garbage = try await store.pushImage(
                name("garbage"), tag("g"), layers: [FileTree(salt + 7, files: 60, averageBytes: 20_000).tar])
            try await store.settle(evict: false)
            for image in [images[0], images[1], garbage] {
                try await store.removeManifest(.digest(image.manifest), from: image.repository)
            }
            return images[2]
        }
    }

    @Test(
        "stopped behind any step, the store is whole, and the next collection ends what was begun",
        arguments: CollectStep.allCases)
    func stopped(_ step: CollectStep) async throws {
        // Steps come more than once: for each pack, and each time something else is done already.
        for occurrence in 1...2 {
            let files = ImageStore()
            let image = try await prepared(files, salt: 21)
            let seen = NIOLockedValueBox(0)
            let stops = try await files.with { store in
                do throws(VarveError) {
                    _ = try await store.collect(graceSeconds: 0, progress: nil) { (reached) throws(VarveError) in
                        guard reached == step else { return }
                        let count = seen.withLockedValue { value in
                            value += 1
                            return value
                        }
                        if count == occurrence { throw VarveError(.cancelled, "stopped by the test") }
                    }
                    return false
                } catch {
                    #expect(error.code == .cancelled)
                    return true
                }
            }
            if occurrence == 1 { #expect(stops, "the step \(step) is never reached") }
            guard stops else { return }
            try await files.with { store in
                try await expectWhole(store, [image], "behind \(step)")
                #expect(try await store.verify().damage.isEmpty)
                // The store is used before anybody collects again.
                let tree = FileTree(21, files: 60, averageBytes: 20_000)
                let next = try await store.pushImage(name("next"), tag("n"), layers: [tree.tar])
                try await store.settle(evict: true)
                try await expectWhole(store, [image, next], "behind \(step), later")
                _ = try await store.collect(graceSeconds: 0)
                try await expectWhole(store, [image, next], "behind \(step), collected again")
                let report = try await store.verify()
                #expect(report.damage.isEmpty)
                let rest = try await store.collect(graceSeconds: 0)
                #expect(rest.blobsRemoved == 0 && rest.packsRewritten == 0 && rest.bytesFreed == 0)
            }
        }
    }

    @Test("a process that ends before any file operation leaves a whole store")
    func ended() async throws {
        let files = ImageStore()
        let image = try await prepared(files, salt: 41)
        let copies = TestDirectory()
        let count = NIOLockedValueBox(0)
        let faults = Faults()
        try await files.with(faults: faults) { store in
            // On the thread that collects: nothing is written meanwhile.
            faults.observe { operation, _ in
                guard operation != .read, operation != .open else { return }
                let number = count.withLockedValue { value in
                    value += 1
                    return value
                }
                copyDirectory(files.path, to: copies.path + "/\(number)")
            }
            _ = try await store.collect(graceSeconds: 0)
            faults.observe(nil)
            try await expectWhole(store, [image])
        }
        let total = count.withLockedValue { $0 }
        #expect(total > 10)
        for number in 1...total {
            let store = try await openSmall(copies.path + "/\(number)")
            try await expectWhole(store, [image], "before operation \(number)")
            #expect(try await store.verify().damage.isEmpty, "before operation \(number)")
            _ = try await store.collect(graceSeconds: 0)
            try await expectWhole(store, [image], "before operation \(number), collected")
            await store.close()
        }
    }

    @Test(
        "with any file operation failing, nothing that is named is lost",
        arguments: [Faults.Operation.open, .write, .sync, .remove, .read])
    func failing(_ operation: Faults.Operation) async throws {
        // Later ones are much alike: not each of them is taken.
        for n in sequence(first: 1, next: { $0 > 500 ? nil : $0 + 1 + $0 / 4 }) {
            let files = ImageStore()
            let image = try await prepared(files, salt: 31)
            let faults = Faults()
            let failed = try await files.with(faults: faults) { store in
                faults.fail(operation, at: n, with: EIO, lasting: true)
                defer { faults.clear() }
                do throws(VarveError) {
                    _ = try await store.collect(graceSeconds: 0)
                    return faults.fired > 0
                } catch {
                    return true
                }
            }
            try await files.with { store in
                try await expectWhole(store, [image], "\(operation) \(n)")
                _ = try await store.collect(graceSeconds: 0)
                try await expectWhole(store, [image], "\(operation) \(n), collected again")
            }
            if !failed { return }
        }
        Issue.record("more than 500 operations")
    }
}

extension SeededBytes {
    /// Bytes from the beginning of the sequence.
    fileprivate func copyOfBytes(_ count: Int) -> [UInt8] {
        var numbers = self
        return numbers.bytes(count)
    }
}
