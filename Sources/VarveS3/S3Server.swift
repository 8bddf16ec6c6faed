// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import Logging
public import NIOCore
public import ServiceLifecycle
import Synchronization
public import VarveDrivers
import VarveHTTP
public import VarveModel

/// The S3 API over a storage driver, as a service: what registries with an `s3` driver need, and clients like `aws`,
/// `rclone` and `s3cmd`.
///
/// Serves until a graceful shutdown, as `HTTPListener` does it.
public final class S3Server: Service {
    private let listener: HTTPListener
    private let driver: any StorageDriver
    private let settings: S3Settings
    private let logger: Logger
    private let bound = Mutex<HTTPListener.Bound?>(nil)

    /// A server that does not listen yet.
    /// - Throws: `invalidArgument` if there are no credentials: then nobody could use it, or everybody.
    public init(driver: any StorageDriver, settings: S3Settings, logger: Logger) throws(VarveError) {
        guard !settings.credentials.isEmpty else {
            throw VarveError(.invalidArgument, "S3 needs at least one access key")
        }
        self.driver = driver
        self.settings = settings
        self.logger = logger
        listener = HTTPListener(
            api: S3API(driver: driver, settings: settings), settings: settings.http, logger: logger)
    }

    /// Where the server listens; nil before ``bind()``.
    public var boundAddress: SocketAddress? { bound.withLock { $0?.address } }

    /// Makes the buckets that the credentials name, if they are not there, and `more`.
    public func createBuckets(_ more: [BucketName] = []) async throws(VarveError) {
        for bucket in settings.credentials.buckets + more where try await driver.createBucket(bucket) {
            logger.notice("bucket made", metadata: ["bucket": "\(bucket)"])
        }
    }

    /// Takes the address; clients can connect, and wait until ``run()``.
    /// - Throws: `io` if the address can not be had.
    @discardableResult
    public func bind() async throws -> SocketAddress {
        let bound = try await listener.bind()
        guard let address = bound.address else { throw VarveError(.io, "the socket has no address") }
        self.bound.withLock { $0 = bound }
        logger.notice("serving S3", metadata: ["address": "\(address)"])
        return address
    }

    /// Serves until graceful shutdown or cancellation.
    public func run() async throws {
        if bound.withLock({ $0 == nil }) { try await bind() }
        guard let bound = bound.withLock({ $0 }) else { return }
        try await listener.run(bound)
        logger.notice("S3 stopped")
    }
}
