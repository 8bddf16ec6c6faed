// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOCore
import NIOHTTP1
import VarveEngine
import VarveHTTP
import VarveModel

/// A request on its way through an API, with its target taken apart.
struct Request {
    var head: HTTPRequestHead
    var target: RequestTarget
    var body: RequestBody
    var logger: Logger

    /// - Throws: ``Refusal`` if the target is malformed.
    init(_ request: HTTPRequest) throws(Refusal) {
        guard let target = RequestTarget(request.head.uri) else {
            throw Refusal(.badRequest, .nameInvalid, "malformed request target")
        }
        self.target = target
        head = request.head
        body = request.body
        logger = request.logger
    }

    /// The media type of the body, as sent.
    var contentType: String? { head.headers.first(name: "content-type") }
}

typealias Response = HTTPResponse

extension HTTPResponse {
    /// A JSON text, `application/json` unless the headers say otherwise.
    init(_ status: HTTPResponseStatus, _ headers: HTTPHeaders = [:], json: [UInt8]) {
        self.init(status, headers, body: .bytes(ByteBuffer(bytes: json)))
        if !headers.contains(name: "content-type") { self.headers.add(name: "Content-Type", value: "application/json") }
    }

    init(_ refusal: Refusal) { self.init(refusal.status, refusal.headers, json: refusal.json) }
}

/// Answers requests: the OCI API, or the control API. Both speak of errors alike.
protocol API: HTTPAPI {
    /// The answer. Whatever of the body is not read is dropped by the caller.
    func respond(to request: Request) async throws -> Response
}

extension API {
    func respond(to request: HTTPRequest) async throws -> HTTPResponse {
        try await respond(to: try Request(request))
    }

    func response(to error: any Error, of head: HTTPRequestHead) -> HTTPResponse {
        switch error {
        case let refusal as Refusal: Response(refusal)
        case let error as VarveError: Response(Refusal(error))
        default: Response(Refusal(VarveError(.io, "internal error", cause: error)))
        }
    }

    func isRefusal(_ error: any Error) -> Bool { error is Refusal }

    func response(to fault: HTTPFault, of head: HTTPRequestHead?) -> HTTPResponse {
        let code: OCICode =
            switch fault {
            case .contradictingLengths, .headersTooLarge, .malformedBody, .bodyBrokeOff: .sizeInvalid
            case .targetTooLong, .noHost, .transferCoding, .expectation, .notHTTP: .unsupported
            }
        return Response(Refusal(fault.status, code, fault.message))
    }
}
