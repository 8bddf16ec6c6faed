// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveS3

/// Requests that somebody changed, repeated or made up, over the wire: refused with the code that S3 gives, and after
/// that nothing is there that was not there before.
@Suite("S3 requests that are refused", .timeLimit(.minutes(15)))
struct RefusalTests {
    private let digest = Hashing.hex(Hashing.sha256([]))

    @Test("a request sent again does the same again; with other bytes, method, key, query or header it does nothing")
    func replay() async throws {
        try await TestServer.run { server in
            let bytes = pattern(300)
            let signed = try server.signed(
                "PUT", "/bucket/k", [("x-amz-meta-a", "1")], digest: Hashing.hex(Hashing.sha256(bytes)))
            for _ in 0..<2 {
                #expect(try await server.raw("PUT", "/bucket/k", signed.headers, body: bytes).status == 200)
            }
            let other = try await server.raw("PUT", "/bucket/k", signed.headers, body: pattern(300, salt: 2))
            #expect(other.code == "XAmzContentSHA256Mismatch")
            for (method, target) in [
                ("POST", "/bucket/k"), ("DELETE", "/bucket/k"), ("PUT", "/bucket/n"), ("PUT", "/bucket/k?acl"),
                ("PUT", "/bucket/k?partNumber=1&uploadId=x"),
            ] {
                let reply = try await server.raw(method, target, signed.headers, body: bytes)
                #expect(reply.code == "SignatureDoesNotMatch", "\(method) \(target): \(reply)")
            }
            for (name, value) in [("x-amz-meta-a", "2"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")] {
                let headers = signed.headers.map { $0.0 == name ? (name, value) : $0 }
                let reply = try await server.raw("PUT", "/bucket/k", headers, body: bytes)
                #expect(reply.code == "SignatureDoesNotMatch", "\(name): \(reply)")
            }
            let twice = try await server.raw(
                "PUT", "/bucket/k", signed.headers + [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], body: bytes)
            #expect((400..<500).contains(twice.status))
            let get = try await server.send("GET", "/bucket/k")
            #expect(get.body == bytes)
            #expect(get.header("x-amz-meta-a") == "1")
            #expect(try await server.send("GET", "/bucket").elements("Key") == ["k"])
        }
    }

    @Test("dates that are none, are missing, or are a quarter of an hour off", arguments: [-901, 901, -86_400])
    func dates(_ off: Int) async throws {
        try await TestServer.run { server in
            let now = Int(Date().timeIntervalSince1970)
            let late = try await server.send("PUT", "/bucket/k", body: [1], now: now + (off < 0 ? off - 60 : off + 60))
            #expect(late.code == "RequestTimeTooSkewed")
            let signed = try server.signed("PUT", "/bucket/k", digest: digest)
            for date in ["yesterday", "20260231T256199Z", ""] {
                let headers = signed.headers.map { $0.0 == "x-amz-date" ? ($0.0, date) : $0 }
                #expect(try await server.raw("PUT", "/bucket/k", headers, body: []).code == "AccessDenied", "\(date)")
            }
            let dateless = signed.headers.filter { $0.0 != "x-amz-date" }
            #expect(try await server.raw("PUT", "/bucket/k", dateless, body: []).code == "AccessDenied")
            #expect(try await server.isEmpty())
        }
    }

    /// The target of a presigned request.
    private func presigned(_ server: TestServer, _ method: String, _ key: String, age: Int = 0, digest: String? = nil)
        throws -> String
    {
        let date = S3Date.basic(Int(Date().timeIntervalSince1970) - age)
        let text = "\(TestServer.key.accessKey)/\(date.prefix(8))/us-east-1/s3/aws4_request"
        let scope = try #require(SignatureV4.Scope(text))
        let target =
            "/bucket/\(key)?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
            + PercentCoding.encode(text.utf8, keepsSlash: false)
            + "&X-Amz-Date=\(date)&X-Amz-Expires=600&X-Amz-SignedHeaders=host"
            + (digest.map { "&X-Amz-Content-Sha256=\($0)" } ?? "")
        let query = target.split(separator: "?")[1].split(separator: "&").sorted().joined(separator: "&")
        let canonical = "\(method)\n/bucket/\(key)\n\(query)\nhost:localhost\n\nhost\n\(digest ?? "UNSIGNED-PAYLOAD")"
        let toSign =
            "AWS4-HMAC-SHA256\n\(date)\n\(scope.text)\n\(Hashing.hex(Hashing.sha256(canonical.utf8)))"
        let signature = Hashing.hmac(scope.signingKey(TestServer.key.secretKey), Array(toSign.utf8))
        return target + "&X-Amz-Signature=\(Hashing.hex(signature))"
    }

    @Test("a presigned URL does what it was signed for, as long as it lives, and nothing else")
    func presigned() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1, 2, 3])
            let url = try presigned(server, "GET", "k")
            #expect(try await server.raw("GET", url, []).body == [1, 2, 3])
            #expect(try await server.raw("GET", url, [("Range", "bytes=1-1")]).body == [2])
            for (method, target, code) in [
                ("PUT", url, "SignatureDoesNotMatch"), ("DELETE", url, "SignatureDoesNotMatch"),
                ("GET", url.replacing("/k?", with: "/n?"), "SignatureDoesNotMatch"),
                ("GET", url + "&response-content-type=text/html", "SignatureDoesNotMatch"),
                ("GET", url.replacing("Expires=600", with: "Expires=6000"), "SignatureDoesNotMatch"),
                ("GET", url.replacing("Expires=600", with: "Expires=604801"), "AuthorizationQueryParametersError"),
                ("GET", url.replacing("Expires=600", with: "Expires=-1"), "AuthorizationQueryParametersError"),
                ("GET", url.replacing("Expires=600", with: "Expires=0"), "AuthorizationQueryParametersError"),
                ("GET", url.replacing("Expires=600", with: "Expires=x"), "AuthorizationQueryParametersError"),
                ("GET", url.replacing("&X-Amz-Expires=600", with: ""), "AuthorizationQueryParametersError"),
                ("GET", url.replacing("HMAC-SHA256", with: "HMAC-MD5"), "AuthorizationQueryParametersError"),
                ("GET", try presigned(server, "GET", "k", age: 700), "AccessDenied"),
                ("GET", try presigned(server, "GET", "k", age: -1000), "AccessDenied"),
            ] {
                let reply = try await server.raw(method, target, [], body: method == "PUT" ? [9] : [])
                #expect(reply.code == code, "\(method) \(target): \(reply)")
            }
            // What would change the meaning is not signed.
            let put = try presigned(server, "PUT", "n")
            for header in [("x-amz-copy-source", "bucket/k"), ("x-amz-acl", "public-read")] {
                #expect(try await server.raw("PUT", put, [header], body: []).code == "AccessDenied")
            }
            #expect(try await server.send("GET", "/bucket/k").body == [1, 2, 3])
            #expect(try await server.send("GET", "/bucket").elements("Key") == ["k"])
        }
    }

    @Test("a body's digest need not be among the signed headers, but must be the body's")
    func unsignedDigest() async throws {
        try await TestServer.run { server in
            let bytes = pattern(300)
            let (right, wrong) = (Hashing.hex(Hashing.sha256(bytes)), Hashing.hex(Hashing.sha256([1])))
            let unsigned = "UNSIGNED-PAYLOAD"
            func header(_ values: String...) -> [(String, String)] { values.map { ("x-amz-content-sha256", $0) } }
            try await server.send("PUT", "/bucket/kept", body: [1])
            for (digest, headers, code) in [
                (nil, header(wrong), "XAmzContentSHA256Mismatch"), (nil, header("zz"), "InvalidArgument"),
                (nil, header(""), "InvalidArgument"), (nil, header(right, right), "InvalidArgument"),
                (nil, header("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), "MissingContentLength"),
                (right, header(wrong), "XAmzContentSHA256Mismatch"), (wrong, [], "XAmzContentSHA256Mismatch"),
                (wrong, header(unsigned), "XAmzContentSHA256Mismatch"),
                (wrong, header(right), "XAmzContentSHA256Mismatch"),
            ] as [(String?, [(String, String)], String)] {
                let put = try presigned(server, "PUT", "k", digest: digest)
                let reply = try await server.raw("PUT", put, headers, body: bytes)
                #expect(reply.code == code, "\(headers): \(reply)")
            }
            let delete = try presigned(server, "DELETE", "kept")
            let kept = try await server.raw("DELETE", delete, header(wrong), body: [])
            #expect(kept.code == "XAmzContentSHA256Mismatch")
            let signed = try server.signed("PUT", "/bucket/k", digest: right, unsigned: "x-amz-content-sha256")
            let changed = signed.headers.map { ($0.0, $0.1 == right ? wrong : $0.1) }
            #expect(try await server.raw("PUT", "/bucket/k", changed, body: [1]).code == "SignatureDoesNotMatch")
            let other = try await server.raw("PUT", "/bucket/k", signed.headers, body: pattern(300, salt: 2))
            #expect(other.code == "XAmzContentSHA256Mismatch")
            #expect(try await server.send("GET", "/bucket").elements("Key") == ["kept"])

            #expect(try await server.raw("PUT", "/bucket/k", signed.headers, body: bytes).status == 200)
            for (digest, headers) in [
                (nil, header(right)), (nil, header(unsigned)), (right, header(right)), (right, header(unsigned)),
                (unsigned, header(right)),
            ] as [(String?, [(String, String)])] {
                let put = try presigned(server, "PUT", "k", digest: digest)
                #expect(try await server.raw("PUT", put, headers, body: bytes).status == 200, "\(headers)")
            }
            let get = try presigned(server, "GET", "k")
            #expect(try await server.raw("GET", get, header(self.digest)).body == bytes)
        }
    }

    @Test("a class, access list or encryption that S3 does not know, or a session's token: nothing is stored")
    func unknownValues() async throws {
        try await TestServer.run { server in
            for (name, value, code) in [
                ("x-amz-storage-class", "FOO", "InvalidStorageClass"), ("x-amz-acl", "foo", "InvalidArgument"),
                ("x-amz-server-side-encryption", "ROT13", "InvalidArgument"),
                ("x-amz-security-token", "abc", "InvalidToken"),
            ] {
                for target in ["/bucket/k", "/bucket/k?uploads"] {
                    let method = target.hasSuffix("uploads") ? "POST" : "PUT"
                    let reply = try await server.send(method, target, [(name, value)], body: [])
                    #expect(reply.status == 400 && reply.code == code, "\(method) \(name): \(reply)")
                }
            }
            #expect(try await server.isEmpty())
            for (name, value) in [
                ("x-amz-storage-class", "STANDARD_IA"), ("x-amz-acl", "private"),
                ("x-amz-server-side-encryption", "AES256"), ("x-amz-security-token", ""),
            ] {
                #expect(try await server.send("PUT", "/bucket/k", [(name, value)], body: [1]).status == 200)
            }
        }
    }

    @Test("a bucket is expected to belong to somebody else: nothing is read, written or told")
    func owners() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1])
            let name = "x-amz-expected-bucket-owner"
            let copy = ("x-amz-copy-source", "bucket/k")
            let requests: [(String, String, [(String, String)])] = [
                ("GET", "/bucket/k", []), ("GET", "/bucket", []), ("GET", "/nosuch/k", []), ("PUT", "/bucket/n", []),
                ("DELETE", "/bucket/k", []), ("POST", "/bucket/n?uploads", []), ("DELETE", "/bucket", []),
                ("PUT", "/bucket/n", [copy]),
            ]
            for (method, target, headers) in requests {
                for owner in ["123456789012", "", "Varve"] {
                    let reply = try await server.send(method, target, headers + [(name, owner)], body: [])
                    #expect(reply.status == 403 && reply.code == "AccessDenied", "\(method) \(target): \(reply)")
                }
            }
            let source = "x-amz-source-expected-bucket-owner"
            let foreign = try await server.send(
                "PUT", "/bucket/n", [copy, (name, "varve"), (source, "123456789012")], body: [])
            #expect(foreign.code == "AccessDenied")
            #expect(try await server.send("HEAD", "/bucket", [(name, "123456789012")]).status == 403)
            #expect(try await server.send("GET", "/bucket").elements("Key") == ["k"])

            // The owner that ListBuckets tells.
            let owner = try #require(try await server.send("GET", "/").element("ID"))
            let own = try await server.send("PUT", "/bucket/n", [copy, (name, owner), (source, owner)], body: [])
            #expect(own.status == 200)
            #expect(try await server.send("GET", "/bucket/n", [(name, owner)]).body == [1])
        }
    }

    @Test("a part without its upload, an upload without a part: no object is made, replaced or removed")
    func halfParts() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1])
            let upload = try await server.begin("k")
            let copy = [("x-amz-copy-source", "bucket/k")]
            for number in ["1", "x", ""] {
                for (method, headers) in [("PUT", []), ("PUT", copy), ("DELETE", []), ("POST", [])]
                    as [(String, [(String, String)])]
                {
                    let reply = try await server.send(method, "/bucket/k?partNumber=\(number)", headers, body: [])
                    #expect(reply.status == 400 && reply.code == "InvalidArgument", "\(method): \(reply)")
                }
            }
            for id in [upload, "x", ""] {
                for headers in [[], copy] {
                    let reply = try await server.send("PUT", "/bucket/k?uploadId=\(id)", headers, body: [])
                    #expect(reply.status == 405 && reply.code == "MethodNotAllowed", "\(reply)")
                }
            }
            #expect(try await server.send("GET", "/bucket/k").body == [1])
            #expect(try await server.send("GET", "/bucket/k?uploadId=\(upload)").elements("PartNumber").isEmpty)
        }
    }

    @Test("a body where none belongs must be the signed one too: uploads, copies and deletions do not begin without")
    func unusedBodies() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1])
            let other = Hashing.hex(Hashing.sha256([7]))
            let copy = [("x-amz-copy-source", "bucket/k")]
            let requests: [(String, String, [(String, String)])] = [
                ("POST", "/bucket/u?uploads", []), ("PUT", "/bucket/c", copy), ("DELETE", "/bucket/k", []),
                ("DELETE", "/bucket", []),
            ]
            for (method, target, headers) in requests {
                for (body, digest) in [([1], digest), ([], other), ([UInt8](repeating: 1, count: 100_000), other)] {
                    let reply = try await server.send(method, target, headers, body: body, digest: digest)
                    #expect(reply.code == "XAmzContentSHA256Mismatch", "\(method) \(target): \(reply)")
                }
                let endless = try await server.send(
                    method, target, headers, body: [UInt8](repeating: 1, count: 3 << 20), digest: "UNSIGNED-PAYLOAD")
                #expect(endless.code == "MalformedXML", "\(method) \(target): \(endless)")
            }
            #expect(try await server.send("GET", "/bucket").elements("Key") == ["k"])
            #expect(try await server.send("GET", "/bucket?uploads").elements("UploadId").isEmpty)
            // The signed one is taken, though nothing is done with it.
            #expect(try await server.send("PUT", "/bucket/c", copy, body: [7], digest: other).status == 200)
            #expect(try await server.send("DELETE", "/bucket/c", body: [7], digest: other).status == 204)
        }
    }

    @Test("signed chunks that were put elsewhere, left out, repeated or signed for another place")
    func chunkOrder() async throws {
        try await TestServer.run { server in
            let bytes = pattern(5 * 65_536 + 77)
            let mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
            let signed = try server.signed(
                "PUT", "/bucket/k", [("x-amz-decoded-content-length", "\(bytes.count)")], digest: mode)
            var chunks: [(data: [UInt8], signature: String)] = []
            var chain = signed.chain
            for start in stride(from: 0, through: bytes.count, by: 65_536) {
                chunks.append((Array(bytes[start..<min(bytes.count, start + 65_536)]), ""))
            }
            chunks.append(([], ""))
            for index in chunks.indices {
                let text =
                    "AWS4-HMAC-SHA256-PAYLOAD\n\(chain.date)\n\(chain.scope)\n\(chain.previous)\n\(digest)\n"
                    + Hashing.hex(Hashing.sha256(chunks[index].data))
                chain.previous = Hashing.hex(Hashing.hmac(chain.signingKey, Array(text.utf8)))
                chunks[index].signature = chain.previous
            }
            func put(_ change: (inout [(data: [UInt8], signature: String)]) -> Void) async throws -> Reply {
                var sent = chunks
                change(&sent)
                var body: [UInt8] = []
                for (data, signature) in sent {
                    body += Array("\(String(data.count, radix: 16));chunk-signature=\(signature)\r\n".utf8)
                    body += data + [13, 10]
                }
                return try await server.raw("PUT", "/bucket/k", signed.headers, body: body)
            }
            let changes: [(inout [(data: [UInt8], signature: String)]) -> Void] = [
                { $0.swapAt(1, 2) }, { $0.remove(at: 2) }, { $0.insert($0[1], at: 2) }, { $0.remove(at: 0) },
                { $0[0].signature = $0[1].signature }, { $0[2].data[100] ^= 1 },
                { $0[$0.count - 1].signature = String(repeating: "0", count: 64) },
            ]
            for (index, change) in changes.enumerated() {
                #expect(try await put(change).code == "SignatureDoesNotMatch", "change \(index)")
            }
            #expect(try await put { _ = $0.removeLast() }.code == "IncompleteBody")
            #expect(try await server.isEmpty())
            #expect(try await put { _ in }.status == 200)
            #expect(try await server.send("GET", "/bucket/k").body == bytes)
        }
    }

    @Test("keys of one byte too many and of bytes that are no UTF-8, in every place where a key stands")
    func keys() async throws {
        try await TestServer.run { server in
            for long in [
                String(repeating: "k", count: 1025), String(repeating: "é", count: 512) + "x",
                String(repeating: "/", count: 1025),
            ] {
                let target = "/bucket/" + PercentCoding.encode(long.utf8, keepsSlash: true)
                for method in ["PUT", "GET", "DELETE"] {
                    #expect(try await server.send(method, target, body: []).code == "KeyTooLongError")
                }
                #expect(try await server.send("HEAD", target).status == 400)
                #expect(try await server.send("POST", target + "?uploads", body: []).code == "KeyTooLongError")
                let copy = try await server.send(
                    "PUT", "/bucket/c", [("x-amz-copy-source", String(target.dropFirst()))], body: [])
                #expect(copy.code == "KeyTooLongError")
            }
            for bytes in ["%FF", "%C0%AF", "%ED%A0%80", "%F4%90%80%80", "%E2%82", "a%80b", "%", "%1", "%u0041"] {
                let reply = try await server.raw("PUT", "/bucket/\(bytes)", [], body: [1])
                #expect(reply.code == "InvalidURI", "\(bytes): \(reply)")
            }
            for bucket in ["..", ".", "AB", "a_b", "-ab", "%2e%2e", "%00ab", String(repeating: "x", count: 64)] {
                for target in ["/\(bucket)", "/\(bucket)/k"] {
                    let reply = try await server.send("PUT", target, body: [])
                    #expect(reply.code == "InvalidBucketName", "\(target): \(reply)")
                }
            }
            #expect(try await server.isEmpty())
            #expect(try await server.send("GET", "/").elements("Name") == ["bucket", "only"])
        }
    }

    @Test("XML that is too large, names entities, or is not what was signed deletes nothing")
    func deletions() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1])
            let list = "<Delete><Object><Key>k</Key></Object></Delete>"
            let wrong = [
                "", "k", list + list, "<Delete></Delete>", list.replacing("Delete", with: "Remove"),
                "<Delete><Object><Key></Key></Object></Delete>", "<!DOCTYPE d [<!ENTITY e 'k'>]>" + list,
                "<!DOCTYPE d SYSTEM 'file:///etc/passwd'>" + list, list.replacing(">k<", with: ">&e;<"),
                list.replacing(">k<", with: ">k&#0;<"), String(repeating: "<Delete>", count: 100_000),
                "<Delete>" + String(repeating: "<a/>", count: 100_000) + "<Object><Key>k</Key></Object></Delete>",
                list.replacing("</Delete>", with: String(repeating: " ", count: 3 << 20) + "</Delete>"),
                list.replacing(">k<", with: ">\(String(repeating: "k", count: 3 << 20))<"),
                list.replacing("</Delete>", with: "<!--" + String(repeating: "-x", count: 4 << 20) + "--></Delete>"),
            ]
            for text in wrong {
                let reply = try await server.deleteObjects(text)
                #expect(reply.code == "MalformedXML", "\(text.prefix(60)): \(reply)")
            }
            let body = Array(list.utf8)
            let changed = try await server.deleteObjects(list, digest: digest)
            #expect(changed.code == "XAmzContentSHA256Mismatch")
            let md5 = [("Content-MD5", Base64.encode(try LegacyHash.md5([])))]
            #expect(try await server.send("POST", "/bucket?delete", md5, body: body).code == "BadDigest")
            let bare = try await server.send("POST", "/bucket?delete", body: body, digest: "UNSIGNED-PAYLOAD")
            #expect(bare.code == "InvalidRequest")
            #expect(try await server.send("GET", "/bucket/k").body == [1])
            let signed = try server.signed("POST", "/bucket?delete", md5, digest: digest)
            let huge = try await server.raw(
                "POST", "/bucket?delete", signed.headers + [("Content-Length", "1099511627776")])
            #expect(huge.code == "EntityTooLarge")
        }
    }
}
