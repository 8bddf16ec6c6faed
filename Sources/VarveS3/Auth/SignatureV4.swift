// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOHTTP1
import VarveHTTP

/// AWS Signature Version 4, checked (AWS, "Authenticating requests: AWS Signature Version 4").
struct SignatureV4 {
    /// Seconds that a request's date may be off.
    static let skewSeconds = 15 * 60
    /// Longest life of a presigned URL, in seconds.
    static let expirySecondsMax = 7 * 24 * 3600
    private static let algorithm = "AWS4-HMAC-SHA256"

    let credentials: S3Credentials
    /// Seconds since 1970; another clock for tests.
    var now: @Sendable () -> Int = { time(nil) }

    /// Who signed a request.
    /// - Throws: ``S3Failure`` with the code that S3 gives.
    func authenticate(_ head: HTTPRequestHead, _ target: S3Target) throws(S3Failure) -> Authentication {
        let fields = head.headers["authorization"]
        let isPresigned = target.has("X-Amz-Algorithm") || target.has("X-Amz-Signature")
        if fields.isEmpty {
            if isPresigned { return try withoutToken(presigned(head, target), head, target) }
            if target.has("Signature") || target.has("AWSAccessKeyId") { throw Self.oldVersion }
            throw S3Failure(.accessDenied, "Access Denied")
        }
        guard fields.count == 1, !isPresigned else {
            throw S3Failure(.invalidArgument, "Only one auth mechanism allowed")
        }
        return try withoutToken(signed(head, target, fields[0]), head, target)
    }

    /// Keys here have no sessions: whoever sends a session's token means other credentials than we know.
    private func withoutToken(
        _ authentication: Authentication, _ head: HTTPRequestHead, _ target: S3Target
    ) throws(S3Failure) -> Authentication {
        let inQuery = target.query.contains { $0.name == "X-Amz-Security-Token" && !$0.value.isEmpty }
        guard !inQuery, head.headers["x-amz-security-token"].allSatisfy(\.isEmpty) else {
            throw S3Failure(.invalidToken, "The provided token is malformed or otherwise invalid.")
        }
        return authentication
    }

    private static let oldVersion = S3Failure(
        .invalidRequest,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")

    // MARK: In headers

    private func signed(
        _ head: HTTPRequestHead, _ target: S3Target, _ field: String
    ) throws(S3Failure) -> Authentication {
        guard field.hasPrefix(Self.algorithm) else {
            if field.hasPrefix("AWS4-") || field.hasPrefix("AWS ") { throw Self.oldVersion }
            throw S3Failure(.invalidArgument, "Unsupported Authorization Type")
        }
        var parts: [String: String] = [:]
        for part in field.dropFirst(Self.algorithm.count).split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else { throw Self.malformed("The authorization header is malformed.") }
            parts[String(pair[0].filter { $0 != " " })] = String(pair[1].filter { $0 != " " })
        }
        guard let credentialText = parts["Credential"], let signedHeaders = parts["SignedHeaders"],
            let signature = parts["Signature"], !signedHeaders.isEmpty, !signature.isEmpty
        else {
            throw Self.malformed(
                "The authorization header is malformed; the header needs Credential, SignedHeaders and Signature.")
        }
        guard let scope = Scope(credentialText) else {
            throw Self.malformed("The authorization header is malformed; the Credential is mal-formed.")
        }
        guard scope.isForS3 else {
            throw Self.malformed("The authorization header is malformed; the scope must end in s3/aws4_request.")
        }
        guard let credential = credentials.keys[scope.accessKey] else { throw Self.unknownKey }
        let (date, seconds) = try self.date(head)
        guard date.hasPrefix(scope.date) else {
            throw Self.malformed("The authorization header is malformed; the scope's date is not the request's.")
        }
        guard abs(seconds - now()) <= Self.skewSeconds else {
            throw S3Failure(
                .requestTimeTooSkewed, "The difference between the request time and the current time is too large.")
        }
        guard let digest = Self.single(head, "x-amz-content-sha256") else {
            throw S3Failure(.invalidRequest, "Missing required header for this request: x-amz-content-sha256")
        }
        let payload = try PayloadMode(digest)
        let canonical = try CanonicalRequest(head, target, signedHeaders: signedHeaders, payload: digest)
        return try check(canonical, signature, scope, credential, date, payload)
    }

