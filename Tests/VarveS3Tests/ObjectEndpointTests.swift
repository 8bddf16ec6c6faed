// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveDrivers

@testable import VarveS3

@Suite("S3 objects", .timeLimit(.minutes(15)))
struct ObjectEndpointTests {
    @Test("PutObject, GetObject, HeadObject, DeleteObject: bytes, tag, metadata", arguments: [0, 1, 65_536, 3_000_000])
    func roundTrip(_ size: Int) async throws {
        try await TestServer.run { server in
            let bytes = pattern(size)
            let put = try await server.send(
                "PUT", "/bucket/a%20b/%C3%BC",
                [("Content-Type", "text/x"), ("x-amz-meta-k", "v"), ("x-amz-meta-e", "")],
                body: bytes)
            #expect(put.status == 200, "\(put)")
            let tag = "\"\(Hashing.hex(try LegacyHash.md5(bytes)))\""
            #expect(put.header("ETag") == tag)
            let get = try await server.send("GET", "/bucket/a%20b/%C3%BC")
            #expect(get.body == bytes)
            #expect(get.header("ETag") == tag)
            #expect(get.header("Content-Type") == "text/x")
            #expect(get.header("x-amz-meta-k") == "v")
            #expect(get.header("x-amz-meta-e")?.isEmpty == true)
            #expect(get.header("x-amz-request-id")?.isEmpty == false)
            let head = try await server.send("HEAD", "/bucket/a%20b/%C3%BC")
            #expect(head.header("Content-Length") == "\(size)")
            #expect(head.header("Last-Modified") != nil)
            #expect(try await server.send("DELETE", "/bucket/a%20b/%C3%BC").status == 204)
            #expect(try await server.send("GET", "/bucket/a%20b/%C3%BC").code == "NoSuchKey")
            #expect(try await server.send("HEAD", "/bucket/a%20b/%C3%BC").status == 404)
            #expect(try await server.send("DELETE", "/bucket/a%20b/%C3%BC").status == 204)
        }
    }

    @Test("ranges: one, several, none")
    func ranges() async throws {
        try await TestServer.run { server in
            let bytes = pattern(1000)
            try await server.send("PUT", "/bucket/k", body: bytes)
            try await server.send("PUT", "/bucket/empty", body: [])
            let from = try await server.send("GET", "/bucket/k", [("Range", "bytes=0-")])
            #expect(from.status == 206)
            #expect(from.header("Content-Range") == "bytes 0-999/1000")
            #expect(from.body == bytes)
            let part = try await server.send("GET", "/bucket/k", [("Range", "bytes=-10")])
            #expect(part.body == Array(bytes[990...]))
            let several = try await server.send("GET", "/bucket/k", [("Range", "bytes=0-9,500-509")])
            #expect(several.status == 206)
            #expect(several.header("Content-Type")?.hasPrefix("multipart/byteranges") == true)
            #expect(several.body.firstRange(of: Array(bytes[500..<510])) != nil)
            for target in ["/bucket/k", "/bucket/empty"] {
                let none = try await server.send("GET", target, [("Range", "bytes=1000-")])
                #expect(none.status == 416)
                #expect(none.code == "InvalidRange")
            }
            #expect(try await server.send("GET", "/bucket/empty", [("Range", "bytes=0-")]).status == 416)
            for field in ["bytes=5-2", "bytes=0-9,5-2", "bytes=2000-1", "bytes=a-b", "chars=0-1", ""] {
                let whole = try await server.send("GET", "/bucket/k", [("Range", field)])
                #expect(whole.status == 200, "\(field): \(whole)")
                #expect(whole.header("Content-Range") == nil)
                #expect(whole.body == bytes)
                let head = try await server.send("HEAD", "/bucket/k", [("Range", field)])
                #expect(head.status == 200, "\(field)")
                #expect(head.header("Content-Length") == "1000")
            }
        }
    }

