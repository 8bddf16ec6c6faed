// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Testing

@testable import varve

@Suite("serve, with S3 beside the registry")
struct ServeS3Tests {
    static let keys = ["VARVE_S3_ACCESS_KEY": "AKIDEXAMPLE", "VARVE_S3_SECRET_KEY": "not-to-be-told"]

    let directory = TemporaryDirectory()
    var store: String { "\(directory.path)/store" }

    /// Runs a `serve` that is to be refused; nothing may have been made, and no secret told.
    private func refused(
        _ arguments: [String], environment: [String: String] = keys, status: Int32, says text: String,
        location: SourceLocation = #_sourceLocation
    ) async throws {
        let outcome = try await TestTool.run(
            ["serve", "--store", store, "--listen", "127.0.0.1:0"] + arguments, environment: environment)
        #expect(outcome.status == status, "\(arguments): \(outcome.errors)", sourceLocation: location)
        #expect(outcome.output.isEmpty, sourceLocation: location)
        #expect(outcome.errors.contains(text), "\(outcome.errors)", sourceLocation: location)
        #expect(!outcome.errors.contains("not-to-be-told"), sourceLocation: location)
        #expect(!FileManager.default.fileExists(atPath: store), sourceLocation: location)
    }

    @Test(
        "is refused without both keys",
        arguments: [
            [:], ["VARVE_S3_ACCESS_KEY": "A"], ["VARVE_S3_SECRET_KEY": "not-to-be-told"],
            ["VARVE_S3_ACCESS_KEY": "", "VARVE_S3_SECRET_KEY": "not-to-be-told"],
            ["VARVE_S3_ACCESS_KEY": "A", "VARVE_S3_SECRET_KEY": ""],
        ] as [[String: String]])
    func missingKeys(_ environment: [String: String]) async throws {
        try await refused(
            ["--s3-listen", "127.0.0.1:0"], environment: environment, status: 64, says: "VARVE_S3_SECRET_KEY")
    }

