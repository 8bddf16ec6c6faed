// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveDrivers
import VarveModel

extension StorageDriverContract {
    static let composeChecks: [Check] = [
        Check(description: "pieces of objects make an object, whatever becomes of them afterwards") { bench in
            var random = SeededBytes(301)
            let driver = bench.driver
            let other = try Bench.bucketName("bucket-two")
            _ = try await driver.createBucket(other)
            let sizes = [0, 10, 20_000, 1_500_000]
            var sources: [(object: ObjectAddress, bytes: [UInt8])] = []
            for (index, size) in sizes.enumerated() {
                let object = try bench.address(
                    "s\(index)", in: ObjectNamespace.allCases[index % 3], of: index % 2 == 0 ? bench.bucket : other)
                sources.append((object, random.bytes(size)))
                try await bench.put(sources[index].bytes, object)
            }
            for round in 0..<12 {
                var pieces: [ObjectPiece] = []
                var expected: [UInt8] = []
                for _ in 0..<random.int(0...6) {
                    let (object, bytes) = sources[random.int(0...sources.count - 1)]
                    if random.int(0...1) == 0 {
                        pieces.append(ObjectPiece(object))
                        expected += bytes
                    } else {
                        let start = random.int(0...bytes.count)
                        let end = random.int(start...bytes.count)
                        pieces.append(ObjectPiece(object, range: UInt64(start)..<UInt64(end)))
                        expected += bytes[start..<end]
                    }
                }
                let target = try bench.address("t\(round)")
                let attributes = ObjectAttributes(etag: "\(round)", contentType: "a/b", fields: ["k": "v"])
                let info = try await driver.compose(
                    pieces, to: target, attributes: attributes, condition: .none, removing: [])
                try expect(try await driver.stat(target) == info, "compose and stat differ")
                try expect(info.attributes == attributes, "attributes came out as \(info.attributes)")
                try await bench.expectBytes(expected, at: target, "round \(round)")
                sources.append((target, expected))
                if random.int(0...2) == 0 {
                    let gone = sources.remove(at: random.int(0...sources.count - 1))
                    try await driver.delete([gone.object])
                }
            }
            for (object, bytes) in sources { try await bench.expectBytes(bytes, at: object, "after deletions") }
            for (object, bytes) in sources where !bytes.isEmpty {
                let start = UInt64(random.int(0...bytes.count - 1))
                let range = start..<UInt64(bytes.count)
                try expect(try await bench.bytes(of: object, range: range) == Array(bytes[Int(start)...]), "a range")
            }
        },
        Check(description: "an object may be made of itself, and copied onto itself with other attributes") { bench in
            let object = try bench.address("a")
            for bytes in [[UInt8]([1, 2, 3]), [UInt8](repeating: 7, count: 100_000)] {
                try await bench.put(bytes, object)
                _ = try await bench.driver.compose(
                    [ObjectPiece(object, range: 1..<3), ObjectPiece(object)], to: object,
                    attributes: ObjectAttributes(etag: "twice"), condition: WriteCondition(.present), removing: [object]
                )
                try await bench.expectBytes(Array(bytes[1..<3]) + bytes, at: object, "made of itself")
                let attributes = ObjectAttributes(etag: "x", fields: ["new": "yes"])
                _ = try await bench.driver.compose(
                    [ObjectPiece(object)], to: object, attributes: attributes, condition: .none, removing: [])
                try expect(try await bench.driver.stat(object).attributes == attributes, "attributes stayed")
            }
        },
        Check(description: "moving is one step: the old key is gone and the new one is there") { bench in
            for size in [3, 200_000] {
                let source = try bench.address("old/\(size)")
                let target = try bench.address("new/\(size)")
                let bytes = [UInt8](repeating: 5, count: size)
                let attributes = ObjectAttributes(etag: "e", contentType: "c", fields: ["f": "g"])
                _ = try await bench.driver.put(ByteBuffer(bytes: bytes), to: source, attributes: attributes)
                let info = try await bench.driver.move(source, to: target)
                try expect(info.attributes == attributes, "attributes were lost")
                try await bench.expectAbsent(source, "moved away")
                try await bench.expectBytes(bytes, at: target, "moved")
                _ = try await bench.driver.move(target, to: target)
                try await bench.expectBytes(bytes, at: target, "moved onto itself")
                try await expectError(.notFound, "moving what is gone") {
                    _ = try await bench.driver.move(source, to: target)
                }
            }
        },
        Check(description: "what can not be composed changes nothing") { bench in
            let driver = bench.driver
            let source = try bench.address("s")
            let target = try bench.address("t")
            let bystander = try bench.address("b")
            let old = try await bench.put([1, 2, 3], source)
            try await bench.put([4], target, etag: "t")
            try await bench.put([5], bystander)
            let before = try await driver.list(bench.bucket, in: .objects, ListRequest())
            func attempt(
                _ code: VarveError.Code, _ pieces: [ObjectPiece], _ condition: WriteCondition = .none
            ) async throws {
                try await expectError(code, "\(pieces)") {
                    _ = try await driver.compose(
                        pieces, to: target, attributes: ObjectAttributes(), condition: condition,
                        removing: [source, bystander])
                }
                let after = try await driver.list(bench.bucket, in: .objects, ListRequest())
                try expect(after == before, "a refused compose changed something")
            }
            try await attempt(.notFound, [ObjectPiece(source), ObjectPiece(try bench.address("absent"))])
            try await attempt(.rangeNotSatisfiable, [ObjectPiece(source, range: 2..<4)])
            try await attempt(.rangeNotSatisfiable, [ObjectPiece(source, range: UInt64.max - 1..<UInt64.max)])
            try await attempt(.preconditionFailed, [ObjectPiece(source, version: old.version + 1000)])
            try await attempt(.preconditionFailed, [ObjectPiece(source)], WriteCondition(.absent))
            try await attempt(.preconditionFailed, [ObjectPiece(source)], WriteCondition(.matching(["s"])))
            let upload = try bench.address("u", in: .uploads)
            try await attempt(.uploadUnknown, [ObjectPiece(source)], WriteCondition(upload: upload))
            let replaced = try await bench.put([1, 2, 3], source)
            try expect(replaced.version != old.version, "a replaced object has the same version")
            try await expectError(.preconditionFailed, "an old version") {
                _ = try await driver.compose(
                    [ObjectPiece(source, version: old.version)], to: target, attributes: ObjectAttributes(),
                    condition: .none, removing: [])
            }
        },
        Check(description: "a multipart upload: parts in any order, replaced, listed, completed in one step") { bench in
            var random = SeededBytes(302)
            let driver = bench.driver
            let key = try bench.address("m/data").key
            let upload = UploadName(startingAt: 1000, key: key)
            let record = ObjectAddress(bench.bucket, upload.uploadKey, in: .uploads)
            try await bench.put([], record)
            var parts: [Int: [UInt8]] = [:]
            for number in [3, 1, 10_000, 2, 3] {
                parts[number] = random.bytes(number == 1 ? 300_000 : 5000 * min(number, 40))
                guard let partKey = upload.partKey(number) else {
                    throw Broken(description: "no key of part \(number)")
                }
                let writer = try await driver.writer(for: ObjectAddress(bench.bucket, partKey, in: .parts))
                try await writer.append(ByteBuffer(bytes: parts[number] ?? []))
                _ = try await writer.commit(
                    ObjectAttributes(etag: "p\(number)"), condition: WriteCondition(upload: record))
            }
            try expect(try await bench.keys() == [], "a part is listed among objects")
            let listed = try await driver.list(bench.bucket, in: .parts, ListRequest(prefix: upload.partPrefix)).objects
            try expect(listed.compactMap { UploadName.partNumber(of: $0.key) } == [1, 2, 3, 10_000], "\(listed)")
            let addresses = listed.map { ObjectAddress(bench.bucket, $0.key, in: .parts) }
            let target = ObjectAddress(bench.bucket, key)
            _ = try await driver.compose(
                zip(addresses, listed).map { ObjectPiece($0, version: $1.version) }, to: target,
                attributes: ObjectAttributes(etag: "whole-4"), condition: WriteCondition(upload: record),
                removing: addresses + [record])
            let expected = parts.sorted { $0.key < $1.key }.flatMap(\.value)
            try await bench.expectBytes(expected, at: target, "completed")
            try expect(try await bench.keys(.parts) + bench.keys(.uploads) == [], "parts are left behind")
            let late = try await driver.writer(for: addresses[0])
            try await late.append(ByteBuffer(bytes: random.bytes(50_000)))
            try await expectError(.uploadUnknown, "a part of an upload that was completed") {
                _ = try await late.commit(ObjectAttributes(), condition: WriteCondition(upload: record))
            }
            await late.cancel()
            try await expectError(.uploadUnknown, "completing twice") {
                _ = try await driver.compose(
                    [], to: target, attributes: ObjectAttributes(), condition: WriteCondition(upload: record),
                    removing: [])
            }
            try await bench.expectBytes(expected, at: target, "completed twice")
        },
        Check(description: "uploads are listed by key, then by start") { bench in
            var expected: [UploadName] = []
            for key in [
                "a", "a\u{0}", "a\u{0}\u{1}", "a b", "b", "\u{10ffff}", String(repeating: "\u{0}", count: 1024),
            ] {
                for start in [UInt64(5), 70, 600, 600] {
                    expected.append(UploadName(startingAt: start, key: try bench.address(key).key))
                }
            }
            expected.sort {
                $0.key != $1.key
                    ? $0.key < $1.key : ($0.startedMilliseconds, $0.id) < ($1.startedMilliseconds, $1.id)
            }
            for upload in expected.shuffled() {
                try await bench.put([], ObjectAddress(bench.bucket, upload.uploadKey, in: .uploads))
            }
            let listed = try await bench.driver.list(bench.bucket, in: .uploads, ListRequest()).objects
            try expect(listed.map { UploadName(uploadKey: $0.key) } == expected, "another order, or other uploads")
            let one = try await bench.driver.list(
                bench.bucket, in: .uploads, ListRequest(prefix: UploadName.prefix(ofUploadsTo: expected[0].key))
            ).objects
            try expect(
                one.map { UploadName(uploadKey: $0.key)?.key } == [
                    expected[0].key, expected[0].key, expected[0].key, expected[0].key,
                ], "uploads to other keys")
        },
        Check(description: "uploads that nobody goes on with expire with their parts, others stay") { bench in
            let driver = bench.driver
            let key = try bench.address("k").key
            let idle = UploadName(startingAt: 1, key: key)
            let orphan = UploadName(startingAt: 2, key: key)
            try await bench.put([1], try bench.address("k"))
            try await bench.put([], ObjectAddress(bench.bucket, idle.uploadKey, in: .uploads))
            for upload in [idle, orphan] {
                guard let part = upload.partKey(1) else { continue }
                try await bench.put([UInt8](repeating: 2, count: 20_000), ObjectAddress(bench.bucket, part, in: .parts))
            }
            let now = try await driver.stat(try bench.address("k")).modifiedMilliseconds
            try expect(try await driver.expireUploads(idleSeconds: 3600, now: now) == 0, "a young upload expired")
            try expect(try await bench.keys(.parts).count == 2, "parts of a young upload expired")
            let expired = try await driver.expireUploads(idleSeconds: 3600, now: now + 7_200_000)
            try expect(expired == 1, "\(expired) uploads expired instead of 1")
            try expect(try await bench.keys(.parts) + bench.keys(.uploads) == [], "what expired is listed")
            try await bench.expectBytes([1], at: try bench.address("k"), "an object beside")
        },
    ]

