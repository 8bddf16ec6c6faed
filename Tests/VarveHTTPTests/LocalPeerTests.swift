// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import VarveHTTP

@Suite("clients on the same machine")
struct LocalPeerTests {
    /// The congestion control of the first connection that a listener on `address` takes, made from the same machine.
    private func accepted(_ prepare: @escaping @Sendable (any Channel) -> Void) async throws -> LocalPeer.Name {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelInitializer { channel in
                prepare(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    LocalPeer().tune(channel)
                    return channel
                }
            }
        let address = try #require(server.channel.localAddress)
        return try await server.executeThenClose { connections in
            let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(to: address)
                .get()
            var iterator = connections.makeAsyncIterator()
            let channel = try #require(try await iterator.next())
            let provider = try #require(channel as? any SocketOptionProvider)
            let name: LocalPeer.Name = try await provider.unsafeGetSocketOption(
                level: .tcp, name: NIOBSDSocket.Option(rawValue: TCP_CONGESTION)
            ).get()
            try await channel.close()
            try? await client.close()
            return name
        }
    }

    @Test("are not paced: their connections begin with Reno, for the listening socket has it")
    func reno() async throws {
        #expect(try await accepted { LocalPeer().prepare(listener: $0) } == .reno)
    }

    @Test("a connection of a listener that was not prepared has the system's choice, by its name")
    func systemChoice() async throws {
        let name = try await accepted { _ in }
        #expect(name == LocalPeer.Name.ofNewSockets())
    }
}
