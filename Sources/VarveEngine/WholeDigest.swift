// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveCodec
import VarveModel

/// The running digest of a blob that is being rebuilt, always one piece behind, so that the piece made last and the
/// chunks of the next frame can be hashed together.
struct WholeDigest {
    /// A hash that has a pass of its own: not SHA-256.
    private final class Alone {
        var hash: RunningHash
        let algorithm: Digest.Algorithm

        init(_ algorithm: Digest.Algorithm) throws(VarveError) {
            self.algorithm = algorithm
            hash = try runningHash(algorithm)
        }

        func finish() throws(VarveError) -> Digest {
            var spent = try runningHash(algorithm)
            swap(&spent, &hash)
            return finishHash(spent)
        }
    }
    /// Shares a pass with the chunks' digests.
    private var fused = SHA256State()
    private let alone: Alone?
    /// What has been rebuilt but not hashed yet.
    private var waiting: ByteBuffer?

    init(_ algorithm: Digest.Algorithm) throws(VarveError) {
        alone = algorithm == .sha256 ? nil : try Alone(algorithm)
    }

    /// Compares a frame's chunks with their digests and hashes as much of what waits meanwhile.
    mutating func verify(_ frame: DecodedFrame) throws(VarveError) {
        guard alone == nil, var stream = waiting else { return try frame.verify() }
        let count = min(stream.readableBytes, frame.bytes.count)
        var failure: VarveError?
        stream.readWithUnsafeReadableBytes { bytes in
            do throws(VarveError) {
                try frame.verify(absorbing: UnsafeRawBufferPointer(rebasing: bytes[..<count]), into: &fused)
            } catch {
                failure = error
            }
            return count
        }
        waiting = stream
        if let failure { throw failure }
    }

    /// Takes the next piece of the blob.
    mutating func absorb(_ piece: ByteBuffer) {
        flush()
        waiting = piece
    }

    private mutating func flush() {
        guard let stream = waiting.take() else { return }
        stream.withUnsafeReadableBytes {
            if let alone { alone.hash.update($0) } else { fused.update($0) }
        }
    }

    /// The digest of everything absorbed.
    mutating func finish() throws(VarveError) -> Digest {
        flush()
        if let alone { return try alone.finish() }
        guard let digest = Digest(.sha256, bytes: fused.finish().bytes) else {
            throw VarveError(.io, "a digest of a wrong length")
        }
        return digest
    }
}

extension WholeDigest? {
    /// Ends the hash and compares it; does nothing where there is none.
    /// - Throws: `corrupted` if the bytes are not the blob's.
    mutating func compare(with digest: Digest) throws(VarveError) {
        guard var hash = take() else { return }
        let found = try hash.finish()
        guard found == digest else { throw VarveError(.corrupted, "blob \(digest) was rebuilt as \(found)") }
    }
}