    @Test("conditions on reads and writes")
    func conditions() async throws {
        try await TestServer.run { server in
            let tag = try #require(try await server.send("PUT", "/bucket/k", body: [1]).header("ETag"))
            #expect(try await server.send("GET", "/bucket/k", [("If-None-Match", tag)]).status == 304)
            #expect(try await server.send("GET", "/bucket/k", [("If-Match", "\"x\"")]).status == 412)
            #expect(try await server.send("GET", "/bucket/k", [("If-Match", tag)]).status == 200)
            let old = "Sun, 06 Nov 1994 08:49:37 GMT"
            #expect(try await server.send("GET", "/bucket/k", [("If-Modified-Since", old)]).status == 200)
            #expect(try await server.send("GET", "/bucket/k", [("If-Unmodified-Since", old)]).status == 412)
            #expect(try await server.send("PUT", "/bucket/k", [("If-None-Match", "*")], body: [2]).status == 412)
            #expect(try await server.send("PUT", "/bucket/n", [("If-None-Match", "*")], body: [2]).status == 200)
            #expect(try await server.send("PUT", "/bucket/k", [("If-Match", tag)], body: [3]).status == 200)
            #expect(try await server.send("PUT", "/bucket/k", [("If-Match", tag)], body: [4]).status == 412)
            #expect(try await server.send("GET", "/bucket/k").body == [3])
        }
    }

    @Test("CopyObject and moving by it")
    func copy() async throws {
        try await TestServer.run { server in
            let bytes = pattern(100_000)
            let tag = try await server.send("PUT", "/bucket/a/b%2Bc", [("x-amz-meta-k", "v")], body: bytes)
                .header("ETag")
            for source in ["bucket/a/b%2Bc", "/bucket/a/b+c"] {
                let copy = try await server.send("PUT", "/bucket/t", [("x-amz-copy-source", source)])
                #expect(copy.status == 200, "\(copy)")
                #expect(copy.element("ETag")?.contains("\(Hashing.hex(try LegacyHash.md5(bytes)))") == true)
            }
            let get = try await server.send("GET", "/bucket/t")
            #expect(get.body == bytes)
            #expect(get.header("ETag") == tag)
            #expect(get.header("x-amz-meta-k") == "v")
            let replaced = try await server.send(
                "PUT", "/bucket/t",
                [("x-amz-copy-source", "bucket/t"), ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-n", "w")])
            #expect(replaced.status == 200)
            #expect(try await server.send("HEAD", "/bucket/t").header("x-amz-meta-k") == nil)
            let same = try await server.send("PUT", "/bucket/t", [("x-amz-copy-source", "bucket/t")])
            #expect(same.code == "InvalidRequest")
            #expect(
                try await server.send("PUT", "/bucket/u", [("x-amz-copy-source", "bucket/gone")]).code == "NoSuchKey")
        }
    }

    @Test("DeleteObject and DeleteObjects: with an entity tag only what has it goes")
    func deleteMatching() async throws {
        try await TestServer.run { server in
            for key in ["a", "b", "c", "d"] { _ = try await server.send("PUT", "/bucket/\(key)", body: [1]) }
            let tag = try #require(try await server.send("HEAD", "/bucket/a").header("etag"))
            let other = "\"00000000000000000000000000000000\""
            func delete(_ key: String, _ headers: [(String, String)]) async throws -> (status: Int, code: String?) {
                let reply = try await server.send("DELETE", "/bucket/\(key)", headers)
                return (reply.status, reply.code)
            }
            #expect(try await delete("a", [("If-Match", other)]).code == "PreconditionFailed")
            #expect(try await delete("a", [("x-amz-if-match-size", "2")]).code == "NotImplemented")
            #expect(try await delete("a", [("If-Match", tag)]).status == 204)
            #expect(try await delete("a", [("If-Match", "*")]).code == "NoSuchKey")
            let list = """
                <Delete><Object><Key>b</Key><ETag>\(tag)</ETag></Object><Object><Key>c</Key><ETag>\(other)</ETag></Object>\
                <Object><Key>d</Key><Size>1</Size></Object><Object><Key>x</Key><ETag>*</ETag></Object></Delete>
                """
            let reply = try await server.deleteObjects(list)
            #expect(reply.status == 200)
            #expect(reply.elements("Code").sorted() == ["NoSuchKey", "NotImplemented", "PreconditionFailed"])
            #expect(try await server.send("GET", "/bucket").elements("Key") == ["c", "d"])
        }
    }

    @Test("what would have to be encrypted, locked or tagged is refused, however it comes")
    func promises() async throws {
        try await TestServer.run { server in
            _ = try await server.send("PUT", "/bucket/k", body: [1])
            let begun = try await server.send("POST", "/bucket/m?uploads")
            let upload = try #require(begun.elements("UploadId").first)
            let copy = ("x-amz-copy-source", "/bucket/k")
            let customer = ("x-amz-server-side-encryption-customer-algorithm", "AES256")
            for header in [
                customer, ("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-website-redirect-location", "/"),
                ("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256"),
                ("x-amz-tagging-directive", "REPLACE"),
            ] {
                let reply = try await server.send("PUT", "/bucket/n", [copy, header])
                #expect(reply.code == "NotImplemented", "\(header)")
            }
            for headers in [[customer], [copy, customer]] {
                let target = "/bucket/m?partNumber=1&uploadId=\(upload)"
                #expect(try await server.send("PUT", target, headers).code == "NotImplemented")
            }
            #expect(try await server.send("GET", "/bucket/k", [customer]).code == "InvalidRequest")
            #expect(try await server.send("GET", "/bucket").elements("Key") == ["k"])
        }
    }

    @Test("DeleteObjects: what is not there counts as deleted")
    func deleteMany() async throws {
        try await TestServer.run { server in
            for key in ["a", "b&c"] { try await server.send("PUT", "/bucket/\(key)", body: [1]) }
            let list =
                "<Delete><Object><Key>a</Key></Object><Object><Key>b&amp;c</Key></Object>"
                + "<Object><Key>gone</Key></Object><Object><Key>\(String(repeating: "k", count: 1025))</Key></Object></Delete>"
            let reply = try await server.deleteObjects(list)
            #expect(reply.status == 200, "\(reply)")
            #expect(reply.elements("Deleted").count == 3)
            #expect(reply.code == "KeyTooLongError")
            #expect(try await server.isEmpty())
            let many = "<Delete>" + String(repeating: "<Object><Key>a</Key></Object>", count: 1001) + "</Delete>"
            #expect(try await server.deleteObjects(many).code == "MalformedXML")
        }
    }

    @Test("DeleteObjects: 1,000 keys of 1,024 bytes, each written as a reference", arguments: ["&quot;", "&#x22;"])
    func deleteEscaped(_ reference: String) async throws {
        try await TestServer.run { server in
            let keys = (0..<1000).map { String(repeating: "\"", count: 1014) + "\(1_000_000_000 + $0)" }
            for key in [keys[0], keys[999]] {
                try await server.send("PUT", "/bucket/" + PercentCoding.encode(key.utf8, keepsSlash: false), body: [1])
            }
            let list = keys.map { "<Object><Key>\($0.replacing("\"", with: reference))</Key></Object>" }.joined()
            let reply = try await server.deleteObjects("<Delete>\(list)<Quiet>true</Quiet></Delete>")
            #expect(reply.status == 200, "\(reply)")
            #expect(reply.elements("Error").isEmpty)
            #expect(try await server.isEmpty())
        }
    }

