// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import NIOCore
import VarveDrivers

/// Takes pieces of a body, in order, on threads of the pool, while whoever hands them in goes on: a body's hashes and its
/// way to the disk cost as much time as the slowest of them, not as all together.
///
/// Pieces are handed in by one caller at a time. Little waits here: past ``waitingBytesMax`` the caller does.
final class HashLane: Sendable {
    private static let waitingBytesMax = 1 << 20
    /// After so many bytes a lane goes to the end of the pool's queue.
    private static let turnBytes = 4 << 20
    /// Smaller pieces are not worth a way to another thread.
    private static let laneBytesMin = 64 << 10

    private struct State {
        var pieces: [ByteBuffer] = []
        /// Bytes in `pieces` and at work.
        var waiting = 0
        var isRunning = false
        /// The caller, and how many bytes may wait when it goes on.
        var caller: (continuation: CheckedContinuation<Void, Never>, below: Int)?
    }
    private let state = NIOLockedValueBox(State())
    private let pool: BlockingPool
    private let body: @Sendable (UnsafeRawBufferPointer) -> Void

    /// - Parameter body: Takes a piece; called from one thread at a time.
    init(pool: BlockingPool, _ body: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
        self.pool = pool
        self.body = body
    }

    /// Hands a piece in.
    func add(_ piece: ByteBuffer) async {
        let count = piece.readableBytes
        let (isInline, starts, isFull) = state.withLockedValue { state -> (Bool, Bool, Bool) in
            if !state.isRunning, count < Self.laneBytesMin { return (true, false, false) }
            state.pieces.append(piece)
            state.waiting += count
            defer { state.isRunning = true }
            return (false, !state.isRunning, state.waiting > Self.waitingBytesMax)
        }
        // Nothing runs, and nobody else could start it.
        if isInline { return piece.withUnsafeReadableBytes(body) }
        if starts { run() }
        if isFull { await wait(below: Self.waitingBytesMax / 2) }
    }

    /// Returns when all pieces were taken.
    func drain() async { await wait(below: 0) }

    private func wait(below limit: Int) async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLockedValue { state in
                if state.waiting <= limit { return true }
                state.caller = (continuation, limit)
                return false
            }
            if isDone { continuation.resume() }
        }
    }

    /// Takes what waits. A pool that is being stopped takes it too: somebody waits for the end.
    private func run() {
        pool.submit { [self] _ in
            var done = 0
            while done < Self.turnBytes {
                let pieces = state.withLockedValue { state in
                    defer { state.pieces = [] }
                    state.isRunning = !state.pieces.isEmpty
                    return state.pieces
                }
                if pieces.isEmpty { return }
                for piece in pieces {
                    piece.withUnsafeReadableBytes(body)
                    done += piece.readableBytes
                    finished(piece.readableBytes)
                }
            }
            run()
        }
    }

    private func finished(_ count: Int) {
        let caller = state.withLockedValue { state -> CheckedContinuation<Void, Never>? in
            state.waiting -= count
            guard let caller = state.caller, state.waiting <= caller.below else { return nil }
            state.caller = nil
            return caller.continuation
        }
        caller?.resume()
    }
}
