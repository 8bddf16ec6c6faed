// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveZstd

@Suite("restart points and wire points of zstd plans")
struct PointTests {
    func plan(_ file: [UInt8], _ parameters: ZstdParameters, spacing: Int) throws -> [UInt8] {
        let pass = ZstdPass(source: source(file), parameters: parameters)
        pass.isWhole = true
        pass.spacing = spacing
        // These parameters shall do, however wrong.
        pass.secondLooks = ZstdPass.secondLooksMax
        try pass.run(plainMax: .max) { _ in }
        return pass.plan()
    }

    func points(_ plan: [UInt8]) throws -> FramePoints {
        for element in try ZstdPlan(decoding: plan).elements {
            if case .frame(let frame) = element.content { return frame.points }
        }
        throw ZstdError("no-frame")
    }

    /// The bytes of `range`, with what was asked for on the way.
    func part(
        _ rebuilder: ZstdRebuilder, _ range: Range<Int>, _ plain: [UInt8]
    ) throws -> (bytes: [UInt8], asked: [Range<Int>]) {
        let stream = rebuilder.stream(from: range.lowerBound)
        var bytes: [UInt8] = []
        var asked: [Range<Int>] = []
        while bytes.count < range.count,
            let piece = try stream.next(plain: { range, room in
                asked.append(range)
                plain.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            })
        {
            bytes.append(contentsOf: piece)
        }
        return (Array(bytes.prefix(range.count)), asked)
    }

    @Test("any bytes are made from the wire point before them", arguments: ZstdAnalyzerTests.models)
    func wires(parameters: ZstdParameters) throws {
        // Written raw: the search has to be told so at every block.
        let (file, plain) = repetitiveFile(2 * parameters.windowBytes + 400_000 + parameters.jobBytes, seed: 12)
        let plan = try plan(file, parameters, spacing: max(400_000, parameters.windowBytes))
        let points = try points(plan)
        #expect(!points.restarts.isEmpty)
        #expect(points.wires.count >= 2)
        #expect(points.wires.allSatisfy { !$0.unusual.isEmpty })
        let rebuilder = try ZstdRebuilder(plan: plan)
        for start in stride(from: 5, to: file.count - 3000, by: file.count / 25) {
            let (bytes, asked) = try part(rebuilder, start..<(start + 3000), plain)
            #expect(bytes == Array(file[start..<(start + 3000)]), "\(start)")
            // What a reader is told to have at hand is what is asked for, in that order.
            var told = rebuilder.text(for: start..<(start + 3000))[...]
            for range in asked {
                while let first = told.first, !first.contains(range.lowerBound) { told.removeFirst() }
                #expect(told.first.map { range.upperBound <= $0.upperBound + ZstdTables.blockMax } == true, "\(start)")
            }
        }
    }

    @Test("blocks written otherwise than proposed are searched over as they were made", arguments: [7, 2])
    func otherBlocks(model: Int) throws {
        let file = try Fixtures.bytes("klauspost-v1.17.11.zst")
        let plain = try decoded(file)
        let plan = try plan(file, ZstdAnalyzerTests.models[model], spacing: 400_000)
        let points = try points(plan)
        let others = points.wires.flatMap(\.unusual).filter { if case .other = $0.settling { true } else { false } }
        #expect(!others.isEmpty)
        let rebuilder = try ZstdRebuilder(plan: plan)
        for start in stride(from: 1, to: file.count - 500, by: file.count / 20) {
            let bytes = try part(rebuilder, start..<(start + 500), plain).bytes
            #expect(bytes == Array(file[start..<(start + 500)]))
        }
    }

    @Test("a wire point that is not true is found when the file is made whole", arguments: 0..<5)
    func untrueWire(change: Int) throws {
        let (file, plain) = repetitiveFile(700_000, seed: 13)
        let parameters = ZstdAnalyzerTests.models[6]
        let wire = try #require(points(plan(file, parameters, spacing: 300_000)).wires.first)
        var mark = wire.mark
        var settlings = wire.unusual.map(\.settling)
        #expect(settlings.allSatisfy { $0 == .stored } && wire.start == 0)
        switch change {
        case 1: mark.compressed += 1
        case 2: mark.wire.recent.0 += 1
        case 3: mark.entropy ^= 1
        case 4: settlings[0] = .proposed
        default: break
        }
        var writer = PointWriter()
        for settling in settlings { writer.note(settling) }
        writer.putWire(at: mark)
        writer.end()
        let plan = try replaced(plan(file, parameters, spacing: 1 << 40), writer.bytes)
        let made = try? rebuilt(plan: plan, plain: plain)
        #expect(change == 0 ? isEqual(made, file) : made == nil)
    }

