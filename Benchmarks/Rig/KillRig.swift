// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Synchronization

/// Ends a registry with SIGKILL at random moments, round after round in the same store, while clients push and blobs
/// settle, and asks after each start whether everything that was acknowledged is there and whole.
///
/// A round: start (sometimes killed once more before it is ready) → check what earlier rounds were promised → clients push,
/// and in some rounds `varve settle --evict` runs beside them → SIGKILL to the server and to that command → now and then
/// the same command alone, killed as well. The moment is drawn as a number of acknowledgements to wait for and some milliseconds
/// more, so that slow machines and builds meet it in the same places. After the last round everything is settled, raw
/// bytes are dropped, all promises are checked, the server is stopped politely, and `varve verify` reads the store.
package struct KillRig: Sendable {
    package var server: ServerKind
    package var rounds = 200
    package var seed: UInt64 = 1
    package var clients = 4
    /// Every so many rounds all blobs are settled and lose their raw bytes before the check; 0 never.
    package var settleEvery = 7
    /// Every so many rounds all promises are checked, else those of the last rounds and a sample of the older ones.
    package var checkAllEvery = 25
    /// How many of the older promises a round checks.
    package var sample = 60
    /// Most acknowledgements that a round waits for.
    package var acknowledgementsMost = 40
    /// Called after each round with a line to show.
    package var progress: (@Sendable (String) -> Void)?

    package init(server: ServerKind) {
        self.server = server
    }

    /// What a run found. It passed when `lost`, `altered` and `troubles` are empty.
    package struct Report: Sendable, Codable {
        package var seed: UInt64 = 0
        package var rounds = 0
        /// How many times a process was killed: servers, servers before they were ready, and settling commands.
        package var kills = 0
        package var acknowledgedBlobs = 0
        package var acknowledgedManifests = 0
        package var acknowledgedBytes = 0
        package var inDoubt = 0
        package var inDoubtPresent = 0
        package var checks = 0
        package var checkedBytes = 0
        package var slowestStartSeconds = 0.0
        /// Promised and not there.
        package var lost: [String] = []
        /// There with other bytes.
        package var altered: [String] = []
        /// Whatever else should not happen: refusals, crashes, failing commands.
        package var troubles: [String] = []

        package var passed: Bool { lost.isEmpty && altered.isEmpty && troubles.isEmpty && acknowledgedBlobs > 0 }
    }

    /// Runs all rounds.
    /// - Parameters:
    ///   - store: Folder of the store; made when it is not there.
    ///   - logs: Folder for the output of servers and commands.
    /// - Throws: ``RigError`` when the test itself cannot go on, for instance because the server no longer starts.
    package func run(store: String, logs: String) throws -> Report {
        var random = SeededRandom(seed: seed)
        let layers = SampleLayers(seed: random.next())
        let ledger = KillLedger()
        var report = Report()
        report.seed = seed
        var alreadyChecked = 0
        for round in 1...max(1, rounds) {
            ledger.beginRound()
            let server = try startServer(round: round, store: store, logs: logs, &report, &random)
            if round > 1 {
                if settleEvery > 0, round.isMultiple(of: settleEvery) {
                    try settle(store: store, logs: logs, round: round, &report)
                }
                let all = checkAllEvery > 0 && round.isMultiple(of: checkAllEvery)
                let kept = ledger.kept
                let chosen = all ? kept : Self.choose(from: kept, fresh: alreadyChecked, sample: sample, &random)
                try check(chosen, inDoubt: ledger.takeInDoubt(), on: server, round: round, &report)
                alreadyChecked = kept.count
            }
            try pushAndKill(round: round, server, store: store, logs: logs, layers, ledger, &report, &random)
            report.rounds = round
            progress?(line(report, ledger, round: round, start: server.startSeconds))
        }
        try finish(store: store, logs: logs, ledger, &report)
        for promise in ledger.kept {
            if promise.tag == nil { report.acknowledgedBlobs += 1 } else { report.acknowledgedManifests += 1 }
            report.acknowledgedBytes += promise.size
        }
        report.troubles += ledger.troubles
        return report
    }

    // MARK: A round

    private func startServer(
        round: Int, store: String, logs: String, _ report: inout Report, _ random: inout SeededRandom
    ) throws -> TestServer {
        if round > 1, Int.random(in: 0..<8, using: &random) == 0 {
            let starting = try TestServer.spawn(server, store: store, logs: logs)
            pause(seconds: Double.random(in: 0...0.12, using: &random))
            starting.process.signal(SIGKILL)
            starting.process.wait()
            report.kills += 1
        }
        do {
            let started = try TestServer.start(server, store: store, logs: logs)
            report.slowestStartSeconds = max(report.slowestStartSeconds, started.startSeconds)
            return started
        } catch {
            throw RigError("round \(round), seed \(seed): \(error)")
        }
    }

    private func pushAndKill(
        round: Int, _ server: TestServer, store: String, logs: String, _ layers: SampleLayers, _ ledger: KillLedger,
        _ report: inout Report, _ random: inout SeededRandom
    ) throws {
        let generators = Mutex((0..<clients).map { _ in random.split() })
        let address = (server.host, server.port)
        let pushers = RunningThreads(clients) { index in
            let generator = generators.withLock { $0[index] }
            KillPusher(index: index, round: round, layers: layers, ledger: ledger).run(address, random: generator)
        }
        var settling: ChildProcess?
        if Int.random(in: 0..<3, using: &random) == 0, let command = settleCommand(store: store) {
            settling = try ChildProcess(command, errors: logs + "/settle.err")
        }
        let wanted = UInt64(Int.random(in: 0...acknowledgementsMost, using: &random))
        let extra = Double.random(in: 0...0.06, using: &random)
        let deadline = monotonicSeconds() + 60
        while ledger.acknowledgementsInRound < wanted, monotonicSeconds() < deadline, !server.process.hasEnded {
            pause(seconds: 0.0005)
        }
        pause(seconds: extra)
        let died = server.process.hasEnded
        if let settling, settling.hasEnded, settling.wait().exitCode != 0 {
            report.troubles.append("round \(round): varve settle failed beside the pushes, see \(logs)")
        }
        ledger.beginKilling()
        let settlingFirst = Bool.random(using: &random)
        if settlingFirst { settling?.signal(SIGKILL) }
        let ending = server.kill()
        settling?.signal(SIGKILL)
        try pushers.wait()
        if died {
            let how = ending.signal.map { "signal \($0)" } ?? "exit code \(ending.exitCode ?? 0)"
            report.troubles.append("round \(round): the server ended by itself (\(how)), see \(logs)")
        }
        report.kills += 1
        if let settling, settling.wait().signal == SIGKILL { report.kills += 1 }
        // And now and then a settling command that has the store to itself.
        if Int.random(in: 0..<6, using: &random) == 0, let command = settleCommand(store: store) {
            let alone = try ChildProcess(command, errors: logs + "/settle.err")
            pause(seconds: Double.random(in: 0...0.4, using: &random))
            alone.signal(SIGKILL)
            if alone.wait().signal == SIGKILL { report.kills += 1 }
        }
    }

    // MARK: Checks

    /// The promises since the last check, and some of the older ones.
    private static func choose(
        from kept: [KillLedger.Promise], fresh: Int, sample: Int, _ random: inout SeededRandom
    ) -> [KillLedger.Promise] {
        var chosen = Array(kept[fresh...])
        if fresh > 0 {
            for _ in 0..<min(sample, fresh) { chosen.append(kept[Int.random(in: 0..<fresh, using: &random)]) }
        }
        return chosen
    }

    private struct Findings {
        var lost: [String] = []
        var altered: [String] = []
        var present = 0
        var bytes = 0
    }

    private func check(
        _ kept: [KillLedger.Promise], inDoubt: [KillLedger.Promise], on server: TestServer, round: Int,
        _ report: inout Report
    ) throws {
        let work = kept.map { ($0, true) } + inDoubt.map { ($0, false) }
        let findings = Mutex(Findings())
        let next = Atomic<Int>(0)
        let address = (server.host, server.port)
        try onThreads(min(4, max(1, work.count))) { _ in
            let client = RegistryClient(try HTTPConnection(host: address.0, port: address.1))
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < work.count else { return }
                let (promise, mustBeThere) = work[index]
                let name = "round \(round): \(promise.repository) \(promise.tag ?? "blob") \(promise.digest)"
                let answer: HTTPConnection.Response
                do {
                    if let tag = promise.tag {
                        answer = try client.pullManifest(from: promise.repository, reference: tag)
                    } else {
                        answer = try client.pullBlob(promise.digest, from: promise.repository, sink: .digest)
                    }
                } catch {
                    findings.withLock { $0.lost.append("\(name): \(error)") }
                    continue
                }
                findings.withLock {
                    $0.bytes += answer.bodyBytes
                    switch answer.status {
                    case 200 where answer.digest == promise.digest && answer.bodyBytes == promise.size:
                        if !mustBeThere { $0.present += 1 }
                    case 200:
                        let got = "\(answer.bodyBytes) bytes of \(promise.size), \(answer.digest ?? "")"
                        $0.altered.append("\(name): \(got)")
                    case 404 where !mustBeThere: break
                    default: $0.lost.append("\(name): \(answer.status)")
                    }
                }
            }
        }
        let found = findings.withLock { $0 }
        report.checks += work.count
        report.checkedBytes += found.bytes
        report.inDoubt += inDoubt.count
        report.inDoubtPresent += found.present
        report.lost += found.lost
        report.altered += found.altered
    }

    private func finish(store: String, logs: String, _ ledger: KillLedger, _ report: inout Report) throws {
        let last = try TestServer.start(server, store: store, logs: logs)
        try settle(store: store, logs: logs, round: rounds + 1, &report)
        try check(ledger.kept, inDoubt: ledger.takeInDoubt(), on: last, round: rounds + 1, &report)
        let ending = last.stop()
        guard case .varve(let program, _) = server else { return }
        if ending?.exitCode != 0 {
            report.troubles.append("after the last round the server did not stop with exit code 0 on SIGTERM")
        }
        let verify = try ChildProcess(
            [program, "verify", "--store", store], output: logs + "/verify.out", errors: logs + "/verify.err")
        if verify.wait().exitCode != 0 { report.troubles.append("varve verify finds damage, see \(logs)") }
    }

    private func settleCommand(store: String) -> [String]? {
        guard case .varve(let program, _) = server else { return nil }
        return [program, "settle", "--evict", "--store", store]
    }

    private func settle(store: String, logs: String, round: Int, _ report: inout Report) throws {
        guard let command = settleCommand(store: store) else { return }
        let ending = try ChildProcess(command, output: logs + "/settle.out", errors: logs + "/settle.err").wait()
        if ending.exitCode != 0 {
            let how = ending.exitCode.map { "exit code \($0)" } ?? "signal \(ending.signal ?? 0)"
            report.troubles.append("round \(round): varve settle --evict ended with \(how), see \(logs)")
        }
    }

    private func line(_ report: Report, _ ledger: KillLedger, round: Int, start: Double) -> String {
        let bad = report.lost.count + report.altered.count + report.troubles.count + ledger.troubles.count
        let milliseconds = Int(start * 1000)
        return "round \(round)/\(rounds): \(ledger.kept.count) promises, \(report.checks) checks, started in "
            + "\(milliseconds) ms, \(bad) wrong"
    }
}
