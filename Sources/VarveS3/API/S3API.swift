// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Logging
import NIOCore
import NIOHTTP1
import VarveDrivers
import VarveHTTP
import VarveModel

/// The S3 API over a storage driver: who is asked what. The answers are in its extensions.
///
/// Every request is authenticated before anything else is looked at; text from the wire becomes a `BucketName`, an
/// `ObjectKey` or a refusal here, and nothing else goes further.
struct S3API: HTTPAPI {
    let driver: any StorageDriver
    let settings: S3Settings
    let signatures: SignatureV4
    let pool: BlockingPool
    let xmlBudget: ByteBudget

    init(driver: any StorageDriver, settings: S3Settings) {
        self.driver = driver
        self.settings = settings
        signatures = SignatureV4(credentials: settings.credentials)
        let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        pool = BlockingPool(threads: settings.hashThreads > 0 ? settings.hashThreads : cores)
        xmlBudget = ByteBudget(settings.xmlBytesInFlight)
    }

    /// A request that was authenticated.
    struct Call {
        var request: HTTPRequest
        var target: S3Target
        var authentication: Authentication
        var head: HTTPRequestHead { request.head }

        /// The one value of a header; nil if there is none.
        func header(_ name: String) -> String? { request.head.headers.first(name: name) }

        /// Whether it changes something and has no use for a body: deletions, copies, the start of an upload.
        var isWriteWithoutBody: Bool {
            switch head.method {
            case .DELETE: true
            case .PUT: header("x-amz-copy-source") != nil
            case .POST: target.has("uploads")
            default: false
            }
        }
    }

    // MARK: Errors

    func respond(to request: HTTPRequest) async throws -> HTTPResponse {
        let id = request.logger[metadataKey: "request.id"].map { "\($0)" } ?? ""
        var response: HTTPResponse
        do {
            response = try await answer(request)
        } catch {
            // The server knows best what to say of a body that is no HTTP.
            if request.body.fault != nil { throw error }
            let failure = Self.failure(error)
            if failure.code.status.code >= 500, !(error is S3Failure) {
                request.logger.error("request failed", metadata: ["error": "\(error)"])
            }
            response = Self.response(failure, of: request.head, id)
        }
        response.headers.replaceOrAdd(name: "x-amz-request-id", value: id)
        return response
    }

    func response(to error: any Error, of head: HTTPRequestHead) -> HTTPResponse {
        Self.response(Self.failure(error), of: head, "")
    }

    func isRefusal(_ error: any Error) -> Bool { error is S3Failure }

    func response(to fault: HTTPFault, of head: HTTPRequestHead?) -> HTTPResponse {
        let code: S3Code =
            switch fault {
            case .bodyBrokeOff, .malformedBody: .incompleteBody
            case .transferCoding: .notImplemented
            case .headersTooLarge: .requestHeaderSectionTooLarge
            case .targetTooLong: .invalidURI
            case .noHost, .contradictingLengths, .notHTTP, .expectation: .invalidRequest
            }
        var response = Self.response(S3Failure(code, fault.message), of: head, "")
        response.status = fault.status
        return response
    }

    private static func failure(_ error: any Error) -> S3Failure {
        switch error {
        case let failure as S3Failure: failure
        case let error as VarveError: S3Failure(error)
        default: S3Failure(.internalError, "We encountered an internal error. Please try again.")
        }
    }

    private static func response(_ failure: S3Failure, of head: HTTPRequestHead?, _ id: String) -> HTTPResponse {
        if failure.isNotModified { return HTTPResponse(.notModified, failure.headers) }
        var headers = failure.headers
        headers.replaceOrAdd(name: "Content-Type", value: "application/xml")
        let path = head.map { String($0.uri.prefix { $0 != "?" }) } ?? ""
        let bytes = failure.xml(resource: path, requestID: id)
        return HTTPResponse(failure.code.status, headers, body: .bytes(ByteBuffer(bytes: bytes)))
    }

    // MARK: Dispatch

