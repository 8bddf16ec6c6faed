// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// One client's connection: takes requests one after another, hands each to the API, sends what it answers.
struct Connection: Sendable {
    let channel: NIOAsyncChannel<RequestPart, Never>
    let api: any HTTPAPI
    let settings: HTTPSettings
    let drain: Drain
    let logger: Logger

    /// Serves until either side closes. Errors of the connection end it and are nobody else's business.
    func run() async {
        do {
            try await channel.executeThenClose { inbound in
                let parts = PartReader(inbound)
                while let part = try await parts.next() {
                    switch part {
                    case .head(let head):
                        guard try await serve(head, parts) else { return }
                    case .malformed(let reason):
                        return try await refuse(reason)
                    case .body, .end:
                        return
                    }
                }
            }
        } catch {
            logger.trace("connection ended", metadata: ["error": "\(error)"])
        }
    }

    /// Answers one request.
    /// - Returns: Whether the connection can take another.
    private func serve(_ head: HTTPRequestHead, _ parts: PartReader) async throws -> Bool {
        let started = NIODeadline.now()
        var logger = logger
        logger[metadataKey: "request.id"] = "\(String(UInt64.random(in: .min ... .max), radix: 16))"
        let body = RequestBody(of: head, parts: parts, channel: channel.channel)
        // After a request that is not sound, nothing on the connection can be trusted.
        let fault = RequestCheck.fault(of: head, settings)
        var response = if let fault { api.response(to: fault, of: head) } else { await answer(head, body, logger) }

        var keepsAlive =
            fault == nil && head.isKeepAlive && !drain.hasBegun && body.fault == nil && !body.isAwaited
        if keepsAlive, !body.isComplete {
            // A short rest is read before the answer goes out, a long one is not waited for.
            if await !body.drain(most: settings.drainBytesMax) { keepsAlive = false }
        }
        if !body.isComplete { try await closeGently() }

        let writer = ResponseWriter(channel.channel)
        do {
            try await send(&response, to: head, keepsAlive: keepsAlive, writer)
        } catch {
            // The head is out: the only honest end is to cut the body short.
            log(error, logger)
            logAccess(head, response.status, writer.sent, started, logger)
            throw error
        }
        logAccess(head, response.status, writer.sent, started, logger)
        return keepsAlive
    }

    private func answer(_ head: HTTPRequestHead, _ body: RequestBody, _ logger: Logger) async -> HTTPResponse {
        do {
            return try await api.respond(to: HTTPRequest(head: head, body: body, logger: logger))
        } catch {
            switch body.fault {
            case .malformed: return api.response(to: .malformedBody, of: head)
            case .cutOff: return api.response(to: .bodyBrokeOff, of: head)
            case nil: break
            }
            let response = api.response(to: error, of: head)
            if response.status.code >= 500, !api.isRefusal(error) { log(error, logger) }
            return response
        }
    }

    private func send(
        _ response: inout HTTPResponse, to request: HTTPRequestHead, keepsAlive: Bool, _ writer: ResponseWriter
    ) async throws {
        let isHead = request.method == .HEAD
        var length: UInt64?
        switch response.body {
        case .none: length = response.headers.contains(name: "content-length") ? nil : 0
        case .bytes(let bytes): length = UInt64(bytes.readableBytes)
        case .content(let content): length = content.length
        case .produced(let announced, _): length = announced
        }
        let hasNoBody = response.status == .noContent || response.status == .notModified
        if let length, !hasNoBody { response.headers.replaceOrAdd(name: "Content-Length", value: String(length)) }
        response.headers.replaceOrAdd(name: "Date", value: HTTPDate.now())
        if !keepsAlive {
            response.headers.replaceOrAdd(name: "Connection", value: "close")
        } else if request.isOldVersion {
            response.headers.replaceOrAdd(name: "Connection", value: "keep-alive")
        }
        let head = HTTPResponseHead(version: .http1_1, status: response.status, headers: response.headers)
        if isHead || hasNoBody {
            if case .content(let content) = response.body { content.discard() }
            return try await channel.channel.writeAndFlush(ResponsePart.whole(head, nil))
        }
        switch response.body {
        case .none:
            try await channel.channel.writeAndFlush(ResponsePart.whole(head, nil))
        case .bytes(let bytes):
            try await channel.channel.writeAndFlush(ResponsePart.whole(head, bytes))
        case .content(.bytes(let bytes)):
            try await channel.channel.writeAndFlush(ResponsePart.whole(head, bytes))
        case .content(let content):
            do { try await channel.channel.writeAndFlush(ResponsePart.head(head)) } catch {
                content.discard()
                throw error
            }
            try await writer.write(content)
            try await channel.channel.writeAndFlush(ResponsePart.end)
        case .produced(_, let produce):
            try await channel.channel.writeAndFlush(ResponsePart.head(head))
            try await produce(writer)
            try await channel.channel.writeAndFlush(ResponsePart.end)
        }
    }

    /// Answers bytes that are no request.
    private func refuse(_ reason: RequestPart.Malformed) async throws {
        let fault: HTTPFault
        switch reason {
        case .cutOff: return
        case .headersTooLarge: fault = .headersTooLarge
        case .targetTooLong: fault = .targetTooLong
        case .syntax: fault = .notHTTP
        }
        var response = api.response(to: fault, of: nil)
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
        try await send(&response, to: head, keepsAlive: false, ResponseWriter(channel.channel))
    }

    private func closeGently() async throws {
        let channel = channel.channel
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: WireAdapter.self).closesGently()
        }.get()
    }

    private func log(_ error: any Error, _ logger: Logger) {
        if error is ChannelError || error is IOError || error is CancellationError {
            logger.debug("client went away", metadata: ["error": "\(error)"])
        } else {
            logger.error("request failed", metadata: ["error": "\(error)"])
        }
    }

    private func logAccess(
        _ head: HTTPRequestHead, _ status: HTTPResponseStatus, _ bytes: UInt64, _ started: NIODeadline, _ logger: Logger
    ) {
        logger.debug(
            "request",
            metadata: [
                "http.method": "\(head.method)", "http.path": "\(head.uri.prefix { $0 != "?" })",
                "http.status": "\(status.code)", "http.bytes": "\(bytes)",
                "http.seconds": "\(Double((NIODeadline.now() - started).nanoseconds) / 1e9)",
            ])
    }
}

/// What a request must be whatever it asks for.
enum RequestCheck {
    /// Why it is refused; nil if it is sound.
    static func fault(of head: HTTPRequestHead, _ settings: HTTPSettings) -> HTTPFault? {
        guard head.uri.utf8.count <= settings.targetBytesMax else {
            return .targetTooLong
        }
        let hosts = head.headers["host"].count
        guard hosts == 1 || (hosts == 0 && head.isOldVersion) else {
            return .noHost
        }
        let codings = head.headers[canonicalForm: "transfer-encoding"]
        if !codings.isEmpty {
            guard !head.isOldVersion, !head.headers.contains(name: "content-length") else {
                return .contradictingLengths
            }
            guard codings.count == 1, codings[0].lowercased() == "chunked" else {
                return .transferCoding
            }
        }
        // An empty list expects nothing (RFC 9110, section 5.6.1.2).
        for expectation in head.headers["expect"] where !["", "100-continue"].contains(expectation.lowercased()) {
            return .expectation
        }
        return nil
    }
}
