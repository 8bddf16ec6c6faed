// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import VarveModel

/// An HTTP/1.1 server on one socket: accepts, sets up each connection's handlers, runs a task for each, and ends them in
/// good order.
package struct HTTPListener: Sendable {
    let api: any HTTPAPI
    let settings: HTTPSettings
    let logger: Logger
    let drain = Drain()
    let receivers: ReceiveShare
    let localPeer = LocalPeer()

    package init(api: any HTTPAPI, settings: HTTPSettings, logger: Logger) {
        self.api = api
        self.settings = settings
        self.logger = logger
        receivers = ReceiveShare(settings)
    }

    /// A socket that listens; clients can connect, and wait until it is run.
    package struct Bound: Sendable {
        fileprivate let server: NIOAsyncChannel<NIOAsyncChannel<RequestPart, Never>?, Never>

        /// Where it listens.
        package var address: SocketAddress? { server.channel.localAddress }
    }

    /// Connections that are open.
    package var connectionCount: Int { drain.count }

    /// Takes the address of the settings.
    /// - Throws: ``VarveError`` with code `io` if it can not be had.
    package func bind() async throws -> Bound {
        do {
            let address = try SocketAddress.makeAddressResolvingHost(settings.host, port: settings.port)
            let server = try await bootstrap().bind(to: address) { [self] channel in initialize(channel) }
            guard server.channel.localAddress != nil else { throw VarveError(.io, "the socket has no address") }
            return Bound(server: server)
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.io, "can not listen on \(settings.host):\(settings.port)", cause: error)
        }
    }

    /// Takes a socket that is bound already.
    package func bind(socket: NIOBSDSocket.Handle) async throws -> Bound {
        Bound(server: try await bootstrap().bind(socket) { [self] channel in initialize(channel) })
    }

    /// Serves until the channel closes, a graceful shutdown has ended, or the task is cancelled.
    package func run(_ bound: Bound) async throws {
        let server = bound.server
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await server.executeThenClose { accepted in
                    try await withThrowingDiscardingTaskGroup { group in
                        for try await channel in accepted {
                            guard let channel else { continue }
                            group.addTask {
                                await Connection(
                                    channel: channel, api: api, settings: settings, drain: drain, logger: logger
                                ).run()
                            }
                        }
                    }
                }
            } onGracefulShutdown: {
                drain.begin()
                server.channel.close(promise: nil)
                server.channel.eventLoop.scheduleTask(in: TimeAmount(fractional: settings.shutdownSeconds)) {
                    drain.cut()
                }
            }
        } onCancel: {
            drain.begin()
            drain.cut()
            server.channel.close(promise: nil)
        }
    }

    private func bootstrap() -> ServerBootstrap {
        ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelInitializer { [localPeer] channel in
                localPeer.prepare(listener: channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 1024, initial: RequestGuard.firstReadBytes, maximum: RequestGuard.headReadBytes))
    }

    private func initialize(_ channel: any Channel) -> EventLoopFuture<NIOAsyncChannel<RequestPart, Never>?> {
        guard !drain.hasBegun, drain.add(channel, most: settings.connectionsMax) else {
            logger.warning("connection refused, too many are open or the server is stopping")
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(ConnectionRefusal())
                return nil
            }
        }
        return channel.eventLoop.makeCompletedFuture {
            localPeer.tune(channel)
            if channel.remoteAddress?.port != nil {
                try? channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
            }
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = settings.headerFieldBytesMax
            limits.maxHeaderListSize = settings.headerBytesMax
            limits.maxHeaderFieldCount = settings.headerFieldsMax
            let state = ConnectionState(now: channel.eventLoop.now)
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandlers([
                ConnectionGuard(state: state, settings: settings),
                HTTPResponseEncoder(),
                ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: limits)),
                RequestGuard(state: state, settings: settings, receivers: receivers),
                NIOHTTPResponseHeadersValidator(),
                HTTPServerPipelineHandler(),
                WireAdapter(state: state, settings: settings),
            ])
            return try NIOAsyncChannel<RequestPart, Never>(
                wrappingChannelSynchronously: channel,
                configuration: .init(
                    // One part waits while another is worked on.
                    backPressureStrategy: .init(lowWatermark: 1, highWatermark: 1),
                    isOutboundHalfClosureEnabled: false, inboundType: RequestPart.self, outboundType: Never.self))
        }
    }
}

/// Answers a connection that there is no room for, and closes it.
private final class ConnectionRefusal: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        let response =
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        context.writeAndFlush(NIOAny(context.channel.allocator.buffer(string: response)), promise: nil)
        context.close(mode: .all, promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}
