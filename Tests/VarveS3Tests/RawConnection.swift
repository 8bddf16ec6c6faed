// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import NIOCore
import NIOPosix
import Testing

/// A response as it came over the wire.
struct Reply: CustomStringConvertible {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    var description: String { "\(status) \(headers) \(text.prefix(300))" }

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }

    func all(_ name: String) -> [String] { headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value) }

    /// What stands in the first element of that name.
    func element(_ name: String) -> String? {
        guard let start = text.range(of: "<\(name)>"),
            let end = text.range(of: "</\(name)>", range: start.upperBound..<text.endIndex)
        else { return nil }
        return String(text[start.upperBound..<end.lowerBound])
    }

    /// What stands in all elements of that name.
    func elements(_ name: String) -> [String] {
        text.components(separatedBy: "<\(name)>").dropFirst().compactMap {
            $0.components(separatedBy: "</\(name)>").first
        }
    }

    /// The S3 code of an error body.
    var code: String? { element("Code") }
}

/// A TCP connection on which a test writes what it likes.
final class RawConnection {
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private let channel: any Channel
    private var received: [UInt8] = []

    private init(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>,
        _ channel: any Channel
    ) {
        self.inbound = inbound.makeAsyncIterator()
        self.outbound = outbound
        self.channel = channel
    }

    static func open<Value: Sendable>(
        _ port: Int, receiveBufferBytes: Int? = nil, _ body: (RawConnection) async throws -> Value
    ) async throws -> Value {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let receiveBufferBytes {
                        try channel.syncOptions?.setOption(
                            .socketOption(.so_rcvbuf), value: .init(receiveBufferBytes))
                    }
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await body(RawConnection(inbound, outbound, channel.channel))
        }
    }

    func write(_ text: String) async throws { try await outbound.write(ByteBuffer(string: text)) }

    func write(_ bytes: [UInt8]) async throws { try await outbound.write(ByteBuffer(bytes: bytes)) }

    /// Closes the sending half.
    func finishWriting() async throws { try await channel.close(mode: .output).get() }

    /// A whole request and its response.
    func request(
        _ method: String, _ target: String, _ headers: [(String, String)] = [], body: [UInt8]? = nil
    ) async throws -> Reply {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body, !headers.contains(where: { $0.0.lowercased() == "transfer-encoding" }) {
            head += "Content-Length: \(body.count)\r\n"
        }
        try await write(Array((head + "\r\n").utf8) + (body ?? []))
        return try await reply(toHead: method == "HEAD")
    }

    /// The next response.
    /// - Throws: If the connection ends before the response does.
    func reply(toHead: Bool = false) async throws -> Reply {
        while true {
            if let end = received.firstRange(of: Array("\r\n\r\n".utf8)) {
                var reply = try head(String(decoding: received[..<end.lowerBound], as: UTF8.self))
                received.removeSubrange(..<end.upperBound)
                if toHead || reply.status < 200 || reply.status == 204 || reply.status == 304 { return reply }
                if let length = reply.header("content-length").flatMap({ Int($0) }) {
                    while received.count < length { try await more() }
                    reply.body = Array(received.prefix(length))
                    received.removeFirst(length)
                } else if reply.header("transfer-encoding") == "chunked" {
                    reply.body = try await chunks()
                } else {
                    Issue.record("a response without a length: \(reply)")
                }
                return reply
            }
            try await more()
        }
    }

    /// Whether the server closes the connection; what it sends before that is dropped.
    func isClosed() async -> Bool {
        do {
            while try await inbound.next() != nil {}
            return true
        } catch {
            return true
        }
    }

    /// Bytes that come until the server closes.
    func untilClosed() async -> [UInt8] {
        do { while true { try await more() } } catch { return received }
    }

    struct Ended: Error {}

    private func more() async throws {
        guard let bytes = try await inbound.next() else { throw Ended() }
        received.append(contentsOf: bytes.readableBytesView)
    }

    private func head(_ text: String) throws -> Reply {
        var lines = text.components(separatedBy: "\r\n")
        let status = try #require(Int(lines.removeFirst().split(separator: " ")[1]))
        let headers = lines.map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return (String(parts[0]), parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "")
        }
        return Reply(status: status, headers: headers, body: [])
    }

    private func chunks() async throws -> [UInt8] {
        var body: [UInt8] = []
        while true {
            while received.firstRange(of: [13, 10]) == nil { try await more() }
            guard let line = received.firstRange(of: [13, 10]) else { throw Ended() }
            let size = try #require(Int(String(decoding: received[..<line.lowerBound], as: UTF8.self), radix: 16))
            received.removeSubrange(..<line.upperBound)
            while received.count < size + 2 { try await more() }
            body += received.prefix(size)
            received.removeFirst(size + 2)
            if size == 0 { return body }
        }
    }
}
