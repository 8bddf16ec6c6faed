// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveModel
import VarveOCI

@testable import VarveRegistry

/// The endpoints of the OCI distribution specification, by their numbers.
@Suite("OCI distribution endpoints", .timeLimit(.minutes(15)))
struct EndpointTests {
    private static let octets = ("Content-Type", "application/octet-stream")

    @Test("end-1: the base answers, with and without its last slash")
    func base() async throws {
        try await TestServer.run { server in
            for target in ["/v2/", "/v2"] {
                let reply = try await server.send("GET", target)
                #expect(reply.status == 200)
                #expect(reply.header("Docker-Distribution-Api-Version") == "registry/2.0")
            }
            #expect(try await server.send("GET", "/livez").status == 200)
            #expect(try await server.send("GET", "/readyz").status == 200)
        }
    }

    @Test("end-2: a blob by GET and HEAD, of any size", arguments: [0, 1, 1000, 16 << 10, 3_000_001])
    func blobs(_ count: Int) async throws {
        try await TestServer.run { server in
            let bytes = pattern(count)
            let digest = try await server.push(bytes)
            let get = try await server.send("GET", "/v2/a/b/blobs/\(digest)")
            #expect(get.status == 200)
            #expect(get.body == bytes)
            #expect(get.header("Docker-Content-Digest") == digest.description)
            let head = try await server.send("HEAD", "/v2/a/b/blobs/\(digest)")
            #expect(head.status == 200)
            #expect(head.header("Content-Length") == String(count))
            #expect(head.header("Docker-Content-Digest") == digest.description)
            let other = try await server.send("GET", "/v2/c/blobs/\(digest)")
            #expect(other.status == 404)
            #expect(other.code == "BLOB_UNKNOWN")
        }
    }

    @Test("end-2: ranges, one and several, as RFC 9110 has them")
    func ranges() async throws {
        try await TestServer.run { server in
            let bytes = pattern(300_000)
            let target = "/v2/a/b/blobs/\(try await server.push(bytes))"
            let one = try await server.send("GET", target, [("Range", "bytes=1000-200000")])
            #expect(one.status == 206)
            #expect(one.header("Content-Range") == "bytes 1000-200000/300000")
            #expect(one.body == Array(bytes[1000...200000]))
            let tail = try await server.send("GET", target, [("Range", "bytes=-5")])
            #expect(tail.body == Array(bytes.suffix(5)))
            for field in ["bytes=300000-", "bytes=-0"] {
                let reply = try await server.send("GET", target, [("Range", field)])
                #expect(reply.status == 416)
                #expect(reply.header("Content-Range") == "bytes */300000")
            }
            for field in ["bytes=x", "bytes=9-3", "bytes=0-1,9-3"] {
                let ignored = try await server.send("GET", target, [("Range", field)])
                #expect(ignored.status == 200, "\(field)")
                #expect(ignored.body == bytes)
            }

            let several = try await server.send("GET", target, [("Range", "bytes=0-9,100000-250000,-1")])
            #expect(several.status == 206)
            let type = try #require(several.header("Content-Type"))
            let boundary = try #require(type.components(separatedBy: "boundary=").last)
            #expect(type.hasPrefix("multipart/byteranges"))
            var expected: [UInt8] = []
            for part in [0...9, 100_000...250_000, 299_999...299_999] {
                let head = "\r\n--\(boundary)\r\nContent-Type: application/octet-stream\r\n"
                expected += Array(
                    "\(head)Content-Range: bytes \(part.lowerBound)-\(part.upperBound)/300000\r\n\r\n".utf8)
                expected += bytes[part]
            }
            expected += Array("\r\n--\(boundary)--\r\n".utf8)
            #expect(several.body == expected)

            let head = try await server.send("HEAD", target, [("Range", "bytes=0-1")])
            #expect(head.status == 200)
            #expect(head.header("Content-Length") == "300000")
        }
    }

