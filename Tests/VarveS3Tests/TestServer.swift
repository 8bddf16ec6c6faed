// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Logging
import NIOCore
import NIOHTTP1
import Testing
import VarveDrivers
import VarveHTTP
import VarveModel

@testable import VarveS3

/// S3 over objects in memory, on a free port of the loopback address, with a client that signs.
struct TestServer: Sendable {
    static let key = S3Credential(accessKey: "AKIDEXAMPLE", secretKey: "secret/with+odd=characters")
    static let narrowKey = S3Credential(
        accessKey: "NARROW", secretKey: "another", buckets: ["only"].compactMap { BucketName($0) })

    let driver: MemoryDriver
    let port: Int

    /// Runs `body` against a server with the bucket `bucket`, and stops the server afterwards.
    static func run(_ body: @Sendable (TestServer) async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var settings = S3Settings(credentials: S3Credentials([key, narrowKey]))
        settings.http.port = 0
        settings.domain = "s3.test"
        let driver = MemoryDriver()
        let server = try S3Server(driver: driver, settings: settings, logger: logger)
        try await server.createBuckets(["bucket"].compactMap { BucketName($0) })
        let address = try await server.bind()
        let running = Task { try await server.run() }
        let outcome: Result<Void, any Error>
        do {
            try await body(TestServer(driver: driver, port: try #require(address.port)))
            outcome = .success(())
        } catch { outcome = .failure(error) }
        running.cancel()
        _ = await running.result
        try outcome.get()
    }

    /// Headers that sign a request.
    /// - Parameter unsigned: One that is sent and not signed.
    func signed(
        _ method: String, _ target: String, _ headers: [(String, String)] = [], digest: String,
        key: S3Credential = TestServer.key, now: Int = Int(Date().timeIntervalSince1970), service: String = "s3",
        host: String = "localhost", unsigned: String? = nil
    ) throws -> (headers: [(String, String)], chain: SignatureChain) {
        let date = S3Date.basic(now)
        let scope = try #require(
            SignatureV4.Scope("\(key.accessKey)/\(date.prefix(8))/us-east-1/\(service)/aws4_request"))
        let all = headers + [("x-amz-date", date), ("x-amz-content-sha256", digest)]
        let head = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: method), uri: target,
            headers: HTTPHeaders([("host", host)] + all))
        let parts = try #require(S3Target(target, host: nil, domain: nil))
        let names = Set((["host"] + all.map { $0.0.lowercased() })).filter { $0 != unsigned }.sorted()
            .joined(separator: ";")
        let canonical = try CanonicalRequest(head, parts, signedHeaders: names, payload: digest)
        let signingKey = scope.signingKey(key.secretKey)
        let text =
            "AWS4-HMAC-SHA256\n\(date)\n\(scope.text)\n\(Hashing.hex(Hashing.sha256(canonical.text.utf8)))"
        let signature = Hashing.hex(Hashing.hmac(signingKey, Array(text.utf8)))
        let credential = "\(key.accessKey)/\(scope.text)"
        let field =
            "AWS4-HMAC-SHA256 Credential=\(credential), SignedHeaders=\(names), Signature=\(signature)"
        return (
            all + [("Authorization", field)],
            SignatureChain(signingKey: signingKey, date: date, scope: scope.text, previous: signature)
        )
    }

    /// A signed request on a connection of its own.
    @discardableResult
    func send(
        _ method: String, _ target: String, _ headers: [(String, String)] = [], body: [UInt8]? = nil,
        digest: String? = nil, key: S3Credential = TestServer.key, now: Int = Int(Date().timeIntervalSince1970),
        service: String = "s3"
    ) async throws -> Reply {
        let signed = try signed(
            method, target, headers, digest: digest ?? Hashing.hex(Hashing.sha256(body ?? [])), key: key, now: now,
            service: service)
        return try await raw(method, target, signed.headers, body: body)
    }

    /// DeleteObjects, with the digest that it must have.
    @discardableResult
    func deleteObjects(_ list: String, digest: String? = nil) async throws -> Reply {
        let body = Array(list.utf8)
        let md5 = [("Content-MD5", Base64.encode(try LegacyHash.md5(body)))]
        return try await send("POST", "/bucket?delete", md5, body: body, digest: digest)
    }

    /// A request as it stands.
    @discardableResult
    func raw(
        _ method: String, _ target: String, _ headers: [(String, String)], body: [UInt8]? = nil
    ) async throws -> Reply {
        try await RawConnection.open(port) { connection async throws in
            try await connection.request(method, target, headers, body: body)
        }
    }

    /// Whether nothing is stored: no object, no part.
    func isEmpty() async throws -> Bool {
        let bucket = try #require(BucketName("bucket"))
        for namespace in [ObjectNamespace.objects, .parts]
        where !(try await driver.list(bucket, in: namespace, ListRequest())).objects.isEmpty {
            return false
        }
        return true
    }

    /// Begins a multipart upload.
    func begin(_ key: String) async throws -> String {
        let reply = try await send("POST", "/bucket/\(key)?uploads", body: [])
        return try #require(reply.element("UploadId"))
    }
}

/// Deterministic bytes.
func pattern(_ count: Int, salt: UInt64 = 1) -> [UInt8] {
    var state = salt
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
    }
}