    @Test("DeleteObjects: without Content-MD5 and without a checksum nothing goes, however it is signed")
    func deleteVouchedFor() async throws {
        try await TestServer.run { server in
            let list = Array("<Delete><Object><Key>k</Key></Object></Delete>".utf8)
            var crc = try RunningChecksum(.crc32)
            list.withUnsafeBytes { crc.update($0) }
            let crc32 = Base64.encode(crc.finish())
            let size = String(list.count, radix: 16)
            func delete(_ headers: [(String, String)], _ body: [UInt8], _ digest: String?) async throws -> Reply {
                try await server.send("PUT", "/bucket/k", body: [1])
                return try await server.send("POST", "/bucket?delete", headers, body: body, digest: digest)
            }
            let decoded = ("x-amz-decoded-content-length", "\(list.count)")
            let chunks = Array("\(size)\r\n".utf8) + list
            for (headers, body, digest) in [
                ([], list, nil), ([], list, "UNSIGNED-PAYLOAD"),
                ([("x-amz-sdk-checksum-algorithm", "CRC32")], list, nil),
                ([decoded], chunks + Array("\r\n0\r\n\r\n".utf8), "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ] {
                let reply = try await delete(headers, body, digest)
                #expect(reply.status == 400)
                #expect(reply.code == "InvalidRequest", "\(headers): \(reply)")
                #expect(reply.element("Message")?.hasSuffix("Content-MD5 OR x-amz-checksum-*") == true)
                #expect(try await server.send("GET", "/bucket/k").body == [1])
            }
            let trailer = Array("\r\n0\r\nx-amz-checksum-crc32:\(crc32)\r\n\r\n".utf8)
            for (headers, body, digest) in [
                ([("Content-MD5", Base64.encode(try LegacyHash.md5(list)))], list, "UNSIGNED-PAYLOAD"),
                ([("x-amz-checksum-crc32", crc32)], list, nil),
                (
                    [decoded, ("x-amz-trailer", "x-amz-checksum-crc32")], chunks + trailer,
                    "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
                ),
            ] {
                let reply = try await delete(headers, body, digest)
                #expect(reply.status == 200, "\(headers): \(reply)")
                #expect(try await server.isEmpty())
            }
        }
    }

    @Test("listings: byte order, delimiters, pages, both versions")
    func listing() async throws {
        try await TestServer.run { server in
            let keys = ["a/1", "a/2", "a-b", "a.b", "b", "c%20d", "%C3%A9", "z/x/y"]
            for key in keys { try await server.send("PUT", "/bucket/\(key)", body: [1]) }
            let all = try await server.send("GET", "/bucket?list-type=2")
            #expect(all.elements("Key") == ["a-b", "a.b", "a/1", "a/2", "b", "c d", "z/x/y", "é"])
            #expect(all.element("KeyCount") == "8")
            #expect(all.element("IsTruncated") == "false")
            let rolled = try await server.send("GET", "/bucket?delimiter=%2F")
            #expect(rolled.elements("Key") == ["a-b", "a.b", "b", "c d", "é"])
            #expect(rolled.elements("CommonPrefixes").count == 2)
            var found: [String] = []
            var token: String? = ""
            while let here = token {
                let query =
                    here.isEmpty ? "" : "&continuation-token=" + PercentCoding.encode(here.utf8, keepsSlash: false)
                let page = try await server.send(
                    "GET", "/bucket?list-type=2&max-keys=2&delimiter=%2F&encoding-type=url\(query)")
                found += page.elements("Key") + page.elements("CommonPrefixes")
                token = page.element("NextContinuationToken")
                #expect(page.element("IsTruncated") == (token == nil ? "false" : "true"))
            }
            #expect(found.count == 7)
            #expect(found.contains("c%20d"))
            // An empty token is the beginning, and is told again: the suite of Ceph wants that, though S3 refuses it.
            let start = try await server.send("GET", "/bucket?list-type=2&continuation-token=")
            #expect(start.elements("Key") == all.elements("Key"))
            #expect(start.element("ContinuationToken")?.isEmpty == true)
            #expect(start.element("IsTruncated") == "false")
            let behind = try await server.send("GET", "/bucket?delimiter=%2F&marker=a%2F")
            #expect(behind.elements("Key") == ["b", "c d", "é"])
            for query in [
                "max-keys=x", "max-keys=-1", "encoding-type=x", "list-type=3", "list-type=2&continuation-token=x",
            ] {
                #expect(try await server.send("GET", "/bucket?\(query)").code == "InvalidArgument", "\(query)")
            }
            #expect(try await server.send("GET", "/nosuch").code == "NoSuchBucket")
        }
    }

    @Test("buckets: made, listed, located, removed when empty")
    func buckets() async throws {
        try await TestServer.run { server in
            #expect(try await server.send("PUT", "/new-one").status == 200)
            #expect(try await server.send("HEAD", "/new-one").status == 200)
            #expect(try await server.send("GET", "/").elements("Name") == ["bucket", "new-one", "only"])
            #expect(try await server.send("GET", "/new-one?location").status == 200)
            #expect(try await server.send("PUT", "/Bad_Name").code == "InvalidBucketName")
            try await server.send("PUT", "/new-one/k", body: [1])
            #expect(try await server.send("DELETE", "/new-one").code == "BucketNotEmpty")
            try await server.send("DELETE", "/new-one/k")
            #expect(try await server.send("DELETE", "/new-one").status == 204)
            #expect(try await server.send("HEAD", "/new-one").status == 404)
        }
    }

    @Test("ListBuckets in pages and by prefix")
    func bucketPages() async throws {
        try await TestServer.run { server in
            for name in ["b-1", "b-2", "b-3"] {
                #expect(try await server.send("PUT", "/\(name)").status == 200)
            }
            let all = try await server.send("GET", "/?x-id=ListBuckets")
            #expect(all.elements("Name") == ["b-1", "b-2", "b-3", "bucket", "only"])
            #expect(all.element("ContinuationToken") == nil && all.element("BucketRegion") == nil)
            for (query, pages) in [
                ("max-buckets=2", [["b-1", "b-2"], ["b-3", "bucket"], ["only"]]),
                ("max-buckets=5", [["b-1", "b-2", "b-3", "bucket", "only"]]),
                ("max-buckets=2&prefix=b-", [["b-1", "b-2"], ["b-3"]]),
                ("max-buckets=10000&bucket-region=us-east-1", [["b-1", "b-2", "b-3", "bucket", "only"]]),
                ("prefix=bu", [["bucket"]]), ("prefix=x&continuation-token=", [[]]),
            ] as [(String, [[String]])] {
                var more = ""
                for (index, names) in pages.enumerated() {
                    let reply = try await server.send("GET", "/?\(query)\(more)")
                    #expect(reply.elements("Name") == names, "\(query): \(reply)")
                    #expect(reply.elements("BucketRegion").count == names.count)
                    #expect(reply.text.contains("<Prefix>") == query.contains("prefix"))
                    let token = reply.element("ContinuationToken")
                    #expect((token == nil) == (index == pages.count - 1))
                    more = "&continuation-token=\(PercentCoding.encode((token ?? "").utf8, keepsSlash: false))"
                }
            }
            let next = try await server.send("GET", "/?max-buckets=1", key: TestServer.narrowKey)
            #expect(next.elements("Name") == ["only"])
            #expect(next.element("ContinuationToken") == nil)
            let other = PercentCoding.encode(ContinuationToken.text(.afterPrefix([1])).utf8, keepsSlash: false)
            for query in [
                "max-buckets=0", "max-buckets=10001", "max-buckets=-1", "max-buckets=x", "max-buckets=",
                "continuation-token=x", "continuation-token=\(other)",
            ] {
                #expect(try await server.send("GET", "/?\(query)").code == "InvalidArgument", "\(query)")
            }
        }
    }

    @Test(
        "names that S3 keeps for itself make no bucket",
        arguments: [
            "xn--abc", "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3",
            "abc--table-s3", "192.168.5.4", "a.-b", "a-.b",
        ])
    func reservedNames(_ name: String) async throws {
        try await TestServer.run { server in
            let reply = try await server.send("PUT", "/\(name)")
            #expect(reply.status == 400 && reply.code == "InvalidBucketName", "\(reply)")
            #expect(try await server.send("GET", "/\(name)").code == "NoSuchBucket")
            #expect(try await server.send("PUT", "/a\(name.filter { $0 != "." })a").status == 200)
        }
    }

    @Test("a key for some buckets sees and reaches no others")
    func narrow() async throws {
        try await TestServer.run { server in
            let key = TestServer.narrowKey
            #expect(try await server.send("GET", "/", key: key).elements("Name") == ["only"])
            #expect(try await server.send("PUT", "/only/k", body: [1], key: key).status == 200)
            try await server.send("PUT", "/bucket/k", body: [1])
            for (method, target) in [
                ("GET", "/bucket/k"), ("PUT", "/bucket/x"), ("GET", "/bucket"), ("DELETE", "/bucket/k"),
            ] {
                #expect(try await server.send(method, target, body: [], key: key).code == "AccessDenied")
            }
            let copy = try await server.send("PUT", "/only/c", [("x-amz-copy-source", "bucket/k")], key: key)
            #expect(copy.code == "AccessDenied")
        }
    }

    @Test("100 Continue comes before the body, and not for what is refused")
    func expectation() async throws {
        try await TestServer.run { server in
            let bytes = pattern(2 << 20)
            let digest = Hashing.hex(Hashing.sha256(bytes))
            let good = try server.signed("PUT", "/bucket/k", digest: digest)
            let head = { (headers: [(String, String)]) in
                "PUT /bucket/k HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: \(bytes.count)\r\n"
                    + headers.map { "\($0.0): \($0.1)\r\n" }.joined() + "\r\n"
            }
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write(head(good.headers))
                #expect(try await connection.reply().status == 100)
                try await connection.write(bytes)
                #expect(try await connection.reply().status == 200)
            }
            // An empty list expects nothing.
            let small = try await server.send("PUT", "/bucket/small", [("Expect", "")], body: [1])
            #expect(small.status == 200, "\(small)")
            #expect(try await server.send("PUT", "/bucket/small", [("Expect", "x")], body: [1]).status == 417)
            let bad = try server.signed("PUT", "/bucket/other", digest: digest)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write(head(bad.headers))
                #expect(try await connection.reply().status == 403)
            }
        }
    }
}
