// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveEngine
import VarveModel

@Suite("what is pushed comes back")
struct RoundTripTests {
    private func repository() throws -> RepositoryName { try #require(RepositoryName("library/test")) }

    @Test("blobs of every kind and size come back, raw, settled, evicted and after a restart")
    func everyKind() async throws {
        var generator = SeededGenerator(seed: 1)
        let files = (0..<40).map { ("dir/file\($0)", generator.text(Int(generator.next() % 90_000))) }
        let blobs: [[UInt8]] = [
            [], [7], generator.bytes(16 << 10), generator.text((16 << 10) + 1), generator.bytes(300_000),
            generator.text(3_000_000), tar(files), tar(files, time: 1_800_000_000),
            [UInt8](repeating: 0, count: 2_000_000),
            [UInt8](tar(files).dropLast(3000)), tar([]) + generator.text(50_000),
            tar([("a.pyc", generator.text(40_000))]),
        ]
        let fixture = StoreFixture()
        defer { fixture.remove() }
        var store = try await fixture.open()
        var digests: [Digest] = []
        for blob in blobs { digests.append(try await store.put(blob, in: repository())) }
        for (digest, blob) in zip(digests, blobs) {
            #expect(try await store.bytes(of: digest, in: repository()) == blob)
        }

        try await store.settle(evict: true)
        for (digest, blob) in zip(digests, blobs) {
            #expect(try await store.bytes(of: digest, in: repository()) == blob)
        }
        let stats = try await store.stats()
        #expect(stats.rawReasons == ["no-saving": 1])
        #expect(stats.cacheBytes == 0)
        await store.close()

        store = try await fixture.open()
        for (digest, blob) in zip(digests, blobs) {
            #expect(try await store.bytes(of: digest, in: repository()) == blob)
            #expect(try await store.blob(digest, in: repository()).size == UInt64(blob.count))
        }
        await store.close()
    }

    @Test("any range of a settled blob is that range of its bytes")
    func ranges() async throws {
        var generator = SeededGenerator(seed: 2)
        let files = (0..<60).map { ("f\($0)", generator.text(Int(generator.next() % 200_000))) }
        let layer = tar(files)
        // A second build with one file changed takes most of its chunks from the first one's packs.
        var changed = files
        changed[30].1 = generator.text(77_777)
        let rebuilt = tar(changed, time: 1_750_000_000)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        for bytes in [layer, rebuilt] {
            let digest = try await store.put(bytes, in: repository())
            try await store.settle(evict: true)
            for _ in 0..<200 {
                let start = Int(generator.next() % UInt64(bytes.count))
                let end = start + Int(generator.next() % UInt64(min(300_000, bytes.count - start) + 1))
                let found = try await store.bytes(of: digest, range: UInt64(start)..<UInt64(end))
                try #require(found == Array(bytes[start..<end]), "range \(start)..<\(end)")
            }
        }
        await store.close()
    }

    @Test("a rebuilt layer adds little")
    func rebuiltLayer() async throws {
        var generator = SeededGenerator(seed: 3)
        var files = (0..<100).map { ("f\($0)", generator.bytes(40_000)) }
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        _ = try await store.put(tar(files), in: repository())
        try await store.settle(evict: true)
        let before = try await store.stats()
        files[50].1 = generator.bytes(40_000)
        let digest = try await store.put(tar(files, time: 1_900_000_000), in: repository())
        try await store.settle(evict: true)
        let after = try await store.stats()
        #expect(after.packsBytes - before.packsBytes < 60_000)
        #expect(try await store.blob(digest, in: nil).storedBytes < 60_000)
        await store.close()
    }

    @Test("the same digest under sha512 is the same bytes")
    func sha512() async throws {
        var generator = SeededGenerator(seed: 4)
        let bytes = generator.text(500_000)
        let name = try sha(bytes, .sha512)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let upload = try await store.startUpload(in: repository())
        _ = try await store.appendUpload(upload.id, in: repository(), at: 0, expecting: nil, body: body(bytes))
        _ = try await store.finishUpload(upload.id, in: repository(), digest: name)
        try await store.settle(evict: true)
        #expect(try await store.bytes(of: name, in: repository()) == bytes)
        await store.close()
    }

    @Test("packs are sealed when they are full, and blobs may span them")
    func manyPacks() async throws {
        var generator = SeededGenerator(seed: 5)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open { $0.packBytes = 2 << 20 }
        let blob = tar((0..<30).map { ("big\($0)", generator.bytes(200_000) + generator.text(100_000)) })
        let digest = try await store.put(blob, in: repository())
        try await store.settle(evict: true)
        #expect(try await store.bytes(of: digest) == blob)
        #expect(try await store.stats().packsCount >= 3)
        await store.close()
    }
}