    /// The plan of one frame with other points.
    func replaced(_ plan: [UInt8], _ points: [UInt8]) throws -> [UInt8] {
        let decoded = try ZstdPlan(decoding: plan)
        guard decoded.elements.count == 1, case .frame(let frame) = decoded.elements[0].content else {
            throw ZstdError("no-frame")
        }
        var record = ZstdPlan.Record(
            parameters: frame.parameters, header: frame.header.map { Array(plan[$0]) } ?? [],
            compressedCount: decoded.compressedCount, plainCount: decoded.plainCount)
        record.hasUsualHeader = frame.header == nil
        record.checksum = frame.checksum.map { Array(plan[$0]) } ?? []
        record.exceptions = Array(plan[frame.exceptions])
        record.points = points
        var body: [UInt8] = []
        PlanBytes.put(&body, decoded.compressedCount)
        PlanBytes.put(&body, decoded.plainCount)
        PlanBytes.put(&body, decoded.parameters.count)
        for set in decoded.parameters {
            PlanBytes.put(&body, set.raw.count)
            for value in set.raw { PlanBytes.put(&body, value) }
        }
        PlanBytes.put(&body, 1)
        record.put(&body)
        return ZstdPlan.seal(body)
    }

    @Test("who begins at a point needs its table entries")
    func missingEntries() throws {
        // Its points have all entries.
        let plan = try Fixtures.bytes("klauspost-v1.17.11.plan4")
        let file = try Fixtures.bytes("klauspost-v1.17.11.zst")
        let plain = try decoded(file)
        for isChanged in [false, true] {
            let changed = try withRestarts(plan) { point in
                #expect(!point.hasHints && point.memory.entryBytes > 1)
                if isChanged { point.memory = .entries(TableEntries(NeededEntries(), kinds: 1)) }
            }
            let start = try #require(points(plan).restarts.last).mark.compressed
            #expect(try isEqual(rebuilt(plan: changed, plain: plain), file))
            let made = try? rebuilt(plan: changed, plain: plain, from: start)
            #expect(isEqual(made, Array(file[start...])) != isChanged)
        }
    }

    /// The plan of one frame with its restart points changed.
    func withRestarts(_ plan: [UInt8], _ change: (inout RestartPoint) -> Void) throws -> [UInt8] {
        let points = try points(plan)
        var writer = PointWriter()
        var wires = points.wires[...]
        func putWires(before place: Int) {
            while let wire = wires.first, wire.mark.plain < place {
                wires.removeFirst()
                for settling in settlings(wire) { writer.note(settling) }
                writer.putWire(at: wire.mark)
            }
        }
        for var point in points.restarts {
            putWires(before: point.mark.plain)
            change(&point)
            writer.put(point)
        }
        putWires(before: .max)
        writer.end()
        return try replaced(plan, writer.bytes)
    }

    /// How each block before a wire point was written.
    private func settlings(_ wire: WirePoint) -> [Settling] {
        var all: [Settling] = []
        for each in wire.unusual {
            while all.count < each.block { all.append(.proposed) }
            all.append(each.settling)
        }
        return all
    }

