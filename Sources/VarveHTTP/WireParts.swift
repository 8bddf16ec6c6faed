// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1

/// What a connection's task receives.
enum RequestPart: Sendable {
    case head(HTTPRequestHead)
    case body(ByteBuffer)
    case end
    /// The bytes are no HTTP; nothing comes after it.
    case malformed(Malformed)

    /// What was wrong with the bytes.
    enum Malformed: Sendable {
        /// More header fields, or longer ones, than the settings allow.
        case headersTooLarge
        /// A request line that is longer than a header field may be.
        case targetTooLong
        /// The connection ended in the middle of a request.
        case cutOff
        /// Anything else.
        case syntax
    }
}

/// What a connection's task sends. Each is written and flushed on its own, and done when its bytes are with the system.
enum ResponsePart: Sendable {
    /// A whole response.
    case whole(HTTPResponseHead, ByteBuffer?)
    /// The head of a response whose body follows, or an interim one.
    case head(HTTPResponseHead)
    /// A piece of a body.
    case body(ByteBuffer)
    /// A piece of a body that lies in a file. The file stays open until the write is done, closing it is the sender's.
    case file(any FileContent)
    /// The end of a response.
    case end
}
