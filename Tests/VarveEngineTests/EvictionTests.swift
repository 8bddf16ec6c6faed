// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import Testing
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// Bytes that move while somebody reads them, and everything at once.
@Suite("readers beside settling, eviction and removal", .serialized)
struct EvictionTests {
    private let repository = RepositoryName("library/moving")

    @Test("an open file stays whole when its blob is evicted, removed and collected")
    func openFile() async throws {
        let repository = try #require(repository)
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store")
        var numbers = SeededBytes(61)
        let bytes = numbers.text(700_000)
        let digest = try await store.push(bytes, to: repository)
        guard case .file(let file) = try await store.openBlob(digest, in: repository, range: 1000..<650_000) else {
            Issue.record("a landed blob is not a file")
            return
        }
        var found = [UInt8](repeating: 0, count: 649_000)
        #expect(pread(file.descriptor, &found, 100_000, off_t(file.offset)) == 100_000)
        try await store.settle(evict: true)
        #expect(directory.files(below: "store/raw").isEmpty)
        found.withUnsafeMutableBytes { room in
            _ = pread(file.descriptor, room.baseAddress! + 100_000, 200_000, off_t(file.offset) + 100_000)
        }
        try await store.removeBlob(digest, from: repository)
        _ = try await store.collect(graceSeconds: 0)
        found.withUnsafeMutableBytes { room in
            _ = pread(file.descriptor, room.baseAddress! + 300_000, 349_000, off_t(file.offset) + 300_000)
        }
        #expect(found == Array(bytes[1000..<650_000]))
        file.close()
        await #expect(throws: VarveError.self) { try await store.pull(digest, from: repository) }
        await store.close()
    }

    @Test("a stream stays right when packs are rewritten under it, or ends with an error")
    func openStream() async throws {
        let repository = try #require(repository)
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store") { $0.frameCacheBytes = 0 }
        var numbers = SeededBytes(62)
        let parts = (0..<6).map { _ in numbers.text(700_000) }
        let bytes = parts.flatMap { $0 }
        let digest = try await store.push(bytes, to: repository)
        let other = try await store.push(parts[1] + numbers.text(800_000), to: repository)
        try await store.settle(evict: true)
        guard case .stream(let stream) = try await store.openBlob(digest, in: repository),
            case .stream(let doomed) = try await store.openBlob(other, in: repository)
        else {
            Issue.record("an evicted blob is not a stream")
            return
        }
        var found: [UInt8] = []
        if let piece = try await stream.next() { found += piece.readableBytesView }
        _ = try await doomed.next()
        // The other blob goes, and with it most of a pack.
        try await store.removeBlob(other, from: repository)
        _ = try await store.collect(graceSeconds: 0)
        while let piece = try await stream.next() { found += piece.readableBytesView }
        #expect(found == bytes)
        do {
            while try await doomed.next() != nil {}
        } catch {
            #expect(error.code == .corrupted || error.code == .io)
        }
        #expect(try await store.pull(digest, from: repository) == bytes)
        await store.close()
    }