    @Test("a point that turns out to be dear is a wire point")
    func dearPoints() throws {
        func point(_ plain: Int) -> RestartPoint {
            var point = RestartPoint()
            point.mark.plain = plain << 16
            point.mark.compressed = plain / 2
            point.exceptions = plain / 10
            return point
        }
        var writer = PointWriter()
        var hints = SearchHints(at: 50 << 16)
        hints.add(SearchHint(outcome: .first, distance: 70_000, length: 9, back: 2), at: 51 << 16)
        writer.note(.stored)
        writer.put(point(50), isDecided: false)
        #expect(writer.undecided?.mark.plain == 50 << 16)
        writer.decide(isKept: true)
        #expect(writer.bytes.isEmpty && writer.restart.mark.plain == 50 << 16)
        writer.put(point(100), isDecided: false)
        #expect(writer.restart.mark.plain == 50 << 16)
        writer.note(.proposed)
        writer.note(.stored)
        writer.putWire(at: point(200).mark)
        writer.decide(isKept: false)
        #expect(writer.bytes.isEmpty && writer.undecided == nil)
        writer.put(point(300), isDecided: false)
        writer.complete(.hints(hints))
        writer.decide(isKept: true)
        #expect(writer.restarts == 1)
        writer.put(point(400))
        writer.end()
        #expect(writer.undecided == nil && writer.restarts == 3)
        var input = PlanInput(bytes: writer.bytes, range: writer.bytes.indices)
        let points = try FramePoints(&input, version: ZstdPlan.version)
        #expect(points.restarts.map { $0.mark.plain >> 16 } == [50, 300, 400])
        #expect(points.restarts.map(\.exceptions) == [5, 30, 40])
        guard case .hints(let read) = points.restarts[0].memory else {
            Issue.record("no hints")
            return
        }
        #expect(read.coded == hints.coded)
        #expect(points.restarts[1].memory == .entries(TableEntries(coded: [])))
        #expect(points.wires.map { $0.mark.plain >> 16 } == [100, 200])
        #expect(points.wires.map { $0.start >> 16 } == [50, 100])
        #expect(points.wires.map { $0.unusual.map(\.block) } == [[], [1]])
    }

    @Test("plans of former versions are read", arguments: Fixtures.formerPlans + ["klauspost-v1.17.11.plan3", "5"])
    func formerVersions(name: String) throws {
        // Version 5 is written as version 6 is.
        var plan = try Fixtures.bytes(name == "5" ? "klauspost-v1.17.11.plan6" : name)
        if name == "5" { plan = ZstdPlan.seal(Array(plan[8...]), version: 5) }
        let version = try #require(Int(String(name.suffix(1))))
        #expect(Int(plan[3]) == version)
        let file = try Fixtures.bytes(name.hasPrefix("zstd") ? "zstd1.5.4-3-stdin.zst" : "klauspost-v1.17.11.zst")
        let plain = try decoded(file)
        let points = try points(plan).restarts
        #expect(points.count == 2)
        #expect(points.allSatisfy { ($0.far != nil) == (version > 4) && $0.runUp > 0 && !$0.hasHints })
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
        let rebuilder = try ZstdRebuilder(plan: plan)
        for segment in rebuilder.segments {
            let start = segment.compressed.lowerBound
            #expect(try isEqual(rebuilt(plan: plan, plain: plain, from: start), Array(file[start...])), "\(start)")
            // What a reader is told to have at hand is what is asked for.
            let range = start..<min(start + 20_000, file.count)
            let told = rebuilder.text(for: range)
            for asked in try part(rebuilder, range, plain).asked {
                #expect(told.contains { $0.lowerBound <= asked.lowerBound && asked.lowerBound < $0.upperBound })
            }
        }
    }

    @Test("tables with two places an entry are restored as version 8 has them", arguments: [3, 4])
    func twoPlaces(level: Int) throws {
        let plan = try Fixtures.bytes(level == 3 ? "klauspost-better.plan8" : "klauspost-best.plan8")
        let (_, plain) = repetitiveFile(900_000, seed: level == 3 ? 41 : 42)
        let file = try modelFile(
            plain, ZstdParameters(.klauspost(level: level, era: level == 3 ? 3 : 0, windowLog: level == 3 ? 18 : 17)))
        let restarts = try points(plan).restarts
        #expect(!restarts.isEmpty && restarts.allSatisfy { $0.runUp > 0 && !$0.hasHints })
        for emptied in [false, true] {
            let changed =
                emptied
                ? try withRestarts(plan) { $0.memory = .entries(TableEntries(NeededEntries(), kinds: 1)) } : plan
            #expect(try isEqual(rebuilt(plan: changed, plain: plain), file))
            for point in restarts {
                let start = point.mark.compressed
                let made = try? rebuilt(plan: changed, plain: plain, from: start)
                #expect(isEqual(made, Array(file[start...])) != emptied)
            }
        }
    }
}
