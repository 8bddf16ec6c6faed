// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@testable import VarveIndex

@Suite("rows")
struct RowTests {
    private static let key = Array("a key".utf8)

    private static func random(_ generator: inout SeededGenerator) -> [any IndexRow] {
        func number() -> UInt64 { generator.next() >> (generator.next() % 64) }
        func maybe<Value>(_ value: Value) -> Value? { generator.next() % 2 == 0 ? value : nil }
        var id = SIMD16<UInt8>.zero
        for index in 0..<16 { id[index] = UInt8(truncatingIfNeeded: generator.next()) }
        let place = RecipePlace(
            pack: UInt32(truncatingIfNeeded: number()), offset: number(),
            byteCount: UInt32(truncatingIfNeeded: number()))
        let kinds: [ManifestRow.Reference.Kind] = [.blob, .optionalBlob, .manifest]
        return [
            BlobRow(
                size: number(), flags: BlobRow.Flags(rawValue: UInt16(truncatingIfNeeded: number())),
                recipe: maybe(place),
                reason: ["", "gzip-pending", "proof-failed"].randomElement(using: &generator) ?? "",
                landedAt: number(), lastUsed: number(), rawKind: UInt8(truncatingIfNeeded: number()),
                settledBytes: number(), plainSize: number()),
            PackRow(
                id: id, state: [.open, .sealed, .condemned].randomElement(using: &generator) ?? .open,
                committedBytes: number(), chunkCount: UInt32(truncatingIfNeeded: number()),
                frameCount: UInt32(truncatingIfNeeded: number()), liveBytes: number(), deadBytes: number(),
                createdAt: number()),
            RepositoryRow(createdAt: number()),
            LinkRow(linkedAt: number()),
            ManifestRow(
                mediaType: "application/vnd.oci.image.manifest.v1+json", size: number(),
                references: (0..<Int(generator.next() % 6)).map { _ in
                    .init(digest: generator.digest(), kind: kinds.randomElement(using: &generator) ?? .blob)
                }, subject: maybe(generator.digest()), pushedAt: number()),
            TagRow(digest: generator.digest(), mediaType: "m", updatedAt: number()),
            ReferrerRow(
                mediaType: "m", size: number(), artifactType: maybe("a/b"), annotationsJSON: maybe(generator.bytes(40))),
        ]
    }

    private static func decode<Row: IndexRow>(_ type: Row.Type, _ bytes: [UInt8], key: [UInt8]) throws(IndexError)
        -> Row
    {
        try bytes.withUnsafeBufferPointer { (bytes) throws(IndexError) in
            try Row(decoding: UnsafeRawBufferPointer(bytes), key: key)
        }
    }

    private static func decode<Row: IndexRow>(like row: Row, _ bytes: [UInt8]) throws(IndexError) {
        _ = try decode(Row.self, bytes, key: key)
    }

    private static func survives<Row: IndexRow>(_ row: Row) throws -> Bool {
        try decode(Row.self, row.encoded(key: key), key: key) == row
    }

    @Test("every row comes back as it was written")
    func roundTrip() throws {
        var generator = SeededGenerator()
        for _ in 0..<500 {
            for row in RowTests.random(&generator) {
                #expect(try RowTests.survives(row), "seed \(SeededGenerator.seed): \(row)")
            }
        }
    }

    @Test("a row under another key is damaged")
    func otherKey() throws {
        let bytes = LinkRow(linkedAt: 5).encoded(key: [1, 2])
        #expect(throws: IndexError.self) { try RowTests.decode(LinkRow.self, bytes, key: [1, 3]) }
        #expect(try RowTests.decode(LinkRow.self, bytes, key: [1, 2]) == LinkRow(linkedAt: 5))
    }

    @Test("10,000 mutations are told to be damaged")
    func mutations() throws {
        var generator = SeededGenerator(1)
        var refused = 0
        for index in 0..<10_000 {
            let rows = RowTests.random(&generator)
            let row = rows[index % rows.count]
            var bytes = row.encoded(key: RowTests.key)
            let original = bytes
            mutate(&bytes, &generator)
            if bytes == original { continue }
            let error = #expect(throws: IndexError.self) {
                try RowTests.decode(like: row, bytes)
            }
            #expect(error?.isCorrupt == true)
            refused += 1
        }
        #expect(refused > 9_000)
    }

    @Test("20,000 mutations with a right checksum decode or are refused, and never trap")
    func mutationsBehindChecksum() throws {
        var generator = SeededGenerator(2)
        var decoded = 0
        var refused = 0
        for index in 0..<20_000 {
            let rows = RowTests.random(&generator)
            let row = rows[index % rows.count]
            var body = Array(row.encoded(key: RowTests.key).dropLast(4))
            mutate(&body, &generator)
            var writer = RowWriter()
            writer.raw(body)
            writer.fixed(checksum(body, continuing: checksum(RowTests.key)))
            do {
                try RowTests.decode(like: row, writer.bytes)
                decoded += 1
            } catch {
                refused += 1
            }
        }
        // Both must happen, or the test tries nothing.
        #expect(decoded > 1_000 && refused > 1_000, "\(decoded) decoded, \(refused) refused")
    }

    private func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        switch generator.next() % 4 {
        case 0 where !bytes.isEmpty:
            bytes[Int(generator.next() % UInt64(bytes.count))] ^= 1 << (generator.next() % 8)
        case 1 where !bytes.isEmpty:
            bytes.removeLast(Int(generator.next() % UInt64(bytes.count)))
        case 2:
            bytes.insert(
                UInt8(truncatingIfNeeded: generator.next()), at: Int(generator.next() % UInt64(bytes.count + 1)))
        default:
            for index in bytes.indices where generator.next() % 8 == 0 {
                bytes[index] = UInt8(truncatingIfNeeded: generator.next())
            }
        }
    }

    @Test("varints over 64 bits are refused")
    func longVarint() throws {
        let cases: [([UInt8], UInt64?)] = [
            ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], .max),
            ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], nil),
            ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00], nil),
            ([0x80], nil), ([], nil), ([0x80, 0x01], 128),
        ]
        for (bytes, expected) in cases {
            let value = bytes.withUnsafeBytes { bytes in
                var reader = RowReader(bytes, of: "test")
                return try? reader.varint()
            }
            #expect(value == expected)
        }
    }

    @Test("a reason longer than its bound is cut")
    func reasonBound() throws {
        let row = BlobRow(size: 1, reason: String(repeating: "x", count: 100))
        let decoded = try RowTests.decode(BlobRow.self, row.encoded(key: []), key: [])
        #expect(decoded.reason == String(repeating: "x", count: 32))
    }
}
