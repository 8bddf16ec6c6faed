// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import Testing
import VarveHTTP
import VarveModel

@testable import VarveRegistry

/// Bytes that no client of good faith sends (RFC 9112; request smuggling above all): each is refused, by a status that says
/// so or by closing, and the server answers the next client.
@Suite("hostile input", .timeLimit(.minutes(15)))
struct HostileInputTests {
    struct Case: Sendable {
        var name: String
        var bytes: String
        var statuses: Set<Int>
        /// Whether the connection must be closed afterwards: what follows on it can not be trusted.
        var closes = true
    }

    private static let host = "Host: x\r\n"

    static let cases: [Case] = [
        Case(
            name: "Content-Length with Transfer-Encoding",
            bytes:
                "POST /v2/a/blobs/uploads/ HTTP/1.1\r\n\(host)Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "Transfer-Encoding with Content-Length",
            bytes:
                "POST /v2/a/blobs/uploads/ HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "two lengths that differ",
            bytes: "POST /v2/a/blobs/uploads/ HTTP/1.1\r\n\(host)Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
            statuses: [400]),
        Case(
            name: "two lengths that agree",
            bytes: "POST /v2/a/blobs/uploads/ HTTP/1.1\r\n\(host)Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a list of lengths",
            bytes: "POST /v2/a/blobs/uploads/ HTTP/1.1\r\n\(host)Content-Length: 0, 0\r\n\r\n", statuses: [400]),
        Case(
            name: "a negative length", bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Content-Length: -1\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a signed length", bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Content-Length: +1\r\n\r\na",
            statuses: [400]),
        Case(
            name: "a hexadecimal length",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Content-Length: 0x1\r\n\r\na",
            statuses: [400]),
        Case(
            name: "a length beyond 64 bits",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Content-Length: 99999999999999999999999\r\n\r\n",
            statuses: [400]),
        Case(
            name: "an empty length", bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Content-Length:\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a coding that is not chunked",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Transfer-Encoding: gzip\r\n\r\n", statuses: [400, 501]),
        Case(
            name: "a coding before chunked",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            statuses: [400, 501]),
        Case(
            name: "chunked twice",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            statuses: [400, 501]),
        Case(
            name: "chunked and something behind it",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            statuses: [400, 501]),
        Case(
            name: "a coding that looks like chunked",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            statuses: [400, 501]),
        Case(
            name: "chunks in HTTP/1.0",
            bytes: "PUT /v2/a/manifests/x HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            statuses: [400, 501]),
        Case(
            name: "a space before the colon", bytes: "GET /v2/ HTTP/1.1\r\nHost : x\r\n\r\n", statuses: [400]),
        Case(
            name: "a space before the colon of a length",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Content-Length : 1\r\n\r\na", statuses: [400]),
        Case(
            name: "a folded header", bytes: "GET /v2/ HTTP/1.1\r\n\(host)A: b\r\n c\r\n\r\n", statuses: [400]),
        Case(
            name: "a folded first header", bytes: "GET /v2/ HTTP/1.1\r\n A: b\r\n\(host)\r\n", statuses: [400]),
        Case(
            name: "lines that end in LF alone", bytes: "GET /v2/ HTTP/1.1\nHost: x\n\n", statuses: [400]),
        Case(
            name: "one header line that ends in LF alone", bytes: "GET /v2/ HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a bare CR in a value", bytes: "GET /v2/ HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", statuses: [400]),
        Case(
            name: "a NUL in a value", bytes: "GET /v2/ HTTP/1.1\r\n\(host)A: b\u{0}c\r\n\r\n", statuses: [400]),
        Case(
            name: "an empty field name", bytes: "GET /v2/ HTTP/1.1\r\n\(host): b\r\n\r\n", statuses: [400]),
        Case(
            name: "a field name with a bracket", bytes: "GET /v2/ HTTP/1.1\r\n\(host)A(b): c\r\n\r\n", statuses: [400]),
        Case(
            name: "a header without a colon", bytes: "GET /v2/ HTTP/1.1\r\n\(host)abc\r\n\r\n", statuses: [400]),
        Case(name: "no Host", bytes: "GET /v2/ HTTP/1.1\r\n\r\n", statuses: [400], closes: false),
        Case(
            name: "two Hosts", bytes: "GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", statuses: [400], closes: false),
        Case(name: "HTTP/2.0 in the request line", bytes: "GET /v2/ HTTP/2.0\r\n\(host)\r\n", statuses: [400, 505]),
        Case(name: "HTTP/0.9", bytes: "GET /v2/\r\n\r\n", statuses: [400, 505]),
        Case(name: "HTTP/1.2", bytes: "GET /v2/ HTTP/1.2\r\n\(host)\r\n", statuses: [400, 505]),
        Case(name: "HTTP/2's preface", bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", statuses: [400, 505]),
        Case(name: "a method that is none", bytes: "GE<T /v2/ HTTP/1.1\r\n\(host)\r\n", statuses: [400]),
        Case(name: "TLS", bytes: "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n", statuses: [400]),
        Case(name: "noise", bytes: "\u{0}\u{1}\u{2}\u{3}\r\n\r\n", statuses: [400]),
        Case(
            name: "a target with a space", bytes: "GET /v2/ x HTTP/1.1\r\n\(host)\r\n", statuses: [400]),
        Case(
            name: "a target of 9,000 bytes",
            bytes: "GET /v2/\(String(repeating: "a", count: 9000)) HTTP/1.1\r\n\(host)\r\n", statuses: [414],
            closes: false),
        Case(
            name: "a target of 100,000 bytes",
            bytes: "GET /v2/\(String(repeating: "a", count: 100_000)) HTTP/1.1\r\n\(host)\r\n", statuses: [414]),
        Case(
            name: "a target without an end", bytes: "GET /v2/\(String(repeating: "a", count: 33_000))", statuses: [414]),
        Case(
            name: "one huge header",
            bytes: "GET /v2/ HTTP/1.1\r\n\(host)A: \(String(repeating: "a", count: 70_000))\r\n\r\n", statuses: [431]),
        Case(
            name: "many headers",
            bytes: "GET /v2/ HTTP/1.1\r\n\(host)"
                + (0..<200).map { "A\($0): b\r\n" }.joined() + "\r\n", statuses: [431]),
        Case(
            name: "a chunk size that is no number",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a negative chunk size",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a chunk size with a prefix",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a chunk size beyond 64 bits",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n",
            statuses: [400]),
        Case(
            name: "a chunk longer than its size",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a chunk that ends in LF alone",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a chunk size line that ends in LF alone",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
            statuses: [400]),
        Case(
            name: "a chunk extension of 100 KiB",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3;"
                + String(repeating: "a", count: 100 << 10) + "\r\nabc\r\n0\r\n\r\n",
            statuses: [202, 400], closes: false),
        Case(
            name: "an endless trailer",
            bytes: "PATCH LOCATION HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n"
                + (0..<300).map { "A\($0): b\r\n" }.joined() + "\r\n",
            statuses: [202, 400, 431], closes: false),
        Case(
            name: "an expectation that is not known",
            bytes: "PUT /v2/a/manifests/x HTTP/1.1\r\n\(host)Expect: magic\r\nContent-Length: 0\r\n\r\n",
            statuses: [417],
            closes: false),
        Case(
            name: "an upgrade", bytes: "GET /v2/ HTTP/1.1\r\n\(host)Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            statuses: [200, 400], closes: false),
        Case(
            name: "a tunnel", bytes: "CONNECT example.com:443 HTTP/1.1\r\n\(host)\r\n", statuses: [400, 404, 405],
            closes: false),
    ]

    @Test("is refused, and the server goes on")
    func refused() async throws {
        try await TestServer.run { server in
            let location = try #require(
                try await server.send("POST", "/v2/a/blobs/uploads/", body: []).header("Location"))
            for hostile in Self.cases {
                let bytes = hostile.bytes.replacing("LOCATION", with: location)
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.write(bytes)
                    let reply = try await connection.reply()
                    #expect(hostile.statuses.contains(reply.status), "\(hostile.name): \(reply)")
                    if hostile.closes {
                        #expect(reply.header("Connection") == "close", "\(hostile.name)")
                        #expect(await connection.isClosed(), "\(hostile.name)")
                    }
                }
                #expect(try await server.send("GET", "/v2/").status == 200, "\(hostile.name)")
            }
        }
    }

    @Test("smuggled requests are never answered")
    func smuggling() async throws {
        try await TestServer.run { server in
            for lengths in [
                "Content-Length: 6\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 6",
            ] {
                let bytes = try await RawConnection.open(server.port) { connection async throws in
                    try await connection.write(
                        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n\(lengths)\r\n\r\n"
                            + "0\r\n\r\nGET /v2/_catalog HTTP/1.1\r\nHost: x\r\n\r\n")
                    return await connection.untilClosed()
                }
                let text = String(decoding: bytes, as: UTF8.self)
                #expect(text.hasPrefix("HTTP/1.1 400"))
                #expect(!text.contains("repositories"))
            }
        }
    }

    @Test("names outside the grammar are refused")
    func names() async throws {
        try await TestServer.run { server in
            let digest = try await server.digest(of: [1])
            for name in [
                "A", "a//b", "a/", "..", "a/../b", "a/.", "_a", "a_", "a..b", "a___b", "a%20b", "a%00", "%2e%2e", "a:b",
                "%c3%a9", String(repeating: "a", count: 256), String(repeating: "a/", count: 150) + "a",
            ] {
                for (method, path) in [
                    ("GET", "tags/list"), ("GET", "manifests/x"), ("GET", "blobs/\(digest)"),
                    ("POST", "blobs/uploads/"),
                    ("PUT", "manifests/x"), ("DELETE", "blobs/\(digest)"), ("GET", "referrers/\(digest)"),
                ] {
                    let reply = try await server.send(method, "/v2/\(name)/\(path)", body: method == "GET" ? nil : [])
                    #expect([400, 404].contains(reply.status), "\(method) \(name)/\(path): \(reply)")
                    #expect(["NAME_INVALID", "NAME_UNKNOWN"].contains(reply.code), "\(reply)")
                }
            }
        }
    }

    @Test("references and digests outside the grammar are refused")
    func references() async throws {
        try await TestServer.run { server in
            _ = try await server.push([1], to: "a")
            for reference in [
                "..", "-x", ".x", "a%20b", String(repeating: "a", count: 129), "sha256:", "sha256:zz",
                "sha256:" + String(repeating: "A", count: 64), "md5:abc", ":", "a:b:c",
                "%2Fetc%2Fpasswd",
            ] {
                for method in ["GET", "HEAD", "PUT", "DELETE"] {
                    let reply = try await server.send(
                        method, "/v2/a/manifests/\(reference)", body: method == "PUT" ? Array("{}".utf8) : nil)
                    #expect([400, 404].contains(reply.status), "\(method) \(reference)")
                }
            }
            for digest in ["x", "sha256:", "sha256:..", "sha256:" + String(repeating: "g", count: 64), "sha1:abc"] {
                #expect(try await server.send("GET", "/v2/a/blobs/\(digest)").code == "DIGEST_INVALID")
                #expect(try await server.send("GET", "/v2/a/referrers/\(digest)").code == "DIGEST_INVALID")
            }
        }
    }

    @Test("an upload that breaks off keeps what came, and the next request resumes it")
    func truncated() async throws {
        try await TestServer.run { server in
            let bytes = pattern(100_000)
            let digest = try await server.digest(of: bytes)
            let location = try #require(
                try await server.send("POST", "/v2/a/blobs/uploads/", body: []).header("Location"))
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("PATCH \(location) HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
                try await connection.write(Array(bytes[..<40_000]))
            }
            // The server may still be busy with the first request.
            try await eventually { try await server.send("GET", location).header("Range") == "0-39999" }
            let rest = Array(bytes[40_000...])
            try await eventually {
                let patch = try await server.send("PATCH", location, [("Content-Range", "40000-99999")], body: rest)
                return patch.status == 202
            }
            #expect(try await server.send("PUT", "\(location)?digest=\(digest)", body: []).status == 201)
            #expect(try await server.send("GET", "/v2/a/blobs/\(digest)").body == bytes)
        }
    }

    @Test("10,000 mutated requests: an answer or a closed connection, and the server goes on")
    func mutations() async throws {
        let seed = UInt64.random(in: .min ... .max)
        try await TestServer.run {
            $0.http.headerSeconds = 0.5
        } _: { server in
            let digest = try await server.push(pattern(2000), to: "a")
            let seeds = [
                "GET /v2/a/blobs/\(digest) HTTP/1.1\r\nHost: x\r\nRange: bytes=1-5,7-9,-3\r\n\r\n",
                "POST /v2/a/blobs/uploads/?mount=\(digest)&from=a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                "PUT /v2/a/manifests/x?tag=y HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
                "PATCH /v2/a/blobs/uploads/abc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                    + "Content-Range: 0-2\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n",
                "GET /v2/a/tags/list?n=5&last=x HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"x\"\r\n\r\n",
                "HEAD http://x/v2/a/referrers/\(digest)?artifactType=a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n",
            ].map { Array($0.utf8) }
            try await withThrowingDiscardingTaskGroup { group in
                for lane in 0..<8 {
                    group.addTask {
                        var mutator = Mutator(seed: seed &+ UInt64(lane))
                        for round in 0..<1250 {
                            let bytes = mutator.mutate(seeds[round % seeds.count])
                            _ = try? await RawConnection.open(server.port) { connection async throws in
                                try await connection.write(bytes)
                                try await connection.finishWriting()
                                _ = await connection.untilClosed()
                            }
                        }
                    }
                }
            }
            #expect(try await server.send("GET", "/v2/a/blobs/\(digest)").body == pattern(2000), "seed \(seed)")
            #expect(server.server.connectionCount < 100)
        }
    }
}

/// Changes bytes at random, the same way for the same seed.
struct Mutator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    private mutating func random(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % max(bound, 1)
    }

    mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...random(3) {
            let at = random(bytes.count)
            switch random(6) {
            case 0 where !bytes.isEmpty: bytes[at] = UInt8(random(256))
            case 1 where !bytes.isEmpty: bytes.remove(at: at)
            case 2: bytes.insert(contentsOf: Array("\r\n :,;-%/0".utf8).dropFirst(random(8)).prefix(2), at: at)
            case 3: bytes.removeLast(bytes.count - at)
            case 4: bytes.insert(contentsOf: bytes.dropFirst(random(bytes.count)).prefix(random(60)), at: at)
            default: bytes.insert(UInt8(random(256)), at: at)
            }
        }
        return bytes
    }
}
