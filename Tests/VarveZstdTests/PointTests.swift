// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveZstd

@Suite("restart points and wire points of zstd plans")
struct PointTests {
    private func plan(_ file: [UInt8], _ parameters: ZstdParameters, spacing: Int) throws -> [UInt8] {
        let pass = ZstdPass(source: source(file), parameters: parameters)
        pass.isWhole = true
        pass.spacing = spacing
        // These parameters shall do, however wrong.
        pass.secondLooks = ZstdPass.secondLooksMax
        try pass.run(plainMax: .max) { _ in }
        return pass.plan()
    }

    private func points(_ plan: [UInt8]) throws -> FramePoints {
        for element in try ZstdPlan(decoding: plan).elements {
            if case .frame(let frame) = element.content { return frame.points }
        }
        throw ZstdError("no-frame")
    }

    /// The bytes of `range`, with what was asked for on the way.
    private func part(
        _ rebuilder: ZstdRebuilder, _ range: Range<Int>, _ plain: [UInt8]
    ) throws -> (bytes: [UInt8], asked: [Range<Int>]) {
        let stream = rebuilder.stream(from: range.lowerBound, for: .bytes(through: range.upperBound))
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
    private func replaced(_ plan: [UInt8], _ points: [UInt8]) throws -> [UInt8] {
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

    /// With windows of many blocks, so that run-ups leave much otherwise.
    private static let wide = [
        ZstdParameters(.klauspost(level: 1, era: 3, windowLog: 20)),
        ZstdParameters(.klauspost(level: 2, era: 3, windowLog: 20)),
        ZstdParameters(
            .reference(strategy: 1, ReferenceModel.Settings(windowLog: 20, longLog: 14, shortLog: 13, shortBytes: 7))),
        ZstdParameters(
            .reference(
                strategy: 1,
                ReferenceModel.Settings(windowLog: 20, longLog: 15, shortLog: 13, shortBytes: 6, jobLog: 21))),
        ZstdParameters(.reference(strategy: 2, ReferenceModel.Settings(windowLog: 20, longLog: 16, shortLog: 15))),
        ZstdParameters(
            .reference(
                strategy: 2,
                ReferenceModel.Settings(windowLog: 20, longLog: 15, shortLog: 15, isNew: true, isStream: true))
        ),
    ]

    @Test("of the table entries those are written that matter", arguments: wide)
    func entriesThatMatter(parameters: ZstdParameters) throws {
        let (_, plain) = repetitiveFile(3_100_000, seed: 15)
        let file = try modelFile(plain, parameters)
        let plan = try plan(file, parameters, spacing: 400_000)
        let points = try points(plan).restarts
        let header = try FrameHeader(Array(file.prefix(18)))
        let (model, _) = parameters.makeModels()
        var all = 0
        try plain.withUnsafeBufferPointer { buffer in
            let text = try #require(buffer.baseAddress)
            model.begin(header)
            var at = 0
            for point in points where point.runUp > 0 {
                model.run(text, from: at, to: point.mark.plain)
                at = point.mark.plain
                let other = FrameWalk(parameters)
                try other.runUp(header, text, to: point)
                let entries = other.model.entries(unlike: model, at: at)
                all += TableEntries(entries, of: model, at: at, text).coded.count
            }
        }
        let needed = points.filter { $0.runUp > 0 }.reduce(0) { $0 + $1.entries.coded.count }
        #expect(points.count >= 4)
        #expect(needed > 100 * points.count)
        #expect(needed < all * 3 / 4)
        #expect(points.allSatisfy { $0.runUp == 0 || $0.far?.pieces.isEmpty == false })
        // From each point on, to the end: what was left out is not missed.
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
        for point in points {
            let start = point.mark.compressed
            #expect(try isEqual(rebuilt(plan: plan, plain: plain, from: start), Array(file[start...])), "\(start)")
        }
    }

    @Test("who comes to a point from the one before makes the first block behind it", arguments: wide)
    func crossings(parameters: ZstdParameters) throws {
        let (_, plain) = repetitiveFile(3_100_000, seed: 19)
        let file = try modelFile(plain, parameters)
        let plan = try plan(file, parameters, spacing: 400_000)
        let points = try points(plan).restarts.filter { $0.far != nil }
        #expect(points.count >= 4)
        for work in [0, Int.max] {
            let rebuilder = try ZstdRebuilder(plan: plan, crossedWork: work)
            for point in points {
                let range = (point.mark.compressed - 1000)..<(point.mark.compressed + 1000)
                let (bytes, asked) = try part(rebuilder, range, plain)
                #expect(bytes == Array(file[range]), "\(range)")
                // The text of the run-up is taken once by who goes on, and twice by who begins anew.
                let runUp = (point.mark.plain - point.runUp)..<point.mark.plain
                let taken = asked.reduce(0) { $0 + $1.clamped(to: runUp).count }
                #expect(taken == (work == 0 ? 1 : 2) * point.runUp)
                // Who then wants more gets it.
                let rest = try rebuilt(
                    plan: plan, plain: plain, from: range.lowerBound, for: .bytes(through: range.upperBound))
                #expect(isEqual(rest, Array(file[range.lowerBound...])), "\(range)")
            }
        }
    }

    @Test("a walk that finds other sequences does not agree")
    func agreement() throws {
        let parameters = Self.wide[1]
        let (_, plain) = repetitiveFile(400_000, seed: 20)
        let header = try FrameHeader([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70])
        try plain.withUnsafeBufferPointer { buffer in
            let text = try #require(buffer.baseAddress)
            let (one, same, other) = (FrameWalk(parameters), FrameWalk(parameters), FrameWalk(parameters))
            for walk in [one, same, other] { walk.begin(header) }
            for walk in [one, same] { try walk.make(text, 0, ZstdTables.blockMax, isLast: false, nil) }
            let end = 2 * ZstdTables.blockMax
            try one.make(text, ZstdTables.blockMax, end, isLast: false, nil)
            #expect(one.agrees(with: same, text, ZstdTables.blockMax, end))
            #expect(!one.agrees(with: other, text, ZstdTables.blockMax, end))
        }
    }

    @Test("whoever makes a file whole finds points without their entries or their text", arguments: wide)
    func missingParts(parameters: ZstdParameters) throws {
        let (_, plain) = repetitiveFile(2_100_000, seed: 16)
        let file = try modelFile(plain, parameters)
        let plan = try plan(file, parameters, spacing: 400_000)
        let points = try points(plan)
        for change in 0..<4 {
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
                if change == 1 { point.entries = TableEntries(NeededEntries(), kinds: 1) }
                if change == 2 { point.far?.pieces = [:] }
                // Later than all of them are looked at.
                if change == 3, let far = point.far { point.far?.pieces = far.pieces.mapValues { $0 + 1_000_000 } }
                writer.put(point)
            }
            putWires(before: .max)
            writer.end()
            let plan = try replaced(plan, writer.bytes)
            let made = try? rebuilt(plan: plan, plain: plain)
            #expect(change > 0 ? !isEqual(made, file) : isEqual(made, file), "\(change)")
        }
    }

    @Test("text before a point is asked for as far as it is looked at")
    func farText() throws {
        // Bytes that repeat only what is next to them, others that have nothing to do with them, and a stretch of the former.
        let parameters = Self.wide[1]
        var random = Seeded(state: 17)
        var plain: [UInt8] = []
        while plain.count < 700_000 {
            plain += (0..<60).map { _ in UInt8.random(in: 128...255, using: &random) }
            plain += plain.suffix(12)
        }
        let copied = 500_000..<510_000
        plain += repetitiveFile(700_000, seed: 18).plain + plain[copied]
        let file = try modelFile(plain, parameters)
        let plan = try plan(file, parameters, spacing: 1_300_000)
        let point = try #require(points(plan).restarts.first)
        let rebuilder = try ZstdRebuilder(plan: plan)
        let start = file.count - 10
        let far = try part(rebuilder, start..<file.count, plain).asked.filter {
            $0.upperBound <= point.mark.plain - point.runUp
        }
        #expect(far.contains { $0.overlaps(copied) })
        #expect(far.reduce(0) { $0 + $1.count } < 400_000)
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
            point.far = FarText()
            return point
        }
        func far(_ pieces: [Int: Int]) -> FarText {
            var far = FarText()
            for (piece, block) in pieces { far.add(piece, by: block << 16) }
            return far
        }
        var writer = PointWriter()
        var needed = NeededEntries()
        needed.clear(7)
        let entries = TableEntries(needed, kinds: 2)
        writer.note(.stored)
        writer.put(point(50), isDecided: false)
        writer.touch(far([1: 51, 3: 53]))
        #expect(writer.undecided?.mark.plain == 50 << 16)
        writer.decide(isKept: true)
        #expect(writer.bytes.isEmpty && writer.restart.mark.plain == 50 << 16)
        writer.put(point(100), isDecided: false)
        #expect(writer.restart.mark.plain == 50 << 16)
        writer.touch(far([2: 100, 3: 101, 1: 102]))
        writer.note(.proposed)
        writer.note(.stored)
        writer.putWire(at: point(200).mark)
        writer.decide(isKept: false)
        #expect(writer.bytes.isEmpty && writer.undecided == nil)
        writer.put(point(300), isDecided: false)
        writer.complete(entries)
        writer.decide(isKept: true)
        #expect(writer.restarts == 1)
        writer.put(point(400))
        writer.end()
        #expect(writer.undecided == nil && writer.restarts == 3)
        var input = PlanInput(bytes: writer.bytes, range: writer.bytes.indices)
        let points = try FramePoints(&input, version: ZstdPlan.version)
        #expect(points.restarts.map { $0.mark.plain >> 16 } == [50, 300, 400])
        #expect(points.restarts.map(\.exceptions) == [5, 30, 40])
        // What is looked at behind a point that is none any more is looked at behind the one before.
        // The blocks of the phases: at the point, and 6 and 12 times 65,536 bytes behind.
        #expect(points.restarts.map { $0.far?.pieces.mapValues { $0 >> 16 } } == [[1: 50, 2: 62, 3: 52], [:], [:]])
        #expect(points.restarts[0].entries == entries)
        #expect(points.wires.map { $0.mark.plain >> 16 } == [100, 200])
        #expect(points.wires.map { $0.start >> 16 } == [50, 100])
        #expect(points.wires.map { $0.unusual.map(\.block) } == [[], [1]])
    }

    @Test("plans of versions 3 to 6 are read", arguments: [3, 4, 5, 6])
    func formerVersions(version: UInt8) throws {
        let file = try Fixtures.bytes("klauspost-v1.17.11.zst")
        var plan = try Fixtures.bytes("klauspost-v1.17.11.plan\(version == 5 ? 6 : version)")
        // Version 5 is written as version 6 is.
        if version == 5 { plan = ZstdPlan.seal(Array(plan[8...]), version: 5) }
        #expect(plan[3] == version)
        #expect(try ZstdRebuilder(plan: plan, crossedWork: 0).segments.contains { $0.isCrossed } == (version == 6))
        let plain = try decoded(file)
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
        let segments = try ZstdRebuilder(plan: plan).segments
        #expect(segments.count == 3)
        for segment in segments {
            let start = segment.compressed.lowerBound
            #expect(try isEqual(rebuilt(plan: plan, plain: plain, from: start), Array(file[start...])), "\(start)")
        }
    }
}
