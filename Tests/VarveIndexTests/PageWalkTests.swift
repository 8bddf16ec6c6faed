// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel

@testable import VarveIndex

@Suite("page walk")
struct PageWalkTests {
    private let directory: TemporaryDirectory
    private var index: String { directory.path + "/index" }
    private var data: String { index + "/data.mdb" }

    init() throws { directory = try TemporaryDirectory() }

    /// An index with every kind of page: branches, leaves, large rows, lists of free pages, numbers as keys.
    private func fill(chunks: Int = 20_000, blobs: Int = 300) throws {
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        var generator = SeededGenerator(77)
        try environment.write { (transaction) throws(IndexError) in
            for number in 0..<blobs {
                let bytes = [UInt8](repeating: UInt8(number & 255), count: number % 5 == 0 ? 9000 : 300)
                try transaction.putInlineBlob(digest(number), bytes: bytes, landedAt: 1)
                try transaction.link(digest(number), in: repository("r\(number % 10)"), at: 2)
                try transaction.setTag(
                    tag("t\(number)"), in: repository("r1"),
                    TagRow(digest: digest(number), mediaType: "m", updatedAt: 1))
            }
        }
        for pack in 1..<5 as Range<UInt32> {
            var entries = (0..<chunks / 4).map {
                ChunkEntry(hi: generator.next(), lo: generator.next(), ordinal: UInt32($0))
            }
            _ = try environment.write { (transaction) throws(IndexError) in
                try transaction.insertChunks(sorting: &entries, pack: pack)
            }
        }
        _ = try environment.write { (transaction) throws(IndexError) in
            for number in stride(from: 0, to: blobs, by: 3) {
                for name in try transaction.holders(of: digest(number), limit: 9) {
                    try transaction.unlink(digest(number), in: name)
                }
                try transaction.removeBlob(digest(number))
            }
        }
    }

    @Test("every page of a whole index is in use, or free, and counted")
    func whole() throws {
        try fill()
        let pages = try #require(try PageWalk.run(index))
        #expect(pages.usedPages + pages.freePages == pages.pages)
        #expect(pages.freePages > 0)
        let trees = Dictionary(uniqueKeysWithValues: pages.trees.map { ($0.name, $0) })
        #expect(trees.count == Tables.Name.allCases.count + 2)
        #expect(trees["chunks"]?.rows == 20_000)
        #expect((trees["chunks"]?.branchPages ?? 0) > 0)
        #expect((trees["inline"]?.overflowPages ?? 0) > 0)
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        #expect(try environment.walkPages()?.usedPages == pages.usedPages)
    }

