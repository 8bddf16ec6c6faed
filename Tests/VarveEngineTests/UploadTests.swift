// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import Testing
import VarveEngine
import VarveModel

@Suite("uploads")
struct UploadTests {
    private func repository(_ name: String = "library/test") throws -> RepositoryName {
        try #require(RepositoryName(name))
    }

    private func code(_ body: () async throws -> Void) async -> VarveError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? VarveError)?.code
        }
    }

    @Test("pieces add up, in order only")
    func pieces() async throws {
        var generator = SeededGenerator(seed: 11)
        let bytes = generator.text(400_000)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let upload = try await store.startUpload(in: repository())
        let first = Array(bytes[..<150_000])
        let rest = Array(bytes[150_000...])
        let status = try await store.appendUpload(
            upload.id, in: repository(), at: 0, expecting: 150_000, body: body(first))
        #expect(status.offset == 150_000)
        #expect(
            await code {
                _ = try await store.appendUpload(
                    upload.id, in: repository(), at: 140_000, expecting: nil, body: body(rest))
            } == .offsetMismatch)
        _ = try await store.appendUpload(upload.id, in: repository(), at: nil, expecting: nil, body: body(rest))
        let digest = try sha(bytes)
        #expect(try await store.finishUpload(upload.id, in: repository(), digest: digest).size == 400_000)
        #expect(await code { _ = try await store.uploadStatus(upload.id, in: repository()) } == .uploadUnknown)
        #expect(try await store.bytes(of: digest, in: repository()) == bytes)
        await store.close()
    }

    @Test("a wrong digest ends the upload and stores nothing")
    func wrongDigest() async throws {
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        for count in [10, 100_000] {
            let bytes = [UInt8](repeating: 5, count: count)
            let wrong = try sha(bytes + [1])
            let upload = try await store.startUpload(in: repository())
            _ = try await store.appendUpload(upload.id, in: repository(), at: nil, expecting: nil, body: body(bytes))
            #expect(
                await code { _ = try await store.finishUpload(upload.id, in: repository(), digest: wrong) }
                    == .digestMismatch)
            #expect(await code { _ = try await store.uploadStatus(upload.id, in: repository()) } == .uploadUnknown)
            #expect(await code { _ = try await store.blob(wrong, in: nil) } == .blobUnknown)
        }
        #expect(try await store.stats().blobsCount == 0)
        await store.close()
    }

    @Test("a session is nobody else's: another repository does not see it")
    func otherRepository() async throws {
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let upload = try await store.startUpload(in: repository("one"))
        #expect(await code { _ = try await store.uploadStatus(upload.id, in: repository("two")) } == .uploadUnknown)
        #expect(
            await code { _ = try await store.uploadStatus("../../etc/passwd", in: repository("one")) } == .uploadUnknown
        )
        await store.close()
    }

    @Test("an upload goes on after a restart", arguments: [100, 300_000])
    func resume(_ count: Int) async throws {
        var generator = SeededGenerator(seed: 12)
        let bytes = generator.text(2 * count)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        var store = try await fixture.open()
        let upload = try await store.startUpload(in: repository())
        _ = try await store.appendUpload(
            upload.id, in: repository(), at: 0, expecting: nil, body: body(Array(bytes[..<count])))
        await store.close()
        store = try await fixture.open()
        #expect(try await store.uploadStatus(upload.id, in: repository()).offset == UInt64(count))
        _ = try await store.appendUpload(
            upload.id, in: repository(), at: UInt64(count), expecting: nil, body: body(Array(bytes[count...])))
        let digest = try sha(bytes)
        _ = try await store.finishUpload(upload.id, in: repository(), digest: digest)
        #expect(try await store.bytes(of: digest) == bytes)
        await store.close()
    }

    @Test("what a broken body brought stays, and the client goes on there")
    func brokenBody() async throws {
        struct Broken: Error {}
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let upload = try await store.startUpload(in: repository())
        let body = AsyncThrowingStream<ByteBuffer, any Error> { continuation in
            continuation.yield(ByteBuffer(bytes: [UInt8](repeating: 1, count: 70_000)))
            continuation.finish(throwing: Broken())
        }
        #expect(
            await code {
                _ = try await store.appendUpload(upload.id, in: repository(), at: 0, expecting: nil, body: body)
            } == .cancelled)
        #expect(try await store.uploadStatus(upload.id, in: repository()).offset == 70_000)
        await store.close()
    }

    @Test("a mount needs the blob to be in the source")
    func mount() async throws {
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let digest = try await store.put([UInt8](repeating: 9, count: 50_000), in: repository("a"))
        #expect(try await store.mountBlob(digest, from: repository("c"), into: repository("b")) == nil)
        #expect(try await store.mountBlob(digest, from: repository("a"), into: repository("b")) != nil)
        #expect(try await store.blob(digest, in: repository("b")).size == 50_000)
        #expect(try await store.mountBlob(digest, from: nil, into: repository("d")) != nil)
        await store.close()
    }

    @Test("64 pushes of one blob at once: one blob, 64 acknowledgements")
    func sameBlobAtOnce() async throws {
        var generator = SeededGenerator(seed: 13)
        let bytes = generator.text(300_000)
        let fixture = StoreFixture()
        defer { fixture.remove() }
        let store = try await fixture.open()
        let digest = try sha(bytes)
        let repository = try repository()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    _ = try await store.putBlob(digest, in: repository, expecting: 300_000, body: body(bytes))
                }
            }
            try await group.waitForAll()
        }
        #expect(try await store.stats().blobsCount == 1)
        try await store.settle(evict: true)
        #expect(try await store.bytes(of: digest) == bytes)
        await store.close()
    }
}
