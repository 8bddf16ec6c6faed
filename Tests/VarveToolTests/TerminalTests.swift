// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import varve

@Suite("figures for people")
struct UnitsTests {
    @Test(
        "sizes are powers of 1000 with one digit behind the point",
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1049, "1.0 kB"), (1050, "1.1 kB"), (999_949, "999.9 kB"),
            (999_950, "1.0 MB"), (310_000_000, "310.0 MB"), (2_700_000_000, "2.7 GB"), (UInt64.max, "18.4 EB"),
        ] as [(UInt64, String)])
    func bytes(_ count: UInt64, _ text: String) { #expect(Units.bytes(count) == text) }

    @Test("counts are grouped and agree with their noun")
    func counts() {
        #expect(Units.count(1, "blob") == "1 blob")
        #expect(Units.count(0, "blob") == "0 blobs")
        #expect(Units.count(1_234_567, "repository", plural: "repositories") == "1 234 567 repositories")
        #expect(Units.grouped(9999) == "9999")
    }

    @Test("shares of nothing are no number")
    func percent() {
        #expect(Units.percent(1, of: 3) == "33.3 %")
        #expect(Units.percent(1, of: 0) == "–")
    }

    @Test("decimals keep their zeros", arguments: [(3.04, "3.04"), (0, "0.00"), (-1.5, "-1.50"), (.infinity, "–")])
    func decimals(_ value: Double, _ text: String) { #expect(Units.decimal(value, digits: 2) == text) }

    @Test("clocks", arguments: [(7, "0:07"), (754, "12:34"), (11229, "3:07:09")] as [(UInt64, String)])
    func clock(_ seconds: UInt64, _ text: String) { #expect(Units.clock(seconds: seconds) == text) }
}

@Suite("a table")
struct TextTableTests {
    @Test("lines up, figures to the right, without spaces at line ends")
    func alignment() {
        var table = TextTable([("NAME", .left), ("SIZE", .right), ("NOTE", .left)])
        table.add(["a", "1 B", ""])
        table.add(["größer", "1.0 MB", "x"])
        #expect(table.text == "NAME      SIZE  NOTE\na          1 B\ngrößer  1.0 MB  x\n")
    }
}

@Suite("the progress line")
struct ProgressLineTests {
    @Test("has bar, share, sizes, pace and remaining time")
    func full() {
        let step = ProgressStep(activity: "settling", done: 500_000_000, total: 1_000_000_000)
        let line = ProgressLine(step, bytesPerSecond: 250e6, width: 100).text
        #expect(line.hasPrefix("settling  [====="))
        #expect(line.hasSuffix("50 %  500.0 MB of 1.0 GB  250.0 MB/s  ETA 0:02"))
        #expect(line.count < 100)
    }

    @Test("has neither bar nor share without a total")
    func unbounded() {
        let step = ProgressStep(activity: "verifying", done: 5_000_000, total: 0)
        #expect(ProgressLine(step, bytesPerSecond: nil, width: 80).text == "verifying  5.0 MB")
    }

    @Test("never wraps and never goes beyond 100 %", arguments: [1, 10, 20, 40, 79, 80, 300])
    func bounds(_ width: Int) {
        let step = ProgressStep(activity: "rebuilding", done: .max, total: 10)
        let line = ProgressLine(step, bytesPerSecond: 1e9, width: width).text
        #expect(line.count <= max(1, width - 1))
        if width >= 80 { #expect(line.contains("100 %")) }
    }

    @Test("pace is that of the last seconds, and begins anew with another activity")
    func rate() {
        var meter = RateMeter()
        let start = ContinuousClock.now
        meter.add(activity: "a", done: 0, at: start)
        #expect(meter.bytesPerSecond == nil)
        var done: UInt64 = 0
        for second in 1...20 {
            done += second <= 10 ? 1000 : 3000
            meter.add(activity: "a", done: done, at: start + .seconds(second))
        }
        #expect(meter.bytesPerSecond.map { abs($0 - 3000) < 1 } == true)
        meter.add(activity: "b", done: 1, at: start + .seconds(21))
        #expect(meter.bytesPerSecond == nil)
    }
}
