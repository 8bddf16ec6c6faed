// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CZlib
import NIOCore
import Testing
import VarveEngine
import VarveModel

/// A gzip file of `bytes`, by the zlib at hand: which one it is does not matter, its own bytes must come back.
func gzip(_ bytes: [UInt8], level: Int32 = 6) throws -> [UInt8] {
    var stream = z_stream()
    let opened = deflateInit2_(
        &stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    try #require(opened == Z_OK)
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 64)
    let count = input.withUnsafeMutableBufferPointer { source in
        output.withUnsafeMutableBufferPointer { target in
            stream.next_in = source.baseAddress
            stream.avail_in = UInt32(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = UInt32(target.count)
            let result = deflate(&stream, Z_FINISH)
            return result == Z_STREAM_END ? target.count - Int(stream.avail_out) : 0
        }
    }
    try #require(count > 0)
    return Array(output[..<count])
}

@Suite("gzip layers come back bit for bit")
struct GzipTests {
    private func repository() throws -> RepositoryName { try #require(RepositoryName("library/gzip")) }

    @Test("whole, by ranges, and beside the same tar without compression", arguments: [Int32(1), 6])
    func roundTrip(_ level: Int32) async throws {
        var generator = SeededGenerator(seed: 31)
        let plain = tar((0..<12).map { ("f\($0)", generator.text(20_000 + Int(generator.next() % 90_000))) })
        let layer = try gzip(plain, level: level)
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
        for _ in 0..<20 {
            let start = Int(generator.next() % UInt64(layer.count))
            let end = start + Int(generator.next() % UInt64(min(70_000, layer.count - start) + 1))
            let found = try await store.bytes(of: digest, range: UInt64(start)..<UInt64(end))
            try #require(found == Array(layer[start..<end]), "range \(start)..<\(end)")
        }
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("who pulls much gets the first bytes as soon as they are made, and then all others")
    func head() async throws {
        var generator = SeededGenerator(seed: 34)
        // Text and noise: more than two mebibytes of gzip.
        let files = (0..<10).map { ("f\($0)", generator.text(150_000) + generator.bytes(200_000)) }
        let layer = try gzip(tar(files), level: 1)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let digest = try await store.put(layer, in: repository())
        try await store.settle(evict: true)
        #expect(try await store.blob(digest, in: nil).isSettled)
        let count = UInt64(layer.count)
        for range in [0..<count, 700_001..<count, count - 1_048_576..<count, count - 1_048_575..<count] {
            guard case .stream(let stream) = try await store.openBlob(digest, in: repository(), range: range) else {
                Issue.record("the blob is not made again")
                break
            }
            var found: [UInt8] = []
            var first = 0
            while let piece = try await stream.next() {
                if found.isEmpty { first = piece.readableBytes }
                found += piece.readableBytesView
            }
            #expect(found.elementsEqual(layer[Int(range.lowerBound)...]), "\(range)")
            #expect((first == 16 << 10) == (range.count >= 1 << 20), "\(range), \(first)")
        }
        await store.close()
    }

    @Test("several members, bytes behind the end, a file cut short, damage inside: the same bytes, settled or raw")
    func odd() async throws {
        var generator = SeededGenerator(seed: 32)
        let plain = (generator.text(150_000), generator.text(90_000))
        let one = try gzip(plain.0)
        let two = try gzip(plain.1, level: 1)
        var damaged = one
        damaged[one.count / 2] ^= 0x55
        let blobs = [
            one + two, one + generator.bytes(777), Array(one.dropLast(9)), Array(one.dropLast(one.count / 2)), damaged,
        ]
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        // What the two members hold is known, so that settling them saves something whatever it costs.
        _ = try await store.put(plain.0 + plain.1, in: repository())
        try await store.settle(evict: true)
        var digests: [Digest] = []
        for blob in blobs { digests.append(try await store.put(blob, in: repository())) }
        try await store.settle(evict: true)
        for (digest, blob) in zip(digests, blobs) { #expect(try await store.bytes(of: digest) == blob) }
        #expect(try await store.blob(digests[0], in: nil).isSettled)
        #expect(try await store.blob(digests[3], in: nil).rawReason?.hasPrefix("gzip-") == true)
        await store.close()
    }

    @Test("closing the store does not wait for a large layer to be settled: that waits for the next opening")
    func closing() async throws {
        var generator = SeededGenerator(seed: 33)
        let layer = try gzip(tar((0..<15).map { ("f\($0)", generator.text(400_000)) }))
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open { $0.settling = .background }
        let digest = try await store.put(layer, in: repository())
        await store.close()
        let again = try await fixture.open()
        let blob = try await again.blob(digest, in: nil)
        #expect(!blob.isSettled)
        #expect(blob.rawReason == "pending")
        #expect(try await again.bytes(of: digest) == layer)
        await again.close()
    }

    @Test("a few bytes that stand for very many stay as they are")
    func bomb() async throws {
        let bomb = try gzip([UInt8](repeating: 0, count: 40 << 20), level: 1)
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
