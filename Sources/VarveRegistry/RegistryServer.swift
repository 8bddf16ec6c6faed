// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import Logging
public import NIOCore
public import ServiceLifecycle
import Synchronization
public import VarveEngine
import VarveModel

/// The OCI distribution API over a store, as a service.
///
/// Own HTTP/1.1 on SwiftNIO, because blobs leave by `sendfile`, arrive in large adaptive reads and are never held as a
/// whole, which no framework's body type allows. Serves until a graceful shutdown: then it stops accepting, ends idle
/// connections, lets requests under way finish for ``RegistrySettings/shutdownSeconds``, and cuts what is left. Uploads
/// that are cut keep what arrived.
public final class RegistryServer: Service {
    private let listener: HTTPListener
    private let settings: RegistrySettings
    private let logger: Logger
    private let bound = Mutex<HTTPListener.ServerChannel?>(nil)

    /// A server that does not listen yet.
    public init(store: Store, settings: RegistrySettings = RegistrySettings(), logger: Logger) {
        self.settings = settings
        self.logger = logger
        listener = HTTPListener(api: RegistryAPI(store: store, settings: settings), settings: settings, logger: logger)
    }

    /// Where the server listens; nil before ``bind()``.
    public var boundAddress: SocketAddress? { bound.withLock { $0?.channel.localAddress } }

    /// Connections that are open.
    public var connectionCount: Int { listener.drain.count }

    /// Takes the address; clients can connect, and wait until ``run()``. Call it once, or leave it to ``run()``.
    /// - Throws: ``VarveError`` with code `io` if the address can not be had.
    @discardableResult
    public func bind() async throws -> SocketAddress {
        do {
            let address = try SocketAddress.makeAddressResolvingHost(settings.host, port: settings.port)
            let channel = try await listener.bind(to: address)
            bound.withLock { $0 = channel }
            guard let local = channel.channel.localAddress else {
                throw VarveError(.io, "the socket has no address")
            }
            logger.notice("serving the registry", metadata: ["address": "\(local)"])
            return local
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.io, "can not listen on \(settings.host):\(settings.port)", cause: error)
        }
    }

    /// Serves until graceful shutdown or cancellation.
    public func run() async throws {
        if bound.withLock({ $0 == nil }) { try await bind() }
        guard let channel = bound.withLock({ $0 }) else { return }
        try await listener.run(channel)
        logger.notice("registry stopped")
    }
}
