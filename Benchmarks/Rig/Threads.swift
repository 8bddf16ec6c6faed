// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Synchronization

/// Runs `body(0)` … `body(count - 1)` at once, each on a thread of its own, and waits for all. The rigs' clients block on
/// their sockets, which the tasks of Swift's own pool must not do.
/// - Throws: The first error that a body threw; the others still run to their end.
package func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let threads = RunningThreads(count, body)
    try threads.wait()
}

/// Threads that were started and will be waited for.
package final class RunningThreads: Sendable {
    private let group = DispatchGroup()
    private let failure = Mutex<(any Error)?>(nil)

    package init(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) {
        for index in 0..<count {
            group.enter()
            let thread = Thread { [self] in
                do { try body(index) } catch {
                    failure.withLock { if $0 == nil { $0 = error } }
                }
                group.leave()
            }
            thread.stackSize = 1 << 20
            thread.start()
        }
    }

    /// Waits until all have ended.
    package func wait() throws {
        group.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
