// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import NIOCore
import NIOHTTP1
import VarveModel

/// Sends one response's body. Every call returns when its bytes are with the system: so there is never more than one
/// piece in memory, and a reader that stops taking stops whoever produces.
package final class ResponseWriter {
    /// Bytes sent so far.
    package private(set) var sent: UInt64 = 0
    private let channel: any Channel

    init(_ channel: any Channel) { self.channel = channel }

    /// Sends some bytes.
    package func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await channel.writeAndFlush(ResponsePart.body(bytes))
        sent &+= UInt64(bytes.readableBytes)
    }

    /// Sends all of something's bytes.
    /// - Throws: What the stream throws: then the body must stay unfinished.
    package func write(_ content: HTTPContent) async throws {
        switch content {
        case .bytes(let bytes): try await write(bytes)
        case .file(let file):
            defer { file.close() }
            try await channel.writeAndFlush(ResponsePart.file(file))
            sent &+= file.length
        case .stream(let stream):
            var given: UInt64 = 0
            while let piece = try await stream.nextPiece() {
                given &+= UInt64(piece.readableBytes)
                // The last piece only when the stream has looked at the whole: or the client would have it all already.
                if given >= stream.length, try await stream.nextPiece() != nil {
                    throw VarveError(.corrupted, "the stream gave more than its length")
                }
                try await write(piece)
                if given >= stream.length { break }
            }
            guard given == stream.length else {
                throw VarveError(.corrupted, "the stream gave \(given) of \(stream.length) bytes")
            }
        }
    }
}
