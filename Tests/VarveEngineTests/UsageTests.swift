// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("usage")
struct UsageTests {
    @Test("an image alone is all its own; freed is what a collection then frees")
    func alone() async throws {
        let files = ImageStore()
        try await files.with { store in
            let image = try await store.pushImage(
                name("app"), tag("v1"), layers: [FileTree(401, files: 20, averageBytes: 20_000).tar])
            try await store.settle(evict: true)
            let usage = try await store.usage(of: .tag(image.tag), in: image.repository)
            #expect(usage.manifest == image.manifest)
            #expect(usage.logicalBytes == image.blobs.values.reduce(0) { $0 + UInt64($1.count) })
            #expect(usage.sharedBytes == 0)
            #expect(usage.sharesWith.isEmpty)
            #expect(usage.layers.count == 2, "config and layer")
            // Every file is different, so the chunks' bytes are the tar's, and nothing is counted twice.
            #expect(usage.uniqueBytes <= usage.logicalBytes)
            #expect(usage.uniqueBytes > usage.logicalBytes / 2)
            let before = files.directory.byteCount(below: "store/packs")
            try await store.removeManifest(.digest(image.manifest), from: image.repository)
            _ = try await store.collect(graceSeconds: 0)
            let freed = before - files.directory.byteCount(below: "store/packs")
            let difference = abs(Double(usage.freedBytes) - Double(freed)) / Double(freed)
            #expect(difference < 0.05, "\(usage.freedBytes) foretold, \(freed) freed")
        }
    }

    @Test("versions share what did not change, and neighbours are named with how much, most first")
    func versions() async throws {
        let files = ImageStore()
        try await files.with { store in
            let base = FileTree(411, files: 10, averageBytes: 20_000).tar
            var tree = FileTree(412, files: 30, averageBytes: 20_000)
            let first = try await store.pushImage(name("app"), tag("v1"), layers: [base, tree.tar])
            tree.change(percent: 20)
            let second = try await store.pushImage(name("app"), tag("v2"), layers: [base, tree.tar])
            let third = try await store.pushImage(name("other"), tag("x"), layers: [base])
            let stranger = try await store.pushImage(
                name("stranger"), tag("s"), layers: [FileTree(413, files: 5, averageBytes: 20_000).tar])
            try await store.settle(evict: true)
            let usage = try await store.usage(of: .digest(first.manifest), in: first.repository)
            #expect(usage.sharesWith.map(\.image) == ["app:v2", "other:x"])
            #expect(usage.sharesWith[0].bytes == usage.sharedBytes)
            let layers = usage.layers.filter { $0.blob.isSettled }
            #expect(layers.count == 2)
            #expect(layers[0].uniqueBytes == 0, "the base is in three images")
            #expect(layers[0].chunkBytes == usage.sharesWith[1].bytes)
            #expect(layers[1].uniqueBytes > 0 && layers[1].uniqueBytes < layers[1].chunkBytes / 2)
            #expect(usage.uniqueBytes + usage.sharedBytes <= usage.logicalBytes)
            let alone = try await store.usage(of: .tag(stranger.tag), in: stranger.repository)
            #expect(alone.sharesWith.isEmpty)
            #expect(alone.sharedBytes == 0)
            // With the neighbours gone, all of it is its own.
            for image in [second, third] {
                try await store.removeManifest(.digest(image.manifest), from: image.repository)
            }
            _ = try await store.collect(graceSeconds: 0)
            let later = try await store.usage(of: .digest(first.manifest), in: first.repository)
            #expect(later.sharedBytes == 0)
            #expect(later.uniqueBytes == usage.uniqueBytes + usage.sharedBytes)
        }
    }

    @Test("blobs that are not settled count whole")
    func notSettled() async throws {
        let files = ImageStore()
        try await files.with { store in
            let shared = FileTree(421, files: 5, averageBytes: 20_000).tar
            let own = FileTree(422, files: 5, averageBytes: 20_000).tar
            let first = try await store.pushImage(name("app"), tag("v1"), layers: [shared, own])
            _ = try await store.pushImage(name("app"), tag("v2"), layers: [shared])
            let usage = try await store.usage(of: .digest(first.manifest), in: first.repository)
            #expect(usage.sharedBytes == UInt64(shared.count))
            #expect(usage.uniqueBytes == usage.logicalBytes - UInt64(shared.count))
            #expect(usage.sharesWith.map(\.image) == ["app:v2"])
            #expect(usage.freedBytes == usage.uniqueBytes)
        }
    }

    @Test("what is not there is said to be so")
    func unknown() async throws {
        let files = ImageStore()
        try await files.with { store in
            _ = try await store.pushImage(name("app"), tag("v1"), layers: [])
            await #expect {
                _ = try await store.usage(of: .tag(tag("v2")), in: name("app"))
            } throws: {
                ($0 as? VarveError)?.code == .manifestUnknown
            }
            await #expect {
                _ = try await store.usage(of: .tag(tag("v2")), in: name("none"))
            } throws: {
                ($0 as? VarveError)?.code == .repositoryUnknown
            }
        }
    }
}
