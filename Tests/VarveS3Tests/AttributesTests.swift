// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveS3

@Suite("S3 GetObjectAttributes", .timeLimit(.minutes(15)))
struct AttributesTests {
    private static let all = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"

    private func attributes(
        _ server: TestServer, _ key: String, _ names: String? = AttributesTests.all, _ more: [(String, String)] = []
    ) async throws -> Reply {
        let headers = names.map { [("x-amz-object-attributes", $0)] } ?? []
        return try await server.send("GET", "/bucket/\(key)?attributes", headers + more)
    }

    private func sum(_ algorithm: ChecksumAlgorithm, _ bytes: [UInt8]) throws -> [UInt8] {
        var running = try RunningChecksum(algorithm)
        bytes.withUnsafeBytes { running.update($0) }
        return running.finish()
    }

    @Test("of an object that came at once: what was asked for, and nothing else")
    func single() async throws {
        try await TestServer.run { server in
            let bytes = pattern(1000)
            let value = Base64.encode(try sum(.sha256, bytes))
            let put = try await server.send("PUT", "/bucket/k", [("x-amz-checksum-sha256", value)], body: bytes)
            let reply = try await attributes(server, "k")
            #expect(reply.status == 200, "\(reply)")
            #expect(reply.text.contains("<GetObjectAttributesResponse xmlns="))
            #expect(reply.element("ETag").map { "\"\($0)\"" } == put.header("ETag"))
            #expect(reply.element("ChecksumSHA256") == value)
            #expect(reply.element("ChecksumType") == "FULL_OBJECT")
            #expect(reply.element("StorageClass") == "STANDARD")
            #expect(reply.element("ObjectSize") == "1000")
            #expect(reply.element("ObjectParts") == nil)
            #expect(reply.header("Last-Modified") != nil)

            try await server.send("PUT", "/bucket/plain", [("x-amz-storage-class", "ONEZONE_IA")], body: [])
            let plain = try await attributes(server, "plain")
            #expect(plain.element("Checksum") == nil)
            #expect(plain.element("StorageClass") == "ONEZONE_IA")
            #expect(plain.element("ObjectSize") == "0")

            // Names in one field or several, with blanks.
            let two = try await attributes(server, "k", "ObjectSize , ETag")
            #expect(two.element("ETag") != nil && two.element("ObjectSize") == "1000")
            #expect(two.element("Checksum") == nil && two.element("StorageClass") == nil)
        }
    }

