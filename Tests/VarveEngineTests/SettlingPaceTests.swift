// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import Testing
import VarveModel

@testable import VarveEngine

/// A process in which time passes only when somebody works or sleeps.
private final class Simulation {
    var now: UInt64 = 0
    var background: UInt64 = 0
    var others: UInt64 = 0
    var slept: UInt64 = 0
    /// Share of one processor that the others take, in percent, as a function of the time.
    var load: (UInt64) -> UInt64 = { _ in 0 }
    let isHurried = NIOLockedValueBox(false)
    let isStopped = NIOLockedValueBox(false)

    func pass(_ time: UInt64) {
        others += time * load(now) / 100
        now += time
    }

    func pace(cores: Int = 2) -> SettlingPace {
        SettlingPace(
            cores: cores,
            clock: .init(
                now: { self.now }, process: { self.others + self.background }, background: { self.background },
                sleep: {
                    self.slept += $0
                    self.pass($0)
                }),
            isStopped: { [isStopped] in isStopped.withLockedValue { $0 } }
        ) { [isHurried] in isHurried.withLockedValue { $0 } }
    }

    /// Works for so many pieces of 10 ms.
    func work(_ pace: SettlingPace, pieces: Int) throws {
        for _ in 0..<pieces {
            background += 10_000_000
            pass(10_000_000)
            try pace.breathe()
        }
    }
}

@Suite("the pace of settling", .timeLimit(.minutes(15)))
struct SettlingPaceTests {
    @Test("never rests while nothing is served")
    func idle() throws {
        let simulation = Simulation()
        simulation.load = { _ in 1 }
        try simulation.work(simulation.pace(), pieces: 1000)
        #expect(simulation.slept == 0)
    }

    @Test("ends at the next piece, out of a rest too, once it is stopped")
    func stopped() throws {
        let simulation = Simulation()
        simulation.load = { _ in 30 }
        let pace = simulation.pace()
        try simulation.work(pace, pieces: 100)
        simulation.isStopped.withLockedValue { $0 = true }
        let slept = simulation.slept
        #expect(throws: VarveError.self) { try simulation.work(pace, pieces: 1) }
        #expect(simulation.slept == slept)
    }

    @Test("works a tenth of the time while requests are served")
    func busy() throws {
        let simulation = Simulation()
        simulation.load = { _ in 30 }
        try simulation.work(simulation.pace(), pieces: 1001)
        #expect(simulation.background == 10_010_000_000)
        #expect((85_000_000_000...95_000_000_000).contains(simulation.slept))
    }

    @Test("works a tenth of the time when little pieces of serving come a moment apart")
    func gaps() throws {
        let simulation = Simulation()
        simulation.load = { $0 % 800_000_000 < 50_000_000 ? 50 : 0 }
        try simulation.work(simulation.pace(), pieces: 1001)
        #expect((84_000_000_000...95_000_000_000).contains(simulation.slept))
    }

    @Test("goes on a second after the last request")
    func quiet() throws {
        let simulation = Simulation()
        let pace = simulation.pace()
        simulation.load = { $0 < 3_000_000_000 ? 30 : 0 }
        while simulation.now < 3_000_000_000 { try simulation.work(pace, pieces: 1) }
        let before = simulation.slept
        #expect(simulation.now < 3_200_000_000)
        try simulation.work(pace, pieces: 200)
        #expect(simulation.slept - before <= 1_000_000_000)
    }

    @Test("does not rest while somebody waits for it")
    func hurried() throws {
        let simulation = Simulation()
        let pace = simulation.pace()
        simulation.load = { _ in 100 }
        simulation.isHurried.withLockedValue { $0 = true }
        try simulation.work(pace, pieces: 100)
        #expect(simulation.slept == 0)
    }

    @Test("where there are many cores, some may be busy", arguments: [(8, 100), (8, 200), (2, 3)])
    func cores(_ cores: Int, _ load: UInt64) throws {
        let simulation = Simulation()
        simulation.load = { _ in load }
        try simulation.work(simulation.pace(cores: cores), pieces: 100)
        #expect((simulation.slept > 0) == (load >= (cores == 8 ? 150 : 2)))
    }
}
