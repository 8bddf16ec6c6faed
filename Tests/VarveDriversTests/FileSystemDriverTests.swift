// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import Testing
import VarveModel
import VarveTestKit

@testable import VarveDrivers

@Suite("file-system driver")
struct FileSystemDriverTests {
    private final class Fixture: StorageDriverFixture {
        let directory = TestDirectory()
        let isDurable = true
        private let opened = NIOLockedValueBox(FileSystemDriver?.none)

        func open() async throws -> any StorageDriver {
            let driver = try await FileSystemDriver.open(at: directory.path + "/objects")
            opened.withLockedValue { $0 = driver }
            return driver
        }

        func close() async throws {
            let driver = opened.withLockedValue { value in
                defer { value = nil }
                return value
            }
            await driver?.close()
        }

        func checkInvariants() async throws {
            guard let driver = opened.withLockedValue({ $0 }) else { return }
            var count = 0
            for bucket in try await driver.buckets() {
                count += 1
                for namespace in ObjectNamespace.allCases {
                    try await driver.walk(bucket.name, in: namespace) { (_: ObjectInfo) throws(VarveError) in count += 1
                    }
                }
            }
            let files = directory.files(below: "objects/buckets")
            #expect(files.count == count, "no file is left that is no object: \(files)")
            // Who was refused may have its answer before its draft is let go.
            for _ in 0..<2000 where !directory.files(below: "objects/temporary").isEmpty {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(directory.files(below: "objects/temporary") == [])
        }
    }

    @Test("keeps the contract of drivers", arguments: StorageDriverContract.checks)
    func contract(_ check: StorageDriverContract.Check) async throws { try await check.run(Fixture()) }

    @Test("goes through long histories like objects in memory", arguments: UInt64(0)..<3)
    func history(_ salt: UInt64) async throws {
        var history = try await StorageDriverHistory(Fixture(), salt: 640 + salt)
        try await history.run(steps: 200)
    }

    @Test("is opened by one process at a time, and refuses files that are not its own")
    func refusals() async throws {
        let directory = TestDirectory()
        let driver = try await FileSystemDriver.open(at: directory.path)
        await #expect { try await FileSystemDriver.open(at: directory.path) } throws: {
            ($0 as? VarveError)?.code == .inUse
        }
        let bucket = try #require(BucketName("one"))
        _ = try await driver.createBucket(bucket)
        let object = ObjectAddress(bucket, try #require(ObjectKey("a")))
        _ = try await driver.put(ByteBuffer(string: "text"), to: object, attributes: ObjectAttributes())
        await driver.close()
        let file = try #require(directory.files(below: "buckets").first { !$0.hasSuffix("/name") })
        let bytes = directory.read(file)
        for index in bytes.indices.dropFirst(4) {
            directory.flip(0x11, at: index, of: file)
            await #expect { try await FileSystemDriver.open(at: directory.path) } throws: {
                ($0 as? VarveError)?.code == .corrupted
            }
            directory.flip(0x11, at: index, of: file)
        }
    }

    /// A few steps of every kind; what was acknowledged of them is in `state`.
    private func steps(
        _ driver: FileSystemDriver, _ bucket: BucketName, _ state: inout [String: String]
    ) async throws {
        func address(_ key: String) throws -> ObjectAddress { ObjectAddress(bucket, try #require(ObjectKey(key))) }
        func put(_ key: String, _ text: String) async throws {
            _ = try await driver.put(ByteBuffer(string: text), to: try address(key), attributes: ObjectAttributes())
            state[key] = text
        }
        try await put("a", "one")
        try await put("a", "two")
        try await put("b", "three")
        _ = try await driver.compose(
            [ObjectPiece(try address("a")), ObjectPiece(try address("b"))], to: try address("c"),
            attributes: ObjectAttributes(), condition: .none, removing: [try address("a"), try address("b")])
        state = ["c": "twothree"]
        _ = try await driver.move(try address("c"), to: try address("d"))
        state = ["d": "twothree"]
        try await driver.delete([try address("d")])
        state = [:]
        try await put("e", "four")
    }

    @Test(
        "an operation that fails leaves what was acknowledged, or that and the step that failed",
        arguments: [Faults.Operation.write, .sync, .rename, .remove, .open])
    func faults(_ operation: Faults.Operation) async throws {
        var n = 1
        while true {
            let directory = TestDirectory()
            let faults = Faults()
            let bucket = try #require(BucketName("one"))
            var driver = try await FileSystemDriver.open(at: directory.path, faults: faults)
            _ = try await driver.createBucket(bucket)
            faults.fail(operation, at: n, with: EIO)
            var acknowledged: [String: String] = [:]
            var failure: (any Error)?
            do { try await steps(driver, bucket, &acknowledged) } catch { failure = error }
            let hasFired = faults.fired > 0
            faults.clear()
            if failure != nil, operation != .open {
                // What is not known to be durable is followed by nothing.
                await #expect(throws: VarveError.self) { try await steps(driver, bucket, &acknowledged) }
            }
            await driver.close()
            driver = try await FileSystemDriver.open(at: directory.path)
            var found: [String: String] = [:]
            for object in try await driver.list(bucket, in: .objects, ListRequest()).objects {
                found[object.key.description] = String(
                    buffer: try await driver.content(of: ObjectAddress(bucket, object.key)))
            }
            let states: [[String: String]] = [
                [:], ["a": "one"], ["a": "two"], ["a": "two", "b": "three"], ["c": "twothree"], ["d": "twothree"], [:],
                ["e": "four"],
            ]
            let index = try #require(states.lastIndex(of: acknowledged))
            let allowed =
                failure == nil
                ? [acknowledged]
                : Array(states[index..<min(states.count, index + 2)]) + (acknowledged.isEmpty ? [["a": "one"]] : [])
            #expect(allowed.contains(found), "\(operation) \(n): \(found) after \(acknowledged)")
            var again: [String: String] = [:]
            try await steps(driver, bucket, &again)
            await driver.close()
            guard hasFired else { break }
            n += 1
        }
        #expect(n > 3, "nothing failed")
    }
}
