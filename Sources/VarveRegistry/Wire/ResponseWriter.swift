// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveEngine
import VarveModel

/// Sends one response's body. Every call returns when its bytes are with the system: so there is never more than one
/// piece in memory, and a reader that stops taking stops whoever produces.
final class ResponseWriter {
    /// Bytes sent so far.
    private(set) var sent: UInt64 = 0
    private let channel: any Channel

    init(_ channel: any Channel) { self.channel = channel }

    /// Sends some bytes.
    func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await channel.writeAndFlush(ResponsePart.body(bytes))
        sent &+= UInt64(bytes.readableBytes)
    }

    /// Sends all of a blob's bytes.
    /// - Throws: What the stream throws: then the body must stay unfinished.
    func write(_ content: BlobContent) async throws {
        switch content {
        case .bytes(let bytes): try await write(bytes)
        case .file(let file):
            defer { file.close() }
            try await channel.writeAndFlush(ResponsePart.file(file))
            sent &+= file.length
        case .stream(let stream):
            var given: UInt64 = 0
            while let piece = try await stream.next() {
                given &+= UInt64(piece.readableBytes)
                // The last piece only when the stream has looked at the whole: or the client would have it all already.
                if given >= stream.length, try await stream.next() != nil {
                    throw VarveError(.corrupted, "the stream gave more than the blob's length")
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

extension BlobContent {
    /// Bytes in all.
    var length: UInt64 {
        switch self {
        case .bytes(let bytes): UInt64(bytes.readableBytes)
        case .file(let file): file.length
        case .stream(let stream): stream.length
        }
    }

    /// Lets go of it unsent.
    func discard() {
        if case .file(let file) = self { file.close() }
    }
}
