// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Logging
import NIOCore
import ServiceLifecycle
import Testing
import VarveEngine
import VarveHTTP
import VarveModel

@testable import VarveRegistry

@Suite("shutdown and control", .timeLimit(.minutes(15)))
struct ShutdownTests {
    private static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    /// A store in a fresh directory, removed afterwards.
    private func withStore(depth: Int = 0, _ body: (Store, String) async throws -> Void) async throws {
        let root = NSTemporaryDirectory() + "varve-control-" + UUID().uuidString
        let path = root + String(repeating: "/" + String(repeating: "d", count: 60), count: depth) + "/store"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let store = try await Store.open(at: path, logger: Self.logger)
        do {
            try await body(store, path)
            await store.close()
        } catch {
            await store.close()
            throw error
        }
    }

    @Test("a graceful shutdown finishes what is under way, closes what is idle, and takes nothing new")
    func graceful() async throws {
        try await withStore { store, _ in
            var settings = RegistrySettings()
            settings.http.port = 0
            let server = RegistryServer(store: store, settings: settings, logger: Self.logger)
            let port = try #require(try await server.bind().port)
            let group = ServiceGroup(services: [server], gracefulShutdownSignals: [], logger: Self.logger)
            let running = Task { try await group.run() }
            let bytes = pattern(50_000)
            let digest = try await store.digest(of: ByteBuffer(bytes: bytes))
            try await RawConnection.open(port) { idle async throws in
                #expect(try await idle.request("GET", "/v2/").status == 200)
                try await RawConnection.open(port) { busy async throws in
                    try await busy.write(
                        "POST /v2/a/blobs/uploads/?digest=\(digest) HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n"
                            + "Expect: 100-continue\r\n\r\n")
                    #expect(try await busy.reply().status == 100)
                    await group.triggerGracefulShutdown()
                    #expect(await idle.isClosed())
                    await #expect(throws: (any Error).self) {
                        try await RawConnection.open(port) { try await $0.reply() }
                    }
                    try await busy.write(bytes)
                    let reply = try await busy.reply()
                    #expect(reply.status == 201)
                    #expect(reply.header("Connection") == "close")
                    #expect(await busy.isClosed())
                }
            }
            try await running.value
            let size = try await store.blob(digest, in: RepositoryName("a")).size
            #expect(size == 50_000)
        }
    }

    @Test("a request that does not end is cut after the deadline; its upload keeps what came")
    func deadline() async throws {
        try await withStore { store, _ in
            var settings = RegistrySettings()
            settings.http.port = 0
            // Time enough for what was written to arrive, on a busy machine, too.
            settings.http.shutdownSeconds = 3
            let server = RegistryServer(store: store, settings: settings, logger: Self.logger)
            let port = try #require(try await server.bind().port)
            let group = ServiceGroup(services: [server], gracefulShutdownSignals: [], logger: Self.logger)
            let running = Task { try await group.run() }
            let location = try await RawConnection.open(port) { connection async throws in
                try await connection.request("POST", "/v2/a/blobs/uploads/", body: []).header("Location")
            }
            let id = try #require(location?.split(separator: "/").last).description
            try await RawConnection.open(port) { connection async throws in
                try await connection.write(
                    "PATCH \(location ?? "") HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\nExpect: 100-continue\r\n\r\n"
                )
                #expect(try await connection.reply().status == 100)
                try await connection.write(pattern(20_000))
                await group.triggerGracefulShutdown()
                #expect(await connection.isClosed())
            }
            try await running.value
            let repository = try #require(RepositoryName("a"))
            let offset = try await store.uploadStatus(id, in: repository).offset
            #expect(offset == 20_000)
        }
    }

    @Test(
        "the control socket: figures, settling, verifying; its owner's only; also where paths are long",
        arguments: [0, 3])
    func control(_ depth: Int) async throws {
        try await withStore(depth: depth) { store, path in
            let before = try await ControlClient.connect(storePath: path)
            #expect(before == nil)
            let server = ControlServer(store: store, storePath: path, logger: Self.logger)
            let running = Task { try await server.run() }
            var found: ControlClient?
            try await eventually {
                found = try await ControlClient.connect(storePath: path)
                return found != nil
            }
            let client = try #require(found)
            let mode = try FileManager.default.attributesOfItem(atPath: path + "/control.sock")[.posixPermissions]
            #expect(mode as? Int == 0o600)
            let repository = try #require(RepositoryName("a"))
            let bytes = ByteBuffer(bytes: pattern(200_000))
            let digest = try await store.digest(of: bytes)
            let body = AsyncStream<ByteBuffer> { stream in
                stream.yield(bytes)
                stream.finish()
            }
            _ = try await store.putBlob(digest, in: repository, expecting: nil, body: body)
            try await client.settle(evict: true, progress: { #expect(!$0.activity.isEmpty) })
            let figures = try await store.stats()
            #expect(try await client.stats() == figures)
            let report = try await client.verify(progress: nil)
            #expect(report.damage.isEmpty)
            await client.close()
            running.cancel()
            _ = await running.result
            #expect(!FileManager.default.fileExists(atPath: path + "/control.sock"))
            let after = try await ControlClient.connect(storePath: path)
            #expect(after == nil)
        }
    }

    @Test("messages are read back as they were")
    func messages() throws {
        var stats = StoreStats()
        stats.blobsBytes = 7
        stats.rawReasons = ["gzip": 2, "odd \"one\"": 1]
        guard case .stats(let read) = try ControlMessage(line: ControlMessage.stats(stats).line, expecting: .stats)
        else {
            return #expect(Bool(false))
        }
        #expect(read == stats)
        let error = ControlMessage.failed(VarveError(.poisoned, "a\nb"))
        guard case .failed(let failure) = try ControlMessage(line: error.line, expecting: .settled) else {
            return #expect(Bool(false))
        }
        #expect(failure.code == .poisoned)
        #expect(failure.message == "a\nb")
    }
}