    @Test("a stale meta page that comes to look newer is found out")
    func staleMeta() throws {
        try fill(chunks: 400, blobs: 20)
        for _ in 0..<2 {
            let environment = try IndexEnvironment(path: index)
            let number = try #require(try PageWalk.run(index)).transaction
            // Transactions n and n - 1 have a meta page each. One bit more, and n - 1 is n + 1.
            var bytes = try TemporaryDirectory.read(data)
            let slot = Int((number + 1) & 1)
            for byte in 0..<8 {
                bytes[slot * 4096 + 144 + byte] = UInt8(truncatingIfNeeded: (number + 1) >> UInt64(8 * byte))
            }
            let other = directory.path + "/stale\(slot)"
            try DurableDirectory.create(other)
            try TemporaryDirectory.write(bytes, to: other + "/data.mdb")
            for isReadOnly in [true, false] {
                var options = IndexEnvironment.Options()
                options.isReadOnly = isReadOnly
                #expect { try IndexEnvironment(path: other, options: options) } throws: {
                    ($0 as? IndexError)?.isCorrupt == true
                }
            }
            try environment.write { (transaction) throws(IndexError) in
                try transaction.createRepository(repository("n\(slot)"), at: 1)
            }
            environment.close()
        }
    }

    @Test("a missing index is damage to whoever may only read")
    func missing() throws {
        try DurableDirectory.create(index)
        var options = IndexEnvironment.Options()
        options.isReadOnly = true
        #expect { try IndexEnvironment(path: index, options: options) } throws: {
            ($0 as? IndexError)?.isCorrupt == true
        }
    }

    // MARK: Damage

    /// A way to damage a file of 4 KiB pages.
    enum Damage: Int, CaseIterable {
        case anyBit, pageHead, nodeHead, metaPage, bytes, truncation, zeroPage, copiedPage, freeList

        func apply(to bytes: inout [UInt8], _ generator: inout SeededGenerator) {
            func number(_ bound: Int) -> Int { Int(generator.next() % UInt64(max(bound, 1))) }
            let page = number(bytes.count / 4096) * 4096
            switch self {
            case .anyBit: bytes[number(bytes.count)] ^= 1 << UInt8(number(8))
            case .pageHead: bytes[page + number(60)] ^= 1 << UInt8(number(8))
            case .nodeHead:
                let lower = Int(bytes[page + 12]) | Int(bytes[page + 13]) << 8
                let place = page + 16 + 2 * number((lower - 16) / 2)
                guard place + 1 < bytes.count else { return }
                let node = page + (Int(bytes[place]) | Int(bytes[place + 1]) << 8)
                let byte = node + number(8)
                if byte < bytes.count { bytes[byte] ^= 1 << UInt8(number(8)) }
            case .metaPage: bytes[number(2) * 4096 + number(152)] ^= 1 << UInt8(number(8))
            case .bytes:
                let start = number(bytes.count - 64)
                for index in start..<start + 1 + number(63) { bytes[index] = UInt8(number(256)) }
            case .truncation: bytes.removeSubrange(number(bytes.count)...)
            case .zeroPage: for index in page..<page + 4096 { bytes[index] = 0 }
            case .copiedPage:
                let source = number(bytes.count / 4096) * 4096
                bytes.replaceSubrange(page..<page + 4096, with: bytes[source..<source + 4096])
            case .freeList:
                // The root of the free pages' tree, as both meta pages name it, is where its lists are.
                let slot = number(2) * 4096
                let root = (0..<8).reduce(0) { $0 | Int(bytes[slot + 80 + $1]) << (8 * $1) }
                guard root > 1, root < bytes.count / 4096 else { return }
                bytes[root * 4096 + 16 + number(4080)] ^= 1 << UInt8(number(8))
            }
        }
    }

    /// Opens what was damaged, and if that is not refused, reads everything and writes.
    /// - Returns: Whether it was refused.
    private func use(_ path: String, _ lines: [String]) throws -> Bool {
        let environment: IndexEnvironment
        do throws(IndexError) {
            environment = try IndexEnvironment(path: path)
        } catch {
            guard error.isCorrupt || error.reason == .unsupportedVersion else { throw error }
            return true
        }
        defer { environment.close() }
        let found = try environment.read { (transaction) throws(IndexError) in try transaction.verify() }
        if found.damage.isEmpty {
            #expect(try catalogue(of: environment) == lines, "something is gone without a word")
        }
        var entries = (0..<500).map { ChunkEntry(hi: UInt64($0) << 52, lo: 1, ordinal: UInt32($0)) }
        _ = try environment.write { (transaction) throws(IndexError) in
            try transaction.insertChunks(sorting: &entries, pack: 9)
            for number in 1000..<1040 {
                try transaction.putInlineBlob(digest(number), bytes: [UInt8](repeating: 1, count: 6000), landedAt: 1)
            }
        }
        _ = try environment.write { (transaction) throws(IndexError) in
            for number in 0..<150 where number % 2 == 1 { _ = try? transaction.removeBlob(digest(number)) }
        }
        return false
    }

    @Test("whatever is damaged in the file, opening refuses it or all goes on", arguments: Damage.allCases)
    func damaged(_ damage: Damage) throws {
        try fill(chunks: 4000, blobs: 150)
        let environment = try IndexEnvironment(path: index)
        let lines = try catalogue(of: environment)
        environment.close()
        let whole = try TemporaryDirectory.read(data)
        var generator = SeededGenerator(UInt64(900 + damage.rawValue))
        var refused = 0
        for _ in 0..<PageWalkTests.rounds {
            var bytes = whole
            damage.apply(to: &bytes, &generator)
            let path = directory.path + "/damaged"
            try DurableDirectory.create(path)
            try TemporaryDirectory.write(bytes, to: path + "/data.mdb")
            if try use(path, lines) { refused += 1 }
            TemporaryDirectory.remove(path)
        }
        // Most pages are in use; a bit in the middle of a row is for the row's own checksum to find.
        let least =
            switch damage {
            case .anyBit, .bytes, .metaPage, .freeList: 0
            case .pageHead, .nodeHead, .zeroPage, .copiedPage: PageWalkTests.rounds / 4
            case .truncation: PageWalkTests.rounds * 3 / 4
            }
        #expect(refused >= least, "seed \(SeededGenerator.seed)")
        if getenv("VARVE_TEST_ROUNDS") != nil { print("\(damage): \(refused) of \(PageWalkTests.rounds) refused") }
    }

    private static let rounds = getenv("VARVE_TEST_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 40
}