    private func date(_ head: HTTPRequestHead) throws(S3Failure) -> (text: String, seconds: Int) {
        if let text = Self.single(head, "x-amz-date") {
            if let seconds = S3Date.seconds(basic: text) { return (text, seconds) }
        } else if let text = Self.single(head, "date"),
            let seconds = HTTPDate.seconds(text) ?? S3Date.seconds(basic: text)
        {
            return (S3Date.basic(seconds), seconds)
        }
        throw S3Failure(.accessDenied, "AWS authentication requires a valid Date or x-amz-date header")
    }

    // MARK: In the query

    private func presigned(_ head: HTTPRequestHead, _ target: S3Target) throws(S3Failure) -> Authentication {
        func parameter(_ name: String) throws(S3Failure) -> String {
            let values = target.query.filter { $0.name == name }
            guard values.count == 1, let value = values.first?.value, !value.isEmpty else {
                throw Self.badQuery(
                    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                        + "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
            }
            return value
        }
        guard try parameter("X-Amz-Algorithm") == Self.algorithm else {
            throw Self.badQuery("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")
        }
        let signature = try parameter("X-Amz-Signature")
        let signedHeaders = try parameter("X-Amz-SignedHeaders")
        guard let scope = Scope(try parameter("X-Amz-Credential")), scope.isForS3 else {
            throw Self.badQuery(
                "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
                    + "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
        }
        let date = try parameter("X-Amz-Date")
        guard let seconds = S3Date.seconds(basic: date), date.hasPrefix(scope.date) else {
            throw Self.badQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        }
        let text = try parameter("X-Amz-Expires")
        guard let expires = Int(text), text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2D }) else {
            throw Self.badQuery("X-Amz-Expires should be a number")
        }
        guard expires > 0 else { throw Self.badQuery("X-Amz-Expires must be at least 1 second") }
        guard expires <= Self.expirySecondsMax else {
            throw Self.badQuery("X-Amz-Expires must be less than a week (in seconds) that is \(Self.expirySecondsMax)")
        }
        guard let credential = credentials.keys[scope.accessKey] else { throw Self.unknownKey }
        let now = now()
        guard seconds - now <= Self.skewSeconds else { throw S3Failure(.accessDenied, "Request is not yet valid") }
        guard now - seconds <= expires else { throw S3Failure(.accessDenied, "Request has expired") }

        // A presigned URL says nothing about a body, unless it signs a header that does.
        var digest = target.value("X-Amz-Content-Sha256") ?? "UNSIGNED-PAYLOAD"
        if signedHeaders.split(separator: ";").contains("x-amz-content-sha256") {
            digest = Self.single(head, "x-amz-content-sha256") ?? digest
        }
        let payload = try Self.promised(head, signed: try PayloadMode(digest))
        let canonical = try CanonicalRequest(
            head, target, signedHeaders: signedHeaders, payload: digest, isPresigned: true)
        return try check(canonical, signature, scope, credential, date, payload)
    }

