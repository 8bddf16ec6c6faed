// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("how far ahead of a place a model starts")
struct RunUpHabitTests {
    private let fast = ModelChoice.chain(.init(level: 1))
    private let steady = ModelChoice.klauspost(.init(level: 5, era: .since1_18))

    private func place(_ runUps: Int) -> AnalysisPass.Restart { .init(runUps: runUps) }

    @Test("the usual run-up is believed in after eight places, and not any more where it was too short")
    func sure() {
        var habit = RunUpHabit(fast)
        for _ in 0..<7 { habit.take(place(1)) }
        #expect(!habit.isSure)
        habit.take(place(1))
        #expect(habit.isSure)
        habit.take(place(2))
        #expect(!habit.isSure)
        #expect(RunUpHabit(steady).isSure)
        habit = RunUpHabit(steady)
        habit.doubt()
        #expect(!habit.isSure)
    }

    @Test("places where there is nothing to try say nothing")
    func known() {
        var habit = RunUpHabit(fast)
        for _ in 0..<20 { habit.take(place(0)) }
        #expect(!habit.isSure)
        #expect(habit.worthTrying == [1, 2, 4])
    }

    @Test("a run-up that was mostly too short is not tried")
    func mostly() {
        var habit = RunUpHabit(fast)
        habit.take(place(1))
        habit.take(place(2))
        #expect(habit.worthTrying == [1, 2, 4])
        habit.take(place(4))
        #expect(habit.worthTrying == [2, 4])
    }

    /// zlib-ng's level 1 is not in step there with less than four times its usual run-up.
    @Test("who began out of step begins again, with a longer run-up")
    func again() throws {
        let bytes = try Fixtures.bytes("long-zlib-ng-1.gz")
        func analyze(believing: Bool) throws -> (plan: [UInt8], summary: DeflateAnalyzer.Summary, plain: [UInt8]) {
            var pass = try AnalysisPass(source: reader(bytes), StreamIdentifier(source: reader(bytes)).identify())
            if believing { pass.runUps = RunUpHabit(steady) }
            var plain: [UInt8] = []
            guard case .plan(let plan, let summary) = try pass.run(sink: { plain += $0 }) else {
                throw DeflateError("no plan")
            }
            return (plan, summary, plain)
        }
        let tried = try analyze(believing: false)
        let believed = try analyze(believing: true)
        #expect(tried.summary.segments > 1)
        #expect(believed.summary.corrections == tried.summary.corrections)
        #expect(believed.plan.elementsEqual(tried.plan))
        #expect(try rebuild(plan: believed.plan, plain: believed.plain).elementsEqual(bytes))
    }

    /// libdeflate's last segment begins in step, and a short member of another encoder follows in it.
    @Test("what is wrong later in a segment that began in step is counted, and its start left alone")
    func later() throws {
        let bytes = try Fixtures.bytes("long-libdeflate-7.gz") + Fixtures.bytes("zlib-6-flushed.gz")
        func summary(believing: Bool) throws -> DeflateAnalyzer.Summary {
            var pass = try AnalysisPass(source: reader(bytes), StreamIdentifier(source: reader(bytes)).identify())
            if !believing { pass.runUps.doubt() }
            pass.nextChoice = .max
            guard case .plan(_, let summary) = try pass.run(sink: { _ in }) else { throw DeflateError("no plan") }
            return summary
        }
        let (tried, believed) = (try summary(believing: false), try summary(believing: true))
        #expect(tried.segments > 1 && tried.corrections > 0)
        #expect(believed.corrections == tried.corrections)
        #expect(believed.segments == tried.segments)
    }

    @Test("a segment whose start was tried is left as it is")
    func triedOnce() throws {
        let bytes = try Fixtures.bytes("long-zlib-ng-1.gz")
        var pass = try AnalysisPass(source: reader(bytes), StreamIdentifier(source: reader(bytes)).identify())
        #expect(!pass.isUntried && !pass.startAgain())
    }
}
