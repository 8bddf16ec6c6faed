// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import Logging
package import NIOCore
package import NIOHTTP1

/// A request on its way to an API. Its target is text still: each API has its own idea of what a path may hold.
package struct HTTPRequest {
    package var head: HTTPRequestHead
    package var body: RequestBody
    package var logger: Logger

    package init(head: HTTPRequestHead, body: RequestBody, logger: Logger) {
        self.head = head
        self.body = body
        self.logger = logger
    }
}

/// What an API answers.
package struct HTTPResponse {
    /// The bytes behind the head.
    package enum Body {
        case none
        case bytes(ByteBuffer)
        /// Something stored, or a part of it.
        case content(HTTPContent)
        /// Made while it is sent. The length is nil if it is not known beforehand; then the body goes out in chunks.
        case produced(length: UInt64?, (ResponseWriter) async throws -> Void)
    }

    package var status: HTTPResponseStatus
    package var headers: HTTPHeaders
    package var body: Body

    package init(_ status: HTTPResponseStatus, _ headers: HTTPHeaders = [:], body: Body = .none) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Answers requests: one front end's rules over the common server.
package protocol HTTPAPI: Sendable {
    /// The answer. Whatever of the body is not read is dropped by the caller.
    func respond(to request: HTTPRequest) async throws -> HTTPResponse

    /// What a client is told of an error that ``respond(to:)`` threw. With a status of 500 and above the server logs the
    /// error, unless ``isRefusal(_:)``.
    func response(to error: any Error, of head: HTTPRequestHead) -> HTTPResponse

    /// Whether the error is an answer that the API gave on purpose, which is nobody's failure.
    func isRefusal(_ error: any Error) -> Bool

    /// What a client is told of a request that no API gets to see. The head is nil if the bytes are no request at all.
    func response(to fault: HTTPFault, of head: HTTPRequestHead?) -> HTTPResponse
}