    @Test("of parts: their lengths and checksums, in pages", arguments: ["COMPOSITE", "FULL_OBJECT"])
    func parts(_ type: String) async throws {
        try await TestServer.run { server in
            let begun = try await server.send(
                "POST", "/bucket/k?uploads", [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", type)],
                body: [])
            let upload = try #require(begun.element("UploadId"))
            let parts = [pattern(5 << 20), pattern(5 << 20, salt: 2), pattern(99, salt: 3)]
            let sums = try parts.map { Base64.encode(try sum(.crc32, $0)) }
            var list = ""
            for (index, bytes) in parts.enumerated() {
                // The second brings no checksum.
                let reply = try await server.send(
                    "PUT", "/bucket/k?partNumber=\(index + 1)&uploadId=\(upload)",
                    index == 1 ? [] : [("x-amz-checksum-crc32", sums[index])], body: bytes)
                #expect(reply.header("x-amz-checksum-crc32") == sums[index])
                let tag = reply.header("ETag") ?? ""
                list += "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(tag)</ETag></Part>"
            }
            let done = try await server.send(
                "POST", "/bucket/k?uploadId=\(upload)",
                body: Array("<CompleteMultipartUpload>\(list)</CompleteMultipartUpload>".utf8))
            #expect(done.status == 200, "\(done)")
            try await server.send("PUT", "/bucket/c", [("x-amz-copy-source", "bucket/k")], body: [])
            try await server.send(
                "PUT", "/bucket/r", [("x-amz-copy-source", "bucket/k"), ("x-amz-metadata-directive", "REPLACE")],
                body: [])

            for key in ["k", "c", "r"] {
                let reply = try await attributes(server, key)
                let whole = try #require(reply.element("Checksum"))
                #expect(whole.contains("<ChecksumType>\(type)</ChecksumType>"))
                #expect(done.element("ChecksumCRC32").map { whole.contains(">\($0)<") } == true)
                let found = try #require(reply.element("ObjectParts"))
                #expect(found.contains("<PartsCount>3</PartsCount>"))
                #expect(reply.element("IsTruncated") == "false")
                #expect(reply.element("NextPartNumberMarker") == nil)
                #expect(reply.elements("PartNumber") == ["1", "2", "3"])
                #expect(reply.elements("Size") == ["5242880", "5242880", "99"])
                #expect(reply.elements("ChecksumCRC32").dropFirst() == sums[...])
                #expect(reply.element("ObjectSize") == "\((10 << 20) + 99)")

                let page = try await attributes(
                    server, key, "ObjectParts", [("x-amz-max-parts", "1"), ("x-amz-part-number-marker", "1")])
                #expect(page.elements("PartNumber") == ["2"])
                #expect(page.elements("ChecksumCRC32") == [sums[1]])
                #expect(page.element("PartsCount") == "3")
                #expect(page.element("MaxParts") == "1")
                #expect(page.element("PartNumberMarker") == "1")
                #expect(page.element("NextPartNumberMarker") == "2")
                #expect(page.element("IsTruncated") == "true")
                for (limit, marker) in [("1000", "3"), ("5000", "2147483647"), ("0", "0")] {
                    let end = try await attributes(
                        server, key, "ObjectParts", [("x-amz-max-parts", limit), ("x-amz-part-number-marker", marker)])
                    #expect(end.elements("PartNumber").isEmpty)
                    #expect(end.element("IsTruncated") == "false")
                    #expect(end.element("MaxParts") == (limit == "5000" ? "1000" : limit))
                }

                // A part that is read alone comes with its own checksum.
                for (index, value) in sums.enumerated() {
                    let part = try await server.send(
                        "HEAD", "/bucket/\(key)?partNumber=\(index + 1)", [("x-amz-checksum-mode", "ENABLED")])
                    #expect(part.header("x-amz-checksum-crc32") == value)
                    #expect(part.header("x-amz-checksum-type") == type)
                }
                let bare = try await server.send("HEAD", "/bucket/\(key)?partNumber=1")
                #expect(bare.header("x-amz-checksum-crc32") == nil)
            }
        }
    }

    @Test("requests that are wrong, with the codes of S3")
    func refusals() async throws {
        try await TestServer.run { server in
            try await server.send("PUT", "/bucket/k", body: [1])
            #expect(try await attributes(server, "k", nil).code == "InvalidRequest")
            for names in ["", "etag", "ETag,", "ETag,Owner"] {
                #expect(try await attributes(server, "k", names).code == "InvalidArgument", "\(names)")
            }
            for name in ["x-amz-max-parts", "x-amz-part-number-marker"] {
                for value in ["x", "-1", "", "2147483648"] {
                    let reply = try await attributes(server, "k", "ETag", [(name, value)])
                    #expect(reply.code == "InvalidArgument", "\(name): \(value)")
                }
            }
            #expect(try await attributes(server, "nosuch").code == "NoSuchKey")
            let bucketless = try await server.send("GET", "/nosuch/k?attributes", [("x-amz-object-attributes", "ETag")])
            #expect(bucketless.code == "NoSuchBucket")
            let version = try await server.send(
                "GET", "/bucket/k?attributes&versionId=1", [("x-amz-object-attributes", "ETag")])
            #expect(version.code == "NoSuchVersion")
            let key = [("x-amz-server-side-encryption-customer-algorithm", "AES256")]
            #expect(try await attributes(server, "k", "ETag", key).code == "InvalidRequest")
            #expect(try await attributes(server, "k", "ETag", [("If-Match", "\"0\"")]).status == 412)
            #expect(try await server.send("PUT", "/bucket/k?attributes", body: []).code == "NotImplemented")
        }
    }
}