    /// What a presigned request's body must be. Who sends it may promise more than was signed, and is held to it: a body
    /// that is not what its sender says is not stored.
    private static func promised(_ head: HTTPRequestHead, signed: PayloadMode) throws(S3Failure) -> PayloadMode {
        let fields = head.headers["x-amz-content-sha256"]
        guard !fields.isEmpty else { return signed }
        let sent = try PayloadMode(fields.joined(separator: ","))
        if sent == signed || sent == .unsigned { return signed }
        guard signed == .unsigned else {
            throw S3Failure(
                .contentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was signed.")
        }
        return sent
    }

    // MARK: Common

    private func check(
        _ canonical: CanonicalRequest, _ signature: String, _ scope: Scope, _ credential: S3Credential, _ date: String,
        _ payload: PayloadMode
    ) throws(S3Failure) -> Authentication {
        let key = scope.signingKey(credential.secretKey)
        let digest = Hashing.hex(Hashing.sha256(canonical.text.utf8))
        let text = "\(Self.algorithm)\n\(date)\n\(scope.text)\n\(digest)"
        let expected = Hashing.hex(Hashing.hmac(key, Array(text.utf8)))
        guard Hashing.isEqual(expected.utf8, signature.utf8) else {
            throw S3Failure(
                .signatureDoesNotMatch,
                "The request signature we calculated does not match the signature you provided. Check your key and "
                    + "signing method.")
        }
        return Authentication(
            credential: credential, payload: payload,
            chain: SignatureChain(signingKey: key, date: date, scope: scope.text, previous: expected))
    }

    private static func single(_ head: HTTPRequestHead, _ name: String) -> String? {
        let values = head.headers[name]
        return values.count == 1 ? values[0] : nil
    }

    private static func malformed(_ message: String) -> S3Failure { S3Failure(.authorizationHeaderMalformed, message) }

    private static func badQuery(_ message: String) -> S3Failure {
        S3Failure(.authorizationQueryParametersError, message)
    }

    private static let unknownKey = S3Failure(
        .invalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.")

    /// `ACCESS/20130524/region/s3/aws4_request`.
    struct Scope {
        var accessKey: String
        var date: String
        var region: String
        var service: String

        init?(_ text: String) {
            // An access key may hold slashes: the scope is read from its end.
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count >= 5, parts[parts.count - 1] == "aws4_request" else { return nil }
            service = String(parts[parts.count - 2])
            region = String(parts[parts.count - 3])
            date = String(parts[parts.count - 4])
            accessKey = parts[..<(parts.count - 4)].joined(separator: "/")
            guard !accessKey.isEmpty, !region.isEmpty, date.utf8.count == 8,
                date.utf8.allSatisfy({ (0x30...0x39).contains($0) })
            else { return nil }
        }

        var isForS3: Bool { service == "s3" }
        var text: String { "\(date)/\(region)/\(service)/aws4_request" }

        func signingKey(_ secret: String) -> [UInt8] {
            var key = Array(("AWS4" + secret).utf8)
            for part in [date, region, service, "aws4_request"] { key = Hashing.hmac(key, part.utf8) }
            return key
        }
    }
}

/// A request as it is signed: method, path, query, headers and the body's digest, each in its canonical form.
struct CanonicalRequest {
    let text: String

    /// - Throws: `AccessDenied` if a header that must be signed is not, or one that is said to be is missing.
    init(
        _ head: HTTPRequestHead, _ target: S3Target, signedHeaders: String, payload: String, isPresigned: Bool = false
    ) throws(S3Failure) {
        let names = signedHeaders.split(separator: ";").map { $0.lowercased() }
        let signed = Set(names)
        let missing = S3Failure(.accessDenied, "There were headers present in the request which were not signed")
        guard signed.contains("host") else { throw missing }
        for (name, _) in head.headers {
            let name = name.lowercased()
            // The digest of the body need not be among them: it is the last line of what is signed. Where it is not, in a
            // presigned request, it says no more than what the body is, and the body is compared with it.
            let mustBeSigned = name.hasPrefix("x-amz-") && name != "x-amz-content-sha256"
            guard !mustBeSigned || signed.contains(name) else { throw missing }
        }

        var lines = head.method.rawValue + "\n"
        lines += PercentCoding.encode(target.path, keepsSlash: true) + "\n"
        let query = target.query.filter { !(isPresigned && $0.name == "X-Amz-Signature") }
            .map {
                (
                    PercentCoding.encode($0.name.utf8, keepsSlash: false),
                    PercentCoding.encode($0.value.utf8, keepsSlash: false)
                )
            }
            .sorted { $0.0 == $1.0 ? Self.precedes($0.1, $1.1) : Self.precedes($0.0, $1.0) }
        lines += query.map { "\($0.0)=\($0.1)" }.joined(separator: "&") + "\n"
        for name in names {
            let values = head.headers[name]
            guard !values.isEmpty || name == "content-length" else { throw missing }
            lines += name + ":" + values.map(Self.collapsed).joined(separator: ",") + "\n"
        }
        lines += "\n" + signedHeaders + "\n" + payload
        text = lines
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }

    /// Without blanks at the ends, and one for several within.
    private static func collapsed(_ value: String) -> String {
        var bytes: [UInt8] = []
        for byte in value.utf8 {
            let isBlank = byte == 0x20 || byte == 0x09
            if isBlank, bytes.isEmpty || bytes.last == 0x20 { continue }
            bytes.append(isBlank ? 0x20 : byte)
        }
        if bytes.last == 0x20 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
