// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOPosix
package import VarveModel

/// Threads for work that blocks: files, the index, compression, hashing of more than a little. Nothing of that runs on
/// an event loop or on the cooperative pool.
package struct BlockingPool: Sendable {
    private let threads: NIOThreadPool

    /// Starts `count` threads.
    package init(threads count: Int) {
        threads = NIOThreadPool(numberOfThreads: count)
        threads.start()
    }

    /// Runs `body` on one of the threads. If the caller is cancelled before a thread is free, it is not run.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(VarveError) -> Value
    ) async throws(VarveError) -> Value {
        do {
            return try await threads.runIfActive { try body() }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.cancelled, "cancelled before a worker was free", cause: error)
        }
    }

    /// Runs `body` on one of the threads whatever becomes of the caller: for cleaning up after one that was cancelled.
    package func runAlways(_ body: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            submit { _ in
                body()
                continuation.resume()
            }
        }
    }

    /// Queues `body`. It is called in any case: with false, on some thread, if the pool is stopped before its turn.
    package func submit(_ body: @escaping @Sendable (_ isActive: Bool) -> Void) {
        threads.submit { state in
            if case .active = state { body(true) } else { body(false) }
        }
    }

    /// Lets running work end, drops what is queued.
    package func shutdown() async { try? await threads.shutdownGracefully() }
}
