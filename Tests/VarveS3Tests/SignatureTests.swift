// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import Testing

@testable import VarveS3

/// The examples of AWS' own documentation ("Signature calculations for the authorization header", "Authenticating
/// requests: using query parameters"), with the key and date that it uses throughout.
@Suite("signatures, version 4")
struct SignatureTests {
    private static let emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    private static let credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    private static let now = 1_369_353_600

    private func verifier(now: Int = SignatureTests.now) -> SignatureV4 {
        SignatureV4(
            credentials: S3Credentials([
                S3Credential(
                    accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            ]), now: { now })
    }

    private func authenticate(
        _ method: HTTPMethod, _ target: String, _ headers: HTTPHeaders, names: String? = nil, signature: String? = nil,
        now: Int = SignatureTests.now
    ) throws -> Authentication {
        var headers = headers
        if let names, let signature {
            headers.add(
                name: "Authorization",
                value: "AWS4-HMAC-SHA256 Credential=\(Self.credential),SignedHeaders=\(names),Signature=\(signature)")
        }
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: headers)
        let parts = try #require(S3Target(target, host: nil, domain: nil))
        return try verifier(now: now).authenticate(head, parts)
    }

    @Test("get a range of an object")
    func getObject() throws {
        let headers: HTTPHeaders = [
            "Host": "examplebucket.s3.amazonaws.com", "Range": "bytes=0-9", "x-amz-content-sha256": Self.emptyDigest,
            "x-amz-date": "20130524T000000Z",
        ]
        let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        let names = "host;range;x-amz-content-sha256;x-amz-date"
        let found = try authenticate(.GET, "/test.txt", headers, names: names, signature: signature)
        #expect(found.credential.accessKey == "AKIAIOSFODNN7EXAMPLE")
        #expect(found.payload == .digest(Hashing.sha256([])))
        for (target, method) in [("/test.txt", HTTPMethod.PUT), ("/test.tx", .GET), ("/test.txt?a", .GET)] {
            let failure = #expect(throws: S3Failure.self) {
                try authenticate(method, target, headers, names: names, signature: signature)
            }
            #expect(failure?.code == .signatureDoesNotMatch)
        }
    }

    @Test("put an object with a character that must be escaped")
    func putObject() throws {
        let headers: HTTPHeaders = [
            "Host": "examplebucket.s3.amazonaws.com", "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-date": "20130524T000000Z", "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        ]
        _ = try authenticate(
            .PUT, "/test$file.text", headers,
            names: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    }

    @Test(
        "queries, with and without values",
        arguments: [
            ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
            ("/?prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ])
    func queries(_ target: String, _ signature: String) throws {
        let headers: HTTPHeaders = [
            "Host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": Self.emptyDigest,
            "x-amz-date": "20130524T000000Z",
        ]
        _ = try authenticate(
            .GET, target, headers, names: "host;x-amz-content-sha256;x-amz-date", signature: signature)
    }

    private static let presigned =
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        + "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        + "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

    @Test("a presigned URL, until it has expired")
    func presignedURL() throws {
        let headers: HTTPHeaders = ["Host": "examplebucket.s3.amazonaws.com"]
        #expect(try authenticate(.GET, Self.presigned, headers).payload == .unsigned)
        _ = try authenticate(.GET, Self.presigned, headers, now: Self.now + 86_400)
        for (now, code) in [(Self.now + 86_401, S3Code.accessDenied), (Self.now - 901, .accessDenied)] {
            let failure = #expect(throws: S3Failure.self) {
                try authenticate(.GET, Self.presigned, headers, now: now)
            }
            #expect(failure?.code == code)
        }
        for (old, new) in [
            ("86400", "604801"), ("86400", "-1"), ("86400", "0"), ("86400", "x"), ("86400", "%2B1"), ("86400", "1e3"),
            ("AWS4-HMAC-SHA256", "AWS4"),
            ("%2Fs3%2F", "%2Fec2%2F"),
            ("X-Amz-Expires=86400&", ""),
        ] {
            let failure = #expect(throws: S3Failure.self) {
                try authenticate(.GET, Self.presigned.replacing(old, with: new), headers)
            }
            #expect(failure?.code == .authorizationQueryParametersError, "\(new)")
        }
        let failure = #expect(throws: S3Failure.self) {
            try authenticate(.GET, Self.presigned.replacing("86400", with: "86399"), headers)
        }
        #expect(failure?.code == .signatureDoesNotMatch)
    }

    private func chain(_ headers: HTTPHeaders, _ names: String, _ signature: String) throws -> SignatureChain {
        var headers = headers
        headers.add(name: "Host", value: "s3.amazonaws.com")
        headers.add(name: "x-amz-date", value: "20130524T000000Z")
        headers.add(name: "x-amz-storage-class", value: "REDUCED_REDUNDANCY")
        headers.add(name: "Content-Encoding", value: "aws-chunked")
        headers.add(name: "x-amz-decoded-content-length", value: "66560")
        return try authenticate(
            .PUT, "/examplebucket/chunkObject.txt", headers, names: names, signature: signature
        ).chain
    }

    private func chunk(_ count: Int, _ signature: String) -> [UInt8] {
        Array("\(String(count, radix: 16));chunk-signature=\(signature)\r\n".utf8)
            + [UInt8](repeating: UInt8(ascii: "a"), count: count) + (count > 0 ? [13, 10] : [])
    }

    private static let signedChunks = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]

    @Test("signed chunks, however the bytes are cut", arguments: [1, 7, 100, 8192, 1 << 20])
    func chunks(_ step: Int) throws {
        let chain = try chain(
            ["x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content-Length": "66824"],
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
                + "x-amz-storage-class", "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
        let wire =
            chunk(65_536, Self.signedChunks[0]) + chunk(1024, Self.signedChunks[1]) + chunk(0, Self.signedChunks[2])
            + [13, 10]
        #expect(wire.count == 66_824)
        var decoder = ChunkDecoder(chain: chain, hasTrailer: false)
        var count = 0
        for start in stride(from: 0, to: wire.count, by: step) {
            let piece = ByteBuffer(bytes: wire[start..<min(wire.count, start + step)])
            count += try decoder.decode(piece).readableBytes
        }
        try decoder.finish()
        #expect(count == 66_560)
    }

    @Test("a byte changed anywhere in signed chunks is found")
    func changedChunks() throws {
        let chain = try chain(
            ["x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content-Length": "66824"],
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
                + "x-amz-storage-class", "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
        let wire =
            chunk(65_536, Self.signedChunks[0]) + chunk(1024, Self.signedChunks[1]) + chunk(0, Self.signedChunks[2])
            + [13, 10]
        let places = [0, 5, 30, 60, 90, 5000, 65_620, 65_625, 66_000, 66_735, 66_740, 66_800]
        for place in places {
            var changed = wire
            changed[place] ^= 1
            #expect(throws: S3Failure.self, "byte \(place)") {
                var decoder = ChunkDecoder(chain: chain, hasTrailer: false)
                _ = try decoder.decode(ByteBuffer(bytes: changed))
                try decoder.finish()
            }
        }
        for end in [0, 10, 70_000, 66_000, 66_737] where end < wire.count {
            #expect(throws: S3Failure.self, "ends at \(end)") {
                var decoder = ChunkDecoder(chain: chain, hasTrailer: false)
                _ = try decoder.decode(ByteBuffer(bytes: wire[..<end]))
                try decoder.finish()
            }
        }
    }

    @Test("signed chunks with a signed trailer")
    func trailer() throws {
        let chain = try chain(
            [
                "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                "x-amz-trailer": "x-amz-checksum-crc32c",
            ],
            "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
                + "x-amz-trailer", "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
        let data =
            chunk(65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2")
            + chunk(1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7")
            + chunk(0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992")
        let lines = { (checksum: String) in
            Array(
                ("x-amz-checksum-crc32c:\(checksum)\r\nx-amz-trailer-signature:"
                    + "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n").utf8)
        }
        var decoder = ChunkDecoder(chain: chain, hasTrailer: true)
        _ = try decoder.decode(ByteBuffer(bytes: data + lines("sOO8/Q==")))
        try decoder.finish()
        #expect(decoder.trailers.first?.value == "sOO8/Q==")
        var wrong = ChunkDecoder(chain: chain, hasTrailer: true)
        _ = try wrong.decode(ByteBuffer(bytes: data + lines("sOO8/A==")))
        #expect(throws: S3Failure.self) { try wrong.finish() }
    }

    @Test("the checksum in that trailer is right")
    func trailerChecksum() throws {
        var running = try RunningChecksum(.crc32c)
        [UInt8](repeating: UInt8(ascii: "a"), count: 66_560).withUnsafeBytes { running.update($0) }
        #expect(Base64.encode(running.finish()) == "sOO8/Q==")
    }
}
