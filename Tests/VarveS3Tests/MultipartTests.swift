// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveS3

@Suite("S3 multipart uploads", .timeLimit(.minutes(15)))
struct MultipartTests {
    private func part(_ number: Int, _ tag: String) -> String {
        "<Part><PartNumber>\(number)</PartNumber><ETag>\(tag)</ETag></Part>"
    }

    private func complete(_ parts: [String]) -> [UInt8] {
        Array("<CompleteMultipartUpload>\(parts.joined())</CompleteMultipartUpload>".utf8)
    }

    @Test("parts in any order, one replaced, listed, joined, and completed twice")
    func upload() async throws {
        try await TestServer.run { server in
            let upload = try await server.begin("k")
            let first = pattern(5 << 20)
            let last = pattern(1000, salt: 9)
            var tags: [Int: String] = [:]
            for (number, bytes) in [(7, last), (2, last), (2, first)] {
                let reply = try await server.send(
                    "PUT", "/bucket/k?partNumber=\(number)&uploadId=\(upload)", body: bytes)
                tags[number] = reply.header("ETag")
            }
            let list = try await server.send("GET", "/bucket/k?uploadId=\(upload)")
            #expect(list.elements("PartNumber") == ["2", "7"])
            #expect(list.elements("Size") == ["5242880", "1000"])
            #expect(list.element("IsTruncated") == "false")
            let page = try await server.send("GET", "/bucket/k?uploadId=\(upload)&part-number-marker=2")
            #expect(page.elements("PartNumber") == ["7"])
            #expect(try await server.send("GET", "/bucket?uploads&prefix=k").elements("UploadId") == [upload])
            #expect(try await server.send("GET", "/bucket").elements("Key").isEmpty)

            let body = complete([part(2, tags[2] ?? ""), part(7, tags[7] ?? "")])
            for _ in 0..<2 {
                let done = try await server.send("POST", "/bucket/k?uploadId=\(upload)", body: body)
                #expect(done.status == 200, "\(done)")
                #expect(done.element("ETag")?.contains("-2") == true)
            }
            #expect(try await server.send("GET", "/bucket/k").body == first + last)
            #expect(try await server.send("GET", "/bucket?uploads").elements("UploadId").isEmpty)
            #expect(try await server.send("GET", "/bucket/k?uploadId=\(upload)").code == "NoSuchUpload")
        }
    }

    @Test("an upload without parts makes an empty object, as Distribution 2.8 expects for an empty blob")
    func empty() async throws {
        try await TestServer.run { server in
            let upload = try await server.begin("k")
            let done = try await server.send("POST", "/bucket/k?uploadId=\(upload)", body: complete([]))
            #expect(done.status == 200, "\(done)")
            let get = try await server.send("GET", "/bucket/k")
            #expect(get.status == 200)
            #expect(get.body.isEmpty)
        }
    }

