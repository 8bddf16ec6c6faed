// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import NIOCore
import Testing
import VarveCodec
import VarveEngine
import VarveModel

/// zstd files by real encoders: those of the tests of VarveZstd.
private enum ZstdFiles {
    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("VarveZstdTests/Fixtures").path

    static let names = ["klauspost-v1.15.11.zst", "zstd1.5.4-3-stdin.zst", "zstd1.5.4-3-file.zst"]

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
    }

    /// What libzstd makes of it.
    static func plain(_ file: [UInt8]) throws -> [UInt8] {
        var decoder = try ZstdStreamDecoder(
            limits: DecodeLimits(maximumOutput: 64 << 20, maximumRatio: 1 << 20, freeOutput: 64 << 20))
        var all: [UInt8] = []
        try file.withUnsafeBytes { try decoder.push($0) { all.append(contentsOf: $0) } }
        _ = try decoder.finish()
        return all
    }
}

@Suite("zstd layers come back bit for bit")
struct ZstdTests {
    private func repository() throws -> RepositoryName { try #require(RepositoryName("library/zstd")) }

    @Test("whole, by ranges, and beside the same bytes without compression", arguments: ZstdFiles.names)
    func roundTrip(_ name: String) async throws {
        var generator = SeededGenerator(seed: 61)
        let layer = try ZstdFiles.bytes(name)
        let plain = try ZstdFiles.plain(layer)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        _ = try await store.put(plain, in: repository())
        try await store.settle(evict: true)
        let before = try await store.stats().packsBytes
        let digest = try await store.put(layer, in: repository())
        try await store.settle(evict: true)
        let stats = try await store.stats()
        #expect(stats.rawReasons == [:])
        // The contents are known: a plan and a recipe are all that it adds.
        #expect(stats.packsBytes - before < UInt64(layer.count / 50))
        #expect(try await store.bytes(of: digest, in: repository()) == layer)
        for _ in 0..<10 {
            let start = Int(generator.next() % UInt64(layer.count))
            let end = start + Int(generator.next() % UInt64(min(70_000, layer.count - start) + 1))
            let found = try await store.bytes(of: digest, range: UInt64(start)..<UInt64(end))
            try #require(found == Array(layer[start..<end]), "range \(start)..<\(end)")
        }
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("a layer of several lanes, made side by side, read whole and from the middle")
    func lanes() async throws {
        let one = try ZstdFiles.bytes(ZstdFiles.names[0])
        // Ten megabytes of text, frame by frame.
        let layer = (0..<14).flatMap { _ in one }
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let repository = try repository()
        _ = try await store.put(try ZstdFiles.plain(one), in: repository)
        try await store.settle(evict: true)
        let digest = try await store.put(layer, in: repository)
        try await store.settle(evict: true)
        #expect(try await store.blob(digest, in: nil).isSettled)
        let whole = try await store.bytes(of: digest, in: repository) == layer
        #expect(whole)
        let start = layer.count / 3
        let rest =
            try await store.bytes(of: digest, range: UInt64(start)..<UInt64(layer.count)) == Array(layer[start...])
        #expect(rest)
        // Who pulls gets the first bytes as soon as they are made.
        guard case .stream(let stream) = try await store.openBlob(digest, in: repository) else {
            Issue.record("the blob is not made again")
            return
        }
        #expect(try await stream.next()?.readableBytes == 16 << 10)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<12 { group.addTask { try await store.bytes(of: digest, in: repository) == layer } }
            for try await same in group { #expect(same) }
        }
        await store.close()
    }

    @Test("an index made anew knows zstd layers")
    func rebuildIndex() async throws {
        let layer = try ZstdFiles.bytes(ZstdFiles.names[1])
        let fixture = StoreFixture()
        defer { fixture.remove() }
        var store = try await fixture.open()
        _ = try await store.put(try ZstdFiles.plain(layer), in: repository())
        let digest = try await store.put(layer, in: repository())
        try await store.settle(evict: true)
        let before = try await store.stats()
        #expect(try await store.blob(digest, in: nil).isSettled)
        await store.close()
        try FileManager.default.removeItem(atPath: fixture.path + "/index")
        let report = try await Store.rebuildIndex(at: fixture.path)
        #expect(report.problems.isEmpty)
        store = try await fixture.open()
        let after = try await store.stats()
        #expect(after.settledCount == before.settledCount)
        #expect(after.chunksCount == before.chunksCount)
        let same = try await store.bytes(of: digest, in: repository()) == layer
        #expect(same)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("more readers at once than may hold a window: each gets all of it")
    func manyReaders() async throws {
        let layer = try ZstdFiles.bytes(ZstdFiles.names[1])
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let repository = try repository()
        // Settled alone, so few bytes would save nothing.
        _ = try await store.put(try ZstdFiles.plain(layer), in: repository)
        try await store.settle(evict: true)
        let digest = try await store.put(layer, in: repository)
        try await store.settle(evict: true)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<40 {
                group.addTask { try await store.bytes(of: digest, in: repository) == layer }
            }
            for try await same in group { #expect(same) }
        }
        // Readers that leave in the middle leave their places.
        for _ in 0..<40 {
            guard case .stream(let stream) = try await store.openBlob(digest, in: repository) else {
                Issue.record("the blob is not made again")
                break
            }
            #expect(try await stream.next() != nil)
        }
        #expect(try await store.bytes(of: digest, in: repository) == layer)
        await store.close()
    }

    @Test("several frames, bytes behind the end, a file cut short, damage inside: the same bytes, settled or raw")
    func odd() async throws {
        let one = try ZstdFiles.bytes(ZstdFiles.names[0])
        let two = try ZstdFiles.bytes(ZstdFiles.names[1])
        let skippable: [UInt8] = [0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 7, 7, 7]
        var damaged = one
        damaged[one.count / 2] ^= 0x55
        let blobs = [
            one + skippable + one, two + [1, 2, 3], Array(one.dropLast(9)), Array(one.dropLast(one.count / 2)), damaged,
        ]
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        // What the frames hold is known, so that settling them saves something whatever it costs.
        _ = try await store.put(ZstdFiles.plain(one), in: repository())
        try await store.settle(evict: true)
        var digests: [Digest] = []
        for blob in blobs { digests.append(try await store.put(blob, in: repository())) }
        try await store.settle(evict: true)
        for (digest, blob) in zip(digests, blobs) { #expect(try await store.bytes(of: digest) == blob) }
        #expect(try await store.blob(digests[0], in: nil).isSettled)
        #expect(try await store.blob(digests[1], in: nil).isSettled)
        #expect(try await store.blob(digests[3], in: nil).rawReason == "zstd-truncated")
        await store.close()
    }

    @Test("a few bytes that stand for very many stay as they are")
    func bomb() async throws {
        var bomb: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x58]
        for _ in 0..<20_000 { bomb += [0x02, 0, 0x10, 7] }
        bomb += [1, 0, 0]
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let digest = try await store.put(bomb, in: repository())
        try await store.settle(evict: true)
        #expect(try await store.blob(digest, in: nil).rawReason == "ratio")
        #expect(try await store.bytes(of: digest) == bomb)
        await store.close()
    }
}
