// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveZstd

@Suite("hints for searches that begin at restart points")
struct SearchHintsTests {
    private let points = PointTests()

    /// With windows of many blocks, so that many matches reach back over a point.
    private static let wide = [
        ZstdParameters(.klauspost(level: 1, era: 3, windowLog: 20)),
        ZstdParameters(.klauspost(level: 2, era: 3, windowLog: 20)),
        ZstdParameters(.klauspost(level: 3, era: 0, windowLog: 20)),
        ZstdParameters(.klauspost(level: 3, era: 3, windowLog: 20)),
        ZstdParameters(.klauspost(level: 4, era: 0, windowLog: 20)),
        ZstdParameters(.klauspost(level: 4, era: 1, windowLog: 20)),
        ZstdParameters(.klauspost(level: 4, era: 4, windowLog: 20)),
        ZstdParameters(.klauspost(level: 4, era: 3, windowLog: 20)),
        ZstdParameters(
            .reference(strategy: 1, ReferenceModel.Settings(windowLog: 20, longLog: 14, shortLog: 13, shortBytes: 7))),
        ZstdParameters(
            .reference(
                strategy: 1,
                ReferenceModel.Settings(windowLog: 20, longLog: 15, shortLog: 13, shortBytes: 6, jobLog: 21))),
        ZstdParameters(.reference(strategy: 2, ReferenceModel.Settings(windowLog: 20, longLog: 16, shortLog: 15))),
        ZstdParameters(
            .reference(strategy: 2, ReferenceModel.Settings(windowLog: 20, longLog: 15, shortLog: 15, isNew: true))),
        ZstdParameters(
            .reference(
                strategy: 2,
                ReferenceModel.Settings(windowLog: 20, longLog: 15, shortLog: 15, isNew: true, isStream: true))
        ),
    ]

    private func form(_ parameters: ZstdParameters) -> HintForm { parameters.makeModels().0.hintForm }

    private func hints(_ point: RestartPoint, _ form: HintForm) -> [(place: Int, hint: SearchHint)] {
        guard case .hints(let hints) = point.memory else { return [] }
        let reader = HintReader(hints, at: point.mark.plain, form)
        var all: [(place: Int, hint: SearchHint)] = []
        while reader.state.pointee.next != .max {
            all.append((reader.state.pointee.next, reader.state.pointee.hint))
            reader.advance()
        }
        #expect(!reader.state.pointee.isDamaged)
        return all
    }

    @Test("who begins at a point needs no text before it", arguments: wide)
    func noTextBefore(parameters: ZstdParameters) throws {
        let (_, plain) = repetitiveFile(3_100_000, seed: 15)
        let file = try modelFile(plain, parameters)
        let plan = try points.plan(file, parameters, spacing: 400_000)
        let restarts = try points.points(plan).restarts
        #expect(restarts.filter(\.hasHints).count >= 4)
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
        let rebuilder = try ZstdRebuilder(plan: plan)
        for point in restarts {
            let start = point.mark.compressed
            let (bytes, asked) = try points.part(rebuilder, start..<file.count, plain)
            #expect(isEqual(bytes, Array(file[start...])), "\(start)")
            guard point.hasHints else { continue }
            let hints = hints(point, form(parameters))
            #expect(hints.count > 100)
            #expect(hints.contains { $0.hint.distance > 0 && $0.place - $0.hint.distance < point.mark.plain })
            #expect(asked.first?.lowerBound == point.mark.plain)
            #expect(rebuilder.text(for: start..<(start + 1)).first?.lowerBound == point.mark.plain)
        }
        // From wire points, too.
        for start in stride(from: 3, to: file.count - 2000, by: file.count / 40) {
            let bytes = try points.part(rebuilder, start..<(start + 2000), plain).bytes
            #expect(bytes == Array(file[start..<(start + 2000)]), "\(start)")
        }
    }

    @Test("whoever makes a file whole finds points whose hints are others", arguments: wide)
    func otherHints(parameters: ZstdParameters) throws {
        let (_, plain) = repetitiveFile(1_300_000, seed: 16)
        let file = try modelFile(plain, parameters)
        let plan = try points.plan(file, parameters, spacing: 400_000)
        for change in 0..<5 {
            let changed = try points.withRestarts(plan) { point in
                guard point.hasHints, change > 0 else { return }
                var all = hints(point, form(parameters))
                let index = all.firstIndex { $0.hint.distance > 0 && $0.place > point.mark.plain + 100 } ?? 0
                switch change {
                case 1: all.remove(at: index)
                case 2: all[index].hint.distance += 1
                case 3: all[index].hint.length += 1
                default: all = []
                }
                var hints = SearchHints(at: point.mark.plain, form(parameters))
                for each in all { hints.add(each.hint, at: each.place) }
                point.memory = .hints(hints)
            }
            let made = try? rebuilt(plan: changed, plain: plain)
            #expect(isEqual(made, file) == (change == 0), "\(change)")
        }
    }

