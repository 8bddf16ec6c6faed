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

/// A blob's bytes, rebuilt piece by piece, one piece ahead of the reader. For one reader at a time.
public final class BlobStream: Sendable {
    /// Bytes that the stream will give in all.
    public let length: UInt64
    let rebuild: Rebuild
    private let pool: BlockingPool
    private let ahead = NIOLockedValueBox(Task<ByteBuffer?, any Error>?.none)

    init(rebuild: Rebuild, pool: BlockingPool) {
        self.rebuild = rebuild
        self.pool = pool
        length = rebuild.length
    }

    deinit { ahead.withLockedValue { $0?.cancel() } }

    /// The next piece (up to about 1 MiB), verified; nil at the end.
    /// - Throws: `corrupted` if a chunk is not what its digest says, or the whole is not what the blob's says: the
    ///   response must then be cut off, not ended. `io`, `cancelled`.
    public func next() async throws(VarveError) -> ByteBuffer? {
        let running = ahead.withLockedValue { $0 } ?? startNext()
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
        if piece != nil { _ = startNext() }
        return piece
    }

    /// One task a piece of a mebibyte: the next piece is rebuilt while this one is sent.
    private func startNext() -> Task<ByteBuffer?, any Error> {
        let task = Task { [pool, rebuild] in
            try await pool.run { () throws(VarveError) in try rebuild.nextPiece() }
        }
        ahead.withLockedValue { $0 = task }
        return task
    }
}