    @Test(
        "a credentials file that is none is refused, with the line that is wrong and without what stands in it",
        arguments: [
            ("", "there is no key in it"),
            ("# only a comment\n\n", "there is no key in it"),
            ("A first\nB\n", "line 2"),
            ("A not-to-be-told bucket more\n", "line 1"),
            ("A first\nA not-to-be-told\n", "line 2"),
            ("A not to/be-told-either\n", "line 1"),
            ("A not-to-be-told UPPER\n", "line 1"),
            ("A not-to-be-told one,\n", "line 1"),
            ("A \u{FFFD}\n", "cannot read"),
        ])
    func badFile(_ text: String, _ says: String) async throws {
        // U+FFFD stands for a byte that is no UTF-8.
        var bytes = Array(text.utf8)
        if let place = text.utf8.firstRange(of: "\u{FFFD}".utf8) {
            let offset = text.utf8.distance(from: text.startIndex, to: place.lowerBound)
            bytes.replaceSubrange(offset..<offset + 3, with: [0xFF])
        }
        let file = try directory.write("keys", bytes)
        let arguments = ["--s3-listen", "127.0.0.1:0", "--s3-credentials", file]
        try await refused(arguments, status: 1, says: says)
        let outcome = try await TestTool.run(["serve", "--store", store] + arguments)
        for word in ["be-told", "UPPER", "first"] { #expect(!outcome.errors.contains(word)) }
    }

    @Test("a credentials file that is not there, or is a directory, is refused")
    func noFile() async throws {
        for file in ["\(directory.path)/none", directory.path] {
            try await refused(
                ["--s3-listen", "127.0.0.1:0", "--s3-credentials", file], status: 1,
                says: "cannot read the credentials in \(file)")
        }
    }

    @Test(
        "names that are none for a bucket are refused",
        arguments: [
            "ab", "Upper", "a_b", "a..b", "-ab", "ab-", ".ab", "a/b", "a b", "bück",
            String(repeating: "a", count: 64),
        ])
    func badBucket(_ name: String) async throws {
        try await refused(
            ["--s3-listen", "127.0.0.1:0", "--s3-bucket=\(name)"], status: 64, says: "'\(name)' is no name for a bucket"
        )
    }

    @Test(
        "names that are none for a domain are refused",
        arguments: ["", ".", "s3.", ".s3", "s3..test", "s3.test:9000", "http://s3.test", "s3 test", "[::1]"])
    func badDomain(_ name: String) async throws {
        try await refused(["--s3-listen", "127.0.0.1:0", "--s3-domain=\(name)"], status: 64, says: "--s3-domain")
    }

    @Test(
        "options that say nothing without --s3-listen, and addresses that are none, are refused",
        arguments: [
            ["--s3-bucket", "bucket"], ["--s3-credentials", "/dev/null"], ["--s3-domain", "s3.test"],
            ["--s3-listen", "9000"], ["--s3-listen", "127.0.0.1:65536"], ["--s3-listen", ":9000"], ["--s3-listen"],
        ])
    func usage(_ arguments: [String]) async throws {
        try await refused(arguments, status: 64, says: "--s3-listen")
    }

    @Test("says where it serves S3, makes the buckets it is told of, takes no unsigned request, and ends in order")
    func serves() async throws {
        let file = try directory.write("keys", Array("KEY not-to-be-told from-file\n".utf8))
        let server = try await RunningServer([
            "--store", store, "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--s3-credentials", file,
            "--s3-bucket", "first", "--s3-bucket", "second.bucket", "--s3-domain", "s3.test",
        ])
        let port = try #require(server.s3Port)
        #expect(port > 0)
        #expect(port != server.port)
        let answer = try PlainHTTP.get(port: port, "/first/key")
        #expect(answer.hasPrefix("HTTP/1.1 403 "), "\(answer)")
        #expect(answer.contains("<Code>AccessDenied</Code>"))
        #expect(try PlainHTTP.get(port: server.port, "/v2/").hasPrefix("HTTP/1.1 200 "))

        let taken = try await TestTool.run(
            [
                "serve", "--store", "\(directory.path)/other", "--listen", "127.0.0.1:0", "--s3-listen",
                "127.0.0.1:\(port)",
            ], environment: Self.keys)
        #expect(taken.status == 1)
        #expect(taken.output.isEmpty)
        #expect(taken.errors.contains("cannot listen on 127.0.0.1:\(port)"))

        #expect(try await server.stop(SIGTERM) == 0)
        for bucket in ["first", "from-file", "second.bucket"] {
            #expect(server.errors.contains("bucket=\(bucket) "), "\(bucket): \(server.errors)")
        }
        #expect(!server.errors.contains("no TLS"))
        #expect(!server.errors.contains("not-to-be-told"))
    }

    @Test("another address than loopback is warned of")
    func warning() async throws {
        let server = try await RunningServer(
            ["--store", store, "--listen", "127.0.0.1:0", "--s3-listen", "0.0.0.0:0"], environment: Self.keys)
        #expect(try await server.stop(SIGTERM) == 0)
        #expect(server.errors.contains("0.0.0.0:0 may be reached from other machines, and there is no TLS"))
        #expect(!server.errors.contains("no authentication"))
    }
}

/// A request and its answer over a plain connection to this machine.
enum PlainHTTP {
    static func get(port: Int, _ target: String) throws -> String {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard number >= 0 else { throw ToolError(.failed, "socket: errno \(errno)") }
        defer { close(number) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = in_addr_t(UInt32(0x7F00_0001).bigEndian)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw ToolError(.failed, "connect: errno \(errno)") }
        try OutputChannel(number, name: "connection").write(
            Array("GET \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8))
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(number, &buffer, buffer.count)
            guard count > 0 else { break }
            answer += buffer.prefix(count)
        }
        return String(decoding: answer, as: UTF8.self)
    }
}
