// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Synchronization

/// Bytes that all connections together may hold for one purpose. Who finds it exhausted is refused, never made to wait:
/// those who wait could be waiting for each other.
package final class ByteBudget: Sendable {
    private let left: Atomic<Int>

    package init(_ bytes: Int) { left = Atomic(bytes) }

    /// A reservation of nothing yet; it must be released.
    package func reservation() -> Reservation { Reservation(self) }

    /// What one request holds. For one task.
    package final class Reservation {
        private let budget: ByteBudget
        private var held = 0

        init(_ budget: ByteBudget) { self.budget = budget }

        /// Takes `bytes` more.
        /// - Returns: False if there are not so many; then nothing is taken.
        package func add(_ bytes: Int) -> Bool {
            let (_, left) = budget.left.subtract(bytes, ordering: .relaxed)
            guard left >= 0 else {
                budget.left.add(bytes, ordering: .relaxed)
                return false
            }
            held += bytes
            return true
        }

        /// Gives everything back.
        package func release() {
            budget.left.add(held, ordering: .relaxed)
            held = 0
        }
    }
}