    @Test("end-2: If-None-Match and If-Range")
    func conditions() async throws {
        try await TestServer.run { server in
            let bytes = pattern(5000)
            let digest = try await server.push(bytes)
            let target = "/v2/a/b/blobs/\(digest)"
            let tag = try #require(try await server.send("GET", target).header("ETag"))
            for method in ["GET", "HEAD"] {
                let reply = try await server.send(method, target, [("If-None-Match", "\"x\", \(tag)")])
                #expect(reply.status == 304)
                #expect(reply.header("ETag") == tag)
            }
            let range = [("Range", "bytes=0-0"), ("If-Range", tag)]
            #expect(try await server.send("GET", target, range).status == 206)
            #expect(
                try await server.send("GET", target, [("Range", "bytes=0-0"), ("If-Range", "\"x\"")]).status == 200)
        }
    }

    @Test("end-4a, end-6: POST then PUT", arguments: [Digest.Algorithm.sha256, .sha512])
    func postPut(_ algorithm: Digest.Algorithm) async throws {
        try await TestServer.run { server in
            let bytes = pattern(100_000)
            let digest = try await server.digest(of: bytes, algorithm)
            let post = try await server.send("POST", "/v2/a/blobs/uploads/", body: [])
            #expect(post.status == 202)
            let location = try #require(post.header("Location"))
            let put = try await server.send("PUT", "\(location)?digest=\(digest)", [Self.octets], body: bytes)
            #expect(put.status == 201)
            #expect(put.header("Docker-Content-Digest") == digest.description)
            let blob = try #require(put.header("Location"))
            #expect(try await server.send("GET", blob).body == bytes)
            #expect(try await server.send("GET", location).status == 404)
        }
    }

    @Test("end-4b: a single POST, and one with wrong bytes")
    func singlePost() async throws {
        try await TestServer.run { server in
            let digest = try await server.push(pattern(50_000))
            let wrong = try await server.send(
                "POST", "/v2/c/blobs/uploads/?digest=\(digest)", [Self.octets], body: pattern(50_000, salt: 2))
            #expect(wrong.status == 400)
            #expect(wrong.code == "DIGEST_INVALID")
            #expect(try await server.send("HEAD", "/v2/c/blobs/\(digest)").status == 404)
            for target in ["sha256:x", "md5:00", ""] {
                let reply = try await server.send("POST", "/v2/c/blobs/uploads/?digest=\(target)", body: [])
                #expect(reply.status == 400)
                #expect(reply.code == "DIGEST_INVALID")
            }
        }
    }

    @Test("end-4c: the digest's algorithm beforehand")
    func algorithm() async throws {
        try await TestServer.run { server in
            let bytes = pattern(70_000)
            let digest = try await server.digest(of: bytes, .sha512)
            let post = try await server.send("POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512", body: [])
            #expect(post.status == 202)
            let location = try #require(post.header("Location"))
            #expect(try await server.send("PUT", "\(location)?digest=\(digest)", body: bytes).status == 201)
            #expect(try await server.send("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", body: []).status == 400)
        }
    }

    @Test("end-5, end-6, end-13: pieces in order, out of order, resumed")
    func chunked() async throws {
        try await TestServer.run { server in
            let bytes = pattern(90_000)
            let digest = try await server.digest(of: bytes)
            let post = try await server.send("POST", "/v2/a/blobs/uploads/", body: [])
            let location = try #require(post.header("Location"))
            let piece = { (range: ClosedRange<Int>) in
                try await server.send(
                    "PATCH", location, [Self.octets, ("Content-Range", "\(range.lowerBound)-\(range.upperBound)")],
                    body: Array(bytes[range]))
            }
            let first = try await piece(0...29_999)
            #expect(first.status == 202)
            #expect(first.header("Range") == "0-29999")
            #expect(first.header("Location") == location)
            for wrong in [30_001...40_000, 0...29_999, 29_999...40_000] {
                let reply = try await piece(wrong)
                #expect(reply.status == 416)
                #expect(reply.header("Range") == "0-29999")
            }
            for field in ["x", "5-", "40-30", "bytes"] {
                let reply = try await server.send("PATCH", location, [("Content-Range", field)], body: [1])
                #expect(reply.status == 400)
            }
            let short = try await server.send("PATCH", location, [("Content-Range", "30000-30009")], body: [1])
            #expect(short.status == 400)
            #expect(short.code == "SIZE_INVALID")
            #expect(try await piece(30_000...59_999).status == 202)
            let status = try await server.send("GET", location)
            #expect(status.status == 204)
            #expect(status.header("Range") == "0-59999")
            let late = try await server.send(
                "PUT", "\(location)?digest=\(digest)", [("Content-Range", "0-29999")], body: Array(bytes[..<30_000]))
            #expect(late.status == 416)
            let put = try await server.send(
                "PUT", "\(location)?digest=\(digest)", [("Content-Range", "60000-89999")], body: Array(bytes[60_000...])
            )
            #expect(put.status == 201)
            #expect(try await server.send("GET", "/v2/a/blobs/\(digest)").body == bytes)
        }
    }

    @Test("end-5: a body in chunks of the transfer coding, of one byte each even")
    func streamed() async throws {
        try await TestServer.run { server in
            let bytes = pattern(5000)
            let digest = try await server.digest(of: bytes)
            let location = try #require(
                try await server.send("POST", "/v2/a/blobs/uploads/", body: []).header("Location"))
            var body: [UInt8] = []
            for byte in bytes { body += Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8) }
            body += Array("0\r\n\r\n".utf8)
            let patch = try await server.send("PATCH", location, [("Transfer-Encoding", "chunked")], body: body)
            #expect(patch.status == 202)
            #expect(patch.header("Range") == "0-4999")
            let put = try await server.send("PUT", "\(location)?digest=\(digest)", body: [])
            #expect(put.status == 201)
            #expect(try await server.send("GET", "/v2/a/blobs/\(digest)").body == bytes)
        }
    }

    @Test("end-6: without a digest, with a wrong one, of an unknown upload")
    func finish() async throws {
        try await TestServer.run { server in
            let location = try #require(
                try await server.send("POST", "/v2/a/blobs/uploads/", body: []).header("Location"))
            #expect(try await server.send("PUT", location, body: []).code == "DIGEST_INVALID")
            let digest = try await server.digest(of: [1])
            let wrong = try await server.send("PUT", "\(location)?digest=\(digest)", body: [2])
            #expect(wrong.status == 400)
            #expect(wrong.code == "DIGEST_INVALID")
            for target in ["/v2/a/blobs/uploads/ffff", "/v2/a/blobs/uploads/..%2e", "/v2/b" + location.dropFirst(5)] {
                let reply = try await server.send("PUT", "\(target)?digest=\(digest)", body: [1])
                #expect(reply.status == 404, "\(target)")
                #expect(reply.code == "BLOB_UPLOAD_UNKNOWN")
            }
        }
    }

    @Test("end-14: a cancelled upload is gone")
    func cancel() async throws {
        try await TestServer.run { server in
            let location = try #require(
                try await server.send("POST", "/v2/a/blobs/uploads/", body: []).header("Location"))
            #expect(try await server.send("PATCH", location, body: pattern(100)).status == 202)
            #expect(try await server.send("DELETE", location).status == 204)
            let again = try await server.send("DELETE", location)
            #expect(again.status == 404)
            #expect(again.code == "BLOB_UPLOAD_UNKNOWN")
        }
    }

    @Test("end-11: mounting, from a repository, from any, and what is not there")
    func mount() async throws {
        try await TestServer.run { server in
            let bytes = pattern(2000)
            let digest = try await server.push(bytes, to: "x")
            let mounted = try await server.send("POST", "/v2/y/blobs/uploads/?mount=\(digest)&from=x", body: [])
            #expect(mounted.status == 201)
            #expect(try await server.send("GET", try #require(mounted.header("Location"))).body == bytes)
            #expect(try await server.send("POST", "/v2/z/blobs/uploads/?mount=\(digest)", body: []).status == 201)
            let missing = try await server.digest(of: [9])
            let upload = try await server.send("POST", "/v2/y/blobs/uploads/?mount=\(missing)&from=x", body: [])
            #expect(upload.status == 202)
            let location = try #require(upload.header("Location"))
            #expect(try await server.send("PUT", "\(location)?digest=\(missing)", body: [9]).status == 201)
            #expect(
                try await server.send("POST", "/v2/y/blobs/uploads/?mount=\(digest)&from=none", body: []).status == 202)
            #expect(try await server.send("POST", "/v2/y/blobs/uploads/?mount=x&from=x", body: []).status == 400)
            #expect(
                try await server.send("POST", "/v2/y/blobs/uploads/?mount=\(digest)&from=..", body: []).status == 400)
        }
    }

    @Test("end-10: a deleted blob is gone, in that repository only")
    func deleteBlob() async throws {
        try await TestServer.run { server in
            let digest = try await server.push(pattern(99), to: "x")
            _ = try await server.push(pattern(99), to: "y")
            #expect(try await server.send("DELETE", "/v2/x/blobs/\(digest)").status == 202)
            #expect(try await server.send("GET", "/v2/x/blobs/\(digest)").status == 404)
            #expect(try await server.send("GET", "/v2/y/blobs/\(digest)").status == 200)
            #expect(try await server.send("DELETE", "/v2/x/blobs/\(digest)").status == 404)
        }
    }

    @Test("methods that a place does not know are 405, with Allow")
    func methods() async throws {
        try await TestServer.run { server in
            for (method, target) in [
                ("POST", "/v2/"), ("OPTIONS", "/v2/"), ("PUT", "/v2/_catalog"), ("DELETE", "/v2/a/tags/list"),
                ("GET", "/v2/a/blobs/uploads/"), ("POST", "/v2/a/manifests/x"), ("PUT", "/v2/a/blobs/x"),
                ("TRACE", "/v2/"), ("PROPFIND", "/v2/a/referrers/x"),
            ] {
                let reply = try await server.send(method, target)
                #expect(reply.status == 405, "\(method) \(target)")
                #expect(reply.code == "UNSUPPORTED")
                #expect(reply.header("Allow")?.isEmpty == false)
            }
        }
    }
}
