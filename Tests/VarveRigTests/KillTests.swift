// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveRig

@Suite("a server that is killed")
struct KillTests {
    /// Some rounds of what `compare kill` does two hundred times. `VARVE_KILL_ROUNDS` and `VARVE_KILL_SEED` change them.
    @Test("keeps every acknowledged blob and manifest, whole", .timeLimit(.minutes(15)))
    func keepsWhatItAcknowledged() throws {
        let environment = ProcessInfo.processInfo.environment
        let program = try #require(Self.program, "no varve beside the tests, and VARVE_PROGRAM names none")
        var folder = try TemporaryFolder(prefix: "varve-kill-test")
        var rig = KillRig(server: .varve(program: program, arguments: []))
        rig.rounds = environment["VARVE_KILL_ROUNDS"].flatMap { Int($0) } ?? 5
        rig.seed = environment["VARVE_KILL_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999)
        rig.settleEvery = 2
        rig.acknowledgementsMost = 20
        folder.isKept = true
        let report = try rig.run(store: folder.path(of: "store"), logs: folder.path(of: "logs"))
        let context: Comment = "seed \(report.seed), store and logs in \(folder.path)"
        #expect(report.lost == [], context)
        #expect(report.altered == [], context)
        #expect(report.troubles == [], context)
        #expect(report.acknowledgedBlobs > 0, context)
        #expect(report.kills >= rig.rounds, context)
        folder.isKept = !report.passed
    }

    /// The product's program: built beside the program that runs the tests.
    private static var program: String? {
        if let named = ProcessInfo.processInfo.environment["VARVE_PROGRAM"] { return locateProgram(named) }
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
        return locateProgram(URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("varve").path)
    }
}