    @Test("UploadPartCopy: whole, ranges, the key that is being made, and ranges that are none")
    func copies() async throws {
        try await TestServer.run { server in
            let bytes = pattern(6 << 20)
            try await server.send("PUT", "/bucket/k", body: bytes)
            let upload = try await server.begin("k")
            var parts: [String] = []
            for (number, range) in [(1, "bytes=0-5242879"), (2, "bytes=5242880-6291455"), (3, nil)] {
                let headers =
                    [("x-amz-copy-source", "bucket/k")] + (range.map { [("x-amz-copy-source-range", $0)] } ?? [])
                let reply = try await server.send(
                    "PUT", "/bucket/k?partNumber=\(number)&uploadId=\(upload)", headers)
                #expect(reply.status == 200, "\(reply)")
                if number != 2 { parts.append(part(number, try #require(reply.element("ETag")))) }
            }
            for range in ["0-1", "bytes=1-0", "bytes=-5", "bytes=0-", "bytes=0-1,2-3", "bytes=a-b"] {
                let reply = try await server.send(
                    "PUT", "/bucket/k?partNumber=9&uploadId=\(upload)",
                    [("x-amz-copy-source", "bucket/k"), ("x-amz-copy-source-range", range)])
                #expect(reply.code == "InvalidArgument", "\(range)")
            }
            let done = try await server.send("POST", "/bucket/k?uploadId=\(upload)", body: complete(parts))
            #expect(done.status == 200, "\(done)")
            #expect(try await server.send("GET", "/bucket/k").body == Array(bytes[..<(5 << 20)]) + bytes)
        }
    }

    @Test("objects are read part by part, as they were uploaded")
    func partNumbers() async throws {
        try await TestServer.run { server in
            let upload = try await server.begin("k")
            let parts = [pattern(5 << 20), pattern(6 << 20, salt: 2), pattern(6 << 20, salt: 3), pattern(9, salt: 4)]
            var list: [String] = []
            for (index, bytes) in parts.enumerated() {
                let number = index * 3 + 1
                let reply = try await server.send(
                    "PUT", "/bucket/k?partNumber=\(number)&uploadId=\(upload)", body: bytes)
                list.append(part(number, reply.header("ETag") ?? ""))
            }
            let done = try await server.send("POST", "/bucket/k?uploadId=\(upload)", body: complete(list))
            #expect(done.status == 200, "\(done)")
            try await server.send("PUT", "/bucket/c", [("x-amz-copy-source", "bucket/k")], body: [])
            for key in ["k", "c"] {
                var start = 0
                for (index, bytes) in parts.enumerated() {
                    for method in ["GET", "HEAD"] {
                        let reply = try await server.send(method, "/bucket/\(key)?partNumber=\(index + 1)")
                        #expect(reply.status == 206)
                        #expect(reply.header("x-amz-mp-parts-count") == "4")
                        #expect(reply.header("Content-Length") == "\(bytes.count)")
                        let size = parts.reduce(0) { $0 + $1.count }
                        #expect(reply.header("Content-Range") == "bytes \(start)-\(start + bytes.count - 1)/\(size)")
                        if method == "GET" { #expect(reply.body == bytes) }
                    }
                    start += bytes.count
                }
                #expect(try await server.send("GET", "/bucket/\(key)?partNumber=5").code == "InvalidPartNumber")
            }
            let whole = try await server.send("GET", "/bucket/k")
            #expect(whole.headers.allSatisfy { !$0.name.contains("varve") && $0.name != "x-amz-mp-parts-count" })

            // What was put at once is its own and only part.
            for bytes in [[], [1, 2, 3]] as [[UInt8]] {
                try await server.send("PUT", "/bucket/p", body: bytes)
                let reply = try await server.send("GET", "/bucket/p?partNumber=1")
                #expect(reply.status == (bytes.isEmpty ? 200 : 206))
                #expect(reply.body == bytes)
                #expect(reply.header("x-amz-mp-parts-count") == nil)
                let next = try await server.send("GET", "/bucket/p?partNumber=2")
                #expect(next.status == 416)
                #expect(next.code == "InvalidPartNumber")
            }
            for number in ["0", "-1", "10001", "x", ""] {
                let reply = try await server.send("GET", "/bucket/k?partNumber=\(number)")
                #expect(reply.code == "InvalidArgument", "\(number): \(reply)")
            }
            let both = try await server.send("GET", "/bucket/k?partNumber=1", [("Range", "bytes=0-1")])
            #expect(both.code == "InvalidRequest")
        }
    }

    @Test(
        "a checksum in the head of the completion is that of the object, not of the list",
        arguments: ["COMPOSITE", "FULL_OBJECT"])
    func checksums(_ type: String) async throws {
        try await TestServer.run { server in
            let parts = [pattern(5 << 20), pattern(77, salt: 3)]
            func crc(_ bytes: [UInt8]) throws -> [UInt8] {
                var running = try RunningChecksum(.crc32c)
                bytes.withUnsafeBytes { running.update($0) }
                return running.finish()
            }
            let isComposite = type == "COMPOSITE"
            let whole = Base64.encode(try isComposite ? crc(parts.flatMap { try crc($0) }) : crc(parts.flatMap { $0 }))
            let name = "x-amz-checksum-crc32c"
            let size = parts.map(\.count).reduce(0, +)
            // What is sent, and what comes of it.
            let cases: [([(String, String)], String?)] = [
                ([(name, whole)], nil), ([(name, isComposite ? whole + "-2" : whole)], nil), ([], nil),
                ([("x-amz-mp-object-size", "\(size)")], nil),
                ([(name, Base64.encode([0, 0, 0, 0]))], "BadDigest"), ([(name, "")], "BadDigest"),
                ([("x-amz-checksum-sha1", whole)], "InvalidRequest"),
                ([("x-amz-mp-object-size", "\(size - 1)")], "InvalidRequest"),
                ([("x-amz-mp-object-size", "x")], "InvalidRequest"),
            ]
            for (headers, code) in cases {
                let begun = try await server.send(
                    "POST", "/bucket/k?uploads",
                    [("x-amz-checksum-algorithm", "CRC32C"), ("x-amz-checksum-type", type)], body: [])
                let upload = try #require(begun.element("UploadId"))
                var list: [String] = []
                for (index, bytes) in parts.enumerated() {
                    let reply = try await server.send(
                        "PUT", "/bucket/k?partNumber=\(index + 1)&uploadId=\(upload)",
                        [(name, Base64.encode(try crc(bytes)))], body: bytes)
                    list.append(part(index + 1, reply.header("ETag") ?? ""))
                }
                let done = try await server.send(
                    "POST", "/bucket/k?uploadId=\(upload)", headers, body: complete(list))
                #expect(done.code == code, "\(headers): \(done)")
                #expect((done.status == 200) == (code == nil))
                if code == nil {
                    let head = try await server.send("HEAD", "/bucket/k", [("x-amz-checksum-mode", "ENABLED")])
                    #expect(head.header(name) == (isComposite ? whole + "-2" : whole))
                    #expect(try await server.send("DELETE", "/bucket/k").status == 204)
                } else {
                    #expect(try await server.send("GET", "/bucket/k").code == "NoSuchKey")
                }
            }
            // Nothing to compare it with.
            let upload = try await server.begin("k")
            let tag = try await server.send("PUT", "/bucket/k?partNumber=1&uploadId=\(upload)", body: [1]).header(
                "ETag")
            let done = try await server.send(
                "POST", "/bucket/k?uploadId=\(upload)", [(name, whole)], body: complete([part(1, tag ?? "")]))
            #expect(done.code == "InvalidRequest")
        }
    }

    @Test("parts with a checksum of another algorithm than their upload's are refused, in the head and in the trailer")
    func otherAlgorithm() async throws {
        try await TestServer.run { server in
            let begun = try await server.send(
                "POST", "/bucket/k?uploads", [("x-amz-checksum-algorithm", "CRC32")], body: [])
            let upload = try #require(begun.element("UploadId"))
            let target = "/bucket/k?partNumber=1&uploadId=\(upload)"
            let bytes = pattern(100)
            func sum(_ algorithm: ChecksumAlgorithm) throws -> String {
                var running = try RunningChecksum(algorithm)
                bytes.withUnsafeBytes { running.update($0) }
                return Base64.encode(running.finish())
            }
            func trailing(_ algorithm: ChecksumAlgorithm) async throws -> Reply {
                let wire =
                    Array("64\r\n".utf8) + bytes
                    + Array("\r\n0\r\n\(algorithm.header):\(try sum(algorithm))\r\n\r\n".utf8)
                return try await server.send(
                    "PUT", target,
                    [("x-amz-decoded-content-length", "100"), ("x-amz-trailer", algorithm.header)], body: wire,
                    digest: "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            }
            for algorithm in ChecksumAlgorithm.allCases where algorithm != .crc32 {
                let replies = [
                    try await server.send("PUT", target, [(algorithm.header, try sum(algorithm))], body: bytes),
                    try await server.send(
                        "PUT", target, [("x-amz-sdk-checksum-algorithm", algorithm.rawValue)], body: bytes),
                    try await trailing(algorithm),
                ]
                for reply in replies {
                    #expect(reply.status == 400 && reply.code == "InvalidRequest", "\(reply)")
                    #expect(
                        reply.element("Message")
                            == "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: "
                            + algorithm.rawValue.lowercased())
                }
            }
            #expect(try await server.isEmpty())
            for reply in [
                try await server.send("PUT", target, [("x-amz-checksum-crc32", try sum(.crc32))], body: bytes),
                try await trailing(.crc32), try await server.send("PUT", target, body: bytes),
            ] {
                #expect(reply.status == 200, "\(reply)")
                #expect(reply.header("x-amz-checksum-crc32") == (try sum(.crc32)))
            }
            let list = try await server.send("GET", "/bucket/k?uploadId=\(upload)")
            #expect(list.elements("ChecksumCRC32") == [try sum(.crc32)])
            // An upload that was begun without one takes any.
            let free = try await server.begin("k")
            let any = try await server.send(
                "PUT", "/bucket/k?partNumber=1&uploadId=\(free)", [("x-amz-checksum-sha1", try sum(.sha1))], body: bytes
            )
            #expect(any.status == 200)
        }
    }

    @Test("lists of parts that are wrong, with the codes of S3; nothing is made")
    func wrong() async throws {
        try await TestServer.run { server in
            let upload = try await server.begin("k")
            var tags: [String] = []
            for number in 1...2 {
                let reply = try await server.send(
                    "PUT", "/bucket/k?partNumber=\(number)&uploadId=\(upload)", body: [UInt8(number)])
                tags.append(try #require(reply.header("ETag")))
            }
            let many = (1...10_001).map { part($0, "x") }
            let cases: [([UInt8], String)] = [
                (complete([part(1, tags[0]), part(2, tags[1])]), "EntityTooSmall"),
                (complete([part(2, tags[1]), part(1, tags[0])]), "InvalidPartOrder"),
                (complete([part(1, tags[0]), part(1, tags[0])]), "InvalidPartOrder"),
                (complete([part(1, tags[1])]), "InvalidPart"), (complete([part(3, tags[1])]), "InvalidPart"),
                (complete([]), "MalformedXML"), (complete(many), "MalformedXML"), (Array("<a".utf8), "MalformedXML"),
                (Array("<CompleteMultipartUpload><Part/></CompleteMultipartUpload>".utf8), "MalformedXML"),
                ([UInt8](repeating: UInt8(ascii: " "), count: 3 << 20), "MalformedXML"),
                ([], "MalformedXML"),
            ]
            for (body, code) in cases {
                let reply = try await server.send("POST", "/bucket/k?uploadId=\(upload)", body: body)
                #expect(reply.code == code, "\(reply)")
            }
            #expect(try await server.send("GET", "/bucket/k").code == "NoSuchKey")
            for number in ["0", "10001", "-1", "x", ""] {
                let reply = try await server.send(
                    "PUT", "/bucket/k?partNumber=\(number)&uploadId=\(upload)", body: [1])
                #expect(reply.code == "InvalidArgument", "part \(number)")
            }
            for id in ["x", String(repeating: "0", count: 48), upload + "0"] {
                let reply = try await server.send("PUT", "/bucket/k?partNumber=1&uploadId=\(id)", body: [1])
                #expect(reply.code == "NoSuchUpload")
            }
            #expect(
                try await server.send("PUT", "/bucket/j?partNumber=1&uploadId=\(upload)", body: [1]).code
                    == "NoSuchUpload")
            #expect(try await server.send("DELETE", "/bucket/k?uploadId=\(upload)").status == 204)
            #expect(try await server.send("DELETE", "/bucket/k?uploadId=\(upload)").code == "NoSuchUpload")
            #expect(try await server.isEmpty())
        }
    }
}
