// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import Testing
import VarveHTTP
import VarveModel

@testable import VarveRegistry

/// What the server puts up with from slow, greedy and impatient clients.
@Suite("limits and connections", .timeLimit(.minutes(15)))
struct LimitTests {
    @Test("a head that dribbles is answered 408 and closed")
    func slowHead() async throws {
        try await TestServer.run {
            $0.http.headerSeconds = 0.2
        } _: { server in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("GET /v2/ HTTP/1.1\r\nHost: x\r\nA: ")
                let dribble = Task { [connection = UncheckedBox(connection)] in
                    while (try? await connection.value.write("a")) != nil {
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
                let reply = try await connection.reply()
                #expect(reply.status == 408)
                #expect(await connection.isClosed())
                dribble.cancel()
            }
        }
    }

    @Test("a connection without a request is closed, used or not")
    func idle() async throws {
        try await TestServer.run {
            $0.http.idleSeconds = 3
        } _: { server in
            try await RawConnection.open(server.port) { connection async throws in #expect(await connection.isClosed())
            }
            // On a busy machine the request itself may come too late: then the connection is closed before an answer.
            var isAnswered = false
            for _ in 0..<20 where !isAnswered {
                try await RawConnection.open(server.port) { connection async throws in
                    guard let reply = try? await connection.request("GET", "/v2/") else { return }
                    #expect(reply.status == 200)
                    #expect(await connection.isClosed())
                    isAnswered = true
                }
            }
            #expect(isAnswered)
        }
    }

    @Test("a body that comes too slowly is cut off")
    func slowBody() async throws {
        try await TestServer.run {
            $0.http.rateWindowSeconds = 0.2
        } _: { server in
            let location = try #require(
                try await server.send("POST", "/v2/a/blobs/uploads/", body: []).header("Location"))
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("PATCH \(location) HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
                #expect(await connection.isClosed())
            }
        }
    }

    @Test("a reader that takes nothing is cut off")
    func slowReader() async throws {
        try await TestServer.run {
            $0.http.rateWindowSeconds = 0.3
        } _: { server in
            let bytes = pattern(12 << 20)
            let digest = try await server.push(bytes)
            try await eventually { server.server.connectionCount == 0 }
            try await RawConnection.open(server.port, receiveBufferBytes: 4096) { connection async throws in
                try await connection.write("GET /v2/a/b/blobs/\(digest) HTTP/1.1\r\nHost: x\r\n\r\n")
                try await eventually { server.server.connectionCount == 1 }
                try await eventually { server.server.connectionCount == 0 }
                #expect(await connection.untilClosed().count < bytes.count)
            }
        }
    }

    @Test("one connection too many is answered 503")
    func connections() async throws {
        try await TestServer.run {
            $0.http.connectionsMax = 2
        } _: { server in
            try await RawConnection.open(server.port) { first async throws in
                #expect(try await first.request("GET", "/v2/").status == 200)
                try await RawConnection.open(server.port) { second async throws in
                    #expect(try await second.request("GET", "/v2/").status == 200)
                    try await RawConnection.open(server.port) { third async throws in
                        let reply = try await third.reply()
                        #expect(reply.status == 503)
                        #expect(reply.header("Retry-After") != nil)
                        #expect(await third.isClosed())
                    }
                    #expect(try await first.request("GET", "/v2/").status == 200)
                }
            }
        }
    }

    @Test("pipelined requests are answered in their order; too many end the connection")
    func pipelining() async throws {
        try await TestServer.run { server in
            let digest = try await server.push([1, 2, 3], to: "a")
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write(
                    "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\nGET /v2/a/blobs/\(digest) HTTP/1.1\r\nHost: x\r\n\r\n"
                        + "HEAD /v2/x HTTP/1.1\r\nHost: x\r\n\r\nGET /v2/x HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try await connection.reply().status == 200)
                #expect(try await connection.reply().body == [1, 2, 3])
                #expect(try await connection.reply(toHead: true).status == 404)
                #expect(try await connection.reply().status == 404)
            }
            try await RawConnection.open(server.port) { connection async throws in
                try? await connection.write(String(repeating: "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", count: 10_000))
                #expect(await connection.isClosed())
            }
            #expect(try await server.send("GET", "/v2/").status == 200)
        }
    }

