// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveDrivers
import VarveIndex
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("blobs that stayed raw are tried again")
struct RetryTests {
    /// A store with one layer, settled or not, for each reason, whose rows then say that it stayed raw for that.
    private func prepared(_ reasons: [String]) async throws -> (ImageStore, [String: Digest]) {
        let files = ImageStore()
        var digests: [String: Digest] = [:]
        try await files.with { store in
            for (index, reason) in reasons.enumerated() {
                let layer = FileTree(UInt64(900 + index), files: 4, averageBytes: 10_000).tar
                digests[reason] = try await store.put(layer, in: name("app"))
            }
            for (reason, digest) in digests {
                try await store.core.commit { transaction in
                    var row = try #require(try transaction.blob(digest))
                    row.reason = reason
                    try transaction.putBlob(digest, row)
                    try transaction.dequeue(digest)
                }
            }
        }
        return (files, digests)
    }

    private static let reasons = ["damaged", "proof-failed", "zstd", "gzip-unknown", "ratio", "no-saving"]

    @Test("when asked to settle: those whose cause may have passed")
    func onDemand() async throws {
        let (files, _) = try await prepared(Self.reasons)
        try await files.with { store in
            try await store.settle(evict: true)
            let stats = try await store.stats()
            #expect(stats.settledCount == 2)
            #expect(stats.rawReasons == ["zstd": 1, "gzip-unknown": 1, "ratio": 1, "no-saving": 1])
            #expect(stats.queuedCount == 0)
        }
    }

    @Test("when a version opens the store that can more: all that it may be able to, once")
    func newAbility() async throws {
        let (files, _) = try await prepared(Self.reasons)
        // As a version before this one left it.
        try await files.with { store in
            try await store.core.commit { try $0.setMeta(SettlingAbility.note, nil) }
        }
        try await files.with { store in
            // The thread that settles has been through its first piece of work.
            try await store.settler.alone {}
            let stats = try await store.stats()
            #expect(stats.rawReasons == ["pending": 5, "no-saving": 1])
            #expect(stats.queuedCount == 5)
            for item in try store.core.read({ try $0.queue(limit: 9) }) {
                try await store.core.commit { transaction in
                    var row = try #require(try transaction.blob(item.digest))
                    row.reason = "zstd"
                    try transaction.putBlob(item.digest, row)
                    try transaction.dequeue(item.digest)
                }
            }
        }
        try await files.with { store in
            try await store.settler.alone {}
            #expect(try await store.stats().queuedCount == 0)
        }
    }

    @Test("a raw file that could not be read for once settles the next time")
    func passingFailure() async throws {
        let files = ImageStore()
        let layer = FileTree(930, files: 4, averageBytes: 10_000).tar
        let faults = Faults()
        try await files.with(faults: faults) { store in
            let digest = try await store.put(layer, in: name("app"))
            faults.fail(.read, at: 1, with: EIO)
            try await store.settle(evict: true)
            #expect(try await store.stats().rawReasons == ["damaged": 1])
            faults.clear()
            try await store.settle(evict: true)
            #expect(try await store.stats().rawReasons == [:])
            #expect(try await store.stats().settledCount == 1)
            #expect(try await store.bytes(of: digest) == layer)
        }
    }

    @Test("a push brings a damaged blob's bytes back")
    func mended() async throws {
        let files = ImageStore()
        let layer = FileTree(931, files: 4, averageBytes: 40_000).tar
        let faults = Faults()
        try await files.with(faults: faults) { store in
            let digest = try await store.put(layer, in: name("app"))
            faults.fail(.read, at: 1, with: EIO)
            try await store.settle(evict: false)
            faults.clear()
            #expect(try await store.blob(digest, in: nil).isDamaged)
            #expect(truncate("\(files.path)/\(StoreLayout.raw(digest).path)", 1000) == 0)
            await #expect(throws: VarveError.self) { _ = try await store.bytes(of: digest) }
            #expect(try await store.mountBlob(digest, from: name("app"), into: name("other")) == nil)
            _ = try await store.put(layer, in: name("app"))
            #expect(try await store.bytes(of: digest) == layer)
            try await store.settle(evict: true)
            #expect(try await store.stats().rawReasons == [:])
            #expect(try await store.bytes(of: digest) == layer)
        }
    }
}
