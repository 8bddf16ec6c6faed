// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveDrivers

import NIOCore
import VarveModel

/// A long random history of a driver beside the same one of ``MemoryDriver``: after every step both must have answered
/// alike, and from time to time every object is compared. What the checks of the contract do one by one, mixed.
public struct StorageDriverHistory: Sendable {
    private var random: SeededBytes
    private let model = MemoryDriver()
    private var driver: any StorageDriver
    private let fixture: any StorageDriverFixture
    private let bucket: BucketName
    /// Contents that objects are made of; some are long, and some keys promise their digests.
    private var contents: [[UInt8]] = []
    private var keys: [ObjectKey] = []

    /// - Parameter salt: Sets histories apart: the same salt makes the same one.
    public init(_ fixture: any StorageDriverFixture, salt: UInt64) async throws {
        self.fixture = fixture
        random = SeededBytes(salt)
        driver = try await fixture.open()
        bucket = try Bench.bucketName("history")
        _ = try await driver.createBucket(bucket)
        _ = try await model.createBucket(bucket)
        for size in [0, 1, 900, 16_384, 16_385, 40_000, 150_000] {
            contents.append(random.int(0...1) == 0 ? random.text(size) : random.bytes(size))
        }
        contents.append(FileTree(salt, files: 12, averageBytes: 8000).tar)
        let names =
            ["a", "b/1", "b/2", "c", String(repeating: "l/", count: 450)]
            + contents.map { "r/blobs/sha256/\(VarveTestKit.digest(of: $0).hex)" }
        keys = names.compactMap { ObjectKey($0) }
    }

    /// Does `steps` things at random, and between some of them what `between` does.
    /// - Throws: ``StorageDriverContract/Broken`` where the two differ.
    public mutating func run(
        steps: Int, between: @Sendable (any StorageDriver) async throws -> Void = { _ in }
    ) async throws {
        for step in 0..<steps {
            try await self.step("step \(step)")
            if random.int(0...19) == 0 { try await between(driver) }
            if fixture.isDurable, random.int(0...79) == 0 {
                try await fixture.close()
                driver = try await fixture.open()
            }
            if step % 40 == 39 || step == steps - 1 { try await compare("after step \(step)") }
        }
        try await fixture.checkInvariants()
        try await fixture.close()
    }

    private mutating func anyObject() -> ObjectAddress {
        let namespaces = [ObjectNamespace.objects, .objects, .objects, .uploads, .parts]
        return ObjectAddress(
            bucket, keys[random.int(0...keys.count - 1)], in: namespaces[random.int(0...namespaces.count - 1)])
    }

    private mutating func anyCondition() -> WriteCondition {
        let targets: [WriteCondition.Target] = [
            .absent, .present, .matching(["1", "2", "3"]), .notMatching(["1", "2"]),
        ]
        return random.int(0...2) == 0 ? WriteCondition(targets[random.int(0...targets.count - 1)]) : .none
    }

    private mutating func anyAttributes() -> ObjectAttributes {
        ObjectAttributes(etag: "\(random.int(0...5))", contentType: "t/\(random.int(0...9))", fields: ["k": "v"])
    }

    private mutating func step(_ what: String) async throws {
        let target = anyObject()
        let (attributes, condition) = (anyAttributes(), anyCondition())
        let bytes = contents[random.int(0...contents.count - 1)]
        switch random.int(0...9) {
        case 0...2:
            try await both(what) {
                try await $0.put(ByteBuffer(bytes: bytes), to: target, attributes: attributes, condition: condition)
            }
        case 3...4:
            let pieceBytes = random.int(1000...60_000)
            let isResuming = random.int(0...2) == 0
            let isCancelled = random.int(0...5) == 0
            try await both(what) { driver in
                let writer = try await driver.writer(for: target, resuming: isResuming)
                for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
                    let end = min(start + pieceBytes, bytes.count)
                    try await writer.append(ByteBuffer(bytes: bytes[start..<end]))
                }
                if isCancelled {
                    await writer.cancel()
                    return nil
                }
                do {
                    return try await writer.commit(attributes, condition: condition)
                } catch {
                    await writer.cancel()
                    throw error
                }
            }
        case 5...7:
            var pieces: [ObjectPiece] = []
            for _ in 0..<random.int(0...4) {
                let source = anyObject()
                if random.int(0...2) == 0 {
                    let start = UInt64(random.int(0...20_000))
                    pieces.append(ObjectPiece(source, range: start..<start + UInt64(random.int(0...30_000))))
                } else {
                    pieces.append(ObjectPiece(source))
                }
            }
            // Else objects would grow and grow.
            let sources = pieces.map(\.source)
            let removing = random.int(0...1) == 0 ? sources : [anyObject()]
            var size: UInt64 = 0
            for piece in pieces {
                size += (try? await model.stat(piece.source))?.size ?? 0
            }
            if size > 1 << 20 { pieces = [] }
            try await both(what) { [pieces] in
                try await $0.compose(
                    pieces, to: target, attributes: attributes, condition: condition, removing: removing)
            }
        default:
            let gone = [target, anyObject()]
            try await both(what) { driver in
                let count = try await driver.delete(gone)
                return count == 0 ? nil : try? await driver.stat(target)
            }
        }
    }

    /// Does the same with both, which must end the same way.
    private func both(
        _ what: String, _ body: (any StorageDriver) async throws -> ObjectInfo?
    ) async throws {
        func outcome(_ driver: any StorageDriver) async throws -> (info: ObjectInfo?, error: VarveError?) {
            do { return (try await body(driver), nil) } catch let error as VarveError { return (nil, error) }
        }
        let (expected, found) = (try await outcome(model), try await outcome(driver))
        try expect(
            expected.error?.code == found.error?.code && alike(expected.info, found.info),
            "\(what): \(found) instead of \(expected)")
    }

    private func alike(_ left: ObjectInfo?, _ right: ObjectInfo?) -> Bool {
        left?.key == right?.key && left?.size == right?.size && left?.attributes == right?.attributes
    }

    private func compare(_ what: String) async throws {
        for namespace in ObjectNamespace.allCases {
            let expected = try await model.list(bucket, in: namespace, ListRequest()).objects
            let found = try await driver.list(bucket, in: namespace, ListRequest()).objects
            try expect(
                expected.count == found.count && zip(expected, found).allSatisfy { alike($0, $1) },
                "\(what): \(found) are listed instead of \(expected)")
            for info in expected {
                let object = ObjectAddress(bucket, info.key, in: namespace)
                let bytes = try await Bench.bytes(of: try await driver.open(object))
                try expect(
                    try await Bench.bytes(of: try await model.open(object)) == bytes,
                    "\(what): \(object) has other bytes")
            }
        }
    }
}
