// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc

/// A keep-alive HTTP/1.1 client over one blocking loopback socket. It is made for measuring: the client's own work stays
/// small next to the server's (bodies go out of memory, unwanted bodies are dropped inside the kernel).
package final class HTTPConnection {
    /// What to do with the body of an answer.
    package enum Sink: Sendable {
        /// Copied to user space, as a client does that writes it somewhere, and counted.
        case count
        /// Counted, but dropped inside the kernel: the cheapest client there can be.
        case discard
        /// Kept, up to that many bytes; a longer one is an error.
        case collect(limit: Int)
        /// Hashed with SHA-256.
        case digest
    }

    /// An answer, read to its end.
    package struct Response {
        package let status: Int
        /// Names in lower case.
        package let headers: [String: String]
        package internal(set) var body: [UInt8] = []
        package internal(set) var bodyBytes = 0
        /// `sha256:…`, with ``Sink/digest``.
        package internal(set) var digest: String?
    }

    private let host: String
    private let port: UInt16
    private let timeoutSeconds: Int
    private var descriptor: Int32 = -1
    private var buffer = [UInt8](repeating: 0, count: 256 * 1024)
    /// Received and not used yet: `buffer[start..<end]`.
    private var start = 0
    private var end = 0

    /// - Parameter timeoutSeconds: How long one call on the socket may take before the request fails.
    package init(host: String, port: UInt16, timeoutSeconds: Int = 120) throws {
        self.host = host
        self.port = port
        self.timeoutSeconds = timeoutSeconds
        try open()
    }

    deinit { close() }

    private func open() throws {
        close()
        let socketDescriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socketDescriptor >= 0 else { throw RigError.system("socket") }
        descriptor = socketDescriptor
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        var address = loopbackAddress(port: port)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                connect(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            let error = RigError.system("connect to port \(port)")
            close()
            throw error
        }
    }

    private func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
        start = 0
        end = 0
    }

    /// Sends a request and reads its answer. A connection that the server closed after the answer before is opened again.
    /// - Parameters:
    ///   - body: Pieces of the body; nil sends none and no length.
    /// - Throws: ``RigError`` when the connection breaks or the answer is no HTTP.
    package func request(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UnsafeRawBufferPointer]? = nil,
        sink: Sink = .collect(limit: 8 << 20)
    ) throws -> Response {
        if descriptor < 0 { try open() }
        do {
            return try exchange(method, target, headers: headers, body: body, sink: sink)
        } catch {
            close()
            throw error
        }
    }

    private func exchange(
        _ method: String, _ target: String, headers: [(String, String)], body: [UnsafeRawBufferPointer]?, sink: Sink
    ) throws -> Response {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: \(host):\(port)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.reduce(0) { $0 + $1.count })\r\n" }
        head += "\r\n"
        var broken: RigError?
        do {
            var text = head
            let more = body?.contains { !$0.isEmpty } ?? false
            try text.withUTF8 { try send(UnsafeRawBufferPointer($0), more: more) }
            for piece in body ?? [] { try send(piece, more: false) }
        } catch let error as RigError {
            // A server may refuse a body before it has all of it; then its answer says more than the broken pipe.
            broken = error
        }
        do {
            var response = try readHead()
            while response.status == 100 { response = try readHead() }
            try readBody(of: &response, method: method, sink: sink)
            if response.headers["connection"]?.lowercased() == "close" || broken != nil { close() }
            return response
        } catch {
            throw broken ?? error
        }
    }

    private func send(_ bytes: UnsafeRawBufferPointer, more: Bool) throws {
        var sent = 0
        let flags = Int32(MSG_NOSIGNAL) | (more ? Int32(MSG_MORE) : 0)
        while sent < bytes.count {
            guard let base = bytes.baseAddress else { return }
            let count = Glibc.send(descriptor, base + sent, bytes.count - sent, flags)
            if count < 0 {
                if errno == EINTR { continue }
                throw RigError.system("send")
            }
            sent += count
        }
    }

    /// Receives into the free part of the buffer, at least one byte.
    private func receive() throws {
        if start == end {
            start = 0
            end = 0
        } else if end == buffer.count {
            buffer.replaceSubrange(0..<(end - start), with: Array(buffer[start..<end]))
            end -= start
            start = 0
        }
        let count = try receive(into: end)
        guard count > 0 else { throw RigError("the server closed the connection") }
        end += count
    }

    /// One `recv` to an offset of the buffer; 0 at the end of the stream.
    private func receive(into offset: Int) throws -> Int {
        while true {
            let count = buffer.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { recv(descriptor, $0 + offset, bytes.count - offset, 0) } ?? 0
            }
            if count >= 0 { return count }
            if errno != EINTR { throw RigError.system("recv") }
        }
    }

    private func readLine() throws -> String {
        var scanned = start
        while true {
            if let feed = buffer[scanned..<end].firstIndex(of: 10) {
                let line = buffer[start..<feed]
                start = feed + 1
                return String(decoding: line.last == 13 ? line.dropLast() : line, as: UTF8.self)
            }
            guard end - start < 65536 else { throw RigError("a header line is longer than 64 KiB") }
            let seen = end - start
            try receive()
            scanned = start + seen
        }
    }

    private func readHead() throws -> Response {
        let line = try readLine()
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw RigError("no status line: \(line)")
        }
        var headers: [String: String] = [:]
        while true {
            let line = try readLine()
            if line.isEmpty { break }
            guard let colon = line.firstIndex(of: ":") else { throw RigError("no header line: \(line)") }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers[line[..<colon].lowercased()] = String(value)
        }
        return Response(status: status, headers: headers)
    }

    private func readBody(of response: inout Response, method: String, sink: Sink) throws {
        if method == "HEAD" || response.status == 204 || response.status == 304 { return }
        let reader = try BodyReader(sink)
        if response.headers["transfer-encoding"]?.lowercased() == "chunked" {
            while true {
                let size = try readLine().prefix { $0 != ";" }
                guard let length = Int(size, radix: 16) else { throw RigError("no chunk size: \(size)") }
                if length == 0 { break }
                try readBytes(length, to: reader)
                guard try readLine().isEmpty else { throw RigError("a chunk is longer than it says") }
            }
            while try !readLine().isEmpty {}
        } else if let text = response.headers["content-length"] {
            guard let length = Int(text), length >= 0 else { throw RigError("no length: \(text)") }
            try readBytes(length, to: reader)
        } else {
            try readToEnd(reader)
        }
        response.bodyBytes = reader.count
        response.body = reader.collected
        response.digest = reader.finish()
    }

    private func readBytes(_ length: Int, to reader: BodyReader) throws {
        var left = length
        while left > 0 {
            if start < end {
                let count = min(left, end - start)
                try buffer.withUnsafeBytes {
                    try reader.take(UnsafeRawBufferPointer(rebasing: $0[start..<(start + count)]))
                }
                start += count
                left -= count
            } else if reader.isDiscarding {
                // MSG_TRUNC drops what has arrived without copying it.
                let count = recv(descriptor, nil, min(left, 8 << 20), Int32(MSG_TRUNC))
                if count < 0 && errno == EINTR { continue }
                guard count >= 0 else { throw RigError.system("recv") }
                guard count > 0 else { throw RigError("the body ended \(left) bytes early") }
                reader.skip(count)
                left -= count
            } else {
                do { try receive() } catch { throw RigError("the body ended \(left) bytes early: \(error)") }
            }
        }
    }

    private func readToEnd(_ reader: BodyReader) throws {
        while true {
            if start < end {
                try buffer.withUnsafeBytes { try reader.take(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
            }
            start = 0
            end = 0
            let count = try receive(into: 0)
            if count == 0 { break }
            end = count
        }
        close()
    }
}

/// Takes the bytes of a body as they come.
private final class BodyReader {
    private let sink: HTTPConnection.Sink
    private var hash: RunningSHA256?
    private(set) var collected: [UInt8] = []
    private(set) var count = 0

    init(_ sink: HTTPConnection.Sink) throws {
        self.sink = sink
        if case .digest = sink { hash = try RunningSHA256() }
    }

    var isDiscarding: Bool {
        if case .discard = sink { true } else { false }
    }

    func skip(_ bytes: Int) { count += bytes }

    func take(_ bytes: UnsafeRawBufferPointer) throws {
        count += bytes.count
        switch sink {
        case .count, .discard: break
        case .digest: hash?.update(bytes)
        case .collect(let limit):
            guard collected.count + bytes.count <= limit else { throw RigError("a body is longer than \(limit) bytes") }
            collected.append(contentsOf: bytes)
        }
    }

    func finish() -> String? {
        guard let hash = hash.take() else { return nil }
        return hash.finish()
    }
}
