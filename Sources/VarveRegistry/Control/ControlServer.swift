// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import Logging
import NIOCore
import NIOHTTP1
public import ServiceLifecycle
public import VarveEngine
import VarveHTTP
import VarveModel

/// Upkeep of a store that is being served: HTTP on the unix socket `control.sock` in the store's directory, for the tool.
///
/// `GET /stats`, `POST /settle?evict=true`, `POST /verify`; see ``ControlClient``. An operation ends with its request: a
/// client that goes away cancels what has not begun.
public final class ControlServer: Service {
    private let listener: HTTPListener
    private let path: String
    private let logger: Logger

    /// A control server that does not listen yet.
    /// - Parameter storePath: The store's directory; the socket appears in it.
    public init(store: Store, storePath: String, settings: RegistrySettings = RegistrySettings(), logger: Logger) {
        path = storePath
        self.logger = logger
        var settings = settings.http
        settings.connectionsMax = 16
        listener = HTTPListener(api: ControlAPI(store: store), settings: settings, logger: logger)
    }

    /// Serves until graceful shutdown or cancellation, and removes the socket.
    /// - Throws: ``VarveError`` with code `io` if the socket can not be made.
    public func run() async throws {
        let bound: HTTPListener.Bound
        do {
            bound = try await ControlSocket.withAddress(in: path) { address in
                try await listener.bind(socket: try ControlSocket.bound(to: address, in: path))
            }
        } catch {
            throw VarveError(.io, "can not listen on \(path)/\(ControlSocket.name)", cause: error)
        }
        defer { ControlSocket.remove(in: path) }
        try await listener.run(bound)
    }
}

/// The control API over a store.
struct ControlAPI: API {
    let store: Store

    func respond(to request: Request) async throws -> Response {
        switch (request.target.segments, request.head.method) {
        case (["stats"], .GET):
            return Response(.ok, json: ControlMessage.stats(try await store.stats()).line)
        case (["settle"], .POST):
            let evicts = request.target.value("evict") == "true"
            return operation { [store] progress in
                try await store.settle(evict: evicts, progress: progress)
                return .settled
            }
        case (["verify"], .POST):
            return operation { [store] progress in .verified(try await store.verify(progress: progress)) }
        case (["stats"], _), (["settle"], _), (["verify"], _):
            throw Refusal(.methodNotAllowed, .unsupported, "method not allowed here")
        default:
            throw Refusal(.notFound, .nameUnknown, "no such place")
        }
    }

    private func operation(
        _ run: @escaping @Sendable (@escaping @Sendable (Progress) -> Void) async throws -> ControlMessage
    ) -> Response {
        let body: (ResponseWriter) async throws -> Void = { writer in
            let (reports, reporter) = AsyncStream.makeStream(of: Progress.self, bufferingPolicy: .bufferingNewest(1))
            async let outcome: ControlMessage = {
                defer { reporter.finish() }
                do {
                    return try await run { reporter.yield($0) }
                } catch {
                    return .failed(error as? VarveError ?? VarveError(.io, "operation failed", cause: error))
                }
            }()
            for await report in reports {
                try await writer.write(ByteBuffer(bytes: ControlMessage.progress(report).line))
            }
            try await writer.write(ByteBuffer(bytes: await outcome.line))
        }
        return Response(.ok, ["Content-Type": "application/x-ndjson"], body: .produced(length: nil, body))
    }
}
