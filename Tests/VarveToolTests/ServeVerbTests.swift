// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Synchronization
import Testing

@testable import varve

@Suite("a server, and the verbs beside it")
struct ServeVerbTests {
    let directory = TemporaryDirectory()
    var store: String { "\(directory.path)/store" }

    @Test("says where it listens, lets reading verbs work, keeps the others out, and ends in order")
    func beside() async throws {
        var layout = try LayoutFixture(in: directory, name: "base")
        try layout.image("1", layers: [LayoutFixture.layer(shared: 1, own: 11)])
        _ = try await TestTool.done("import", "--store", store, layout.path, "--no-settle")

        let server = try await RunningServer(["--store", store, "--listen", "127.0.0.1:0", "--settle", "off"])
        #expect(server.port > 0)
        for verb in [
            ["images"], ["stats"], ["settle", "--evict"], ["verify"], ["inspect", "base:1"], ["inspect-store"],
        ] {
            let outcome = try await TestTool.run(verb + ["--store", store])
            #expect(outcome.status == 0, "\(verb): \(outcome.errors)")
        }
        let stats: [String: Any] = try await TestTool.done("stats", "--store", store, "--json").json()
        #expect((stats["settled"] as? [String: Any])?["count"] as? Int == 1)
        _ = try await TestTool.done("export", "--store", store, "base:1", "-o", "\(directory.path)/out")
        #expect(directory.files(below: "out/blobs") == directory.files(below: "base/blobs"))

        let refused: [[String]] = [
            ["import", layout.path], ["gc"], ["rebuild-index"], ["rm", "base:1"], ["serve", "--listen", "127.0.0.1:0"],
        ]
        for verb in refused {
            let outcome = try await TestTool.run(verb + ["--store", store])
            #expect(outcome.status == 11, "\(verb)")
            #expect(
                outcome.errors.contains("in use by a server (process \(server.process.processIdentifier))"), "\(verb)")
            #expect(outcome.errors.split(separator: "\n").count >= 2, "\(verb) says what to do instead")
        }
        #expect(try await server.stop(SIGTERM) == 0)
        _ = try await TestTool.done("gc", "--store", store)
    }

    @Test("a port that is taken is an error that says so, and SIGINT ends in order too")
    func portTaken() async throws {
        let server = try await RunningServer(["--store", store, "--listen", "127.0.0.1:0"])
        let outcome = try await TestTool.run([
            "serve", "--store", "\(directory.path)/other", "--listen", "127.0.0.1:\(server.port)",
        ])
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("cannot listen on 127.0.0.1:\(server.port)"))
        #expect(try await server.stop(SIGINT) == 0)
    }

    @Test("another address than loopback is warned of")
    func warning() async throws {
        let server = try await RunningServer(["--store", store, "--listen", "0.0.0.0:0"])
        #expect(try await server.stop(SIGTERM) == 0)
        #expect(server.errors.contains("no authentication and no TLS"))
    }
}

/// A `varve serve` that has said where it listens.
final class RunningServer: Sendable {
    let process: Process
    let port: Int
    /// Where it serves S3; nil if it does not.
    let s3Port: Int?
    let directory = TemporaryDirectory()
    private let ended: AsyncStream<Int32>

    init(_ arguments: [String], environment: [String: String] = [:]) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: TestTool.path)
        process.arguments = ["serve"] + arguments
        process.environment = environment
        let pipe = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: directory.write("err", [])))
        let (ended, continuation) = AsyncStream<Int32>.makeStream()
        process.terminationHandler = {
            continuation.yield($0.terminationReason == .exit ? $0.terminationStatus : 128 + $0.terminationStatus)
            continuation.finish()
        }
        try process.run()
        self.process = process
        self.ended = ended
        // These lines and no more are what is promised; the end of the stream means that it went away instead.
        let lines = await Self.lines(pipe.fileHandleForReading, through: "listening on ")
        func port(_ prefix: String) -> Int? {
            lines.first { $0.hasPrefix(prefix) }.flatMap { Int($0.split(separator: ":").last ?? "") }
        }
        guard let number = port("listening on http://") else {
            process.terminate()
            let errors = String(decoding: directory.read("err") ?? [], as: UTF8.self)
            throw ToolError(.failed, "the server said \(lines) and: \(errors)")
        }
        self.port = number
        s3Port = port("serving S3 on http://")
    }

    /// Lines up to the one that begins with `last`, or to the end.
    private static func lines(_ reading: FileHandle, through last: String) async -> [String] {
        await withCheckedContinuation { (continuation: CheckedContinuation<[String], Never>) in
            Thread.detachNewThread {
                var lines: [String] = []
                var bytes: [UInt8] = []
                var byte: UInt8 = 0
                while read(reading.fileDescriptor, &byte, 1) == 1 {
                    guard byte == 10 else {
                        bytes.append(byte)
                        continue
                    }
                    lines.append(String(decoding: bytes, as: UTF8.self))
                    if lines.last?.hasPrefix(last) == true { break }
                    bytes = []
                }
                continuation.resume(returning: lines)
            }
        }
    }

    /// What it has written to standard error.
    var errors: String { String(decoding: directory.read("err") ?? [], as: UTF8.self) }

    /// Sends a signal and waits for the end; the exit status.
    func stop(_ signal: CInt) async throws -> Int32 {
        kill(process.processIdentifier, signal)
        for await status in ended { return status }
        throw ToolError(.failed, "no status")
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
}
