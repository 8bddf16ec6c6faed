// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import COpenSSL
import Foundation
import Logging
import NIOCore
import VarveCodec
import VarveEngine
import VarveModel

/// What settling and rebuilding a layer cost, in units of one OpenSSL SHA-256 pass over the same file on one core.
///
/// `settle-benchmark KNOWN.tar NEW.tar`: the first layer is settled, then the second, of which the first one makes a part
/// known. CPU seconds of the whole process, all threads; the file is in the page cache; the median of `REPETITIONS` (3).
@main
struct SettleBenchmark {
    static func main() async throws {
        let paths = Array(CommandLine.arguments.dropFirst())
        guard paths.count == 2 else {
            print("usage: settle-benchmark KNOWN.tar NEW.tar")
            exit(64)
        }
        let repetitions = ProcessInfo.processInfo.environment["REPETITIONS"].flatMap { Int($0) } ?? 3
        var samples: [Sample] = []
        for _ in 0..<repetitions { samples.append(try await Sample(known: paths[0], new: paths[1])) }
        func median(_ figure: (Sample) -> Double) -> Double { samples.map(figure).sorted()[samples.count / 2] }
        let bytes = Double(samples[0].bytes)
        let pass = median { $0.passSeconds }
        print(
            "\(paths[1]): \(samples[0].bytes) bytes, \(String(format: "%.1f", 100 * median { $0.knownShare })) % known")
        print("one OpenSSL SHA-256 pass: \(rate(bytes, pass)) MB/s")
        for (name, seconds, goal) in [
            ("settle, before the proof", median { $0.settleSeconds - $0.proofSeconds }, 0.35),
            ("settle, with the proof", median { $0.settleSeconds }, 0.2),
            ("the proof alone", median { $0.proofSeconds }, 0),
            ("rebuild", median { $0.rebuildSeconds }, 0.3),
        ] {
            let ratio = String(format: "%.2f", pass / seconds)
            let verdict = goal == 0 ? "" : pass / seconds >= goal ? "  (goal \(goal): met)" : "  (goal \(goal): missed)"
            print("\(name): \(rate(bytes, seconds)) MB/s per CPU second, \(ratio) of the pass\(verdict)")
        }
        print(
            "fresh layer, settle with the proof: \(rate(Double(samples[0].knownBytes), median { $0.freshSeconds })) MB/s"
        )
    }

    private static func rate(_ bytes: Double, _ seconds: Double) -> String {
        String(format: "%.0f", bytes / seconds / 1e6)
    }
}

/// One run in a store of its own.
struct Sample {
    var bytes = 0
    var knownBytes = 0
    var knownShare = 0.0
    var passSeconds = 0.0
    var freshSeconds = 0.0
    var settleSeconds = 0.0
    var proofSeconds = 0.0
    var rebuildSeconds = 0.0

    init(known: String, new: String) async throws {
        let directory = NSTemporaryDirectory() + "varve-settle-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var settings = StoreSettings()
        settings.settling = .off
        var logger = Logger(label: "benchmark")
        logger.logLevel = .error
        let store = try await Store.open(at: directory, settings: settings, logger: logger)
        guard let repository = RepositoryName("benchmark") else { fatalError("a valid name") }
        let first = try await land(known, store, repository)
        knownBytes = Int(first.size)
        freshSeconds = try await measure { try await store.settle(evict: false) }

        let before = try await store.stats().packsBytes
        let second = try await land(new, store, repository)
        bytes = Int(second.size)
        passSeconds = try await measure { try await opensslPass(new, second.digest) }
        settleSeconds = try await measure { try await store.settle(evict: false) }
        _ = before
        proofSeconds = try await measure { try await store.proveAgain(second.digest) }
        knownShare = 1 - Double(try await store.newChunkBytes(of: second.digest)) / Double(second.size)
        try await store.settle(evict: true)
        var rebuilt = 0
        rebuildSeconds = try await measure {
            guard case .stream(let stream) = try await store.openBlob(second.digest, in: nil) else {
                fatalError("the blob is still raw")
            }
            while let piece = try await stream.next() { rebuilt += piece.readableBytes }
        }
        guard rebuilt == bytes else { fatalError("\(rebuilt) of \(bytes) bytes were rebuilt") }
        await store.close()
    }
}

/// CPU seconds of this process, all threads, for `body`.
func measure(_ body: () async throws -> Void) async rethrows -> Double {
    func now() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
    }
    let start = now()
    try await body()
    return now() - start
}

/// Puts a file into the store and says what it is.
func land(_ path: String, _ store: Store, _ repository: RepositoryName) async throws -> BlobInfo {
    var hash = try RunningHash(.sha256)
    let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    while let part = try handle.read(upToCount: 1 << 20), !part.isEmpty { part.withUnsafeBytes { hash.update($0) } }
    try handle.seek(toOffset: 0)
    let digest = hash.finish()
    let body = AsyncStream<ByteBuffer>(unfolding: {
        guard let part = try? handle.read(upToCount: 1 << 20), !part.isEmpty else { return nil }
        return ByteBuffer(bytes: part)
    })
    return try await store.putBlob(digest, in: repository, expecting: nil, body: body)
}

/// Reads the file and hashes it once, as any verifier must.
func opensslPass(_ path: String, _ expected: Digest) async throws {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    EVP_DigestInit_ex(context, EVP_sha256(), nil)
    while true {
        let count = read(descriptor, buffer.baseAddress, buffer.count)
        guard count > 0 else { break }
        EVP_DigestUpdate(context, buffer.baseAddress, count)
    }
    var out = [UInt8](repeating: 0, count: 32)
    EVP_DigestFinal_ex(context, &out, nil)
    guard Digest(.sha256, bytes: out) == expected else { fatalError("OpenSSL has another digest") }
}
