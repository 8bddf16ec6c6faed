// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
public import VarveEngine
public import VarveModel

/// Talks to the process that serves a store, over the socket in the store's directory. One request at a time; each has a
/// connection of its own.
public struct ControlClient: Sendable {
    private let path: String

    /// A client of the process that serves the store at `storePath`.
    /// - Returns: nil if no process does.
    /// - Throws: ``VarveError`` with code `io` if there is one and it can not be reached (it is another user's).
    public static func connect(storePath: String) async throws(VarveError) -> ControlClient? {
        let client = ControlClient(path: storePath)
        do {
            try await client.open().executeThenClose { _, _ in }
            return client
        } catch let error as IOError where [ENOENT, ECONNREFUSED, ENOTDIR].contains(error.errnoCode) {
            return nil
        } catch {
            throw VarveError(.io, "can not reach the server of \(storePath)", cause: error)
        }
    }

    /// Ends the client.
    public func close() async {}

    /// The store's figures, as the server sees them.
    public func stats() async throws(VarveError) -> StoreStats {
        guard case .stats(let stats) = try await ask(.GET, "/stats", expecting: .stats) else { throw ControlClient.odd }
        return stats
    }

    /// Settles everything that waits, and with `evict` drops the raw bytes of every settled blob.
    public func settle(evict: Bool, progress: ((Progress) -> Void)? = nil) async throws(VarveError) {
        _ = try await ask(.POST, evict ? "/settle?evict=true" : "/settle", expecting: .settled, progress)
    }

    /// Reads everything again and compares it with its digests.
    public func verify(progress: ((Progress) -> Void)? = nil) async throws(VarveError) -> VerifyReport {
        guard case .verified(let report) = try await ask(.POST, "/verify", expecting: .verified, progress) else {
            throw ControlClient.odd
        }
        return report
    }

    private static let odd = VarveError(.io, "the server's answer can not be understood")

    private typealias Wire = NIOAsyncChannel<HTTPClientResponsePart, HTTPPart<HTTPRequestHead, ByteBuffer>>

    private func open() async throws -> Wire {
        try await ControlSocket.withAddress(in: path) { address in
            try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(to: address) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        HTTPRequestEncoder(), ByteToMessageHandler(HTTPResponseDecoder()), RequestParts(),
                    ])
                    return try Wire(wrappingChannelSynchronously: channel)
                }
            }
        }
    }

    private func ask(
        _ method: HTTPMethod, _ target: String, expecting: ControlMessage.Expectation,
        _ progress: ((Progress) -> Void)? = nil
    ) async throws(VarveError) -> ControlMessage {
        let answer: ControlMessage?
        do {
            answer = try await open().executeThenClose { inbound, outbound in
                let headers: HTTPHeaders = ["Host": "localhost", "Connection": "close", "Content-Length": "0"]
                let head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: headers)
                // Both at once: the server answers when it has the head, and closes.
                try await outbound.write(contentsOf: [.head(head), .end(nil)])
                var lines = LineSplitter()
                for try await part in inbound {
                    guard case .body(let bytes) = part else { continue }
                    for line in try lines.append(bytes) {
                        let message = try ControlMessage(line: line, expecting: expecting)
                        guard case .progress(let report) = message else { return message }
                        progress?(report)
                    }
                }
                return nil
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.io, "the connection to the server broke", cause: error)
        }
        guard let answer else { throw VarveError(.io, "the server ended before it had answered") }
        if case .failed(let error) = answer { throw error }
        return answer
    }
}

/// Cuts a stream into lines.
private struct LineSplitter {
    private var rest: [UInt8] = []

    /// The lines that are whole now.
    mutating func append(_ bytes: ByteBuffer) throws -> [[UInt8]] {
        rest.append(contentsOf: bytes.readableBytesView)
        var lines: [[UInt8]] = []
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(Array(rest[..<end]))
            rest.removeSubrange(...end)
        }
        guard rest.count <= 16 << 20 else { throw VarveError(.tooLarge, "a line of the server's answer is too long") }
        return lines
    }
}

/// Wraps request bodies in the type that the encoder takes.
private final class RequestParts: ChannelOutboundHandler {
    typealias OutboundIn = HTTPPart<HTTPRequestHead, ByteBuffer>
    typealias OutboundOut = HTTPClientRequestPart

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let part: HTTPClientRequestPart =
            switch Self.unwrapOutboundIn(data) {
            case .head(let head): .head(head)
            case .body(let bytes): .body(.byteBuffer(bytes))
            case .end(let trailers): .end(trailers)
            }
        context.write(Self.wrapOutboundOut(part), promise: promise)
    }
}
