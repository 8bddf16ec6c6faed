// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveModel

/// An error code of the S3 API ("Error responses", list of error codes) with its status.
enum S3Code: String, Sendable, CaseIterable {
    case accessDenied = "AccessDenied"
    case authorizationHeaderMalformed = "AuthorizationHeaderMalformed"
    case authorizationQueryParametersError = "AuthorizationQueryParametersError"
    case badDigest = "BadDigest"
    case bucketNotEmpty = "BucketNotEmpty"
    case entityTooLarge = "EntityTooLarge"
    case entityTooSmall = "EntityTooSmall"
    case expiredToken = "ExpiredToken"
    case incompleteBody = "IncompleteBody"
    case insufficientStorage = "InsufficientStorage"
    case internalError = "InternalError"
    case invalidAccessKeyID = "InvalidAccessKeyId"
    case invalidArgument = "InvalidArgument"
    case invalidBucketName = "InvalidBucketName"
    case invalidDigest = "InvalidDigest"
    case invalidLocationConstraint = "InvalidLocationConstraint"
    case invalidPart = "InvalidPart"
    case invalidPartNumber = "InvalidPartNumber"
    case invalidPartOrder = "InvalidPartOrder"
    case invalidRange = "InvalidRange"
    case invalidRequest = "InvalidRequest"
    case invalidStorageClass = "InvalidStorageClass"
    case invalidToken = "InvalidToken"
    case invalidURI = "InvalidURI"
    case keyTooLong = "KeyTooLongError"
    case malformedXML = "MalformedXML"
    case malformedTrailer = "MalformedTrailerError"
    case metadataTooLarge = "MetadataTooLarge"
    case methodNotAllowed = "MethodNotAllowed"
    case missingContentLength = "MissingContentLength"
    case noSuchBucket = "NoSuchBucket"
    case noSuchBucketPolicy = "NoSuchBucketPolicy"
    case noSuchCORSConfiguration = "NoSuchCORSConfiguration"
    case noSuchKey = "NoSuchKey"
    case noSuchLifecycleConfiguration = "NoSuchLifecycleConfiguration"
    case noSuchTagSet = "NoSuchTagSet"
    case noSuchUpload = "NoSuchUpload"
    case noSuchVersion = "NoSuchVersion"
    case noSuchWebsiteConfiguration = "NoSuchWebsiteConfiguration"
    case noEncryptionConfiguration = "ServerSideEncryptionConfigurationNotFoundError"
    case noObjectLockConfiguration = "ObjectLockConfigurationNotFoundError"
    case noOwnershipControls = "OwnershipControlsNotFoundError"
    case noPublicAccessBlock = "NoSuchPublicAccessBlockConfiguration"
    case noReplicationConfiguration = "ReplicationConfigurationNotFoundError"
    case notImplemented = "NotImplemented"
    case operationAborted = "OperationAborted"
    case preconditionFailed = "PreconditionFailed"
    case requestHeaderSectionTooLarge = "RequestHeaderSectionTooLarge"
    case requestTimeTooSkewed = "RequestTimeTooSkewed"
    case serviceUnavailable = "ServiceUnavailable"
    case signatureDoesNotMatch = "SignatureDoesNotMatch"
    case slowDown = "SlowDown"
    case contentSHA256Mismatch = "XAmzContentSHA256Mismatch"

    /// The status that goes with it.
    var status: HTTPResponseStatus {
        switch self {
        case .accessDenied, .expiredToken, .invalidAccessKeyID, .requestTimeTooSkewed, .signatureDoesNotMatch:
            .forbidden
        case .noSuchBucket, .noSuchBucketPolicy, .noSuchCORSConfiguration, .noSuchKey, .noSuchLifecycleConfiguration,
            .noSuchTagSet, .noSuchUpload, .noSuchVersion, .noSuchWebsiteConfiguration, .noEncryptionConfiguration,
            .noObjectLockConfiguration, .noOwnershipControls, .noPublicAccessBlock, .noReplicationConfiguration:
            .notFound
        case .bucketNotEmpty, .operationAborted: .conflict
        case .insufficientStorage: .insufficientStorage
        case .internalError: .internalServerError
        case .invalidPartNumber, .invalidRange: .rangeNotSatisfiable
        case .methodNotAllowed: .methodNotAllowed
        case .missingContentLength: .lengthRequired
        case .notImplemented: .notImplemented
        case .preconditionFailed: .preconditionFailed
        case .serviceUnavailable, .slowDown: .serviceUnavailable
        default: .badRequest
        }
    }

    /// What an error of the driver looks like from outside.
    static let rows: [VarveError.Code: S3Code] = [
        .notFound: .noSuchKey,
        .blobUnknown: .noSuchKey,
        .manifestUnknown: .noSuchKey,
        .repositoryUnknown: .noSuchKey,
        .manifestBlobUnknown: .noSuchKey,
        .bucketUnknown: .noSuchBucket,
        .uploadUnknown: .noSuchUpload,
        .manifestInvalid: .invalidRequest,
        .nameInvalid: .invalidArgument,
        .digestInvalid: .invalidDigest,
        .digestMismatch: .badDigest,
        .sizeMismatch: .incompleteBody,
        .rangeNotSatisfiable: .invalidRange,
        .offsetMismatch: .invalidRequest,
        .uploadBusy: .operationAborted,
        .invalidArgument: .invalidArgument,
        .tooLarge: .entityTooLarge,
        .preconditionFailed: .preconditionFailed,
        .corrupted: .internalError,
        .outOfSpace: .insufficientStorage,
        .poisoned: .serviceUnavailable,
        .readOnly: .accessDenied,
        .inUse: .bucketNotEmpty,
        .notAStore: .internalError,
        .unsupported: .notImplemented,
        .io: .internalError,
        .cancelled: .serviceUnavailable,
    ]
}

/// A refusal in S3's terms.
struct S3Failure: Error {
    var code: S3Code
    var message: String
    var headers: HTTPHeaders = [:]
    /// Whether the client is told nothing but the status: the answer to a condition on a read.
    var isNotModified = false

    init(_ code: S3Code, _ message: String, headers: HTTPHeaders = [:]) {
        self.code = code
        self.message = message
        self.headers = headers
    }

    /// What a client is told of a driver's error. Of a failure on our side it gets no detail: that goes to the log.
    init(_ error: VarveError) {
        code = S3Code.rows[error.code] ?? .internalError
        message =
            switch code {
            case .noSuchKey: "The specified key does not exist."
            case .noSuchBucket: "The specified bucket does not exist."
            case .noSuchUpload: S3Failure.noSuchUpload.message
            case .bucketNotEmpty: "The bucket you tried to delete is not empty."
            case .preconditionFailed: "At least one of the pre-conditions you specified did not hold."
            case .invalidRange: "The requested range is not satisfiable."
            case .internalError: "We encountered an internal error. Please try again."
            case .serviceUnavailable: "The store takes no writes at present."
            case .insufficientStorage: "The store has no space left."
            default: error.message
            }
    }

    static let noSuchUpload = S3Failure(
        .noSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            + "completed.")
    static let notImplemented = S3Failure(
        .notImplemented, "A header or query you provided implies functionality that is not implemented.")

    /// The body: `<Error>…</Error>`.
    func xml(resource: String, requestID: String) -> [UInt8] {
        var xml = XMLWriter()
        xml.element("Error") { xml in
            xml.element("Code", code.rawValue)
            xml.element("Message", message)
            xml.element("Resource", resource)
            xml.element("RequestId", requestID)
        }
        return xml.bytes
    }
}
