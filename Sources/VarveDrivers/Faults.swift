// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers

/// Fails the n-th operation of a kind, once or from then on, so that tests can walk every error path of the engine: run
/// with n = 1, 2, 3 … until nothing fails any more. It also tells of every operation before it is done, so that a test
/// can look at the files as they are in between.
///
/// A store without a `Faults` pays one nil check an operation.
package final class Faults: Sendable {
    /// The operations that can fail.
    package enum Operation: Sendable, Hashable { case open, read, write, sync, rename, remove }

    private struct State {
        var countdown: [Operation: Int] = [:]
        var isLasting = false
        var number: CInt = 0
        var fired = 0
        var observer: (@Sendable (Operation, String) -> Void)?
    }
    private let state = NIOLockedValueBox(State())

    package init() {}

    /// The `n`-th operation from now among `operations` fails with `number`; with `lasting` all later ones do too.
    package func fail(_ operation: Operation, at n: Int, with number: CInt, lasting: Bool = false) {
        state.withLockedValue {
            $0.countdown = [operation: n]
            $0.isLasting = lasting
            $0.number = number
            $0.fired = 0
        }
    }

    /// Nothing fails any more.
    package func clear() { state.withLockedValue { $0.countdown = [:] } }

    /// Calls `observer` before every operation from now on, with what it is done to, on the thread that does it.
    package func observe(_ observer: (@Sendable (Operation, String) -> Void)?) {
        state.withLockedValue { $0.observer = observer }
    }

    /// How many operations failed since `fail` was called.
    package var fired: Int { state.withLockedValue { $0.fired } }

    func check(_ operation: Operation, _ call: String, _ path: String) throws(DriverError) {
        state.withLockedValue({ $0.observer })?(operation, path)
        let number: CInt? = state.withLockedValue {
            guard let left = $0.countdown[operation] else { return nil }
            $0.countdown[operation] = left - 1
            guard left == 1 || (left < 1 && $0.isLasting) else { return nil }
            $0.fired += 1
            return $0.number
        }
        if let number { throw DriverError(call, path, number) }
    }
}
