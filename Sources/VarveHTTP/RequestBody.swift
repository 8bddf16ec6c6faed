// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import NIOCore
import NIOHTTP1

/// The body of the request at hand, read from the connection while it is asked for. For the connection's task alone.
package final class RequestBody: AsyncSequence {
    package typealias Element = ByteBuffer

    /// Why a body ended before its end.
    package enum Fault: Error {
        /// The client went away.
        case cutOff
        /// The bytes are no HTTP.
        case malformed
    }

    /// The announced length; nil if the body comes in chunks.
    package let length: UInt64?
    /// Bytes that came.
    package private(set) var received: UInt64 = 0
    /// Whether all of it came.
    package private(set) var isComplete = false
    /// Why it broke off, if it did.
    package private(set) var fault: Fault?
    /// Whether the client waits for `100 Continue` before it sends.
    package private(set) var isAwaited: Bool

    private let parts: PartReader
    private let channel: any Channel

    init(of head: HTTPRequestHead, parts: PartReader, channel: any Channel) {
        self.parts = parts
        self.channel = channel
        if head.headers.contains(name: "transfer-encoding") {
            length = nil
        } else {
            length = head.headers.first(name: "content-length").flatMap { UInt64($0) } ?? 0
        }
        isAwaited =
            length != 0 && !head.isOldVersion
            && head.headers["expect"].contains { $0.lowercased() == "100-continue" }
    }

    /// The next piece; nil at the end.
    /// - Throws: ``Fault``.
    package func next() async throws -> ByteBuffer? {
        if isComplete { return nil }
        if let fault { throw fault }
        if isAwaited {
            isAwaited = false
            try await channel.writeAndFlush(ResponsePart.head(HTTPResponseHead(version: .http1_1, status: .continue)))
        }
        switch try? await parts.next() {
        case .body(let piece):
            received &+= UInt64(piece.readableBytes)
            return piece
        case .end:
            isComplete = true
            return nil
        case .malformed(.cutOff), .none:
            fault = .cutOff
            throw Fault.cutOff
        case .malformed, .head:
            fault = .malformed
            throw Fault.malformed
        }
    }

    /// Drops what is left, up to `most` bytes.
    /// - Returns: Whether the connection is at the end of the request now.
    func drain(most: Int) async -> Bool {
        guard !isAwaited, fault == nil else { return isComplete }
        if let length, length &- received > UInt64(most) { return isComplete }
        var dropped = 0
        while dropped <= most {
            guard let piece = try? await next() else { break }
            dropped += piece.readableBytes
        }
        return isComplete
    }

    package func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    package struct Iterator: AsyncIteratorProtocol {
        let body: RequestBody
        package mutating func next() async throws -> ByteBuffer? { try await body.next() }
    }
}

/// The parts of a connection, one after another, for its task alone.
final class PartReader {
    private var iterator: NIOAsyncChannelInboundStream<RequestPart>.AsyncIterator

    init(_ stream: NIOAsyncChannelInboundStream<RequestPart>) { iterator = stream.makeAsyncIterator() }

    /// The next part; nil when the connection is at its end.
    func next() async throws -> RequestPart? { try await iterator.next() }
}

extension HTTPRequestHead {
    /// Whether the request is of HTTP/1.0, whose clients know no chunks, no interim responses and need no `Host`.
    var isOldVersion: Bool { version.major == 1 && version.minor == 0 }
}
