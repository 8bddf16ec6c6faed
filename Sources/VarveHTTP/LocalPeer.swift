// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore

/// What is set up differently for a client on the same machine.
///
/// Congestion control models a path between machines. Over loopback there is none, and a control that paces (BBR, the
/// default of many hosts) starts a timer for every 64 KiB: measured with `sendfile`, 5.2 GB a processor second and 2 GB/s
/// with BBR, 14 and 8 with Reno, which every kernel has and every process may choose. A connection that has begun with a
/// pacing control goes on being paced whatever it is set to later (7 GB a processor second). So the listening socket is
/// set to Reno, its connections inherit that, and those from elsewhere are given the system's choice back.
struct LocalPeer: Sendable {
    /// What connections of this system begin with; nil when it is Reno, or not known.
    private let systemChoice: Name?

    init() {
        systemChoice = Name.ofNewSockets().flatMap { $0 == .reno ? nil : $0 }
    }

    /// Prepares a socket that is to listen. Whether that worked is of no consequence.
    func prepare(listener: any Channel) {
        guard systemChoice != nil else { return }
        set(.reno, of: listener)
    }

    /// Gives a connection from another machine what the system would have given it.
    func tune(_ channel: any Channel) {
        guard let systemChoice, !Self.isLocal(channel) else { return }
        set(systemChoice, of: channel)
    }

    private func set(_ name: Name, of channel: any Channel) {
        guard let provider = channel as? any SocketOptionProvider else { return }
        _ = provider.unsafeSetSocketOption(
            level: .tcp, name: NIOBSDSocket.Option(rawValue: TCP_CONGESTION), value: name)
    }

    private static func isLocal(_ channel: any Channel) -> Bool {
        guard let remote = channel.remoteAddress, remote.port != nil, let address = remote.ipAddress else {
            return false
        }
        return address.hasPrefix("127.") || address == "::1" || address == "::ffff:127.0.0.1"
            || address == channel.localAddress?.ipAddress
    }

    /// A congestion control's name as the kernel passes it: up to 16 bytes, zeros behind it.
    struct Name: Sendable, Equatable {
        var low: UInt64
        var high: UInt64 = 0

        static let reno = Name(low: 0x6F6E_6572)  // "reno", the first letter lowest in memory

        static func ofNewSockets() -> Name? {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            return of(descriptor)
        }

        static func of(_ descriptor: CInt) -> Name? {
            var name = Name(low: 0)
            var length = socklen_t(MemoryLayout<Name>.size)
            guard getsockopt(descriptor, CInt(IPPROTO_TCP), TCP_CONGESTION, &name, &length) == 0 else { return nil }
            // The kernel need not write what is behind the terminating zero.
            return name.terminated
        }

        private var terminated: Name {
            var copy = self
            withUnsafeMutableBytes(of: &copy) { bytes in
                guard let end = bytes.firstIndex(of: 0) else { return }
                for index in end..<bytes.count { bytes[index] = 0 }
            }
            return copy
        }
    }
}
