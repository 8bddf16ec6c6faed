// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Dispatch
import Foundation
import Glibc
import Synchronization

/// Turns SIGINT and SIGTERM into the cancellation of the running verb.
///
/// The first signal cancels; whatever is half done stays as the store's rules leave it, which is what a power failure would
/// leave too. A second signal, or ten seconds in which the verb did not end, ends the process at once. `serve` does not
/// use this: its signals belong to the service group, which stops in order.
final class Interrupts: Sendable {
    static let shared = Interrupts()

    private struct State {
        var status: ExitStatus?
        var sources: [any DispatchSourceSignal] = []
        var cancel: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    private init() {}

    /// How the process ends if it was told to stop; nil if it was not.
    var status: ExitStatus? { state.withLock(\.status) }

    /// From now on the two signals call `cancel`, once.
    func watch(cancel: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.cancel = cancel
            for (number, status) in [(SIGINT, ExitStatus.interrupted), (SIGTERM, .terminated)] {
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { self.receive(status) }
                source.activate()
                state.sources.append(source)
            }
        }
    }

    private func receive(_ status: ExitStatus) {
        let cancel: (@Sendable () -> Void)? = state.withLock { state in
            guard state.status == nil else { _exit(status.rawValue) }
            state.status = status
            return state.cancel
        }
        if isatty(2) == 1 { Output.note("stopping; once more to stop at once") }
        DispatchQueue.global().asyncAfter(deadline: .now() + 10) { _exit(status.rawValue) }
        cancel?()
    }
}
