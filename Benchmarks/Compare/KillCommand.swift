// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import VarveRig

/// SIGKILL at random, again and again, in one store.
struct KillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill",
        abstract: "Kills a server at random while clients push, and looks for lost or altered blobs.",
        discussion: """
            Clients push blobs and images in three ways while blobs settle; SIGKILL comes at a random moment; after each start \
            every promise since the last one and a sample of the older ones is read back and hashed. Exit code 0 \
            only if nothing that was acknowledged is missing or different.
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: "How many times.")
    var rounds = 200

    @Option(help: "Clients that push at once.")
    var clients = 4

    @Option(help: "Settle everything and drop raw bytes every so many rounds; 0 never.")
    var settleEvery = 7

    @Option(help: "Check everything, not a sample, every so many rounds; 0 only at the end.")
    var checkAllEvery = 25

    @Option(help: "A flag for varve serve, once for each; write --serve-argument=--flag.")
    var serveArgument: [String] = []

    @Option(help: "Try the test itself on this docker-registry instead.")
    var registry: String?

    func run() throws {
        let kind: ServerKind =
            if let registry {
                .distribution(program: registry)
            } else {
                .varve(program: try common.varveProgram(), arguments: serveArgument)
            }
        var work = try TemporaryFolder(in: common.work, prefix: "varve-kill")
        var rig = KillRig(server: kind)
        rig.rounds = rounds
        rig.seed = common.seed
        rig.clients = clients
        rig.settleEvery = settleEvery
        rig.checkAllEvery = checkAllEvery
        rig.progress = { note($0) }
        note("seed \(common.seed)")
        let report = try rig.run(store: work.path(of: "store"), logs: work.path(of: "logs"))
        try common.write(report, versions: [kind.name: kind.version])

        var table = Table("after \(report.rounds) rounds (seed \(report.seed))", "")
        table.add("processes killed", "\(report.kills)")
        table.add("blobs acknowledged", "\(report.acknowledgedBlobs)")
        table.add("manifests acknowledged", "\(report.acknowledgedManifests)")
        table.add("MB acknowledged", megabytes(report.acknowledgedBytes))
        table.add("pushes under way when the server died", "\(report.inDoubt)")
        table.add("  of them there, and whole", "\(report.inDoubtPresent)")
        table.add("blobs and manifests read back", "\(report.checks)")
        table.add("MB read back and hashed", megabytes(report.checkedBytes))
        table.add("slowest start, ms", "\(Int(report.slowestStartSeconds * 1000))")
        table.add("LOST", "\(report.lost.count)")
        table.add("ALTERED", "\(report.altered.count)")
        table.add("other troubles", "\(report.troubles.count)")
        print(table.text)
        for line in (report.lost + report.altered + report.troubles).prefix(50) { print(line) }
        if !report.passed {
            work.isKept = true
            note("left for a look: \(work.path)")
            throw ExitCode(1)
        }
    }
}

extension ServerKind {
    /// What the program says of its version.
    var version: String {
        switch self {
        case .varve(let program, _), .distribution(let program), .distributionOnS3(let program, _):
            firstVersionLine(program)
        case .sink: ""
        }
    }
}
