// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveS3

/// Requests that are wrong, by accident or on purpose: the code that S3 gives, nothing stored, and the server goes on.
@Suite("hostile S3 requests", .timeLimit(.minutes(15)))
struct HostileRequestTests {
    @Test("signatures, dates and scopes")
    func signatures() async throws {
        try await TestServer.run { server in
            let wrongSecret = S3Credential(accessKey: "AKIDEXAMPLE", secretKey: "other")
            let unknown = S3Credential(accessKey: "NOBODY", secretKey: "other")
            let now = Int(Date().timeIntervalSince1970)
            let replies = [
                (try await server.send("PUT", "/bucket/k", body: [1], key: wrongSecret), "SignatureDoesNotMatch"),
                (try await server.send("PUT", "/bucket/k", body: [1], key: unknown), "InvalidAccessKeyId"),
                (try await server.send("PUT", "/bucket/k", body: [1], now: now - 1000), "RequestTimeTooSkewed"),
                (try await server.send("PUT", "/bucket/k", body: [1], now: now + 1000), "RequestTimeTooSkewed"),
                (
                    try await server.send("PUT", "/bucket/k", body: [1], service: "ec2"),
                    "AuthorizationHeaderMalformed"
                ),
                (try await server.raw("PUT", "/bucket/k", [], body: [1]), "AccessDenied"),
                (try await server.raw("PUT", "/bucket/k", [("Authorization", "AWS a:b")], body: [1]), "InvalidRequest"),
                (
                    try await server.raw("PUT", "/bucket/k", [("Authorization", "Basic YTpi")], body: [1]),
                    "InvalidArgument"
                ),
                (
                    try await server.raw("PUT", "/bucket/k", [("Authorization", "AWS4-HMAC-SHA256 x")], body: [1]),
                    "AuthorizationHeaderMalformed"
                ),
                (try await server.send("PUT", "/bucket/k", body: [1], digest: "zz"), "InvalidArgument"),
            ]
            for (reply, code) in replies { #expect(reply.code == code, "\(reply)") }
            #expect(try await server.isEmpty())
        }
    }

    @Test("a header that changes the meaning must be signed; so must the host")
    func unsignedHeaders() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1])
            let signed = try server.signed("PUT", "/bucket/n", digest: Hashing.hex(Hashing.sha256([])))
            let copy = try await server.raw(
                "PUT", "/bucket/n", signed.headers + [("x-amz-copy-source", "bucket/k")], body: [])
            #expect(copy.code == "AccessDenied")
            let hostless = signed.headers.map { ($0.0, $0.1.replacing("=host;", with: "=")) }
            #expect(try await server.raw("PUT", "/bucket/n", hostless, body: []).status == 403)
            #expect(try await server.send("GET", "/bucket/n").code == "NoSuchKey")
        }
    }

    @Test("bodies that are not what was signed or promised", arguments: [100, 200_000])
    func bodies(_ size: Int) async throws {
        try await TestServer.run { server in
            let bytes = pattern(size)
            let other = pattern(size, salt: 2)
            let digest = Hashing.hex(Hashing.sha256(bytes))
            let md5 = Base64.encode(try LegacyHash.md5(bytes))
            var crc = try RunningChecksum(.crc32)
            bytes.withUnsafeBytes { crc.update($0) }
            let crc32 = Base64.encode(crc.finish())
            func put(_ headers: [(String, String)], _ body: [UInt8], _ digest: String) async throws -> Reply {
                try await server.send("PUT", "/bucket/k", headers, body: body, digest: digest)
            }
            let unsigned = "UNSIGNED-PAYLOAD"
            let replies = [
                (try await put([], other, digest), "XAmzContentSHA256Mismatch"),
                (try await put([("Content-MD5", md5)], other, unsigned), "BadDigest"),
                (try await put([("Content-MD5", "abc")], bytes, unsigned), "InvalidDigest"),
                (try await put([("x-amz-checksum-crc32", crc32)], other, unsigned), "BadDigest"),
                (try await put([("x-amz-checksum-crc32", "AA==")], bytes, unsigned), "InvalidRequest"),
                (
                    try await put([("x-amz-checksum-crc32", crc32), ("x-amz-checksum-sha1", "x")], bytes, unsigned),
                    "InvalidRequest"
                ),
                (try await put([("x-amz-checksum-md9", crc32)], bytes, digest), "InvalidRequest"),
                (
                    try await put(
                        [("x-amz-checksum-crc32", crc32), ("x-amz-sdk-checksum-algorithm", "SHA256")], bytes, digest),
                    "InvalidRequest"
                ),
                (
                    try await put([("x-amz-meta-k", String(repeating: "v", count: 3000))], bytes, digest),
                    "MetadataTooLarge"
                ),
                (
                    try await put([("x-amz-server-side-encryption-customer-algorithm", "AES256")], bytes, digest),
                    "NotImplemented"
                ),
            ]
            for (reply, code) in replies { #expect(reply.code == code, "\(reply)") }
            let signed = try server.signed("PUT", "/bucket/k", digest: digest)
            #expect(try await server.raw("PUT", "/bucket/k", signed.headers, body: nil).status == 411)
            #expect(try await server.isEmpty())
            let good = try await put(
                [
                    ("Content-MD5", md5), ("x-amz-checksum-crc32", crc32), ("x-amz-sdk-checksum-algorithm", "CRC32"),
                    ("x-amz-checksum-type", "FULL_OBJECT"),
                ], bytes, digest)
            #expect(good.status == 200)
            #expect(good.header("x-amz-checksum-crc32") == crc32)
        }
    }

    /// A body in signed chunks.
    private func chunked(_ bytes: [UInt8], by size: Int, _ chain: SignatureChain) -> [UInt8] {
        var chain = chain
        var wire: [UInt8] = []
        for start in stride(from: 0, through: bytes.count, by: size) {
            let chunk = Array(bytes[start..<min(bytes.count, start + size)])
            let text =
                "AWS4-HMAC-SHA256-PAYLOAD\n\(chain.date)\n\(chain.scope)\n\(chain.previous)\n"
                + "\(Hashing.hex(Hashing.sha256([])))\n\(Hashing.hex(Hashing.sha256(chunk)))"
            chain.previous = Hashing.hex(Hashing.hmac(chain.signingKey, Array(text.utf8)))
            wire +=
                Array("\(String(chunk.count, radix: 16));chunk-signature=\(chain.previous)\r\n".utf8) + chunk + [
                    13, 10,
                ]
        }
        return wire
    }

    @Test("signed chunks over the wire; one changed byte, a wrong length, a missing end")
    func chunks() async throws {
        try await TestServer.run { server in
            // A multiple of the chunk's size, so that the last chunk is the empty one.
            let bytes = pattern(40 * 8192)
            let mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
            func put(_ length: Int, _ change: (inout [UInt8]) -> Void) async throws -> Reply {
                let headers = [("x-amz-decoded-content-length", "\(length)"), ("Content-Encoding", "aws-chunked")]
                let signed = try server.signed("PUT", "/bucket/k", headers, digest: mode)
                var wire = chunked(bytes, by: 8192, signed.chain)
                change(&wire)
                return try await server.raw("PUT", "/bucket/k", signed.headers, body: wire)
            }
            #expect(try await put(bytes.count) { $0[100_000] ^= 1 }.code == "SignatureDoesNotMatch")
            #expect(try await put(bytes.count) { $0.removeLast(90) }.code == "IncompleteBody")
            #expect(try await put(bytes.count) { $0[0] = UInt8(ascii: "x") }.code == "IncompleteBody")
            #expect(try await put(bytes.count - 1) { _ in }.code == "IncompleteBody")
            #expect(try await put(bytes.count + 1) { _ in }.code == "IncompleteBody")
            #expect(try await server.isEmpty())
            #expect(try await put(bytes.count) { _ in }.status == 200)
            let get = try await server.send("GET", "/bucket/k")
            #expect(get.body == bytes)
            #expect(get.header("Content-Encoding") == nil)
        }
    }

    @Test("unsigned chunks with a trailer: its checksum is what vouches for them")
    func unsignedTrailer() async throws {
        try await TestServer.run { server in
            let bytes = pattern(100_000)
            var crc = try RunningChecksum(.crc64nvme)
            bytes.withUnsafeBytes { crc.update($0) }
            let checksum = Base64.encode(crc.finish())
            func put(_ body: [UInt8], trailer: String) async throws -> Reply {
                let wire =
                    Array("\(String(body.count, radix: 16))\r\n".utf8) + body
                    + Array("\r\n0\r\n\(trailer)\r\n\r\n".utf8)
                return try await server.send(
                    "PUT", "/bucket/k",
                    [
                        ("x-amz-decoded-content-length", "\(body.count)"),
                        ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
                    ], body: wire, digest: "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            }
            let line = "x-amz-checksum-crc64nvme:\(checksum)"
            #expect(try await put(pattern(100_000, salt: 3), trailer: line).code == "BadDigest")
            #expect(try await put(bytes, trailer: "x-other:1").code == "MalformedTrailerError")
            #expect(try await put(bytes, trailer: "nonsense").code == "MalformedTrailerError")
            #expect(try await server.isEmpty())
            #expect(try await put(bytes, trailer: line).status == 200)
            let get = try await server.send("GET", "/bucket/k", [("x-amz-checksum-mode", "ENABLED")])
            #expect(get.body == bytes)
            #expect(get.header("x-amz-checksum-crc64nvme") == checksum)
        }
    }

    @Test("keys: dots, slashes, odd Unicode, 1,024 bytes and one more")
    func keys() async throws {
        try await TestServer.run { server in
            let long = String(repeating: "k", count: 1024)
            let keys = [
                ".", "..", "../../etc/passwd", "/", "//a", "a//b", "a/", "a/../b", "%", "?", "#", " ", "+", "a&b=c",
                "é",
                "e\u{301}", "\u{1F9CA}", "\u{202E}x", "\n", "\u{1}", "\\", "\"<>'", long,
            ]
            for (index, key) in keys.enumerated() {
                let target = "/bucket/" + PercentCoding.encode(key.utf8, keepsSlash: true)
                let body = [UInt8(index)]
                #expect(try await server.send("PUT", target, body: body).status == 200, "\(key)")
            }
            for (index, key) in keys.enumerated() {
                let target = "/bucket/" + PercentCoding.encode(key.utf8, keepsSlash: true)
                #expect(try await server.send("GET", target).body == [UInt8(index)], "\(key)")
            }
            let list = try await server.send("GET", "/bucket?list-type=2&encoding-type=url")
            #expect(list.elements("Key").compactMap { PercentCoding.text($0.utf8) }.count == keys.count)
            #expect(try await server.send("PUT", "/bucket/k\(long)", body: [1]).code == "KeyTooLongError")
            #expect(try await server.raw("PUT", "/bucket/%FF", [], body: [1]).code == "InvalidURI")
            #expect(try await server.raw("PUT", "/bucket/%zz", [], body: [1]).code == "InvalidURI")
        }
    }

    @Test("a target that is too long is 414, a header that is too long 431, also on a connection that was used")
    func lengths() async throws {
        try await TestServer.run { server in
            func long(_ count: Int) -> String { String(repeating: "x", count: count) }
            for (head, status, code) in [
                ("GET /bucket/\(long(9000)) HTTP/1.1\r\nHost: x\r\n", 414, "InvalidURI"),
                ("GET /bucket/\(long(70_000)) HTTP/1.1\r\nHost: x\r\n", 414, "InvalidURI"),
                ("GET /bucket/k?\(long(33_000)) HTTP/1.1\r\nHost: x\r\n", 414, "InvalidURI"),
                ("GET /bucket/k HTTP/1.1\r\nHost: x\r\nA: \(long(33_000))\r\n", 431, "RequestHeaderSectionTooLarge"),
                (
                    "GET /bucket/\(long(8000)) HTTP/1.1\r\nHost: x\r\nA: \(long(31_000))\r\nB: \(long(31_000))\r\n",
                    431,
                    "RequestHeaderSectionTooLarge"
                ),
            ] {
                for isUsed in [false, true] {
                    try await RawConnection.open(server.port) { connection async throws in
                        if isUsed { _ = try await connection.request("GET", "/bucket/k") }
                        try await connection.write(head + "\r\n")
                        let reply = try await connection.reply()
                        #expect(reply.status == status, "\(head.prefix(60)): \(reply)")
                        #expect(reply.code == code)
                        #expect(await connection.isClosed())
                    }
                }
            }
        }
    }

    @Test("a bucket in the host's name")
    func virtualHost() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/a", body: [7])
            let digest = Hashing.hex(Hashing.sha256([]))
            let signed = try server.signed("GET", "/a", digest: digest, host: "bucket.s3.test")
            try await RawConnection.open(server.port) { connection async throws in
                let lines = signed.headers.map { "\($0.0): \($0.1)\r\n" }.joined()
                try await connection.write("GET /a HTTP/1.1\r\nHost: bucket.s3.test\r\n\(lines)\r\n")
                #expect(try await connection.reply().body == [7])
            }
        }
    }

    @Test("what S3 has and this has not is said to be so")
    func notImplemented() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1])
            for (method, target) in [
                ("PUT", "/bucket?versioning"), ("PUT", "/bucket?policy"), ("PUT", "/bucket/k?tagging"),
                ("PUT", "/bucket/k?acl"), ("GET", "/bucket/k?torrent"), ("POST", "/bucket"),
                ("GET", "/bucket?analytics"),
            ] {
                let reply = try await server.send(method, target, body: [])
                #expect(reply.code == "NotImplemented", "\(method) \(target): \(reply)")
            }
            #expect(try await server.send("PATCH", "/bucket/k", body: []).code == "MethodNotAllowed")
            #expect(try await server.send("GET", "/bucket?policy").code == "NoSuchBucketPolicy")
            #expect(try await server.send("GET", "/bucket/k?versionId=1").code == "NoSuchVersion")
        }
    }
}
