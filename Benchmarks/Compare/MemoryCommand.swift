// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import Synchronization
import VarveRig

/// Many clients at once, and the most memory that the server had.
struct MemoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory", abstract: "Peak resident memory with many pushes and pulls at once.",
        discussion: """
            First some blobs are pushed to be pulled. Then --clients clients push a blob of --mebibytes MiB each while as \
            many others pull one each; twice for Varve: with raw bytes hot, and after `varve settle --evict`, when every \
            pull is rebuilt from chunks. VmHWM counts mapped files (the index) too; "anonymous" is the largest of \
            samples taken every 5 ms.
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: "Clients that push, and clients that pull.")
    var clients = 64

    @Option(help: "MiB of each blob.")
    var mebibytes = 32

    @Option(help: "Different blobs that are pulled.")
    var pulled = 8

    @Option(help: "A peer to measure too; empty for none.")
    var registry = "docker-registry"

    @Option(help: "A flag for varve serve, once for each; write --serve-argument=--flag.")
    var serveArgument: [String] = []

    @Flag(help: "Measure the peer alone: a check of this program.")
    var peerOnly = false

    @Flag(help: "Exit with 1 when a bar is not met.")
    var strict = false

    struct Sample: Codable {
        let server: String
        let peakBytes: Int
        let anonymousPeakBytes: Int
        let restBytes: Int
        let wallSeconds: Double
        let cpuSeconds: Double
    }

    func run() throws {
        var samples: [Sample] = []
        var versions: [String: String] = [:]
        if !peerOnly {
            let kind = ServerKind.varve(program: try common.varveProgram(), arguments: serveArgument)
            versions[kind.name] = kind.version
            samples.append(try measure(kind, evictFirst: false))
            samples.append(try measure(kind, evictFirst: true))
        }
        if !registry.isEmpty {
            let kind = ServerKind.distribution(program: registry)
            versions[kind.name] = kind.version
            samples.append(try measure(kind, evictFirst: false))
        }
        try common.write(samples, versions: versions)
        var table = Table(
            "\(clients) pushes + \(clients) pulls of \(mebibytes) MiB", "peak MB", "anonymous MB", "before MB",
            "wall s",
            "CPU s", "bar 300 MB")
        for sample in samples {
            table.add(
                sample.server, megabytes(sample.peakBytes), megabytes(sample.anonymousPeakBytes),
                megabytes(sample.restBytes), fixed(sample.wallSeconds, 1), fixed(sample.cpuSeconds, 1),
                verdict(sample.peakBytes <= 300_000_000))
        }
        print(table.text)
        if strict, samples.contains(where: { $0.server.hasPrefix("varve") && $0.peakBytes > 300_000_000 }) {
            throw ExitCode(1)
        }
    }

    private func measure(_ kind: ServerKind, evictFirst: Bool) throws -> Sample {
        let name = kind.name + (evictFirst ? ", rebuilt pulls" : "")
        note("\(name) …")
        let work = try TemporaryFolder(in: common.work, prefix: "varve-memory")
        let store = work.path(of: "store")
        var random = SeededRandom(seed: common.seed)
        // All blobs share one tail, so that the clients' memory stays small; a head of its own makes each one different.
        let size = mebibytes << 20
        let layers = SampleLayers(seed: random.next())
        var tail = layers.layer(files: max(1, size / 28_000), &random)
        if tail.count < size { tail += random.bytes(size - tail.count) }
        let shared = Array(tail.prefix(size - 4096))
        let blobs = try (0..<(pulled + clients)).map { _ in try SharedBlob(head: random.bytes(4096), tail: shared) }

        var server = try TestServer.start(kind, store: store, logs: work.path(of: "logs"))
        try exchange(server, blobs, pushes: Array(0..<pulled), pulls: [])
        if evictFirst, case .varve(let program, _) = kind {
            try VarveRig.run([program, "settle", "--evict", "--store", store])
        }
        // A fresh process: what counts is the peak of the many clients, not of what came before.
        server.stop()
        server = try TestServer.start(kind, store: store, logs: work.path(of: "logs"))
        let rest = try server.figures.peakResidentBytes
        let cpuBefore = try server.figures.cpuSeconds
        let watch = MemoryWatch(server.process.identifier)
        let before = monotonicSeconds()
        try exchange(
            server, blobs, pushes: Array(pulled..<(pulled + clients)), pulls: (0..<clients).map { $0 % max(1, pulled) })
        let wall = monotonicSeconds() - before
        let anonymous = try watch.stop()
        let figures = try server.figures
        server.stop()
        return Sample(
            server: name, peakBytes: figures.peakResidentBytes, anonymousPeakBytes: anonymous, restBytes: rest,
            wallSeconds: wall, cpuSeconds: figures.cpuSeconds - cpuBefore)
    }

    /// All pushes and pulls at once, one connection each.
    private func exchange(_ server: TestServer, _ blobs: [SharedBlob], pushes: [Int], pulls: [Int]) throws {
        let address = (server.host, server.port)
        try onThreads(pushes.count + pulls.count) { index in
            let client = RegistryClient(try HTTPConnection(host: address.0, port: address.1, timeoutSeconds: 600))
            if index < pushes.count {
                let blob = blobs[pushes[index]]
                let status = try blob.withPieces { try client.pushBlob(blob.digest, $0, to: "bench/memory") }
                guard status == 201 else { throw RigError("a push was answered \(status)") }
            } else {
                let blob = blobs[pulls[index - pushes.count]]
                let answer = try client.pullBlob(blob.digest, from: "bench/memory", sink: .digest)
                guard answer.status == 200, answer.digest == blob.digest else {
                    throw RigError("a pull was answered \(answer.status) \(answer.digest ?? "")")
                }
            }
        }
    }
}

/// A blob whose larger part it shares with others.
private struct SharedBlob: Sendable {
    let head: [UInt8]
    let tail: [UInt8]
    let digest: String

    init(head: [UInt8], tail: [UInt8]) throws {
        self.head = head
        self.tail = tail
        digest = try head.withUnsafeBytes { first in try tail.withUnsafeBytes { try sha256([first, $0]) } }
    }

    func withPieces<Result>(_ body: ([UnsafeRawBufferPointer]) throws -> Result) rethrows -> Result {
        try head.withUnsafeBytes { first in try tail.withUnsafeBytes { try body([first, $0]) } }
    }
}

/// Looks at a process every few milliseconds until it is stopped.
private final class MemoryWatch: Sendable {
    private let stopping = Atomic<Bool>(false)
    private let peak = Atomic<Int>(0)
    private let thread: Mutex<RunningThreads?> = Mutex(nil)

    init(_ identifier: Int32) {
        let running = RunningThreads(1) { [self] _ in
            while !stopping.load(ordering: .relaxed) {
                if let figures = try? ProcessFigures(of: identifier) {
                    peak.store(max(peak.load(ordering: .relaxed), figures.anonymousBytes), ordering: .relaxed)
                }
                pause(seconds: 0.005)
            }
        }
        thread.withLock { $0 = running }
    }

    /// The most anonymous memory seen.
    func stop() throws -> Int {
        stopping.store(true, ordering: .relaxed)
        try thread.withLock { $0 }?.wait()
        return peak.load(ordering: .relaxed)
    }
}
