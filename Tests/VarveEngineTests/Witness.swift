// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Logging
import Synchronization
import Testing
import VarveDrivers
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// A store that is maltreated, and somebody outside of it who remembers what it promised.
///
/// Every blob that was acknowledged must come back byte for byte, whatever happens; one whose push failed may be there
/// or not, but never with other bytes; the same for one whose removal failed.
final class Witness: Sendable {
    private struct State {
        /// Acknowledged, and not asked to go since.
        var kept: [Digest: [UInt8]] = [:]
        /// Perhaps there: pushed without an answer, or removed.
        var open: [Digest: [UInt8]] = [:]
    }
    private let state = Guarded(State())
    let repository: RepositoryName

    init(repository: String = "library/faults") throws { self.repository = try #require(RepositoryName(repository)) }

    /// What must come back.
    var kept: [Digest: [UInt8]] { state.withLock { $0.kept } }

    /// The bytes go to the store; no matter how the push ends.
    func push(_ bytes: [UInt8], to store: Store) async throws(VarveError) {
        let digest = VarveTestKit.digest(of: bytes)
        state.withLock { if $0.kept[digest] == nil { $0.open[digest] = bytes } }
        _ = try await store.putBlob(digest, in: repository, expecting: UInt64(bytes.count), body: BodyBytes(bytes))
        acknowledged(digest, bytes)
    }

    /// The same in pieces, as an upload session.
    func upload(_ bytes: [UInt8], pieces: Int, to store: Store) async throws(VarveError) {
        let digest = VarveTestKit.digest(of: bytes)
        state.withLock { if $0.kept[digest] == nil { $0.open[digest] = bytes } }
        let session = try await store.startUpload(in: repository)
        for piece in 0..<pieces {
            let part = Array(bytes[bytes.count * piece / pieces..<bytes.count * (piece + 1) / pieces])
            _ = try await store.appendUpload(
                session.id, in: repository, at: UInt64(bytes.count * piece / pieces), expecting: UInt64(part.count),
                body: BodyBytes(part))
        }
        _ = try await store.finishUpload(session.id, in: repository, digest: digest)
        acknowledged(digest, bytes)
    }

    private func acknowledged(_ digest: Digest, _ bytes: [UInt8]) {
        state.withLock {
            $0.kept[digest] = bytes
            $0.open[digest] = nil
        }
    }

    func remove(_ bytes: [UInt8], from store: Store) async throws(VarveError) {
        let digest = VarveTestKit.digest(of: bytes)
        state.withLock { if let bytes = $0.kept.removeValue(forKey: digest) { $0.open[digest] = bytes } }
        try await store.removeBlob(digest, from: repository)
    }

    /// Reads everything. Returns what is wrong: bytes that differ, and with `isWhole` whatever was acknowledged and
    /// does not come.
    func complaints(about store: Store, isWhole: Bool = true) async -> [String] {
        var found: [String] = []
        let (kept, open) = state.withLock { ($0.kept, $0.open) }
        for (digest, bytes) in kept {
            do throws(VarveError) {
                if try await store.pull(digest, from: repository) != bytes { found.append("\(digest): other bytes") }
            } catch {
                if isWhole { found.append("\(digest) (\(bytes.count) bytes): \(error)") }
            }
        }
        for (digest, bytes) in open {
            do throws(VarveError) {
                if try await store.pull(digest, from: repository) != bytes { found.append("\(digest): other bytes") }
            } catch {
                if isWhole, error.code != .blobUnknown { found.append("\(digest), not acknowledged: \(error)") }
            }
        }
        return found
    }
}

/// Opens a store as tests of its robustness want it: small, quiet, and settling only when told to.
func openSmall(
    _ path: String, faults: Faults? = nil, _ change: (inout StoreSettings) -> Void = { _ in }
) async throws(VarveError) -> Store {
    var settings = StoreSettings()
    settings.settling = .off
    settings.ioThreads = 4
    settings.packBytes = 1 << 20
    settings.cacheBudget = .percentOfSettled(1000)
    change(&settings)
    var logger = Logger(label: "test")
    logger.logLevel = getenv("VARVE_TEST_LOG") == nil ? .critical : .trace
    return try await Store.open(at: path, settings: settings, logger: logger, faults: faults)
}

/// Copies a directory as it is at this moment, file by file, while others may be writing to it.
func copyDirectory(_ source: String, to target: String) {
    mkdir(target, 0o755)
    guard let handle = opendir(source) else { return }
    defer { closedir(handle) }
    while let entry = readdir(handle) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard name != ".", name != ".." else { continue }
        var status = stat()
        guard lstat("\(source)/\(name)", &status) == 0 else { continue }
        if status.st_mode & S_IFMT == S_IFDIR {
            copyDirectory("\(source)/\(name)", to: "\(target)/\(name)")
        } else if status.st_mode & S_IFMT == S_IFREG {
            copyFile("\(source)/\(name)", to: "\(target)/\(name)")
        }
    }
}

private func copyFile(_ source: String, to target: String) {
    let input = open(source, O_RDONLY | O_CLOEXEC)
    guard input >= 0 else { return }
    defer { close(input) }
    let output = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard output >= 0 else { return }
    defer { close(output) }
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
        let count = read(input, &buffer, buffer.count)
        guard count > 0 else { return }
        guard write(output, buffer, count) == count else { return }
    }
}

/// A value that many threads change.
final class Guarded<Value>: Sendable {
    private let value: Mutex<Value>

    init(_ value: sending Value) { self.value = Mutex(value) }

    func withLock<Result>(_ body: (inout sending Value) -> sending Result) -> sending Result {
        value.withLock { body(&$0) }
    }
}