    @Test("a good request before a bad one is answered, then the bad one is refused")
    func orderOfErrors() async throws {
        try await TestServer.run { server in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\r\n\r\n")
                #expect(try await connection.reply().status == 200)
                #expect(try await connection.reply().status == 400)
                #expect(await connection.isClosed())
            }
        }
    }

    @Test("Expect: 100-continue is answered when the body is wanted, and only then")
    func expectation() async throws {
        try await TestServer.run { server in
            let digest = try await server.digest(of: [1, 2, 3])
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write(
                    "POST /v2/a/blobs/uploads/?digest=\(digest) HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                        + "Expect: 100-continue\r\n\r\n")
                #expect(try await connection.reply().status == 100)
                try await connection.write([1, 2, 3])
                #expect(try await connection.reply().status == 201)
            }
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write(
                    "PATCH /v2/a/blobs/uploads/ffff HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                        + "Expect: 100-continue\r\n\r\n")
                let reply = try await connection.reply()
                #expect(reply.status == 404)
                #expect(reply.header("Connection") == "close")
            }
        }
    }

    @Test("a refusal reaches a client that is still sending")
    func earlyAnswer() async throws {
        try await TestServer.run { server in
            let digest = try await server.digest(of: [1])
            for count in [1000, 200_000, 8 << 20] {
                let reply = try await RawConnection.open(server.port) { connection async throws in
                    try await connection.write(
                        "PUT /v2/a/blobs/uploads/ffff?digest=\(digest) HTTP/1.1\r\nHost: x\r\nContent-Length: \(count)\r\n\r\n"
                    )
                    try await connection.write(pattern(count))
                    return try await connection.reply()
                }
                #expect(reply.status == 404, "\(count)")
                #expect(reply.header("Connection") == (count > 256 << 10 ? "close" : nil), "\(count)")
            }
        }
    }

    @Test("HTTP/1.0: closed after the answer, kept if asked for")
    func oldVersion() async throws {
        try await TestServer.run { server in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("GET /v2/ HTTP/1.0\r\n\r\n")
                let reply = try await connection.reply()
                #expect(reply.status == 200)
                #expect(await connection.isClosed())
            }
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                #expect(try await connection.reply().header("Connection") == "keep-alive")
                #expect(try await connection.request("GET", "/v2/", [("Connection", "close")]).status == 200)
                #expect(await connection.isClosed())
            }
        }
    }

    @Test("a client that closes its sending half gets its answer")
    func halfClosed() async throws {
        try await TestServer.run { server in
            let bytes = pattern(1 << 20)
            let digest = try await server.push(bytes)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("GET /v2/a/b/blobs/\(digest) HTTP/1.1\r\nHost: x\r\n\r\n")
                try await connection.finishWriting()
                #expect(try await connection.reply().body == bytes)
            }
        }
    }

    @Test("32 pushes and 32 pulls at once, every byte right")
    func concurrency() async throws {
        try await TestServer.run { server in
            try await withThrowingDiscardingTaskGroup { group in
                for client in 0..<32 {
                    group.addTask {
                        let bytes = pattern(300_000 + client * 1000, salt: UInt64(client))
                        let digest = try await server.push(bytes, to: "r\(client % 4)")
                        #expect(try await server.send("GET", "/v2/r\(client % 4)/blobs/\(digest)").body == bytes)
                    }
                }
            }
        }
    }
}

/// Carries a value to a task that the test knows to be alone with what it does.
struct UncheckedBox<Value>: @unchecked Sendable {  // the test writes from one task and reads from another
    let value: Value

    init(_ value: Value) { self.value = value }
}
