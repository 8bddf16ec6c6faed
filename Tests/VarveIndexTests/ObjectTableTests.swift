// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@testable import VarveIndex

@Suite("objects")
struct ObjectTableTests {
    private let directory: TemporaryDirectory
    private let environment: IndexEnvironment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try IndexEnvironment(path: directory.path + "/index")
    }

    /// Keys that share long beginnings, end at the borders of segments, and hold zero and highest bytes.
    private static func key(_ generator: inout SeededGenerator) -> [UInt8] {
        let lengths = [1, 2, 399, 400, 401, 402, 799, 800, 801, 1024, 1200, 2500]
        let length = lengths[Int.random(in: 0..<lengths.count, using: &generator)]
        var key = [UInt8](repeating: 0x61, count: length)
        for _ in 0..<Int.random(in: 0...2, using: &generator) {
            let bytes: [UInt8] = [0, 0x60, 0x62, 0xff]
            key[Int.random(in: 0..<length, using: &generator)] = bytes[Int.random(in: 0...3, using: &generator)]
        }
        return key
    }

    private static func row(_ version: UInt64, _ extents: [Extent] = []) -> ObjectRow {
        ObjectRow(
            version: version, modifiedMilliseconds: version &* 7, etag: "tag\(version)", contentType: "text/plain",
            fields: ["b": "2", "a": "ä"], extents: extents)
    }

    private static func sorted(_ keys: some Sequence<[UInt8]>) -> [[UInt8]] {
        keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    @Test("are listed in byte order, found, replaced and removed, however long their keys")
    func table() throws {
        var generator = SeededGenerator(41)
        var model: [[UInt8]: ObjectRow] = [:]
        try environment.write { (transaction) throws(IndexError) in
            try transaction.createBucket("one", at: 1)
            try transaction.createBucket("one.two", at: 2)
            try transaction.putObject(
                at: ObjectPlace(bucket: "one.two", namespace: 0, key: [0x61]), Self.row(1))
            try transaction.putObject(at: ObjectPlace(bucket: "one", namespace: 1, key: [0x61]), Self.row(2))
        }
        for round in 0..<30 {
            var changes: [(key: [UInt8], row: ObjectRow?)] = []
            for _ in 0..<20 {
                let isRemoval = Int.random(in: 0...2, using: &generator) == 0
                if isRemoval, let known = Self.sorted(model.keys).randomElement(using: &generator) {
                    changes.append((known, nil))
                    model[known] = nil
                } else {
                    let key = Self.key(&generator)
                    let row = Self.row(UInt64(round + 10))
                    changes.append((key, row))
                    model[key] = row
                }
            }
            try environment.write { (transaction) throws(IndexError) in
                for (key, row) in changes {
                    let place = ObjectPlace(bucket: "one", namespace: 0, key: key)
                    if let row {
                        try transaction.putObject(at: place, row)
                    } else {
                        try transaction.removeObject(at: place)
                    }
                }
            }
            let expected = Self.sorted(model.keys)
            let (all, paged, damage) = try environment.read { (transaction) throws(IndexError) in
                var paged: [[UInt8]] = []
                while true {
                    let page = try transaction.objects(in: "one", 0, after: paged.last, limit: 7)
                    paged += page.map(\.key)
                    if page.count < 7 { break }
                }
                return (
                    try transaction.objects(in: "one", 0, limit: .max), paged, try transaction.verify().damage
                )
            }
            #expect(all.map(\.key) == expected, "seed \(SeededGenerator.seed)")
            #expect(paged == expected)
            #expect(damage == [])
            #expect(all.allSatisfy { model[$0.key] == $0.row })
            let probe = Self.key(&generator)
            let found = try environment.read { (transaction) throws(IndexError) in
                try transaction.scanObjects(in: "one", 0) { (scan) throws(IndexError) in try scan.seek(probe)?.key }
            }
            #expect(found == expected.first { !$0.lexicographicallyPrecedes(probe) })
            let object = try environment.read { (transaction) throws(IndexError) in
                try transaction.object(at: ObjectPlace(bucket: "one", namespace: 0, key: probe))
            }
            #expect(object == model[probe])
        }
        try environment.write { (transaction) throws(IndexError) in
            for key in model.keys {
                try transaction.removeObject(at: ObjectPlace(bucket: "one", namespace: 0, key: key))
            }
        }
        let rows = try environment.read { (transaction) throws(IndexError) in
            try transaction.access.count(transaction.access.tables.objects)
        }
        #expect(rows == 2, "no node outlives its objects")
    }

    @Test("count once for each spool file and blob, which is let go of with the last of them")
    func holding() throws {
        let (one, two) = (SIMD16<UInt8>(repeating: 1), SIMD16<UInt8>(repeating: 2))
        let digest = try #require(Digest(.sha256, bytes: [UInt8](repeating: 7, count: 32)))
        func place(_ key: UInt8) -> ObjectPlace { ObjectPlace(bucket: "one", namespace: 0, key: [key]) }
        try environment.write { (transaction) throws(IndexError) in
            try transaction.createBucket("one", at: 1)
            try transaction.putBlob(digest, BlobRow(size: 10))
            let extents: [Extent] = [
                .spool(one, offset: 0, length: 5), .spool(one, offset: 9, length: 5), .spool(two, offset: 0, length: 1),
                .blob(digest, offset: 0, length: 3),
            ]
            #expect(try transaction.putObject(at: place(1), Self.row(1, extents)) == [])
            #expect(try transaction.putObject(at: place(2), Self.row(2, [extents[0]])) == [])
            #expect(try transaction.holders(ofSpool: one) == 2)
            #expect(try transaction.objectHolders(of: digest) == 1)
            // Replaced by what holds the same.
            #expect(try transaction.putObject(at: place(2), Self.row(3, [extents[1]])) == [])
            #expect(try transaction.verify().damage == [])
            #expect(try transaction.removeObject(at: place(1)) == [two])
            #expect(try transaction.objectHolders(of: digest) == 0)
            #expect(try transaction.putObject(at: place(2), Self.row(4, [.bytes([1, 2])])) == [one])
            #expect(try transaction.removeObject(at: place(1)) == nil)
            #expect(try transaction.putObject(at: place(3), Self.row(5, [extents[0]])) == [])
            #expect(try transaction.removeBucket("one") == [one])
            #expect(try transaction.removeBucket("one") == nil)
            #expect(try transaction.verify().damage == [])
        }
    }

    @Test("come back from the journal, from its snapshot too", arguments: [false, true])
    func journal(isCompacted: Bool) throws {
        let path = directory.path + "/second"
        let journalPath = directory.path + "/journal"
        let live = try IndexEnvironment(path: path)
        let journal = try Journal(directory: journalPath)
        let committer = try Committer(environment: live, journal: journal)
        let digest = try #require(Digest(.sha256, bytes: [UInt8](repeating: 7, count: 32)))
        let spool = SIMD16<UInt8>(repeating: 3)
        let key = [UInt8](repeating: 0x62, count: 1024)
        func place(_ key: [UInt8]) -> ObjectPlace { ObjectPlace(bucket: "one", namespace: 0, key: key) }
        try committer.commit { transaction in
            try transaction.createBucket("one", at: 5)
            try transaction.createBucket("two", at: 6)
            let version = try transaction.nextObjectVersion()
            try transaction.putObject(
                at: place(key), Self.row(version, [.spool(spool, offset: 1, length: 2)]), adopting: digest)
            try transaction.putObject(at: place([1]), Self.row(try transaction.nextObjectVersion()))
            try transaction.putObject(at: place([2]), Self.row(90, [.bytes([1, 2, 3])]))
        }
        if isCompacted { try committer.compactJournal() }
        try committer.commit { transaction in
            try transaction.removeObject(at: place([1]))
            try transaction.removeBucket("two")
        }
        committer.close()
        live.close()
        journal.close()
        let rebuilder = try IndexRebuilder(indexPath: directory.path + "/third")
        let report = try rebuilder.replayJournal(directory: journalPath)
        #expect(report.damage == [])
        try rebuilder.environment.write { (transaction) throws(IndexError) in
            #expect(try transaction.buckets().map(\.name) == ["one"])
            #expect(try transaction.bucket("one")?.createdMilliseconds == 5)
            #expect(try transaction.objects(in: "one", 0, limit: 9).map(\.key) == [[2], key])
            #expect(try transaction.object(at: place([2])) == Self.row(90, [.bytes([1, 2, 3])]))
            #expect(try transaction.holders(ofSpool: spool) == 1)
            #expect(try transaction.adoptions(limit: 9).map(\.row.digest) == [digest])
            #expect(try transaction.nextObjectVersion() == 91)
            #expect(try transaction.verify().damage == [])
        }
        try rebuilder.abandon()
    }

    @Test("a row that was damaged is refused, whatever its bytes say")
    func damagedRows() throws {
        func decoded(_ bytes: [UInt8]) throws(IndexError) -> ObjectRow {
            try bytes.withUnsafeBufferPointer { (lent) throws(IndexError) in
                try ObjectRow(decoding: UnsafeRawBufferPointer(lent), key: [1])
            }
        }
        let row = Self.row(3, [.bytes([1, 2, 3]), .spool(SIMD16(repeating: 9), offset: 1, length: 2)])
        let bytes = row.encoded(key: [1])
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x41
            #expect(throws: IndexError.self) { try decoded(damaged) }
            #expect(throws: IndexError.self) { try decoded(Array(bytes[..<index])) }
        }
        #expect(try decoded(bytes) == row)
    }
}
