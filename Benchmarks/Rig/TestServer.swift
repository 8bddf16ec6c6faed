// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc

/// Which registry to start.
package enum ServerKind: Sendable {
    /// The product. `arguments` are added to `serve --store … --listen 127.0.0.1:0`.
    case varve(program: String, arguments: [String])
    /// Debian's docker-registry (CNCF Distribution), filesystem driver, deletes allowed, no access log.
    case distribution(program: String)
    /// The same with its s3 driver, over a bucket on this machine.
    case distributionOnS3(program: String, bucket: S3Bucket)
    /// An S3 server that keeps nothing.
    case sink(program: String, port: UInt16)

    package var name: String {
        switch self {
        case .varve: "varve"
        case .distribution: "docker-registry"
        case .distributionOnS3: "docker-registry on S3"
        case .sink: "s3-sink"
        }
    }
}

/// A bucket that an S3 server on loopback serves without TLS.
package struct S3Bucket: Sendable {
    package let port: UInt16
    package let name: String
    package let accessKey: String
    package let secretKey: String

    /// A bucket with keys, on a port that was free a moment ago.
    package static func made() throws -> Self {
        Self(
            port: try TestServer.freePort(), name: "registry", accessKey: "VARVERIGACCESSKEY000",
            secretKey: "varve-rig-secret-key-of-forty-characters")
    }

    /// Arguments and environment with which `varve serve` serves it.
    package var serveArguments: [String] { ["--s3-listen", "127.0.0.1:\(port)", "--s3-bucket", name] }
    package var environment: [String: String] {
        ["VARVE_S3_ACCESS_KEY": accessKey, "VARVE_S3_SECRET_KEY": secretKey]
    }
}

/// A registry on loopback, in a process of its own, over a store that outlives it.
package final class TestServer {
    package let host = "127.0.0.1"
    package let port: UInt16
    package let process: ChildProcess
    /// How long it took from the start of the process until it answered.
    package let startSeconds: Double

    /// Starts a server and waits until it answers.
    /// - Parameters:
    ///   - store: Its folder; made when it is not there.
    ///   - logs: Folder that gets its output.
    package static func start(
        _ kind: ServerKind, store: String, logs: String, environment: [String: String] = [:],
        readyWithinSeconds: Double = 60
    ) throws -> TestServer {
        let starting = try spawn(kind, store: store, logs: logs, environment: environment)
        return try TestServer(starting, readyWithinSeconds: readyWithinSeconds)
    }

    /// A process that was started and may not answer yet.
    package struct Starting {
        package let process: ChildProcess
        fileprivate let output: String
        fileprivate let errors: String
        fileprivate let fixedPort: UInt16?
        fileprivate let started: Double
    }

    /// Starts a server and does not wait until it answers.
    package static func spawn(
        _ kind: ServerKind, store: String, logs: String, environment: [String: String] = [:]
    ) throws -> Starting {
        try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
        let output = logs + "/" + kind.name + ".out"
        let errors = logs + "/" + kind.name + ".err"
        let started = monotonicSeconds()
        var fixedPort: UInt16?
        let command: [String]
        var environment = environment
        switch kind {
        case .varve(let program, let arguments):
            command = [program, "serve", "--store", store, "--listen", "127.0.0.1:0"] + arguments
        case .sink(let program, let port):
            fixedPort = port
            try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: true)
            command = [program, "\(port)"]
        case .distribution(let program), .distributionOnS3(let program, _):
            let port = try freePort()
            fixedPort = port
            try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: true)
            var driver = "filesystem: {rootdirectory: \(store)}"
            if case .distributionOnS3(_, let bucket) = kind {
                driver = """
                    s3: {accesskey: \(bucket.accessKey), secretkey: \(bucket.secretKey), region: us-east-1, \
                    regionendpoint: "http://127.0.0.1:\(bucket.port)", bucket: \(bucket.name), secure: false, v4auth: true}
                      redirect: {disable: true}
                    """
                // A bundle that is named there would be loaded, though nothing here speaks TLS.
                environment["AWS_CA_BUNDLE"] = ""
            }
            let settings = """
                version: 0.1
                log: {level: error, accesslog: {disabled: true}}
                storage:
                  \(driver)
                  delete: {enabled: true}
                  maintenance: {uploadpurging: {enabled: false}}
                http: {addr: "127.0.0.1:\(port)"}
                """
            try settings.write(toFile: logs + "/config.yml", atomically: true, encoding: .utf8)
            command = [program, "serve", logs + "/config.yml"]
        }
        let process = try ChildProcess(command, environment: environment, output: output, errors: errors)
        return Starting(process: process, output: output, errors: errors, fixedPort: fixedPort, started: started)
    }

    /// Waits until a started server answers.
    package init(_ starting: Starting, readyWithinSeconds: Double = 60) throws {
        process = starting.process
        let deadline = monotonicSeconds() + readyWithinSeconds
        var found: UInt16?
        while found == nil {
            if process.hasEnded {
                let ending = process.wait()
                let text = (try? String(contentsOfFile: starting.errors, encoding: .utf8)) ?? ""
                let how = ending.exitCode.map { "exit code \($0)" } ?? "signal \(ending.signal ?? 0)"
                throw RigError("the server ended before it answered (\(how)): \(text.suffix(800))")
            }
            if monotonicSeconds() > deadline {
                process.signal(SIGKILL)
                process.wait()
                throw RigError("the server did not answer within \(readyWithinSeconds) s")
            }
            if let port = starting.fixedPort {
                if Self.answers(port: port) { found = port }
            } else {
                found = Self.announcedPort(starting.output)
            }
            if found == nil { pause(seconds: 0.003) }
        }
        port = found ?? 0
        startSeconds = monotonicSeconds() - starting.started
    }

    package var figures: ProcessFigures {
        get throws { try ProcessFigures(of: process.identifier) }
    }

    /// Ends it at once, as a power cut would end the process.
    @discardableResult
    package func kill() -> ChildProcess.Ending {
        process.signal(SIGKILL)
        return process.wait()
    }

    /// Asks it to stop and waits.
    /// - Returns: nil when it did not stop in time and was killed.
    @discardableResult
    package func stop(withinSeconds: Double = 60) -> ChildProcess.Ending? {
        process.signal(SIGTERM)
        return process.wait(atMost: withinSeconds)
    }

    deinit {
        if !process.hasEnded { kill() }
    }

    /// The port in the line `listening on http://127.0.0.1:PORT`.
    private static func announcedPort(_ path: String) -> UInt16? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        // The last line may be half written; a whole one has a line feed behind it.
        guard let end = text.lastIndex(of: "\n") else { return nil }
        for line in text[..<end].split(separator: "\n") {
            guard let marker = line.range(of: "listening on http://") else { continue }
            let address = line[marker.upperBound...].prefix { $0 != " " && $0 != "/" }
            if let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...]) {
                return port
            }
        }
        return nil
    }

    private static func answers(port: UInt16) -> Bool {
        guard let connection = try? HTTPConnection(host: "127.0.0.1", port: port) else { return false }
        return (try? connection.request("GET", "/v2/"))?.status == 200
    }

    fileprivate static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw RigError.system("socket") }
        defer { close(descriptor) }
        var address = loopbackAddress(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard bound else { throw RigError.system("bind") }
        return UInt16(bigEndian: address.sin_port)
    }
}

/// 127.0.0.1 and a port, as the socket calls want it.
func loopbackAddress(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}