    @Test("hints that there can not be are refused", arguments: wide)
    func impossibleHints(parameters: ZstdParameters) throws {
        let (_, plain) = repetitiveFile(900_000, seed: 24)
        let file = try modelFile(plain, parameters)
        let plan = try points.plan(file, parameters, spacing: 400_000)
        for change in 0..<8 {
            let changed = try points.withRestarts(plan) { point in
                // The first step behind a point is always at its first byte.
                let form = form(parameters)
                let code = form == .candidates ? HintForm.newOffset : SearchHint.Outcome.first.rawValue
                var hint = SearchHint(code: code, distance: 4, length: 8)
                switch change {
                case 0: hint.length = ZstdTables.blockMax + 1
                case 1: hint.back = 1
                case 2: hint.distance = 0
                case 3: hint.distance = point.mark.plain + 1
                case 4 where form == .candidates: hint = SearchHint(code: code, length: 8)
                case 4: hint = SearchHint(outcome: .former, length: 8)
                case 5: hint.length = 1 << 32
                default: break
                }
                var hints = SearchHints(at: point.mark.plain, form)
                hints.add(hint, at: point.mark.plain)
                let coded = Array(hints.coded)
                if change == 6 { hints = SearchHints(coded, 0..<(coded.count - 1), at: point.mark.plain) }
                if change == 7 { hints = SearchHints([7] + coded.dropFirst(), 0..<coded.count, at: point.mark.plain) }
                point.memory = .hints(hints)
            }
            let start = try #require(points.points(plan).restarts.first).mark.compressed
            #expect(throws: ZstdError.planDamaged, "\(change)") {
                _ = try rebuilt(plan: changed, plain: plain, from: start)
            }
        }
    }

    @Test("hints are for points without a run-up")
    func wrongPlace() throws {
        let plan = try Fixtures.bytes("klauspost-better.plan8")
        #expect(try points.points(plan).restarts.contains { $0.runUp > 0 })
        let changed = try points.withRestarts(plan) { $0.memory = .hints(SearchHints(at: $0.mark.plain)) }
        #expect(throws: ZstdError.planDamaged) { _ = try ZstdRebuilder(plan: changed) }
    }

    @Test("a job does not begin without the text before it")
    func jobsWithoutText() throws {
        let parameters = ZstdParameters(
            .reference(
                strategy: 2, ReferenceModel.Settings(windowLog: 21, longLog: 15, shortLog: 15, jobLog: 21)))
        let (_, plain) = repetitiveFile(2_400_000, seed: 26)
        let file = try modelFile(plain, parameters)
        let plan = try points.plan(file, parameters, spacing: 1 << 19)
        let restarts = try points.points(plan).restarts
        #expect(restarts.map { $0.mark.plain >> 19 } == [1, 2, 3, 4])
        #expect(restarts.map(\.hasHints) == [true, true, true, false])
        // As if the last block before the job were the only one behind a point.
        let wire = try #require(points.points(plan).wires.last { $0.mark.plain < 2 << 20 })
        #expect(wire.mark.plain > 2 << 20 - 1 << 18)
        var point = RestartPoint()
        point.mark = wire.mark
        point.numbers = [1, 4]
        point.memory = .hints(SearchHints(at: wire.mark.plain))
        var writer = PointWriter()
        writer.put(point)
        writer.end()
        let changed = try points.replaced(plan, writer.bytes)
        #expect(throws: ZstdError.planDamaged) {
            _ = try rebuilt(plan: changed, plain: plain, from: wire.mark.compressed)
        }
    }

    @Test("hints are read as they were written", arguments: [HintForm.places, .longer, .candidates])
    func roundTrip(form: HintForm) throws {
        var random = Seeded(state: 27)
        var hints = SearchHints(at: 1000, form)
        var all: [(Int, SearchHint)] = []
        var place = 1000
        // How many codes there are, which say of no match and of an offset used before, and how far behind its step a match may begin.
        let (codes, none, repeated, ahead): (Int, [Int], [Int], Int) =
            switch form {
            case .places: (5, [], [0, 1], 0)
            case .longer: (4, [], [0, 1], 4)
            default: (8, [0], [1, 2, 3, 5, 6, 7], 7)
            }
        for _ in 0..<500 {
            let back = Int.random(in: -ahead...[3, 300].randomElement(using: &random)!, using: &random)
            var hint = SearchHint(
                code: .random(in: 0..<codes, using: &random), distance: .random(in: 1...9_000_000, using: &random),
                length: max(back, 0) + .random(in: 4...70_000, using: &random), back: back)
            if repeated.contains(hint.code) { hint.distance = 0 }
            if none.contains(hint.code) { hint = SearchHint(code: hint.code, length: 0) }
            hints.add(hint, at: place)
            all.append((place, hint))
            place = max(hint.end(from: place), place) + Int.random(in: 0...5000, using: &random)
        }
        var point = RestartPoint()
        point.mark.plain = 1000
        let plan = [9] + Array(hints.coded) + [9]
        point.memory = .hints(SearchHints(plan, 1..<(plan.count - 1), at: 1000))
        let read = self.hints(point, form)
        #expect(read.map(\.place) == all.map(\.0))
        #expect(read.map(\.hint) == all.map(\.1))
    }

    @Test("a recorder takes down for each point what lies before it")
    func recorder() {
        let recorder = HintRecorder()
        let hint = SearchHint(outcome: .last, length: 20)
        recorder.open(at: 100)
        recorder.came(to: hint, at: 110, lowest: 99)
        recorder.open(at: 200)
        #expect(recorder.newest == 200)
        recorder.came(to: hint, at: 210, lowest: 100)
        recorder.came(to: hint, at: 240, lowest: 50)
        var one = SearchHints(at: 100)
        one.add(hint, at: 110)
        one.add(hint, at: 240)
        var two = SearchHints(at: 200)
        two.add(hint, at: 210)
        two.add(hint, at: 240)
        #expect(recorder.hints(ofLast: false) == one)
        #expect(recorder.hints(ofLast: true) == two)
        recorder.close(last: true)
        #expect(recorder.hints(ofLast: true) == one && recorder.newest == 100)
        recorder.close(last: false)
        #expect(recorder.count == 0 && recorder.hints(ofLast: true) == nil)
    }
}
