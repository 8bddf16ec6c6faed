// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveDrivers
import VarveIndex
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// Whatever is pushed either settles and comes back bit for bit once its raw bytes are gone, or stays raw for a reason
/// and comes back: tars with every odd header, mutated ones, archives that were cut off, bombs.
@Suite("hostile blobs", .serialized)
struct HostileInputTests {
    /// Lands blobs as raw files in one commit: the path of a push without its waits for the disk.
    private func land(_ blobs: [[UInt8]], in repository: RepositoryName, _ store: Store) throws -> [Digest] {
        let digests = blobs.map { VarveTestKit.digest(of: $0) }
        for (digest, bytes) in zip(digests, blobs) {
            let (directory, path) = StoreLayout.raw(digest)
            try store.core.files.makeDirectory(directory)
            let file = try store.core.files.open(path, .write)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        }
        try store.core.commitBlocking { transaction in
            for (digest, bytes) in zip(digests, blobs) where try transaction.blob(digest) == nil {
                var row = BlobRow(size: UInt64(bytes.count), flags: .rawFile, landedAt: now())
                row.reason = RawReason.pending
                try transaction.putBlob(digest, row)
                _ = try transaction.enqueue(digest)
                _ = try transaction.link(digest, in: repository, at: now())
            }
        }
        return digests
    }

    /// Settles `blobs`, drops their raw bytes, and compares what comes back.
    private func roundTrip(_ blobs: [[UInt8]], _ store: Store) async throws -> (settled: Int, reasons: [String: Int]) {
        let repository = try #require(RepositoryName("hostile"))
        let digests = try land(blobs, in: repository, store)
        try await store.settle(evict: true)
        var settled = 0
        var reasons: [String: Int] = [:]
        for (index, digest) in digests.enumerated() {
            let info = try await store.blob(digest, in: repository)
            if info.isSettled {
                settled += 1
                #expect(!info.isRaw)
            } else {
                reasons[info.rawReason ?? "none", default: 0] += 1
            }
            let found = try await store.pull(digest, from: repository)
            #expect(found == blobs[index], "blob \(index) of \(blobs[index].count) bytes, seed \(SeededBytes.seed)")
        }
        for bad in ["none", "pending", "proof-failed", "damaged"] { #expect(reasons[bad] == nil, "\(reasons)") }
        return (settled, reasons)
    }

    @Test("odd tars, alone and cut off at odd places", .timeLimit(.minutes(15)))
    func oddTars() async throws {
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store")
        var numbers = SeededBytes(51)
        var blobs = OddTars.all(&numbers)
        for tar in blobs {
            for _ in 0..<6 { blobs.append(Array(tar.prefix(numbers.int(0...tar.count)))) }
            for cut in [1, 511, 512, 513, 1023, 1024, 1536] where cut < tar.count {
                blobs.append(Array(tar.prefix(cut)))
                blobs.append(Array(tar.dropLast(cut)))
                blobs.append(Array(tar.dropFirst(cut)))
            }
            blobs.append(tar + numbers.bytes(700))
            blobs.append(tar + tar)
        }
        let (settled, _) = try await roundTrip(blobs, store)
        #expect(settled > blobs.count / 3)
        await store.close()
    }

    @Test("10,000 mutated tars", .timeLimit(.minutes(15)))
    func mutatedTars() async throws {
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store") { $0.packBytes = 4 << 20 }
        var numbers = SeededBytes(52)
        let originals = OddTars.all(&numbers)
        var settled = 0
        for _ in 0..<10 {
            let blobs = (0..<1000).map { _ in OddTars.mutated(originals[numbers.int(0...originals.count - 1)], &numbers)
            }
            settled += try await roundTrip(blobs, store).settled
        }
        #expect(settled > 2500)
        #expect(try await store.verify().damage == [])
        await store.close()
    }

    @Test("zeros, noise, and what is neither", .timeLimit(.minutes(15)))
    func plain() async throws {
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store")
        var numbers = SeededBytes(53)
        var blobs: [[UInt8]] = []
        for count in [0, 1, 16, 511, 512, 513, 1024, 4096, 8191, 65_536, 100_000, 1 << 20, 3_000_001] {
            blobs.append([UInt8](repeating: 0, count: count))
            if count > 0 { blobs.append([UInt8](repeating: 0xff, count: count)) }
            if count > 0, count <= 1 << 20 { blobs.append(numbers.bytes(count)) }
            if count > 512 { blobs.append([UInt8](repeating: 0, count: count - 512) + numbers.bytes(512)) }
            if count > 512 { blobs.append(numbers.bytes(512) + [UInt8](repeating: 0, count: count - 512)) }
        }
        _ = try await roundTrip(blobs, store)
        await store.close()
    }

    @Test("gzip and zstd: whole, cut off, damaged, followed by other things, and bombs", .timeLimit(.minutes(15)))
    func compressed() async throws {
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store")
        var numbers = SeededBytes(54)
        let layer = FileTree(54, files: 4, averageBytes: 8000).tar
        let stored = Compressed.gzip(stored: layer)
        var blobs: [[UInt8]] = [
            stored, stored + stored, stored + numbers.bytes(100), stored + [UInt8](repeating: 0, count: 700),
            Compressed.gzip(stored: stored), Compressed.gzip(stored: []), Compressed.gzip(zeros: 40_000),
            Compressed.gzip(zeros: 40_000, checksum: 1), Compressed.gzip(zeros: 60_000_000, checksum: 1),
            Compressed.zstd(stored: layer), Compressed.zstd(stored: layer) + Compressed.zstd(stored: layer),
            Compressed.zstd(zeroBlocks: 5), Compressed.zstd(zeroBlocks: 4000),
            Compressed.zstd(zeroBlocks: 50, window: 0xff),
            [0x1f, 0x8b], [0x1f, 0x8b, 8, 0], [0x1f, 0x8b, 8, 0xff], [0x28, 0xb5, 0x2f, 0xfd],
            [0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 1, 2, 3], [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0],
        ]
        for whole in blobs where (20...100_000).contains(whole.count) {
            for _ in 0..<4 { blobs.append(Array(whole.prefix(numbers.int(1...min(whole.count, 40_000))))) }
            for _ in 0..<6 {
                var changed = whole
                changed[numbers.int(0...min(changed.count - 1, 4000))] ^= 1 << UInt8(numbers.int(0...7))
                blobs.append(changed)
            }
            // Every header flag, and a name that does not end.
            var flags = whole
            flags[3] = UInt8(numbers.int(0...255))
            blobs.append(flags)
        }
        _ = try await roundTrip(blobs, store)
        await store.close()
    }
}

/// Compressed streams made by hand, without a compressor: what a hostile client would send.
private enum Compressed {
    static func gzip(stored bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
        var start = 0
        repeat {
            let count = min(bytes.count - start, 65_535)
            let isLast = start + count == bytes.count
            output += [
                isLast ? 1 : 0, UInt8(count & 0xff), UInt8(count >> 8), UInt8(~count & 0xff), UInt8(~count >> 8 & 0xff),
            ]
            output += bytes[start..<start + count]
            start += count
        } while start < bytes.count
        return output + little(crc32(bytes), 4) + little(UInt64(bytes.count), 4)
    }

