// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveIndex
import VarveTestKit

@testable import VarveEngine

@Suite("chunk set")
struct ChunkSetTests {
    private func range(_ numbers: inout SeededBytes, within count: Int) -> Range<UInt32> {
        let start = numbers.int(0...count)
        return UInt32(start)..<UInt32(numbers.int(start...count + 70))
    }

    @Test("does what a set of numbers does")
    func likeASet() {
        var numbers = SeededBytes(601)
        for count in [0, 1, 63, 64, 65, 127, 128, 1000] {
            var set = ChunkSet(chunkCount: UInt32(count))
            var model: Set<UInt32> = []
            for _ in 0..<60 {
                let change = range(&numbers, within: count)
                if numbers.int(0...2) > 0 {
                    set.insert(change)
                    model.formUnion(change.filter { $0 < UInt32(count) })
                } else {
                    set.remove(change)
                    model.subtract(change)
                }
                #expect(set.count == model.count, "seed \(SeededBytes.seed)")
                #expect(set.isEmpty == model.isEmpty)
                let look = range(&numbers, within: count)
                #expect(set.count(in: look) == model.filter { look.contains($0) }.count)
                var found: [UInt32] = []
                var lastEnd: UInt32?
                set.forEachRun(in: look) { run in
                    #expect(!run.isEmpty && lastEnd != run.lowerBound, "runs are as long as they can be")
                    lastEnd = run.upperBound
                    found += run
                }
                #expect(found == model.filter { look.contains($0) }.sorted())
                #expect((0..<UInt32(count + 70)).allSatisfy { set.contains($0) == model.contains($0) })
            }
            var other = ChunkSet(chunkCount: UInt32(count))
            other.insert(range(&numbers, within: count))
            let others = Set((0..<UInt32(count)).filter { other.contains($0) })
            var union = set
            union.formUnion(other)
            #expect(union.count == model.union(others).count)
            set.formIntersection(other)
            #expect(set.count == model.intersection(others).count)
        }
    }

    @Test("runs that follow one another lead where going step by step leads")
    func following() {
        var numbers = SeededBytes(602)
        for _ in 0..<200 {
            // Two rewritings: of 500 chunks some are kept, of those some again.
            var first: [ForwardRow.Run] = []
            var middle: [UInt32: UInt32] = [:]
            var next: UInt32 = UInt32(numbers.int(0...5))
            for old in 0..<UInt32(500) where numbers.int(0...3) > 0 {
                first.append(oldFirst: old, newFirst: next, count: 1)
                middle[old] = next
                next += 1 + (numbers.int(0...20) == 0 ? 3 : 0)
            }
            var second: [ForwardRow.Run] = []
            var last: [UInt32: UInt32] = [:]
            var end: UInt32 = 0
            for old in 0..<next where numbers.int(0...4) > 0 {
                second.append(oldFirst: old, newFirst: end, count: 1)
                last[old] = end
                end += 1
            }
            let both = ForwardRow(pack: 1, runs: first.followed(by: second))
            for old in 0..<UInt32(520) {
                let expected = middle[old].flatMap { last[$0] }
                #expect(both.ordinal(of: old, count: 1) == expected, "seed \(SeededBytes.seed)")
            }
            for (run, following) in zip(both.runs, both.runs.dropFirst()) {
                #expect(
                    run.oldFirst + run.count < following.oldFirst || run.newFirst + run.count < following.newFirst,
                    "runs are as long as they can be")
            }
        }
    }
}
