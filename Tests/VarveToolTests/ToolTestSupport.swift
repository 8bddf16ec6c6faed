// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Testing

@testable import varve

/// A directory that goes with the test, unless `KEEP_TEST_DIRS=1` asks for it to stay.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("\(NSTemporaryDirectory())/varve-tool-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { preconditionFailure("no temporary directory: errno \(errno)") }
        path = String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        guard ProcessInfo.processInfo.environment["KEEP_TEST_DIRS"] != "1" else { return }
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file, with the directories above it; returns its path.
    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        // Not by Foundation, which waits for the disk after every file.
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ToolError(.failed, "cannot write \(file): errno \(errno)") }
        defer { close(descriptor) }
        try OutputChannel(descriptor, name: file).write(bytes)
        return file
    }

    func read(_ name: String) -> [UInt8]? {
        FileManager.default.contents(atPath: "\(path)/\(name)").map { [UInt8]($0) }
    }

    /// All regular files below `name`, relative to it.
    func files(below name: String) -> [String] {
        var found: [String] = []
        let walk = FileManager.default.enumerator(atPath: "\(path)/\(name)")
        while let entry = walk?.nextObject() as? String {
            var isDirectory: ObjCBool = false
            let isThere = FileManager.default.fileExists(
                atPath: "\(path)/\(name)/\(entry)", isDirectory: &isDirectory)
            if isThere, !isDirectory.boolValue { found.append(entry) }
        }
        return found.sorted()
    }
}

/// SplitMix64: the same bytes for the same seed, everywhere.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

func randomBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix(seed: seed)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
}

/// A tar archive of regular files.
func archive(_ members: [(String, [UInt8])]) -> [UInt8] {
    members.reduce(into: [UInt8]()) { bytes, member in
        let size = UInt64(member.1.count)
        bytes += TarWriter.header(path: member.0, size: size) + member.1 + TarWriter.padding(after: size)
    } + TarWriter.end
}

/// The built `varve`, run as users run it.
enum TestTool {
    struct Outcome {
        var status: Int32
        var output: String
        var errors: String
        var outputBytes: [UInt8]

        /// Standard output as JSON.
        func json<Value>(_ type: Value.Type = Value.self) throws -> Value {
            try #require(try JSONSerialization.jsonObject(with: Data(outputBytes)) as? Value)
        }
    }

    /// Beside the test bundle, where the build puts it.
    static let path: String = {
        if let path = ProcessInfo.processInfo.environment["VARVE_TOOL"] { return path }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) { buffer in
                buffer.baseAddress.map { readlink("/proc/self/exe", $0, buffer.count) } ?? 0
            }
        }
        let bundle = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        return (bundle as NSString).deletingLastPathComponent + "/varve"
    }()

    /// Runs the tool to its end.
    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Outcome {
        let directory = TemporaryDirectory()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try file(directory.write("out", []))
        process.standardError = try file(directory.write("err", []))
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        let output = directory.read("out") ?? []
        return Outcome(
            status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
            output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: directory.read("err") ?? [], as: UTF8.self), outputBytes: output)
    }

    /// Runs the tool and expects it to be done, with nothing on standard error.
    static func done(_ arguments: String..., location: SourceLocation = #_sourceLocation) async throws -> Outcome {
        let outcome = try await run(arguments)
        #expect(outcome.status == 0, "\(arguments): \(outcome.errors)", sourceLocation: location)
        #expect(outcome.errors.isEmpty, "\(arguments)", sourceLocation: location)
        return outcome
    }

    /// Runs a program of the system; its status and standard output.
    static func system(_ name: String, _ arguments: [String]) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [name] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    private static func file(_ path: String) throws -> FileHandle {
        try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    }
}
