// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveModel
import VarveOCI

/// An error code of the OCI distribution specification ("Error Codes"), and `UNKNOWN` for what is our fault.
enum OCICode: String, Sendable, CaseIterable {
    case blobUnknown = "BLOB_UNKNOWN"
    case blobUploadInvalid = "BLOB_UPLOAD_INVALID"
    case blobUploadUnknown = "BLOB_UPLOAD_UNKNOWN"
    case digestInvalid = "DIGEST_INVALID"
    case manifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
    case manifestInvalid = "MANIFEST_INVALID"
    case manifestUnknown = "MANIFEST_UNKNOWN"
    case nameInvalid = "NAME_INVALID"
    case nameUnknown = "NAME_UNKNOWN"
    case sizeInvalid = "SIZE_INVALID"
    case unauthorized = "UNAUTHORIZED"
    case denied = "DENIED"
    case unsupported = "UNSUPPORTED"
    case tooManyRequests = "TOOMANYREQUESTS"
    /// Only with 5xx, whose bodies the specification leaves open.
    case unknown = "UNKNOWN"
}

/// The one table that says how an error of the engine looks from outside.
enum ErrorTable {
    /// Status and code for each kind of failure.
    static let rows: [VarveError.Code: (status: HTTPResponseStatus, code: OCICode)] = [
        .notFound: (.notFound, .nameUnknown),
        .blobUnknown: (.notFound, .blobUnknown),
        .manifestUnknown: (.notFound, .manifestUnknown),
        .repositoryUnknown: (.notFound, .nameUnknown),
        .uploadUnknown: (.notFound, .blobUploadUnknown),
        .bucketUnknown: (.notFound, .nameUnknown),
        .manifestBlobUnknown: (.notFound, .manifestBlobUnknown),
        .manifestInvalid: (.badRequest, .manifestInvalid),
        .nameInvalid: (.badRequest, .nameInvalid),
        .digestInvalid: (.badRequest, .digestInvalid),
        .digestMismatch: (.badRequest, .digestInvalid),
        .sizeMismatch: (.badRequest, .sizeInvalid),
        .rangeNotSatisfiable: (.rangeNotSatisfiable, .sizeInvalid),
        .offsetMismatch: (.rangeNotSatisfiable, .blobUploadInvalid),
        .uploadBusy: (.conflict, .blobUploadInvalid),
        .invalidArgument: (.badRequest, .unsupported),
        .tooLarge: (.payloadTooLarge, .sizeInvalid),
        .preconditionFailed: (.preconditionFailed, .denied),
        .corrupted: (.internalServerError, .unknown),
        .outOfSpace: (.insufficientStorage, .unknown),
        .poisoned: (.serviceUnavailable, .unknown),
        .readOnly: (.methodNotAllowed, .unsupported),
        .inUse: (.conflict, .denied),
        .notAStore: (.internalServerError, .unknown),
        .unsupported: (.notImplemented, .unsupported),
        .io: (.internalServerError, .unknown),
        .cancelled: (.serviceUnavailable, .unknown),
    ]

    /// Status and code of one kind; 500 for a kind that a later version of the engine added.
    static func row(_ code: VarveError.Code) -> (status: HTTPResponseStatus, code: OCICode) {
        rows[code] ?? (.internalServerError, .unknown)
    }
}

/// A refusal that the front end itself makes, or makes out of an engine's error.
struct Refusal: Error {
    var status: HTTPResponseStatus
    var code: OCICode
    var message: String
    var headers: HTTPHeaders = [:]

    init(_ status: HTTPResponseStatus, _ code: OCICode, _ message: String, headers: HTTPHeaders = [:]) {
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
    }

    /// What a client is told of an engine's error. Of a failure on our side it gets no detail: that goes to the log.
    init(_ error: VarveError) {
        let row = ErrorTable.row(error.code)
        self.init(row.status, row.code, row.status.code >= 500 ? row.status.reasonPhrase.lowercased() : error.message)
    }

    /// The body: `{"errors":[{"code":…,"message":…}]}`.
    var json: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.key("errors")
            json.array { json in
                json.object { json in
                    json.key("code")
                    json.value(code.rawValue)
                    json.key("message")
                    json.value(message)
                }
            }
        }
        return json.bytes
    }
}
