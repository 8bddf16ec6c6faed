// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveDrivers
import VarveModel

extension StorageDriverContract {
    static let bucketChecks: [Check] = [
        Check(description: "buckets are made once, listed by name, and found") { bench in
            let driver = bench.driver
            let names = try ["zzz", "aaa.b-c", "aaa"].map(Bench.bucketName)
            for name in names { try expect(try await driver.createBucket(name), "a new bucket was there") }
            try expect(try await !driver.createBucket(names[0]), "a bucket was made twice")
            let listed = try await driver.buckets().map(\.name.description)
            try expect(listed == ["aaa", "aaa.b-c", "bucket-one", "zzz"], "buckets are listed as \(listed)")
            try expect(try await driver.bucket(names[1]).name == names[1], "a bucket has another name")
            let age = try await driver.bucket(names[1]).createdMilliseconds
            try expect(age > 1_600_000_000_000, "a bucket was made \(age) ms after 1970")
        },
        Check(description: "everything in a bucket that is not there is bucketUnknown") { bench in
            let driver = bench.driver
            let gone = try Bench.bucketName("not-there")
            let object = try bench.address("a", of: gone)
            let here = try bench.address("a")
            try await bench.put([1], here)
            try await expectError(.bucketUnknown, "bucket") { _ = try await driver.bucket(gone) }
            try await expectError(.bucketUnknown, "deleteBucket") { try await driver.deleteBucket(gone) }
            try await expectError(.bucketUnknown, "stat") { _ = try await driver.stat(object) }
            try await expectError(.bucketUnknown, "open") { _ = try await driver.open(object) }
            try await expectError(.bucketUnknown, "put") { _ = try await bench.put([1], object) }
            try await expectError(.bucketUnknown, "writer") { _ = try await driver.writer(for: object) }
            try await expectError(.bucketUnknown, "delete") { try await driver.delete([object]) }
            try await expectError(.bucketUnknown, "list") {
                _ = try await driver.list(gone, in: .objects, ListRequest())
            }
            try await expectError(.bucketUnknown, "compose to it") {
                _ = try await driver.compose(
                    [ObjectPiece(here)], to: object, attributes: ObjectAttributes(), condition: .none, removing: [])
            }
            try await expectError(.bucketUnknown, "compose from it") {
                _ = try await driver.compose(
                    [ObjectPiece(object)], to: here, attributes: ObjectAttributes(), condition: .none, removing: [])
            }
        },
        Check(description: "a bucket with objects is not deleted, one with uploads is, and they go with it") { bench in
            let driver = bench.driver
            let object = try bench.address("a")
            let upload = try bench.address("u", in: .uploads)
            let part = try bench.address("p", in: .parts)
            try await bench.put([1], object)
            try await bench.put([2], upload)
            try await bench.put([UInt8](repeating: 3, count: 50_000), part)
            try await expectError(.inUse, "deleteBucket") { try await driver.deleteBucket(bench.bucket) }
            try await bench.expectBytes([1], at: object, "after a refused deletion")
            try await driver.delete([object])
            try await driver.deleteBucket(bench.bucket)
            try await expectError(.bucketUnknown, "bucket") { _ = try await driver.bucket(bench.bucket) }
            try expect(try await driver.createBucket(bench.bucket), "a deleted bucket is there")
            for old in [object, upload, part] { try await bench.expectAbsent(old, "in a new bucket of an old name") }
        },
    ]

