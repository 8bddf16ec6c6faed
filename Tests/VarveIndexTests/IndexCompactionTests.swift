// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel

@testable import VarveIndex

@Suite("index compaction")
struct IndexCompactionTests {
    private let directory: TemporaryDirectory
    private var index: String { directory.path + "/index" }

    init() throws { directory = try TemporaryDirectory() }

    private func fill(rows: Int, keeping kept: Int) throws -> [String] {
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        try environment.write { (transaction) throws(IndexError) in
            for row in 0..<rows {
                try transaction.putInlineBlob(digest(row), bytes: [UInt8](repeating: 7, count: 500), landedAt: 1)
                try transaction.link(digest(row), in: repository("r\(row % 10)"), at: 2)
            }
        }
        try environment.write { (transaction) throws(IndexError) in
            for row in kept..<rows {
                for name in try transaction.holders(of: digest(row), limit: 9) {
                    try transaction.unlink(digest(row), in: name)
                }
                try transaction.removeBlob(digest(row))
            }
        }
        return try catalogue(of: environment)
    }

    private func bytes() -> Int {
        var status = stat()
        return stat(index + "/data.mdb", &status) == 0 ? status.st_size : -1
    }

    @Test("an index from which much was removed becomes short and says the same")
    func shrinks() throws {
        let lines = try fill(rows: 5000, keeping: 100)
        let before = bytes()
        let (reported, after) = try IndexRebuilder.compact(indexPath: index)
        #expect(Int(reported) == before)
        #expect(bytes() == Int(after))
        #expect(Int(after) < before / 10)
        #expect(try DurableDirectory.names(in: directory.path) == ["index"])
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        #expect(try catalogue(of: environment) == lines)
        #expect(try environment.read { (transaction) throws(IndexError) in try transaction.verify() }.damage.isEmpty)
        try environment.write { (transaction) throws(IndexError) in
            try transaction.createRepository(repository("new"), at: 1)
        }
    }

    @Test("one that would hardly become shorter stays")
    func stays() throws {
        let lines = try fill(rows: 1000, keeping: 1000)
        let before = bytes()
        let (reported, after) = try IndexRebuilder.compact(indexPath: index)
        #expect(reported == after && Int(after) == before && bytes() == before)
        #expect(try DurableDirectory.names(in: directory.path) == ["index"])
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        #expect(try catalogue(of: environment) == lines)
    }

    @Test("an open index is refused and unharmed")
    func open() throws {
        let lines = try fill(rows: 500, keeping: 10)
        let environment = try IndexEnvironment(path: index)
        defer { environment.close() }
        #expect(throws: IndexError.self) { try IndexRebuilder.compact(indexPath: index) }
        #expect(try DurableDirectory.names(in: directory.path) == ["index"])
        #expect(try catalogue(of: environment) == lines)
    }
}