    @Test("a stream that failed stays failed")
    func failedStream() async throws {
        let repository = try #require(repository)
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store") {
            $0.packBytes = 64 << 20
            $0.frameCacheBytes = 0
        }
        var numbers = SeededBytes(68)
        let bytes = numbers.text(4 << 20)
        let digest = try await store.push(bytes, to: repository)
        try await store.settle(evict: true)
        let pack = try #require(directory.files(below: "store/packs").first)
        directory.flip(8, at: directory.read(pack).count / 2, of: pack)
        let whole = UInt64(bytes.count)
        for range in [0..<whole, 1..<whole] {
            guard case .stream(let stream) = try await store.openBlob(digest, in: repository, range: range) else {
                Issue.record("an evicted blob is not a stream")
                return
            }
            var found: [UInt8] = []
            var failures = 0
            for _ in 0..<8 {
                do throws(VarveError) {
                    if let piece = try await stream.next() { found += piece.readableBytesView }
                } catch {
                    #expect(error.code == .corrupted)
                    failures += 1
                }
            }
            #expect(failures > 3)
            #expect(found.count < bytes.count / 2 + (1 << 20))
            #expect(found.elementsEqual(bytes[Int(range.lowerBound)...].prefix(found.count)))
        }
        await store.close()
    }

    @Test("a blob is pulled, whole and in parts, while it settles and is evicted")
    func whileSettling() async throws {
        let repository = try #require(repository)
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store")
        var tree = FileTree(63, files: 20, averageBytes: 20_000)
        for round in 0..<5 {
            let bytes = tree.tar
            let digest = try await store.push(bytes, to: repository)
            let isDone = Guarded(false)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for reader in 0..<4 {
                    group.addTask {
                        var numbers = SeededBytes(UInt64(640 + 10 * round + reader))
                        var pulls = 0
                        while pulls < 2 || !isDone.withLock({ $0 }) {
                            let start = numbers.int(0...bytes.count)
                            let end = numbers.int(start...bytes.count)
                            let found = try await store.pull(
                                digest, from: repository, range: UInt64(start)..<UInt64(end))
                            #expect(found == Array(bytes[start..<end]), "\(start)..<\(end), seed \(SeededBytes.seed)")
                            #expect(try await store.pull(digest, from: repository) == bytes)
                            pulls += 1
                        }
                    }
                }
                group.addTask {
                    try await store.settle(evict: true)
                    isDone.withLock { $0 = true }
                }
                try await group.waitForAll()
            }
            tree.change(percent: 40)
        }
        await store.close()
    }

    @Test("32 clients push, pull, remove and settle at once", .timeLimit(.minutes(15)))
    func everythingAtOnce() async throws {
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store") {
            $0.settling = .background
            $0.cacheBudget = .bytes(200_000)
            $0.frameCacheBytes = 1 << 20
        }
        let repositories = try (0..<3).map { try #require(RepositoryName("shared/r\($0)")) }
        // The first half of them is never removed once it is there.
        var tree = FileTree(65, files: 6, averageBytes: 12_000)
        var maker = SeededBytes(65)
        var blobs: [[UInt8]] = []
        for index in 0..<24 {
            tree.change(percent: 50)
            switch index % 4 {
            case 0: blobs.append(maker.text(maker.int(100...12_000)))
            case 1: blobs.append(maker.bytes(maker.int(17_000...60_000)))
            default: blobs.append(tree.tar)
            }
        }
        let known = blobs.map { (digest: VarveTestKit.digest(of: $0), bytes: $0) }
        let acknowledged = Guarded(Set<String>())
        let clock = ContinuousClock()
        let end = clock.now + .milliseconds(1500)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<32 {
                group.addTask {
                    var numbers = SeededBytes(UInt64(6600 + client))
                    while clock.now < end {
                        let index = numbers.int(0...known.count - 1)
                        let place = numbers.int(0...repositories.count - 1)
                        let (digest, bytes) = known[index]
                        let repository = repositories[place]
                        let mayGo = index >= known.count / 2
                        switch numbers.int(0...9) {
                        case 0...3:
                            try await store.push(bytes, to: repository)
                            if !mayGo { _ = acknowledged.withLock { $0.insert("\(place) \(index)") } }
                        case 4...7:
                            let isThere = acknowledged.withLock { $0.contains("\(place) \(index)") }
                            do throws(VarveError) {
                                let start = numbers.int(0...bytes.count)
                                let found = try await store.pull(
                                    digest, from: repository, range: UInt64(start)..<UInt64(bytes.count))
                                #expect(found == Array(bytes[start...]), "seed \(SeededBytes.seed)")
                            } catch {
                                #expect(!isThere && error.code == .blobUnknown, "\(error)")
                            }
                        case 8:
                            guard mayGo else { break }
                            do throws(VarveError) {
                                try await store.removeBlob(digest, from: repository)
                            } catch {
                                #expect(error.code == .blobUnknown, "\(error)")
                            }
                        default:
                            try await store.settle(evict: numbers.int(0...1) == 0)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.poisonReason == nil)
        try await store.settle(evict: true)
        func check(_ store: Store) async throws {
            for entry in acknowledged.withLock({ $0 }) {
                let numbers = entry.split(separator: " ").compactMap { Int($0) }
                let found = try await store.pull(known[numbers[1]].digest, from: repositories[numbers[0]])
                #expect(found == known[numbers[1]].bytes, "seed \(SeededBytes.seed)")
            }
        }
        try await check(store)
        let stats = try await store.stats()
        #expect(stats.queuedCount == 0)
        #expect(Set(stats.rawReasons.keys).isSubset(of: ["no-saving"]), "\(stats.rawReasons)")
        await store.close()
        let again = try await openSmall(directory.path + "/store")
        try await check(again)
        #expect(try await again.verify().damage == [])
        _ = try await again.collect(graceSeconds: 0)
        try await check(again)
        await again.close()
    }

    @Test("a push that is cancelled leaves nothing behind")
    func cancelledPush() async throws {
        let repository = try #require(repository)
        let directory = TestDirectory()
        let store = try await openSmall(directory.path + "/store")
        var numbers = SeededBytes(67)
        let bytes = numbers.bytes(2_000_000)
        let digest = VarveTestKit.digest(of: bytes)
        for delay in 0..<40 {
            let push = Task {
                _ = try await store.putBlob(
                    digest, in: repository, expecting: UInt64(bytes.count), body: BodyBytes(bytes, pieceBytes: 50_000))
            }
            for _ in 0..<delay * 20 { await Task.yield() }
            push.cancel()
            let result = await push.result
            if case .failure = result { #expect(directory.files(below: "store/landing").isEmpty, "\(delay)") }
        }
        await store.close()
    }
}
