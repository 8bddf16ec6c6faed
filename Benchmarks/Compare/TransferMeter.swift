// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Synchronization
import VarveRig

/// What is measured by itself.
enum TransferPhase: String, Codable, CaseIterable {
    case pushLarge
    case pullLarge
    case pushMix
    case pullMix

    var title: String {
        switch self {
        case .pushLarge: "push, large"
        case .pullLarge: "pull, large"
        case .pushMix: "push, mix"
        case .pullMix: "pull, mix"
        }
    }
}

/// One phase of one repetition on one server.
struct TransferSample: Codable {
    let phase: TransferPhase
    /// 0 is the measured one, 1 the peer.
    let server: Int
    let repetition: Int
    let requests: Int
    let bytes: Int
    let cpuSeconds: Double
    let wallSeconds: Double
}

/// What pushes and pulls.
enum TransferClient: String, CaseIterable {
    /// Our own keep-alive client, which reads what it pulls into a buffer.
    case own
    /// The same, but pulled bytes are dropped inside the kernel: more of the wall time is then the server's.
    case dropping
    /// A curl process for each large blob; the mix goes through our own client.
    case curl
}

/// Blobs and their digests.
struct BlobSet: Sendable {
    let blobs: [(bytes: [UInt8], digest: String)]

    var bytes: Int { blobs.reduce(0) { $0 + $1.bytes.count } }

    static func large(mebibytes: Int, _ random: inout SeededRandom) throws -> BlobSet {
        let bytes = random.bytes(mebibytes << 20)
        return BlobSet(blobs: [(bytes, try sha256(bytes))])
    }

    /// Small ones and middling ones in a random order.
    static func mix(small: Int, middling: Int, _ random: inout SeededRandom) throws -> BlobSet {
        var sizes = (0..<small).map { _ in Int.random(in: 1024...65536, using: &random) }
        sizes += Array(repeating: 1 << 20, count: middling)
        sizes.shuffle(using: &random)
        return BlobSet(
            blobs: try sizes.map { size in
                let bytes = random.bytes(size)
                return (bytes, try sha256(bytes))
            })
    }
}

/// Pushes and pulls a set of blobs on one server and takes the figures.
struct TransferMeter {
    let server: TestServer
    let index: Int
    let repetition: Int
    let connections: Int
    let pulls: Int
    let client: TransferClient
    /// Where curl finds its file.
    let scratch: String

    private static let repository = "bench/blobs"

    /// Pushes all, reads all back once with their digests checked, then pulls them for the measurement.
    func measure(_ set: BlobSet, push: TransferPhase, pull: TransferPhase) throws -> [TransferSample] {
        let curl = client == .curl && set.blobs.count == 1
        if curl { try Data(set.blobs[0].bytes).write(to: URL(fileURLWithPath: scratch)) }
        flushDisks()
        let pushed = try sample(push, set, times: 1, curl ? pushByCurl() : Self.push)
        try each(set.blobs, times: 1) { client, blob in
            let answer = try client.pullBlob(blob.digest, from: Self.repository, sink: .digest)
            guard answer.status == 200, answer.digest == blob.digest else {
                throw RigError("\(blob.digest) came back as \(answer.status) \(answer.digest ?? "")")
            }
        }
        let pulled = try sample(
            pull, set, times: pulls, curl ? pullByCurl() : read(client == .dropping ? .discard : .count))
        return [pushed, pulled]
    }

    private static let push: Work = { client, blob in
        let status = try blob.bytes.withUnsafeBytes { try client.pushBlob(blob.digest, [$0], to: repository) }
        guard status == 201 else { throw RigError("a push was answered \(status)") }
    }

    private func read(_ sink: HTTPConnection.Sink) -> Work {
        { client, blob in
            let answer = try client.pullBlob(blob.digest, from: Self.repository, sink: sink)
            guard answer.status == 200, answer.bodyBytes == blob.bytes.count else {
                throw RigError("a pull was answered \(answer.status) with \(answer.bodyBytes) bytes")
            }
        }
    }

    private func pushByCurl() -> Work {
        let origin = "http://\(server.host):\(server.port)"
        let file = scratch
        return { client, blob in
            let target = try client.openUpload(blob.digest, to: Self.repository)
            try VarveRig.run([
                "curl", "-sS", "-f", "-o", "/dev/null", "-T", file, "-H", "Expect:", "-H",
                "Content-Type: application/octet-stream", origin + target,
            ])
        }
    }

    private func pullByCurl() -> Work {
        let origin = "http://\(server.host):\(server.port)"
        return { _, blob in
            let url = "\(origin)/v2/\(Self.repository)/blobs/\(blob.digest)"
            try VarveRig.run(["curl", "-sS", "-f", "-o", "/dev/null", url])
        }
    }

    private typealias Work = @Sendable (RegistryClient, (bytes: [UInt8], digest: String)) throws -> Void

    private func sample(_ phase: TransferPhase, _ set: BlobSet, times: Int, _ work: @escaping Work) throws
        -> TransferSample
    {
        let cpuBefore = try server.figures.cpuSeconds
        let before = monotonicSeconds()
        try each(set.blobs, times: times, work)
        let wall = monotonicSeconds() - before
        // What the server still does for these requests after its last answer counts as well.
        pause(seconds: 0.1)
        let cpu = try server.figures.cpuSeconds - cpuBefore
        return TransferSample(
            phase: phase, server: index, repetition: repetition, requests: set.blobs.count * times,
            bytes: set.bytes * times, cpuSeconds: cpu, wallSeconds: wall)
    }

    /// Hands the blobs out to as many connections as are wanted, never more than blobs.
    private func each(_ blobs: [(bytes: [UInt8], digest: String)], times: Int, _ work: @escaping Work) throws {
        let next = Atomic<Int>(0)
        let address = (server.host, server.port)
        try onThreads(min(connections, blobs.count)) { _ in
            let client = RegistryClient(try HTTPConnection(host: address.0, port: address.1))
            while true {
                let number = next.add(1, ordering: .relaxed).oldValue
                guard number < blobs.count * times else { return }
                try work(client, blobs[number % blobs.count])
            }
        }
    }
}
