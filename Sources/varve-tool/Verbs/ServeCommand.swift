// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals
import VarveDrivers
import VarveEngine
import VarveHTTP
import VarveModel
import VarveRegistry
import VarveS3

/// `varve serve`.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve a store as an OCI registry.",
        discussion: """
            Speaks the OCI distribution API over plain HTTP, for docker, containerd, podman, skopeo and Kubernetes. Makes \
            the store if there is none. Once it accepts connections it prints one line to standard output:
              listening on http://127.0.0.1:5000

            There is no authentication and no TLS yet: whoever can reach the address can read, write and delete. The \
            default address is reached from this machine only.

            A push is acknowledged when its bytes are on disk. --settle says when they are cut into chunks: in the \
            background (the default), inline (before the push is acknowledged), or off ('varve settle' does it). \
            --cache bounds the raw bytes that are kept of settled blobs for fast pulls: a share of what they were \
            pushed with, a size, or 0.

            SIGTERM or SIGINT ends it in order: no new connections, requests are finished or broken off within a \
            deadline, unfinished uploads are kept for the client to resume, exit code 0.

            With --s3-listen it also speaks S3, so that a registry with an s3 driver keeps its layers here; see the \
            README. Every request must be signed by a key; there is no TLS there either.

            'varve stats', 'settle', 'verify', 'images', 'inspect', 'export' and 'inspect-store' work beside it.

            Example:
              varve serve --store ./layers --listen 127.0.0.1:5000 --cache 2GiB
              varve serve --store ./layers --s3-listen 127.0.0.1:9000 --s3-bucket registry
            """)

    @OptionGroup var store: StoreOptions
    @Option(help: ArgumentHelp("Address and port; port 0 is any free one.", valueName: "host:port"))
    var listen = ListenAddress(host: "127.0.0.1", port: 5000)
    @Option(help: "When pushed blobs are settled: background, inline or off.")
    var settle: SettleChoice = .background
    @Option(help: ArgumentHelp("Raw bytes kept of settled blobs: 10%, a size, or 0.", valueName: "budget"))
    var cache = CacheOption(StoreSettings().cacheBudget)
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup var tuning: SettlingOptions
    @Option(
        help: ArgumentHelp(
            "Threads for the file and index work of requests; 0 = four per core, at least 8.", valueName: "n"))
    var ioThreads: Int = StoreSettings().ioThreads
    @Option(help: ArgumentHelp("Memory for decoded frames, all readers together.", valueName: "size"))
    var frameCache = ByteSize(UInt64(StoreSettings().frameCacheBytes))
    @Option(help: ArgumentHelp("Least important messages that are written to standard error.", valueName: "level"))
    var logLevel: LogLevel = .notice

    /// `--settle`.
    enum SettleChoice: String, CaseIterable, ExpressibleByArgument {
        case background, inline, off

        var setting: StoreSettings.Settling {
            switch self {
            case .background: .background
            case .inline: .inline
            case .off: .off
            }
        }
    }

    /// `--log-level`.
    enum LogLevel: String, CaseIterable, ExpressibleByArgument {
        case trace, debug, info, notice, warning, error, critical

        var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .notice }
    }

    func validate() throws {
        guard (0...1024).contains(ioThreads) else { throw ValidationError("--io-threads takes 0 to 1024.") }
        guard (1 << 20...1 << 40).contains(frameCache.bytes) else {
            throw ValidationError("--frame-cache takes 1MiB to 1TiB.")
        }
    }

    private var storeSettings: StoreSettings {
        var settings = tuning.settings
        settings.settling = settle.setting
        settings.cacheBudget = cache.budget
        settings.settlingYields = true
        settings.ioThreads = ioThreads
        settings.frameCacheBytes = Int(clamping: frameCache.bytes)
        return settings
    }

    func run() async throws {
        let logger = ToolLog.logger(level: logLevel.level)
        if !listen.isLoopback {
            Output.note(
                "\(listen) may be reached from other machines, and there is no authentication and no TLS yet: "
                    + "whoever reaches it can read, write and delete everything")
        }
        // Before the store is opened: a start that is refused makes nothing.
        let s3Settings = try s3.settings()
        if let address = s3.listen, !address.isLoopback {
            Output.note(
                "\(address) may be reached from other machines, and there is no TLS there yet: S3 requests must be "
                    + "signed, but all that is written and read passes in the clear")
        }
        let engine: Store
        do {
            engine = try await Store.open(at: store.path, settings: storeSettings, logger: logger)
        } catch {
            guard error.code == .inUse else { throw error }
            throw await StoreAccess(store).inUse(
                "serve", instead: "one server serves a store; stop the other one first")
        }
        do {
            try await serve(engine, s3Settings, logger)
            await engine.close()
        } catch {
            await engine.close()
            throw error
        }
        logger.notice("stopped")
    }

    private func serve(_ engine: Store, _ s3Settings: S3Settings?, _ logger: Logger) async throws {
        var settings = RegistrySettings()
        settings.http.host = listen.host
        settings.http.port = listen.port
        let registry = RegistryServer(store: engine, settings: settings, logger: logger)
        let control = ControlServer(store: engine, storePath: store.path, settings: settings, logger: logger)
        let bound = try await Self.bound(to: listen) { try await registry.bind() }
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: control), .init(service: registry),
        ]
        var lines = ""
        if let s3Settings, var address = s3.listen {
            let server = try S3Server(driver: engine, settings: s3Settings, logger: logger)
            try await server.createBuckets(s3.buckets)
            address.port = try await Self.bound(to: address) { try await server.bind() }.port ?? address.port
            services.append(.init(service: server))
            services.append(.init(service: UploadExpiry(driver: engine, logger: logger)))
            lines = "serving S3 on http://\(address)\n"
        }
        var address = listen
        address.port = bound.port ?? listen.port
        logger.notice(
            "serving",
            metadata: [
                "store": "\(store.path)", "listen": "\(address)", "settle": "\(settle.rawValue)", "cache": "\(cache)",
                "level": "\(tuning.level)", "workers": "\(tuning.workers)", "io-threads": "\(ioThreads)",
                "frame-cache": "\(frameCache)",
            ])
        services.append(.init(service: Announcement(text: "\(lines)listening on http://\(address)\n")))
        // Started in this order and stopped in reverse: signals are caught before anybody is told that we listen.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services,
                gracefulShutdownSignals: [.sigterm, .sigint], logger: Self.quieter(logger)))
        try await group.run()
    }

    private static func bound(
        to address: ListenAddress, _ bind: () async throws -> SocketAddress
    ) async throws -> SocketAddress {
        do {
            return try await bind()
        } catch let error as VarveError {
            let reason =
                (error.cause as? IOError).map { ToolError.text(ofErrno: $0.errnoCode) } ?? error.cause.map { "\($0)" }
                ?? error.message
            throw ToolError(.failed, "cannot listen on \(address): \(reason)")
        }
    }

    /// The service group tells every step at levels that are ours for what matters.
    private static func quieter(_ logger: Logger) -> Logger {
        var logger = logger
        if logger.logLevel > .debug { logger.logLevel = max(logger.logLevel, .warning) }
        return logger
    }
}

/// Says on standard output that the server is there, once everything before it runs.
private struct Announcement: Service {
    let text: String

    func run() async throws {
        try Output.write(text)
        try await gracefulShutdown()
    }
}

/// Removes, once an hour, multipart uploads that nothing was added to for eight days: registries purge their own after
/// seven.
private struct UploadExpiry: Service {
    let driver: any StorageDriver
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    let now = UInt64(clamping: Int(Date().timeIntervalSince1970 * 1000))
                    let count = try await driver.expireUploads(idleSeconds: 8 * 24 * 3600, now: now)
                    if count > 0 { logger.notice("abandoned uploads removed", metadata: ["count": "\(count)"]) }
                } catch {
                    logger.warning("abandoned uploads were not removed", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: .seconds(3600))
            }
        }
    }
}