    private func answer(_ request: HTTPRequest) async throws -> HTTPResponse {
        let head = request.head
        guard let target = S3Target(head.uri, host: head.headers.first(name: "host"), domain: settings.domain) else {
            throw S3Failure(.invalidURI, "Couldn't parse the specified URI.")
        }
        let call = Call(
            request: request, target: target, authentication: try signatures.authenticate(head, target))
        guard let name = target.bucket else {
            guard head.method == .GET || head.method == .HEAD else { throw Self.methodNotAllowed }
            return try await listBuckets(call)
        }
        guard let bucket = BucketName(name) else {
            throw S3Failure(.invalidBucketName, "The specified bucket is not valid.")
        }
        guard call.authentication.credential.allows(bucket) else {
            throw S3Failure(.accessDenied, "Access Denied")
        }
        for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
            guard head.headers[name].allSatisfy({ $0 == Self.ownerID }) else {
                throw S3Failure(.accessDenied, "Access Denied")
            }
        }
        if call.isWriteWithoutBody { try await checkUnusedBody(call) }
        if target.key.isEmpty { return try await answer(call, bucket) }
        let object = ObjectAddress(bucket, try Self.key(target.key))
        if let version = target.value("versionId"), version != "null" {
            throw S3Failure(.noSuchVersion, "The specified version does not exist.")
        }
        return try await answer(call, object)
    }

    static let methodNotAllowed = S3Failure(
        .methodNotAllowed, "The specified method is not allowed against this resource.")

    static func key(_ bytes: [UInt8]) throws(S3Failure) -> ObjectKey {
        guard bytes.count <= ObjectKey.byteCountMax else { throw S3Failure(.keyTooLong, "Your key is too long") }
        guard let key = ObjectKey(utf8: bytes) else {
            throw S3Failure(.invalidURI, "Couldn't parse the specified URI.")
        }
        return key
    }

    private func answer(_ call: Call, _ bucket: BucketName) async throws -> HTTPResponse {
        let part = Subresource.first { call.target.has($0) }
        switch (call.head.method, part) {
        case (.GET, nil): return try await listObjects(call, bucket)
        case (.GET, .location): return try await bucketLocation(bucket)
        case (.GET, .versions): return try await listVersions(call, bucket)
        case (.GET, .uploads): return try await listUploads(call, bucket)
        case (.GET, .some(let part)): return try await bucketProperty(part, bucket)
        case (.HEAD, nil): return try await headBucket(bucket)
        case (.PUT, nil): return try await createBucket(call, bucket)
        case (.DELETE, nil): return try await deleteBucket(bucket)
        case (.POST, .delete): return try await deleteObjects(call, bucket)
        case (.HEAD, _), (.PUT, _), (.DELETE, _), (.POST, _): throw S3Failure.notImplemented
        default: throw Self.methodNotAllowed
        }
    }

    private func answer(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        let target = call.target
        let isRead = call.head.method == .GET || call.head.method == .HEAD
        try ObjectHeaders.refuseUnsupported(call.head.headers, isRead: isRead)
        if let upload = target.value("uploadId") {
            switch call.head.method {
            case .PUT:
                // Of an upload itself nothing can be put.
                guard target.has("partNumber") else { throw Self.methodNotAllowed }
                if call.header("x-amz-copy-source") != nil { return try await copyPart(call, object, upload) }
                return try await uploadPart(call, object, upload)
            case .POST: return try await completeUpload(call, object, upload)
            case .DELETE: return try await abortUpload(object, upload)
            case .GET: return try await listParts(call, object, upload)
            default: throw Self.methodNotAllowed
            }
        }
        // A slip of a client's must not replace or remove a whole object instead of a part.
        guard isRead || !target.has("partNumber") else {
            throw S3Failure(.invalidArgument, "This operation does not accept partNumber without uploadId")
        }
        if call.head.method == .POST, target.has("uploads") { return try await createUpload(call, object) }
        if let part = Subresource.first({ target.has($0) }) {
            if call.head.method == .PUT, part == .acl { return try await putAccessControl(call, object) }
            guard call.head.method == .GET else { throw S3Failure.notImplemented }
            if part == .attributes { return try await objectAttributes(call, object) }
            return try await objectProperty(part, object)
        }
        switch call.head.method {
        case .GET, .HEAD: return try await getObject(call, object)
        case .PUT:
            if call.header("x-amz-copy-source") != nil { return try await copyObject(call, object) }
            return try await putObject(call, object)
        case .DELETE: return try await deleteObject(call, object)
        case .POST: throw S3Failure.notImplemented
        default: throw Self.methodNotAllowed
        }
    }

    // MARK: Tools

    static func xml(
        _ name: StaticString, headers: HTTPHeaders = [:], _ body: (inout XMLWriter) throws -> Void
    ) rethrows -> HTTPResponse {
        var xml = XMLWriter()
        try xml.element(name, namespace: XMLWriter.namespace, body)
        var headers = headers
        headers.replaceOrAdd(name: "Content-Type", value: "application/xml")
        return HTTPResponse(.ok, headers, body: .bytes(ByteBuffer(bytes: xml.bytes)))
    }

    /// From this many bytes on a document is taken apart off the task's thread.
    private static let pooledXMLBytesMin = 64 << 10

    /// An XML body, read, checked and parsed.
    /// - Parameter most: Its bytes at most; nil for `S3Settings.xmlBytesMax`.
    /// - Parameter checksumIsOfObject: Whether a checksum in the head is that of the object the document is about, and
    ///   says nothing of the document.
    func readXML(_ call: Call, most: Int? = nil, checksumIsOfObject: Bool = false) async throws -> XMLElement {
        var request = call.request
        if checksumIsOfObject {
            for algorithm in ChecksumAlgorithm.allCases { request.head.headers.remove(name: algorithm.header) }
        }
        let payload = try PayloadReader(request, call.authentication, pool: pool)
        let reservation = xmlBudget.reservation()
        defer { reservation.release() }
        let bytes = try await payload.all(most: most ?? settings.xmlBytesMax) { count in
            // The bytes and what is made of them.
            guard reservation.add(count * 4) else {
                throw S3Failure(.slowDown, "Please reduce your request rate.", headers: ["Retry-After": "1"])
            }
        }
        let parse = { @Sendable () -> XMLElement? in try? XMLReader.read(bytes) }
        let isLarge = bytes.count >= Self.pooledXMLBytesMin
        guard let document = isLarge ? try await pool.run(parse) : parse() else { throw Self.malformedXML }
        return document
    }

    /// Reads the body of a request that has no use for one: what is signed must be what came, here too.
    private func checkUnusedBody(_ call: Call) async throws {
        guard call.request.body.length == 0, !call.authentication.payload.isChunked else {
            _ = try await PayloadReader(call.request, call.authentication, pool: pool).all(most: settings.xmlBytesMax)
            return
        }
        guard case .digest(let digest) = call.authentication.payload, digest != Hashing.sha256([]) else { return }
        throw S3Failure(
            .contentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
    }

    static let malformedXML = S3Failure(
        .malformedXML, "The XML you provided was not well-formed or did not validate against our published schema")

    /// Who owns everything.
    static let ownerID = "varve"

    static func owner(_ name: StaticString, _ xml: inout XMLWriter) {
        xml.element(name) { xml in
            xml.element("ID", ownerID)
            xml.element("DisplayName", ownerID)
        }
    }
}

/// Parts of the API that a query item names; all that S3 has, so that none is taken for something else.
enum Subresource: String, CaseIterable {
    case accelerate, acl, analytics, attributes, cors, delete, encryption, intelligentTiering = "intelligent-tiering"
    case inventory, legalHold = "legal-hold", lifecycle, location, logging, metrics, notification
    case objectLock = "object-lock", ownershipControls, policy, policyStatus, publicAccessBlock, replication
    case requestPayment, restore, retention, select, tagging, torrent, uploads, versioning, versions, website

    static func first(_ isThere: (String) -> Bool) -> Subresource? { allCases.first { isThere($0.rawValue) } }
}
