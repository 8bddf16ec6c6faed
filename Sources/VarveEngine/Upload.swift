// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import VarveCodec
import VarveDrivers
import VarveModel

/// One upload session: its bytes so far, in memory or in a landing file, and the running hash over them.
///
/// Whoever writes to it holds it (`tryHold` … `release`); there is one holder at a time, and only the holder touches
/// the bytes and the hash. The offset alone may be read by anybody.
final class Upload: Sendable {
    /// Up to this many bytes stay in memory and, once acknowledged, in the index.
    static let memoryBytes = 16 << 10

    let id: String
    let repository: RepositoryName
    let startedAt: UInt64
    private let files: FileSystem

    private struct Shared {
        var isHeld = false
        var offset: UInt64 = 0
    }
    private let shared = NIOLockedValueBox(Shared())

    /// What only the holder touches.
    private final class Held {
        var memory: [UInt8] = []
        var file: File?
        var hash: RunningHash
        let algorithm: Digest.Algorithm
        /// The hash has been finished: whoever asks again has to read the bytes again.
        var isHashSpent = false

        init(algorithm: Digest.Algorithm) throws(VarveError) {
            self.algorithm = algorithm
            hash = try runningHash(algorithm)
        }
    }
    // Only the holder reaches it, and holding is handed over through the lock of `shared`.
    private nonisolated(unsafe) let held: Held

    init(
        id: String, repository: RepositoryName, startedAt: UInt64, algorithm: Digest.Algorithm, files: FileSystem
    ) throws(VarveError) {
        self.id = id
        self.repository = repository
        self.startedAt = startedAt
        self.files = files
        held = try Held(algorithm: algorithm)
    }

    /// A session that an earlier process left in `landing/`. Reads all of its bytes to hash them.
    convenience init(
        resuming id: String, repository: RepositoryName, startedAt: UInt64, algorithm: Digest.Algorithm,
        files: FileSystem
    ) throws(VarveError) {
        try self.init(id: id, repository: repository, startedAt: startedAt, algorithm: algorithm, files: files)
        do throws(DriverError) {
            let file = try files.open(StoreLayout.landingData(id), .read)
            let length = try file.length()
            try hashFile(file, into: &held.hash, length: length)
            held.file = try files.open(StoreLayout.landingData(id), .write)
            shared.withLockedValue { $0.offset = length }
        } catch {
            // Without its data there is no session: it was ended or cancelled, and its note outlived it.
            throw error.isMissing
                ? VarveError(.uploadUnknown, "no upload \(id) in that repository") : error.asVarveError
        }
    }

    /// Bytes received so far.
    var offset: UInt64 { shared.withLockedValue { $0.offset } }

    var status: UploadStatus {
        UploadStatus(id: id, repository: repository, offset: offset, startedAt: startedAt)
    }

    func tryHold() -> Bool {
        shared.withLockedValue {
            guard !$0.isHeld else { return false }
            $0.isHeld = true
            return true
        }
    }

    func release() { shared.withLockedValue { $0.isHeld = false } }

    /// Appends `buffers`. Blocks; for the holder.
    func append(_ buffers: [ByteBuffer]) throws(VarveError) {
        let count = buffers.reduce(0) { $0 + $1.readableBytes }
        let start = offset
        if held.file == nil {
            if held.memory.count + count <= Self.memoryBytes {
                for buffer in buffers {
                    buffer.withUnsafeReadableBytes {
                        held.memory.append(contentsOf: $0)
                        held.hash.update($0)
                    }
                }
                return shared.withLockedValue { $0.offset = start + UInt64(count) }
            }
            try spill()
        }
        guard let file = held.file else { throw VarveError(.io, "the upload has no landing file") }
        var position = start
        for buffer in buffers {
            var failure: DriverError?
            buffer.withUnsafeReadableBytes {
                do throws(DriverError) { try file.write($0, at: position) } catch { failure = error }
                if failure == nil { held.hash.update($0) }
            }
            if let failure { throw failure.asVarveError }
            position += UInt64(buffer.readableBytes)
            shared.withLockedValue { $0.offset = position }
        }
        file.startWriting(at: start, count: count)
    }

    /// Moves what is in memory into a landing file. For the holder.
    func spill() throws(VarveError) {
        guard held.file == nil else { return }
        do throws(DriverError) {
            let meta = "\(repository)\n\(startedAt)\n\(held.algorithm.name)\n"
            try writeAll(Array(meta.utf8), to: files.open(StoreLayout.landingMeta(id), .create))
            let file = try files.open(StoreLayout.landingData(id), .create)
            try writeAll(held.memory, to: file)
            held.file = file
            held.memory = []
        } catch {
            // Nothing is left in the way of a second attempt.
            try? files.remove(StoreLayout.landingData(id))
            discardMeta()
            throw error.asVarveError
        }
    }

    /// The bytes' digest. For the holder.
    ///
    /// Hashes the bytes once more if another algorithm is asked for than the session was opened for, and when asked a
    /// second time: ending the session may have failed, and the client tries again.
    func digest(_ algorithm: Digest.Algorithm) throws(VarveError) -> Digest {
        if algorithm == held.algorithm, !held.isHashSpent {
            held.isHashSpent = true
            var fresh = try runningHash(algorithm)
            swap(&fresh, &held.hash)
            return finishHash(fresh)
        }
        var hash = try runningHash(algorithm)
        if let file = held.file {
            do throws(DriverError) {
                try hashFile(file, into: &hash, length: offset)
            } catch {
                throw error.asVarveError
            }
        } else {
            held.memory.withUnsafeBytes { hash.update($0) }
        }
        return finishHash(hash)
    }

    /// The bytes, if they never left memory. For the holder.
    var memory: [UInt8]? { held.file == nil ? held.memory : nil }

    /// The landing file, if there is one. For the holder.
    var file: File? { held.file }

    /// Removes files and bytes. For the holder.
    func discard() {
        if held.file != nil {
            try? files.remove(StoreLayout.landingData(id))
            discardMeta()
        }
        held.file = nil
        held.memory = []
    }

    /// Removes the note beside a data file that has been moved away.
    func discardMeta() { try? files.remove(StoreLayout.landingMeta(id)) }

    private func writeAll(_ bytes: [UInt8], to file: File) throws(DriverError) {
        var failure: DriverError?
        bytes.withUnsafeBytes { (buffer: UnsafeRawBufferPointer) in
            do throws(DriverError) { try file.write(buffer, at: 0) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}

/// Hashes a file's first `length` bytes.
func hashFile(_ file: File, into hash: inout RunningHash, length: UInt64) throws(DriverError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 64)
    defer { buffer.deallocate() }
    var position: UInt64 = 0
    while position < length {
        let count = try file.read(at: position, into: buffer)
        guard count > 0 else { throw DriverError("pread", file.path, ENODATA) }
        let usable = min(UInt64(count), length - position)
        hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<Int(usable)]))
        position += usable
    }
}
