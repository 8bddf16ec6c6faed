// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveDrivers

import NIOConcurrencyHelpers
import NIOCore
import VarveModel

/// What a test of a driver needs of it: a place of its own that can be opened again.
public protocol StorageDriverFixture: Sendable {
    /// Opens the driver; what was in it before is there if ``isDurable``.
    func open() async throws -> any StorageDriver
    /// Closes what was opened last.
    func close() async throws
    /// Looks whether all is well inside; throws if it is not.
    func checkInvariants() async throws
    /// Whether what was written outlives closing.
    var isDurable: Bool { get }
}

extension StorageDriverFixture {
    /// Nothing to look at.
    public func checkInvariants() async throws {}
}

/// The promises of ``StorageDriver``, each with a check that a driver either passes or breaks with an error that says
/// how. A new driver adds one short test file:
///
///     @Test("keeps the contract", arguments: StorageDriverContract.checks)
///     func contract(_ check: StorageDriverContract.Check) async throws { try await check.run(Fixture()) }
public enum StorageDriverContract {
    /// A promise.
    public struct Check: Sendable, CustomStringConvertible {
        /// The promise, in words.
        public let description: String
        let body: @Sendable (Bench) async throws -> Void

        /// Checks a fresh, empty driver, and that it is empty again after everything in it was deleted.
        /// - Throws: ``Broken``, or whatever the driver threw.
        public func run(_ fixture: any StorageDriverFixture) async throws {
            let bench = try await Bench(fixture)
            do {
                try await body(bench)
                try await fixture.checkInvariants()
                try await bench.empty()
                try await fixture.checkInvariants()
            } catch {
                try? await fixture.close()
                throw error
            }
            try await fixture.close()
        }
    }

    /// How a driver broke a promise.
    public struct Broken: Error, CustomStringConvertible {
        /// What was found and what was promised.
        public let description: String
    }

    /// Every promise.
    public static let checks: [Check] = bucketChecks + objectChecks + listChecks + composeChecks + concurrencyChecks
}

/// An open driver with a bucket, and what checks do with it.
final class Bench: Sendable {
    let fixture: any StorageDriverFixture
    private let opened: NIOLockedValueBox<any StorageDriver>
    let bucket: BucketName

    var driver: any StorageDriver { opened.withLockedValue { $0 } }

    init(_ fixture: any StorageDriverFixture) async throws {
        self.fixture = fixture
        let driver = try await fixture.open()
        opened = NIOLockedValueBox(driver)
        bucket = try Self.bucketName("bucket-one")
        try expect(try await driver.createBucket(bucket), "a fresh driver has the bucket already")
    }

    /// Closes the driver and opens it again.
    func reopen() async throws {
        try await fixture.close()
        let driver = try await fixture.open()
        opened.withLockedValue { $0 = driver }
    }

    static func bucketName(_ text: String) throws -> BucketName {
        guard let name = BucketName(text) else { throw StorageDriverContract.Broken(description: "no bucket name") }
        return name
    }

    func address(
        _ key: String, in namespace: ObjectNamespace = .objects, of bucket: BucketName? = nil
    ) throws -> ObjectAddress {
        guard let key = ObjectKey(key) else { throw StorageDriverContract.Broken(description: "no key: \(key)") }
        return ObjectAddress(bucket ?? self.bucket, key, in: namespace)
    }

    @discardableResult
    func put(_ bytes: [UInt8], _ object: ObjectAddress, etag: String = "") async throws -> ObjectInfo {
        try await driver.put(ByteBuffer(bytes: bytes), to: object, attributes: ObjectAttributes(etag: etag))
    }

    func bytes(of object: ObjectAddress, range: Range<UInt64>? = nil) async throws -> [UInt8] {
        try await Self.bytes(of: try await driver.open(object), range: range)
    }

    static func bytes(of object: any OpenObject, range: Range<UInt64>? = nil) async throws -> [UInt8] {
        try await object.content(in: range).gathered()
    }

    func expectBytes(_ expected: [UInt8], at object: ObjectAddress, _ what: String) async throws {
        let info = try await driver.stat(object)
        try expect(info.size == UInt64(expected.count), "\(what): stat says \(info.size) of \(expected.count) bytes")
        try expect(try await bytes(of: object) == expected, "\(what): other bytes came back")
    }

    func expectAbsent(_ object: ObjectAddress, _ what: String) async throws {
        try await expectError(.notFound, what) { _ = try await self.driver.stat(object) }
        try await expectError(.notFound, what) { _ = try await self.driver.open(object) }
    }

    func keys(_ namespace: ObjectNamespace = .objects, _ request: ListRequest = ListRequest()) async throws -> [String]
    {
        try await driver.list(bucket, in: namespace, request).objects.map(\.key.description)
    }

    /// Deletes everything and every bucket.
    func empty() async throws {
        for bucket in try await driver.buckets() {
            for namespace in ObjectNamespace.allCases {
                var found: [ObjectAddress] = []
                try await driver.walk(bucket.name, in: namespace) {
                    found.append(ObjectAddress(bucket.name, $0.key, in: namespace))
                }
                let count = try await driver.delete(found)
                try expect(count == found.count, "\(count) of \(found.count) objects were deleted")
                let page = try await driver.list(bucket.name, in: namespace, ListRequest(delimiter: [0x2f]))
                try expect(page == ObjectPage(), "an emptied bucket lists \(page)")
            }
            try await driver.deleteBucket(bucket.name)
        }
        try expect(try await driver.buckets().isEmpty, "a deleted bucket is listed")
    }
}

extension ObjectContent {
    /// All of its bytes.
    /// - Throws: ``StorageDriverContract/Broken`` if they are not as many as promised.
    public func gathered() async throws -> [UInt8] {
        let promised = length
        var bytes: [UInt8] = []
        switch self {
        case .bytes(let buffer): bytes = Array(buffer.readableBytesView)
        case .stream(let stream):
            while let piece = try await stream.next() { bytes += piece.readableBytesView }
        case .file(let file):
            defer { file.close() }
            bytes = readFile(file.descriptor, at: file.offset, count: Int(file.length))
        }
        try expect(UInt64(bytes.count) == promised, "\(bytes.count) bytes came of \(promised) promised")
        return bytes
    }
}

func expect(_ isTrue: Bool, _ what: @autoclosure () -> String) throws {
    guard isTrue else { throw StorageDriverContract.Broken(description: what() + " (seed \(SeededBytes.seed))") }
}

/// Runs `body`, which must throw that code.
func expectError(_ code: VarveError.Code, _ what: String, _ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as VarveError {
        return try expect(error.code == code, "\(what): \(error) instead of \(code)")
    }
    throw StorageDriverContract.Broken(description: "\(what): no error instead of \(code)")
}