    static let objectChecks: [Check] = [
        Check(description: "an object comes back whole, with its attributes, at any size") { bench in
            var random = SeededBytes(101)
            for size in [0, 1, 4096, 16 << 10, (16 << 10) + 1, 100_000, 3 << 20] {
                let object = try bench.address("size-\(size)")
                let bytes = random.bytes(size)
                let attributes = ObjectAttributes(
                    etag: "tag-\(size)", contentType: "text/plain; charset=ü",
                    fields: ["": "", "x-amz-meta-ß": "π\u{0}"])
                let put = try await bench.driver.put(
                    ByteBuffer(bytes: bytes), to: object, attributes: attributes)
                let info = try await bench.driver.stat(object)
                try expect(put == info, "put answers \(put), stat \(info)")
                try expect(info.attributes == attributes, "attributes came back as \(info.attributes)")
                try expect(info.key == object.key, "the key came back as \(info.key)")
                try await bench.expectBytes(bytes, at: object, "size \(size)")
                try expect(try await bench.driver.open(object).info == info, "open says something else")
            }
        },
        Check(description: "any range of an object can be read, none beyond its end") { bench in
            var random = SeededBytes(102)
            for (name, size) in [("small", 1000), ("large", 700_000)] {
                let object = try bench.address(name)
                let bytes = random.bytes(size)
                try await bench.put(bytes, object)
                let open = try await bench.driver.open(object)
                for _ in 0..<20 {
                    let start = random.int(0...size)
                    let end = random.int(start...size)
                    let found = try await Bench.bytes(of: open, range: UInt64(start)..<UInt64(end))
                    try expect(found == Array(bytes[start..<end]), "\(name): other bytes at \(start)..<\(end)")
                }
                for range in [0..<UInt64(size + 1), UInt64(size + 1)..<UInt64(size + 1), UInt64.max - 1..<UInt64.max] {
                    try await expectError(.rangeNotSatisfiable, "\(range)") { _ = try await open.content(in: range) }
                }
            }
        },
        Check(description: "what is open stays as it was when the object is replaced, deleted, or its bucket goes") {
            bench in
            var random = SeededBytes(103)
            for size in [100, 200_000] {
                let object = try bench.address("a")
                let old = random.bytes(size)
                let new = random.bytes(size)
                let first = try await bench.put(old, object, etag: "old")
                let open = try await bench.driver.open(object)
                let content = try await open.content(in: 10..<90)
                let second = try await bench.put(new, object, etag: "new")
                try expect(first.version != second.version, "two versions have the same number")
                try expect(try await Bench.bytes(of: open) == old, "an open object changed")
                try await bench.expectBytes(new, at: object, "replaced")
                try await bench.driver.delete([object])
                try expect(try await Bench.bytes(of: open) == old, "an open object went when it was deleted")
                try expect(open.info.attributes.etag == "old", "an open object's attributes changed")
                try expect(try await content.gathered() == Array(old[10..<90]), "open content changed")
                try await bench.expectAbsent(object, "deleted")
            }
        },
        Check(description: "keys are bytes: odd ones are kept apart and never become anything else") { bench in
            let keys = Self.oddKeys
            for (index, key) in keys.enumerated() {
                try await bench.put(Array("\(index)".utf8), try bench.address(key))
            }
            for (index, key) in keys.enumerated() {
                try await bench.expectBytes(Array("\(index)".utf8), at: try bench.address(key), "key \(index)")
            }
            let listed = try await bench.driver.list(bench.bucket, in: .objects, ListRequest()).objects.map(\.key.bytes)
            let expected = keys.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
            try expect(listed == expected, "keys are listed as \(listed.map { String(decoding: $0, as: UTF8.self) })")
        },
        Check(description: "deleting counts what was there, and says nothing of what was not") { bench in
            let objects = try (0..<50).map { try bench.address("d/\($0)") }
            for object in objects { try await bench.put([1], object) }
            let some = Array(objects.prefix(20))
            let count = try await bench.driver.delete(some + [try bench.address("absent")])
            try expect(count == 20, "\(count) of 20 were deleted")
            try expect(try await bench.driver.delete(some) == 0, "a deleted object was deleted again")
            for object in some { try await bench.expectAbsent(object, "deleted") }
            try expect(try await bench.keys().count == 30, "others than those named were deleted")
        },
        Check(description: "conditions are looked at in the same step, and nothing happens if they fail") { bench in
            let driver = bench.driver
            let object = try bench.address("c")
            func attempt(_ target: WriteCondition.Target, _ code: VarveError.Code?) async throws {
                let before = try? await driver.stat(object)
                let write = { () async throws in
                    _ = try await driver.put(
                        ByteBuffer(string: "\(target)"), to: object, attributes: ObjectAttributes(etag: "e"),
                        condition: WriteCondition(target))
                }
                if let code {
                    try await expectError(code, "\(target)", write)
                    let after = try? await driver.stat(object)
                    try expect(after == before, "a refused write changed something")
                } else {
                    try await write()
                    try await bench.expectBytes(Array("\(target)".utf8), at: object, "\(target)")
                }
            }
            try await attempt(.present, .preconditionFailed)
            try await attempt(.matching(["e"]), .preconditionFailed)
            try await attempt(.notMatching(["e"]), nil)
            try await driver.delete([object])
            try await attempt(.absent, nil)
            try await attempt(.absent, .preconditionFailed)
            try await attempt(.present, nil)
            try await attempt(.matching(["x", "e"]), nil)
            try await attempt(.matching(["x"]), .preconditionFailed)
            try await attempt(.matching([]), .preconditionFailed)
            try await attempt(.notMatching(["x"]), nil)
            try await attempt(.notMatching(["x", "e"]), .preconditionFailed)
            let upload = try bench.address("u", in: .uploads)
            let condition = WriteCondition(upload: upload)
            try await expectError(.uploadUnknown, "no upload") {
                _ = try await driver.put(
                    ByteBuffer(), to: object, attributes: ObjectAttributes(), condition: condition)
            }
            try await bench.put([], upload)
            _ = try await driver.put(ByteBuffer(), to: object, attributes: ObjectAttributes(), condition: condition)
            try await bench.expectBytes([], at: object, "with its upload")
        },
        Check(description: "a deletion with a condition removes what fits, and nothing else") { bench in
            let driver = bench.driver
            let object = try bench.address("c")
            func attempt(_ target: WriteCondition.Target, _ code: VarveError.Code?) async throws {
                guard let code else {
                    try await driver.delete(object, condition: WriteCondition(target))
                    return try await bench.expectAbsent(object, "\(target)")
                }
                let before = try? await driver.stat(object)
                try await expectError(code, "\(target)") {
                    try await driver.delete(object, condition: WriteCondition(target))
                }
                let after = try? await driver.stat(object)
                try expect(after == before, "a refused deletion changed something")
            }
            for target in [WriteCondition.Target.any, .present, .absent, .matching(["e"])] {
                try await attempt(target, .notFound)
            }
            for target in [WriteCondition.Target.any, .present, .matching(["x", "e"]), .notMatching(["x"])] {
                try await bench.put([1], object, etag: "e")
                try await attempt(.matching(["x"]), .preconditionFailed)
                try await attempt(.absent, .preconditionFailed)
                try await attempt(target, nil)
            }
        },
        Check(description: "attributes have a bound, and past it nothing is stored") { bench in
            let object = try bench.address("a")
            let value = String(repeating: "x", count: ObjectAttributes.byteCountMax - 1)
            let fitting = ObjectAttributes(fields: ["k": value])
            _ = try await bench.driver.put(ByteBuffer(), to: object, attributes: fitting)
            try expect(try await bench.driver.stat(object).attributes == fitting, "the largest did not come back")
            let tooMuch = ObjectAttributes(fields: ["k": value + "y"])
            let other = try bench.address("b")
            try await expectError(.tooLarge, "put") {
                _ = try await bench.driver.put(ByteBuffer(), to: other, attributes: tooMuch)
            }
            let writer = try await bench.driver.writer(for: other)
            try await expectError(.tooLarge, "commit") { _ = try await writer.commit(tooMuch) }
            await writer.cancel()
            try await bench.expectAbsent(other, "refused")
        },
        Check(description: "a writer's bytes appear whole when it commits, and never if it does not") { bench in
            var random = SeededBytes(104)
            for size in [0, 10, 16_384, 16_385, 2_000_000] {
                let object = try bench.address("w\(size)")
                let bytes = random.bytes(size)
                let writer = try await bench.driver.writer(for: object)
                var position = 0
                while position < size {
                    let end = min(size, position + random.int(0...max(1, size / 5)))
                    try await writer.append(ByteBuffer(bytes: bytes[position..<end]))
                    position = end
                    try expect(writer.size == UInt64(position), "a writer counts \(writer.size) of \(position) bytes")
                }
                try await bench.expectAbsent(object, "before the commit")
                let info = try await writer.commit(ObjectAttributes(etag: "w"))
                try expect(try await bench.driver.stat(object) == info, "commit and stat differ")
                try await bench.expectBytes(bytes, at: object, "written \(size)")
                await writer.cancel()
                try await bench.expectBytes(bytes, at: object, "cancelled after the commit")
                try await expectError(.invalidArgument, "a second commit") {
                    _ = try await writer.commit(ObjectAttributes())
                }
                try await expectError(.invalidArgument, "appending after the commit") {
                    try await writer.append(ByteBuffer(string: "x"))
                }
            }
            for size in [10, 100_000] {
                let object = try bench.address("cancelled")
                let writer = try await bench.driver.writer(for: object)
                try await writer.append(ByteBuffer(bytes: random.bytes(size)))
                await writer.cancel()
                await writer.cancel()
                try await bench.expectAbsent(object, "cancelled")
                try await expectError(.invalidArgument, "a commit after cancelling") {
                    _ = try await writer.commit(ObjectAttributes())
                }
            }
        },
        Check(description: "a commit whose condition fails may be made again") { bench in
            let object = try bench.address("a")
            for bytes in [[UInt8](repeating: 1, count: 10), [UInt8](repeating: 2, count: 90_000)] {
                try await bench.put([9], object)
                let writer = try await bench.driver.writer(for: object)
                try await writer.append(ByteBuffer(bytes: bytes))
                try await expectError(.preconditionFailed, "commit") {
                    _ = try await writer.commit(ObjectAttributes(), condition: WriteCondition(.absent))
                }
                try await bench.expectBytes([9], at: object, "refused")
                _ = try await writer.commit(ObjectAttributes())
                try await bench.expectBytes(bytes, at: object, "committed after all")
            }
        },
        Check(description: "a writer that resumes goes on where the object ended when it was opened") { bench in
            var random = SeededBytes(105)
            for size in [100, 300_000] {
                let object = try bench.address("r\(size)")
                let bytes = random.bytes(4 * size)
                try await bench.put(Array(bytes[..<size]), object)
                for round in 1..<4 {
                    let writer = try await bench.driver.writer(for: object, resuming: true)
                    try expect(writer.size == UInt64(round * size), "a resumed writer begins at \(writer.size)")
                    try await writer.append(ByteBuffer(bytes: bytes[round * size..<(round + 1) * size]))
                    try await bench.expectBytes(Array(bytes[..<(round * size)]), at: object, "before the commit")
                    _ = try await writer.commit(ObjectAttributes())
                    try await bench.expectBytes(Array(bytes[..<((round + 1) * size)]), at: object, "resumed")
                }
                let writer = try await bench.driver.writer(for: object, resuming: true)
                try await bench.driver.delete([object])
                _ = try await writer.commit(ObjectAttributes())
                try await bench.expectBytes(bytes, at: object, "resumed from what was deleted meanwhile")
            }
            try await expectError(.notFound, "resuming nothing") {
                _ = try await bench.driver.writer(for: try bench.address("nothing"), resuming: true)
            }
        },
        Check(description: "what was acknowledged is there when the driver is opened again") { bench in
            guard bench.fixture.isDurable else { return }
            var random = SeededBytes(106)
            var expected: [ObjectAddress: [UInt8]] = [:]
            for (index, key) in Self.oddKeys.prefix(12).enumerated() {
                let object = try bench.address(key)
                expected[object] = random.bytes(index * 7000)
                try await bench.put(expected[object] ?? [], object, etag: "\(index)")
            }
            let part = try bench.address("part", in: .parts)
            expected[part] = random.bytes(40_000)
            try await bench.put(expected[part] ?? [], part)
            let joined = try bench.address("joined")
            _ = try await bench.driver.compose(
                [ObjectPiece(part, range: 5..<30_000), ObjectPiece(part)], to: joined, attributes: ObjectAttributes(),
                condition: .none, removing: [part])
            let partBytes = expected.removeValue(forKey: part) ?? []
            expected[joined] = Array(partBytes[5..<30_000]) + partBytes
            let unfinished = try await bench.driver.writer(for: try bench.address("unfinished"))
            try await unfinished.append(ByteBuffer(bytes: random.bytes(100_000)))
            let infos = try await bench.driver.list(bench.bucket, in: .objects, ListRequest()).objects
            try await bench.reopen()
            try expect(
                try await bench.driver.list(bench.bucket, in: .objects, ListRequest()).objects == infos,
                "another listing after opening again")
            for (object, bytes) in expected {
                try await bench.expectBytes(bytes, at: object, "opened again")
            }
            try expect(try await bench.driver.buckets().count == 1, "buckets are not as they were")
        },
    ]

    /// Keys that differ in ways that file systems, paths and strings do not keep apart.
    static let oddKeys: [String] = [
        "a", "A", "a/", "a//", "a//b", "/", "//", "/a", ".", "..", "../..", "./a", "a/../b", "a/.", " ", "a ", "a\u{0}",
        "a\u{0}b", "\u{1}", "\n", "\r\n", "\t", "%2F", "%", "+", "a+b", "a b", "\\", "*", "?", "~", "~a", "\u{7f}",
        "\u{e9}", "e\u{301}", "\u{1e9e}", "\u{fb01}", "fi", "\u{200b}", "\u{feff}", "\u{fffd}", "\u{1f600}",
        "\u{10ffff}", "\u{d7ff}", "con", "nul.txt", ".hidden", "a.tmp", String(repeating: "k", count: 255),
        String(repeating: "k", count: 256), String(repeating: "k", count: 400), String(repeating: "k", count: 1024),
        String(repeating: "/", count: 1024), String(repeating: "k/", count: 512),
        String(repeating: "\u{20ac}", count: 341),
    ]
}
