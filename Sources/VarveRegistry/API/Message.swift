// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOCore
import NIOHTTP1
import VarveEngine
import VarveModel

/// A request on its way through an API.
struct Request {
    var head: HTTPRequestHead
    var target: RequestTarget
    var body: RequestBody
    var logger: Logger

    /// The media type of the body, as sent.
    var contentType: String? { head.headers.first(name: "content-type") }
}

/// What an API answers.
struct Response {
    /// The bytes behind the head.
    enum Body {
        case none
        case bytes(ByteBuffer)
        /// A blob or a part of one.
        case content(BlobContent)
        /// Made while it is sent. The length is nil if it is not known beforehand; then the body goes out in chunks.
        case produced(length: UInt64?, (ResponseWriter) async throws -> Void)
    }

    var status: HTTPResponseStatus
    var headers: HTTPHeaders
    var body: Body

    init(_ status: HTTPResponseStatus, _ headers: HTTPHeaders = [:], body: Body = .none) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A JSON text, `application/json` unless the headers say otherwise.
    init(_ status: HTTPResponseStatus, _ headers: HTTPHeaders = [:], json: [UInt8]) {
        self.init(status, headers, body: .bytes(ByteBuffer(bytes: json)))
        if !headers.contains(name: "content-type") { self.headers.add(name: "Content-Type", value: "application/json") }
    }

    init(_ refusal: Refusal) { self.init(refusal.status, refusal.headers, json: refusal.json) }
}

/// Answers requests: the OCI API, or the control API.
protocol API: Sendable {
    /// The answer. Whatever of the body is not read is dropped by the caller.
    func respond(to request: Request) async throws -> Response
}