    static let concurrencyChecks: [Check] = [
        Check(description: "of many that make the same object only if it is absent, one does") { bench in
            for size in [5, 60_000] {
                let object = try bench.address("one\(size)")
                let winners = try await withThrowingTaskGroup(of: UInt8?.self) { group in
                    for index in UInt8(0)..<24 {
                        group.addTask {
                            do {
                                _ = try await bench.driver.put(
                                    ByteBuffer(bytes: [UInt8](repeating: index, count: size)), to: object,
                                    attributes: ObjectAttributes(etag: "\(index)"), condition: WriteCondition(.absent))
                                return index
                            } catch let error as VarveError where error.code == .preconditionFailed {
                                return nil
                            }
                        }
                    }
                    return try await group.reduce(into: [UInt8]()) { if let index = $1 { $0.append(index) } }
                }
                try expect(winners.count == 1, "\(winners.count) won")
                try await bench.expectBytes([UInt8](repeating: winners[0], count: size), at: object, "the winner's")
                try expect(
                    try await bench.driver.stat(object).attributes.etag == "\(winners[0])", "another's attributes")
            }
        },
        Check(description: "readers beside writers see whole objects with their own attributes") { bench in
            let object = try bench.address("shared")
            func content(_ index: Int) -> [UInt8] {
                [UInt8](repeating: UInt8(index), count: index % 2 == 0 ? 50 : 70_000)
            }
            try await bench.put(content(0), object, etag: "0")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<4 {
                    group.addTask {
                        for round in 0..<12 {
                            let index = writer * 12 + round
                            if round % 4 == 3 {
                                let copy = try bench.address("copy\(writer)")
                                try await bench.put(content(index), copy, etag: "\(index)")
                                _ = try await bench.driver.move(copy, to: object)
                            } else {
                                try await bench.put(content(index), object, etag: "\(index)")
                            }
                        }
                    }
                }
                for _ in 0..<4 {
                    group.addTask {
                        for _ in 0..<40 {
                            let open = try await bench.driver.open(object)
                            guard let index = Int(open.info.attributes.etag) else {
                                throw Broken(description: "an unknown tag: \(open.info.attributes.etag)")
                            }
                            try expect(try await Bench.bytes(of: open) == content(index), "bytes of another version")
                        }
                    }
                }
                try await group.waitForAll()
            }
        },
        Check(description: "of two that move the same object, one does, and its bytes are never lost") { bench in
            for round in 0..<20 {
                let source = try bench.address("src\(round)")
                let bytes = [UInt8](repeating: UInt8(round), count: round % 2 == 0 ? 10 : 40_000)
                try await bench.put(bytes, source)
                let targets = try (0..<4).map { try bench.address("dst\(round)-\($0)") }
                let moved = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for target in targets {
                        group.addTask {
                            do {
                                _ = try await bench.driver.compose(
                                    [ObjectPiece(source)], to: target, attributes: ObjectAttributes(), condition: .none,
                                    removing: [source])
                                return true
                            } catch let error as VarveError where error.code == .notFound {
                                return false
                            }
                        }
                    }
                    return try await group.reduce(into: 0) { if $1 { $0 += 1 } }
                }
                try expect(moved == 1, "\(moved) moved the same object")
                let there = try await bench.keys(.objects, ListRequest(prefix: Array("dst\(round)-".utf8)))
                try expect(there.count == 1, "\(there) are there")
                try await bench.expectBytes(bytes, at: try bench.address(there[0]), "moved")
                try await bench.expectAbsent(source, "moved away")
            }
        },
        Check(description: "what is copied while its source is deleted is whole or was never there") { bench in
            for round in 0..<20 {
                let source = try bench.address("src\(round)")
                let target = try bench.address("dst\(round)")
                let bytes = [UInt8](repeating: UInt8(round + 1), count: 30_000)
                try await bench.put(bytes, source)
                async let deletion = bench.driver.delete([source])
                do {
                    _ = try await bench.driver.compose(
                        [ObjectPiece(source), ObjectPiece(source, range: 1..<100)], to: target,
                        attributes: ObjectAttributes(), condition: .none, removing: [])
                    _ = try await deletion
                    try await bench.expectBytes(bytes + Array(bytes[1..<100]), at: target, "copied")
                } catch let error as VarveError where error.code == .notFound {
                    _ = try await deletion
                    try await bench.expectAbsent(target, "not copied")
                }
            }
        },
    ]
}
