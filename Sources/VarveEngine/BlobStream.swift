// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveModel

import NIOConcurrencyHelpers
import VarveDrivers

/// An open raw file and the part of it that is a blob's range.
public final class BlobFile: Sendable {
    /// The open descriptor, for `sendfile`. Valid until `close()`.
    public let descriptor: CInt
    /// First byte of the range in the file.
    public let offset: UInt64
    /// Length of the range in bytes.
    public let length: UInt64
    private let closing: ManagedClosing

    init(descriptor: CInt, offset: UInt64, length: UInt64) {
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
        closing = ManagedClosing(descriptor)
    }

    /// Closes the descriptor. Further calls do nothing; a file that is dropped unclosed is closed then.
    public func close() { closing.close() }
}

/// A blob's bytes, rebuilt piece by piece, ahead of the reader: one piece of a tar, one for each core of a compressed
/// layer. For one reader at a time.
public final class BlobStream: Sendable {
    /// Bytes that the stream will give in all.
    public let length: UInt64
    let rebuild: any Rebuilding
    private let core: Core

    private struct Ahead {
        var tasks: [Task<ByteBuffer?, any Error>] = []
        /// The next piece to begin, and the next to hand over.
        var started = 0
        var given = 0
        /// What the reader was told: behind a piece that is missing comes nothing.
        var failure: VarveError?
    }
    private let ahead = NIOLockedValueBox(Ahead())
    private let zstd: ZstdAhead?

    init(rebuild: any Rebuilding, core: Core) {
        self.rebuild = rebuild
        self.core = core
        length = rebuild.length
        zstd = (rebuild as? ZstdRebuild).map { ZstdAhead(core: core, rebuild: $0) }
    }

    deinit { ahead.withLockedValue { for task in $0.tasks { task.cancel() } } }

    /// The next piece (about 1 MiB at most), verified; nil at the end.
    /// - Throws: `corrupted` if a chunk is not what its digest says, or the whole is not what the blob's says: the
    ///   response must then be cut off, not ended. `io`, `cancelled`.
    public func next() async throws(VarveError) -> ByteBuffer? {
        if let failure = ahead.withLockedValue({ $0.failure }) { throw failure }
        do throws(VarveError) {
            if let zstd { return try await zstd.next() }
            return try await nextPiece()
        } catch {
            ahead.withLockedValue { $0.failure = error }
            zstd?.stop()
            throw error
        }
    }

    private func nextPiece() async throws(VarveError) -> ByteBuffer? {
        startMore()
        let (running, index) = ahead.withLockedValue { ahead in
            ahead.given += 1
            return (ahead.tasks.isEmpty ? nil : ahead.tasks.removeFirst(), ahead.given - 1)
        }
        guard let running else { return nil }
        let piece: ByteBuffer?
        do {
            piece = try await withTaskCancellationHandler {
                try await running.value
            } onCancel: {
                running.cancel()
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.cancelled, "the reader went away", cause: error)
        }
        if let piece, let deflate = rebuild as? DeflateRebuild {
            try await core.pool.run { () throws(VarveError) in
                try deflate.leaving(piece, isLast: index + 1 == deflate.pieceCount)
            }
        }
        if piece != nil { startMore() }
        return piece
    }

    /// One task a piece: the next ones are made while this one is sent.
    private func startMore() {
        ahead.withLockedValue { [core, rebuild] ahead in
            if let deflate = rebuild as? DeflateRebuild {
                while ahead.tasks.count < core.coreCount, ahead.started < deflate.pieceCount {
                    let index = ahead.started
                    ahead.tasks.append(
                        Task { try await core.rebuilders.run { () throws(VarveError) in try deflate.piece(index) } })
                    ahead.started += 1
                }
            } else if ahead.tasks.isEmpty {
                ahead.tasks.append(
                    Task { try await core.pool.run { () throws(VarveError) in try rebuild.nextPiece() } })
            }
        }
    }
}
