// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import VarveEngine
import VarveModel

/// Copies a blob out of the store into a file or a pipe, and makes sure that what went out is the blob.
struct BlobCopier: Sendable {
    private static let pieceBytes = 1 << 20

    /// Called with the number of bytes that were written, after each piece.
    let written: @Sendable (Int) -> Void

    /// Writes all of `content` to `output`.
    /// - Throws: ``ToolError`` with status `damaged` if the bytes are not those of `digest`; they may be out by then, so
    ///   that a file must be thrown away.
    func copy(_ content: BlobContent, of digest: Digest, size: UInt64, to output: OutputChannel) async throws {
        var total: UInt64 = 0
        switch content {
        case .bytes(let buffer):
            try await write(buffer, to: output)
            total = UInt64(buffer.readableBytes)
            try check(Hashing.digest(of: Array(buffer.readableBytesView), digest.algorithm), is: digest)
        case .stream(let stream):
            // Verified chunk by chunk, and as a whole at its end, by the engine.
            while let piece = try await stream.next() {
                try Task.checkCancellation()
                try await write(piece, to: output)
                total &+= UInt64(piece.readableBytes)
            }
        case .file(let file):
            defer { file.close() }
            total = file.length
            let found = try await Blocking.run { try send(file, digest.algorithm, to: output) }
            try check(found, is: digest)
        }
        guard total == size else {
            throw ToolError(.damaged, "\(digest) gave \(total) bytes, \(size) are named for it")
        }
    }

    private func write(_ buffer: ByteBuffer, to output: OutputChannel) async throws {
        try await Blocking.run { try output.write(buffer.readableBytesSpan) }
        written(buffer.readableBytes)
    }

    /// Sends a raw file and hashes what is sent: raw bytes were verified when they landed, which may be long ago.
    private func send(_ file: BlobFile, _ algorithm: Digest.Algorithm, to output: OutputChannel) throws -> Digest {
        var hash = try Hashing(algorithm)
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceBytes, alignment: 4096)
        defer { piece.deallocate() }
        var done: UInt64 = 0
        while done < file.length {
            try Task.checkCancellation()
            let wanted = Int(min(UInt64(piece.count), file.length - done))
            let count = pread(file.descriptor, piece.baseAddress, wanted, off_t(file.offset &+ done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let reason = count < 0 ? ToolError.text(ofErrno: errno) : "it is shorter than it was"
                throw ToolError(.damaged, "cannot read a raw blob of the store: \(reason)")
            }
            let bytes = UnsafeRawBufferPointer(rebasing: piece[..<count])
            hash.update(bytes)
            try output.write(bytes.bytes)
            done += UInt64(count)
            written(count)
        }
        return hash.finish()
    }

    private func check(_ found: Digest, is digest: Digest) throws(ToolError) {
        guard found == digest else {
            throw ToolError(
                .damaged, "the bytes kept for \(digest) are not its bytes: they are \(found)",
                advice: "'varve verify' lists everything that is damaged")
        }
    }
}
