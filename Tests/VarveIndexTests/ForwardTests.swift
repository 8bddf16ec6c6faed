// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@testable import VarveIndex

@Suite("forwards")
struct ForwardTests {
    private let directory: TemporaryDirectory
    private let environment: IndexEnvironment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try IndexEnvironment(path: directory.path + "/index")
    }

    private static func row(_ generator: inout SeededGenerator) -> ForwardRow {
        var runs: [ForwardRow.Run] = []
        var old: UInt32 = 0
        var new: UInt32 = 0
        for _ in 0..<Int.random(in: 0...200, using: &generator) {
            old += .random(in: 1...500, using: &generator)
            new += .random(in: 0...5, using: &generator)
            let count = UInt32.random(in: 1...300, using: &generator)
            runs.append(ForwardRow.Run(oldFirst: old, newFirst: new, count: count))
            old += count
            new += count
        }
        return ForwardRow(pack: .random(in: .min ... .max, using: &generator), runs: runs)
    }

    @Test("rows come back, are listed in pages, are replaced and removed")
    func table() throws {
        var generator = SeededGenerator(31)
        var all: [[UInt8]: ForwardRow] = [:]
        for _ in 0..<50 { all[generator.bytes(16)] = Self.row(&generator) }
        func vector(_ bytes: [UInt8]) -> SIMD16<UInt8> { SIMD16(bytes) }
        try environment.write { (transaction) throws(IndexError) in
            for (id, row) in all { try transaction.putForward(vector(id), row) }
        }
        for limit in [1, 7, 50, 51] {
            var found: [(id: SIMD16<UInt8>, row: ForwardRow)] = []
            while true {
                let page = try environment.read { (transaction) throws(IndexError) in
                    try transaction.forwards(after: found.last?.id, limit: limit)
                }
                found += page
                guard page.count == limit else { break }
            }
            #expect(found.count == 50)
            for (id, row) in found { #expect(all[(0..<16).map { id[$0] }] == row, "seed \(SeededGenerator.seed)") }
        }
        let id = vector(try #require(all.keys.first))
        try environment.write { (transaction) throws(IndexError) in
            try transaction.putForward(id, ForwardRow(pack: 4, runs: []))
            #expect(try transaction.forward(of: id) == ForwardRow(pack: 4, runs: []))
            #expect(try transaction.removeForward(id))
            #expect(try !transaction.removeForward(id))
            #expect(try transaction.forward(of: id) == nil)
        }
    }

    @Test("finds chunks that are there, in one piece, and no others")
    func lookUp() throws {
        var generator = SeededGenerator(32)
        for _ in 0..<20 {
            let row = Self.row(&generator)
            var map: [UInt32: (new: UInt32, left: UInt32)] = [:]
            for run in row.runs {
                for offset in 0..<run.count { map[run.oldFirst + offset] = (run.newFirst + offset, run.count - offset) }
            }
            for ordinal in 0..<(row.runs.last.map { $0.oldFirst + $0.count } ?? 0) + 10 {
                for count in [1, 2, 50] as [UInt32] {
                    let expected = map[ordinal].flatMap { $0.left >= count ? $0.new : nil }
                    #expect(row.ordinal(of: ordinal, count: count) == expected, "seed \(SeededGenerator.seed)")
                }
            }
        }
    }

    @Test(
        "refuses runs out of order or out of bounds",
        arguments: [
            [.init(oldFirst: 5, newFirst: 0, count: 5), .init(oldFirst: 9, newFirst: 5, count: 5)],
            [.init(oldFirst: 5, newFirst: 9, count: 5), .init(oldFirst: 12, newFirst: 3, count: 5)],
            [.init(oldFirst: .max, newFirst: 9, count: 5)], [.init(oldFirst: 5, newFirst: 9, count: 0)],
        ] as [[ForwardRow.Run]])
    func badRuns(_ runs: [ForwardRow.Run]) throws {
        #expect(throws: IndexError.self) {
            try environment.write { (transaction) throws(IndexError) in
                try transaction.putForward(SIMD16(repeating: 1), ForwardRow(pack: 1, runs: runs))
            }
        }
        // The bytes of such a row are refused too, not trusted.
        let bytes = ForwardRow(pack: 1, runs: runs).encoded(key: [1])
        bytes.withUnsafeBytes { bytes in
            guard let row = try? ForwardRow(decoding: bytes, key: [1]) else { return }
            for run in row.runs { #expect(UInt64(run.oldFirst) + UInt64(run.count) <= UInt64(UInt32.max)) }
        }
    }
}
