// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import Synchronization

/// The connections that are open, and the way to end them all.
final class Drain: Sendable {
    private struct State {
        var hasBegun = false
        var channels: [ObjectIdentifier: any Channel] = [:]
    }
    private let state = Mutex(State())

    /// Whether the server is stopping.
    var hasBegun: Bool { state.withLock { $0.hasBegun } }

    /// Connections that are open.
    var count: Int { state.withLock { $0.channels.count } }

    /// Takes note of a connection until it closes.
    /// - Returns: False if there are `most` already.
    func add(_ channel: any Channel, most: Int) -> Bool {
        let key = ObjectIdentifier(channel)
        let added = state.withLock { state in
            guard state.channels.count < most else { return false }
            state.channels[key] = channel
            return true
        }
        if added {
            channel.closeFuture.whenComplete { [weak self] _ in
                _ = self?.state.withLock { $0.channels.removeValue(forKey: key) }
            }
        }
        return added
    }

    /// Closes connections that are idle, now and as their requests end.
    func begin() {
        let channels = state.withLock { state in
            state.hasBegun = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(DrainEvent()) }
    }

    /// Closes every connection, whatever it is doing.
    func cut() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(mode: .all, promise: nil) }
    }
}

/// Tells a connection's handlers that the server is stopping.
struct DrainEvent {}
