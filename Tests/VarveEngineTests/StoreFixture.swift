// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Logging
import NIOCore
import VarveCodec
import VarveDrivers
import VarveModel

@testable import VarveEngine

/// A directory of its own for one test, and stores in it.
final class StoreFixture: Sendable {
    let path: String

    init() { path = NSTemporaryDirectory() + "varve-store-" + UUID().uuidString }

    /// Removes the directory, unless KEEP_TEST_DIRS=1 asks to look at it.
    func remove() {
        if ProcessInfo.processInfo.environment["KEEP_TEST_DIRS"] != "1" {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    func open(_ change: (inout StoreSettings) -> Void = { _ in }) async throws -> Store {
        try await Store.openQuietly(at: path, change)
    }
}

extension Logger {
    /// Says what must not be, and nothing else.
    static var quiet: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }
}

/// `bytes` as a request's body, in pieces of `pieceBytes`.
func body(_ bytes: [UInt8], pieceBytes: Int = 100_000) -> AsyncStream<ByteBuffer> {
    AsyncStream { continuation in
        var start = 0
        while start < bytes.count {
            let end = min(start + pieceBytes, bytes.count)
            continuation.yield(ByteBuffer(bytes: bytes[start..<end]))
            start = end
        }
        continuation.finish()
    }
}

func sha(_ bytes: [UInt8], _ algorithm: Digest.Algorithm = .sha256) throws -> Digest {
    var hash = try RunningHash(algorithm)
    bytes.withUnsafeBytes { hash.update($0) }
    return hash.finish()
}

extension Store {
    /// A store that settles only when it is told to.
    static func openQuietly(
        at path: String, faults: Faults? = nil, _ change: (inout StoreSettings) -> Void = { _ in }
    ) async throws(VarveError) -> Store {
        var settings = StoreSettings()
        settings.settling = .off
        settings.ioThreads = 4
        change(&settings)
        return try await open(at: path, settings: settings, logger: .quiet, faults: faults)
    }

    func put(_ bytes: [UInt8], in repository: RepositoryName) async throws -> Digest {
        let digest = try sha(bytes)
        _ = try await putBlob(digest, in: repository, expecting: UInt64(bytes.count), body: body(bytes))
        return digest
    }

    /// A blob's bytes or a range of them, however they are stored.
    func bytes(
        of digest: Digest, in repository: RepositoryName? = nil, range: Range<UInt64>? = nil
    ) async throws -> [UInt8] {
        switch try await openBlob(digest, in: repository, range: range) {
        case .bytes(let buffer):
            return Array(buffer.readableBytesView)
        case .file(let file):
            defer { file.close() }
            return [UInt8](unsafeUninitializedCapacity: Int(file.length)) { buffer, count in
                count = pread(file.descriptor, buffer.baseAddress, Int(file.length), off_t(file.offset))
            }
        case .stream(let stream):
            var bytes: [UInt8] = []
            while let piece = try await stream.next() { bytes += Array(piece.readableBytesView) }
            return bytes
        }
    }
}

/// SplitMix64: the same bytes for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in 0..<count { buffer[index] = UInt8(truncatingIfNeeded: next() >> 24) }
            initialized = count
        }
    }

    /// Bytes that compress, as files do.
    mutating func text(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 16)
        while bytes.count < count { bytes += Array("word\(next() % 5000) ".utf8) }
        return Array(bytes.prefix(count))
    }
}

/// A ustar archive of files, with zero blocks at its end.
func tar(_ files: [(name: String, bytes: [UInt8])], time: Int = 1_700_000_000) -> [UInt8] {
    var archive: [UInt8] = []
    for file in files {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int, _ width: Int) -> String {
            let digits = String(value, radix: 8)
            return String(repeating: "0", count: width - digits.count) + digits
        }
        put(String(file.name.prefix(100)), at: 0)
        put("0000644\0", at: 100)
        put("0000000\0", at: 108)
        put("0000000\0", at: 116)
        put(octal(file.bytes.count, 11) + "\0", at: 124)
        put(octal(time, 11) + "\0", at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar\u{0}00", at: 257)
        put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\0 ", at: 148)
        archive += header
        archive += file.bytes
        archive += [UInt8](repeating: 0, count: (512 - file.bytes.count % 512) % 512)
    }
    return archive + [UInt8](repeating: 0, count: 1024)
}
