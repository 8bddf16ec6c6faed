// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Dispatch
import NIOConcurrencyHelpers
import Testing
import VarveDrivers
import VarveIndex
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("pushes beside a collection")
struct PushBesideCollectTests {
    /// Too long to lie in the index.
    private func layer(_ salt: UInt64) -> [UInt8] { FileTree(salt, files: 8, averageBytes: 20_000).tar }

    /// A store in which one blob is held by nobody.
    private func prepared(_ layer: [UInt8], isSettled: Bool) async throws -> ImageStore {
        let files = ImageStore()
        try await files.with({ $0.cacheBudget = .bytes(1 << 30) }) { store in
            let digest = try await store.put(layer, in: name("app"))
            if isSettled { try await store.settle(evict: false) }
            try await store.removeBlob(digest, from: name("app"))
        }
        return files
    }

    /// Waits, on a thread that may block, for something that other threads do.
    private func wait(for body: @escaping @Sendable () async -> Void) {
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            await body()
            done.signal()
        }
        done.wait()
    }

    @Test(
        "a blob that is pushed between the removal of its row and of its file stays",
        arguments: [true, false], [CollectStep.linksRemoved, .blobRowsRemoved, .rawFilesRemoved, .strayFilesRemoved])
    func whole(isSettled: Bool, at step: CollectStep) async throws {
        let layer = layer(951)
        let files = try await prepared(layer, isSettled: isSettled)
        let digest = try sha(layer)
        try await files.with { store in
            let pushed = NIOLockedValueBox(false)
            _ = try await store.collect(graceSeconds: 0, progress: nil) { (reached) throws(VarveError) in
                guard reached == step else { return }
                wait { _ = try? await store.put(layer, in: name("other")) }
                pushed.withLockedValue { $0 = true }
            }
            #expect(pushed.withLockedValue { $0 })
            #expect(try await store.bytes(of: digest, in: name("other")) == layer)
            #expect(try await store.verify().damage == [])
        }
    }

    @Test(
        "a push whose file has its name, and whose commit comes after the collection, keeps its file",
        arguments: [true, false])
    func renamed(isKnown: Bool) async throws {
        let layer = layer(952)
        let files = isKnown ? try await prepared(layer, isSettled: false) : ImageStore()
        let digest = try sha(layer)
        let directory = StoreLayout.raw(digest).directory
        let faults = Faults()
        try await files.with(faults: faults) { store in
            let collected = DispatchSemaphore(value: 0)
            let (renamed, note) = AsyncStream<Void>.makeStream()
            if isKnown {
                // Only the row goes, so that the push, which finds none, brings its file; the sweep has yet to come.
                _ = try? await store.collect(graceSeconds: 0, progress: nil) { (reached) throws(VarveError) in
                    if reached == .blobRowsRemoved { throw VarveError(.cancelled, "test") }
                }
            }
            // The first thing after the renaming is that its directory is synced.
            let hasStopped = NIOLockedValueBox(false)
            faults.observe { operation, path in
                guard operation == .sync, path == directory else { return }
                let stops = hasStopped.withLockedValue { value in
                    defer { value = true }
                    return !value
                }
                guard stops else { return }
                note.yield()
                // A thread of the pool that may block.
                collected.wait()
            }
            async let push = store.put(layer, in: name("other"))
            for await _ in renamed { break }
            _ = try await store.collect(graceSeconds: 0)
            collected.signal()
            _ = try await push
            faults.observe(nil)
            #expect(try await store.bytes(of: digest, in: name("other")) == layer)
            #expect(try await store.verify().damage == [])
        }
    }

    @Test("the blobs of a manifest whose commit was under way when the collection began stay linked")
    func committing() async throws {
        let layer = layer(953)
        let files = ImageStore()
        try await files.with { store in
            let repository = try name("app")
            // The repository is one whose manifests say what it holds.
            _ = try await store.pushImage(repository, tag("old"), layers: [Array("another".utf8)])
            let digest = try await store.put(layer, in: repository)
            let (running, note) = AsyncStream<Void>.makeStream()
            let began = DispatchSemaphore(value: 0)
            let manifest = try sha(Array("{}".utf8))
            async let committed: Void = store.core.commit { [core = store.core] transaction in
                core.sweeps.names([manifest, digest])
                try transaction.putInlineBlob(manifest, bytes: Array("{}".utf8), landedAt: now())
                var row = ManifestRow(mediaType: "application/vnd.oci.image.manifest.v1+json", size: 2)
                row.references = [ManifestRow.Reference(digest: digest, kind: .blob)]
                row.pushedAt = now()
                try transaction.putManifest(manifest, in: repository, row, referrer: nil)
                note.yield()
                // The committer's thread, which may block.
                began.wait()
            }
            for await _ in running { break }
            _ = try await store.collect(graceSeconds: 0) { progress in
                if progress.activity == "looking for names" { began.signal() }
            }
            try await committed
            #expect(try await store.bytes(of: digest, in: repository) == layer)
            #expect(try await store.verify().damage == [])
        }
    }

    @Test(
        "many pushes of blobs and images, which others delete, beside one collection after another",
        .timeLimit(.minutes(5)))
    func many() async throws {
        let files = ImageStore()
        let layers = (0..<4 as Range<UInt64>).map { layer(960 + $0) } + [Array("a small one".utf8)]
        try await files.with({
            $0.settling = .background; $0.cacheBudget = .bytes(200_000)
        }) { store in
            let pushing = NIOLockedValueBox(6)
            let collected = NIOLockedValueBox(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<3 {
                    group.addTask {
                        let repository = try name("blobs\(client)")
                        var numbers = SeededBytes(UInt64(970 + client))
                        // At least so many, and until there have been some collections beside them.
                        for round in 0..<2000 {
                            if round >= 25, collected.withLockedValue({ $0 >= 5 }) { break }
                            let layer = layers[numbers.int(0...layers.count - 1)]
                            let digest = try await store.put(layer, in: repository)
                            let found = try await store.bytes(of: digest, in: repository)
                            #expect(found == layer, "seed \(SeededBytes.seed)")
                            try await store.removeBlob(digest, from: repository)
                        }
                        pushing.withLockedValue { $0 -= 1 }
                    }
                    group.addTask {
                        let repository = try name("images\(client)")
                        var numbers = SeededBytes(UInt64(980 + client))
                        for round in 0..<12 {
                            let some = layers.filter { _ in numbers.next() % 2 == 0 }
                            // Its blobs may go before the manifest names them: then it is refused, and tried again.
                            var image: TestImage?
                            for _ in 0..<200 where image == nil {
                                image = try? await store.pushImage(repository, tag("t\(round % 3)"), layers: some)
                            }
                            guard let image else { continue }
                            let differences = await store.differences(from: image)
                            #expect(differences.isEmpty, "seed \(SeededBytes.seed)")
                            if round % 2 == 0 {
                                try await store.removeManifest(.digest(image.manifest), from: repository)
                            }
                        }
                        pushing.withLockedValue { $0 -= 1 }
                    }
                }
                group.addTask {
                    while pushing.withLockedValue({ $0 > 0 }) {
                        _ = try await store.collect(graceSeconds: 0)
                        collected.withLockedValue { $0 += 1 }
                    }
                }
                try await group.waitForAll()
            }
            #expect(collected.withLockedValue { $0 } >= 5)
            try await store.settle(evict: true)
            #expect(try await store.verify().damage == [])
        }
    }
}
