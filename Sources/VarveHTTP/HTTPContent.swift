// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import NIOCore

/// Where the bytes of a body come from. Either way they are exactly the bytes announced, in order.
package enum HTTPContent: Sendable {
    /// An open file, sent by `sendfile`. Closing it is up to the server, once.
    case file(any FileContent)
    /// Bytes in memory.
    case bytes(ByteBuffer)
    /// Bytes made while they are asked for.
    case stream(any StreamContent)

    /// Bytes in all.
    package var length: UInt64 {
        switch self {
        case .bytes(let bytes): UInt64(bytes.readableBytes)
        case .file(let file): file.length
        case .stream(let stream): stream.length
        }
    }

    /// Lets go of it unsent.
    package func discard() {
        if case .file(let file) = self { file.close() }
    }
}

/// A range of an open file.
package protocol FileContent: Sendable {
    /// The open descriptor; valid until ``close()``.
    var descriptor: CInt { get }
    /// First byte of the range in the file.
    var offset: UInt64 { get }
    /// Bytes in the range.
    var length: UInt64 { get }
    /// Closes the descriptor; further calls do nothing.
    func close()
}

/// Bytes that are made piece by piece, for one reader.
package protocol StreamContent: Sendable {
    /// Bytes that the stream gives in all.
    var length: UInt64 { get }
    /// The next piece; nil at the end. After an error the response is cut off, not ended.
    func nextPiece() async throws -> ByteBuffer?
}
