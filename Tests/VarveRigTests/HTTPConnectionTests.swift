// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveRig

/// What the rigs say of a server stands on this client: it must see an answer that is cut short.
@Suite("the rigs' HTTP client")
struct HTTPConnectionTests {
    private func get(_ text: String, sink: HTTPConnection.Sink) throws -> HTTPConnection.Response {
        let server = try CannedServer(answering: text)
        let connection = try HTTPConnection(host: "127.0.0.1", port: server.port, timeoutSeconds: 10)
        defer { try? server.wait() }
        return try connection.request("GET", "/", sink: sink)
    }

    @Test("reads a body of a given length in every way")
    func length() throws {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Name:  value\r\n\r\nabc"
        let kept = try get(text, sink: .collect(limit: 10))
        #expect(kept.status == 200)
        #expect(kept.body == Array("abc".utf8))
        #expect(kept.headers["x-name"] == "value")
        #expect(try get(text, sink: .digest).digest == sha256(Array("abc".utf8)))
        #expect(try get(text, sink: .discard).bodyBytes == 3)
        #expect(try get(text, sink: .count).bodyBytes == 3)
    }

    @Test("reads a body in chunks")
    func chunked() throws {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        #expect(try get(text, sink: .collect(limit: 10)).body == Array("abcde".utf8))
    }

    @Test("goes past an interim answer, and reads to the end where no length is given")
    func interim() throws {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nno such blob"
        let answer = try get(text, sink: .collect(limit: 100))
        #expect(answer.status == 404)
        #expect(answer.body == Array("no such blob".utf8))
    }

    @Test(
        "takes an answer that is cut short for an error",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "",
        ])
    func cutShort(_ text: String) {
        for sink in [HTTPConnection.Sink.count, .discard, .digest, .collect(limit: 100)] {
            #expect(throws: RigError.self) { try get(text, sink: sink) }
        }
    }

    @Test("does not keep more than it was told to")
    func limit() {
        #expect(throws: RigError.self) {
            try get("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", sink: .collect(limit: 2))
        }
    }
}
