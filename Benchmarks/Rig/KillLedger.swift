// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Synchronization

/// What the clients of a kill test were promised. An acknowledgement (201 read to its end) goes in before anything else
/// happens; what was under way when the server died is in doubt: it may be there or not, but never with other bytes.
final class KillLedger: Sendable {
    /// Something that must be there: a blob, or a manifest under a tag.
    struct Promise: Sendable {
        let repository: String
        let digest: String
        let size: Int
        /// Set for a manifest.
        var tag: String?
    }

    private struct State {
        var kept: [Promise] = []
        var inDoubt: [Promise] = []
        var trouble: [String] = []
        var killing = false
        var counted: UInt64 = 0
    }

    private let state = Mutex(State())

    func acknowledged(_ promise: Promise) {
        state.withLock {
            $0.kept.append(promise)
            $0.counted += 1
        }
    }

    func leftInDoubt(_ promise: Promise) {
        state.withLock { $0.inDoubt.append(promise) }
    }

    /// Acknowledgements of the round that runs.
    var acknowledgementsInRound: UInt64 { state.withLock { $0.counted } }

    /// From now on broken connections are what is expected.
    func beginKilling() {
        state.withLock { $0.killing = true }
    }

    func beginRound() {
        state.withLock {
            $0.killing = false
            $0.counted = 0
        }
    }

    /// Notes an answer or a broken connection that the product should not have given, unless the server is being killed.
    func failed(_ what: String) {
        state.withLock { if !$0.killing { $0.trouble.append(what) } }
    }

    var troubles: [String] { state.withLock { $0.trouble } }

    var kept: [Promise] { state.withLock { $0.kept } }

    /// What was in doubt, and forgets it: each is asked for once.
    func takeInDoubt() -> [Promise] {
        state.withLock { state in
            let taken = state.inDoubt
            state.inDoubt = []
            return taken
        }
    }
}
