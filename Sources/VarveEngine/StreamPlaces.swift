// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveModel

/// Places for readers each of whom holds much memory while it reads. Whoever finds none waits its turn.
///
/// A reader holds at most one, so nobody waits for somebody who waits. One that does not read on keeps its place until
/// its front end drops it, which front ends do with slow clients.
final class StreamPlaces: Sendable {
    private struct State {
        var free: Int
        var nextTicket: UInt64 = 0
        var waiting: [(ticket: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Who went away before it began to wait.
        var gone: Set<UInt64> = []
    }
    private let state: NIOLockedValueBox<State>

    init(_ count: Int) { state = NIOLockedValueBox(State(free: count)) }

    /// A place, until it is dropped.
    final class Place: Sendable {
        private let places: StreamPlaces

        fileprivate init(_ places: StreamPlaces) { self.places = places }

        deinit { places.giveBack() }
    }

    /// Takes a place; those who wait get theirs in their order.
    /// - Throws: `cancelled` if the task is.
    func take() async throws(VarveError) -> Place {
        let ticket = state.withLockedValue { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        let got = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLockedValue { state in
                    if state.gone.remove(ticket) != nil { return false }
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.waiting.append((ticket, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiting = state.withLockedValue { state -> CheckedContinuation<Bool, Never>? in
                guard let index = state.waiting.firstIndex(where: { $0.ticket == ticket }) else {
                    state.gone.insert(ticket)
                    return nil
                }
                return state.waiting.remove(at: index).continuation
            }
            waiting?.resume(returning: false)
        }
        state.withLockedValue { _ = $0.gone.remove(ticket) }
        guard got else { throw VarveError(.cancelled, "the reader went away") }
        return Place(self)
    }

    /// Takes a place without waiting, if another one stays free and nobody waits.
    func takeSpare() -> Place? {
        let got = state.withLockedValue { state in
            guard state.free > 1, state.waiting.isEmpty else { return false }
            state.free -= 1
            return true
        }
        return got ? Place(self) : nil
    }

    private func giveBack() {
        let next = state.withLockedValue { state -> CheckedContinuation<Bool, Never>? in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}
