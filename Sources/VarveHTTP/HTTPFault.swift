// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import NIOHTTP1

/// What is wrong with a request whatever it asks for.
package enum HTTPFault: Sendable, Hashable, CaseIterable {
    /// The request target is longer than the settings allow.
    case targetTooLong
    /// No `Host` field, or several.
    case noHost
    /// `Content-Length` beside `Transfer-Encoding`, or a transfer coding in HTTP/1.0.
    case contradictingLengths
    /// A transfer coding other than `chunked`.
    case transferCoding
    /// An expectation other than `100-continue`.
    case expectation
    /// More header fields, or longer ones, than the settings allow.
    case headersTooLarge
    /// The bytes are no HTTP.
    case notHTTP
    /// The body is not coded as the head says.
    case malformedBody
    /// The connection ended within the body.
    case bodyBrokeOff

    /// The status for it.
    package var status: HTTPResponseStatus {
        switch self {
        case .targetTooLong: .uriTooLong
        case .transferCoding: .notImplemented
        case .expectation: .expectationFailed
        case .headersTooLarge: .requestHeaderFieldsTooLarge
        case .noHost, .contradictingLengths, .notHTTP, .malformedBody, .bodyBrokeOff: .badRequest
        }
    }

    /// A sentence for a person.
    package var message: String {
        switch self {
        case .targetTooLong: "the request target is too long"
        case .noHost: "a request needs one Host field"
        case .contradictingLengths: "contradicting lengths"
        case .transferCoding: "transfer coding not supported"
        case .expectation: "expectation not supported"
        case .headersTooLarge: "header block too large"
        case .notHTTP: "malformed request"
        case .malformedBody: "malformed request body"
        case .bodyBrokeOff: "the request body broke off"
        }
    }
}
