// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import Logging
public import NIOCore
public import ServiceLifecycle
import Synchronization
public import VarveEngine
import VarveHTTP
import VarveModel

/// The OCI distribution API over a store, as a service.
///
/// Own HTTP/1.1 on SwiftNIO, because blobs leave by `sendfile`, arrive in large adaptive reads and are never held as a
/// whole, which no framework's body type allows. Serves until a graceful shutdown: then it stops accepting, ends idle
/// connections, lets requests under way finish for ``HTTPSettings/shutdownSeconds``, and cuts what is left. Uploads
/// that are cut keep what arrived.
public final class RegistryServer: Service {
    private let listener: HTTPListener
    private let logger: Logger
    private let bound = Mutex<HTTPListener.Bound?>(nil)

    /// A server that does not listen yet.
    public init(store: Store, settings: RegistrySettings = RegistrySettings(), logger: Logger) {
        self.logger = logger
        listener = HTTPListener(
            api: RegistryAPI(store: store, settings: settings), settings: settings.http, logger: logger)
    }

    /// Where the server listens; nil before ``bind()``.
    public var boundAddress: SocketAddress? { bound.withLock { $0?.address } }

    /// Connections that are open.
    public var connectionCount: Int { listener.connectionCount }

    /// Takes the address; clients can connect, and wait until ``run()``. Call it once, or leave it to ``run()``.
    /// - Throws: ``VarveError`` with code `io` if the address can not be had.
    @discardableResult
    public func bind() async throws -> SocketAddress {
        let bound = try await listener.bind()
        guard let address = bound.address else { throw VarveError(.io, "the socket has no address") }
        self.bound.withLock { $0 = bound }
        logger.notice("serving the registry", metadata: ["address": "\(address)"])
        return address
    }

    /// Serves until graceful shutdown or cancellation.
    public func run() async throws {
        if bound.withLock({ $0 == nil }) { try await bind() }
        guard let bound = bound.withLock({ $0 }) else { return }
        try await listener.run(bound)
        logger.notice("registry stopped")
    }
}