    /// A member of at least `count` zeros: one literal, then matches of 258 bytes at distance 1, in fixed codes.
    static func gzip(zeros count: Int, checksum: UInt64? = nil) -> [UInt8] {
        var output: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
        var (word, filled) = (UInt64(0), UInt64(0))
        func put(_ bits: UInt64, _ length: UInt64) {
            word |= bits << filled
            filled += length
            while filled >= 8 {
                output.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
                filled -= 8
            }
        }
        put(0b011, 3)
        put(0b0000_1100, 8)  // literal 0, its code reversed
        let matches = (count - 1 + 257) / 258
        for _ in 0..<matches {
            put(0b1010_0011, 8)  // length 258
            put(0, 5)  // distance 1
        }
        put(0, 7)
        put(0, 7)
        let length = 1 + matches * 258
        let sum = checksum ?? crc32([UInt8](repeating: 0, count: length))
        return output + little(sum, 4) + little(UInt64(length) & 0xffff_ffff, 4)
    }

    static func zstd(stored bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x58]
        var start = 0
        repeat {
            let count = min(bytes.count - start, 100_000)
            let isLast = start + count == bytes.count
            output += little(UInt64(count) << 3 | (isLast ? 1 : 0), 3)
            output += bytes[start..<start + count]
            start += count
        } while start < bytes.count
        return output
    }

    /// Blocks of 128 KiB of one byte, four bytes each.
    static func zstd(zeroBlocks count: Int, window: UInt8 = 0x58) -> [UInt8] {
        var output: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0, window]
        for block in 1...count { output += little(UInt64(128 << 10) << 3 | 2 | (block == count ? 1 : 0), 3) + [0] }
        return output
    }

    private static func little(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt64 {
        var table = [UInt32](repeating: 0, count: 256)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1 }
            table[index] = value
        }
        var sum: UInt32 = 0xffff_ffff
        for byte in bytes { sum = table[Int((sum ^ UInt32(byte)) & 0xff)] ^ (sum >> 8) }
        return UInt64(~sum)
    }
}
