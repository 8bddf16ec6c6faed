// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import VarveRig

/// Pushes and pulls against Varve and CNCF Distribution, taking turns.
struct TransferCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer", abstract: "Server CPU and wall time of pushes and hot pulls, beside docker-registry.",
        discussion: """
            Large: blobs of --large-mib MiB, one connection. Mix: --small blobs of 1 to 64 KiB and --middling of 1 MiB, \
            over --connections keep-alive connections. A push is POST and one PUT of the whole body, and lasts until its \
            201; a pull reads bytes that are in the page cache. Both servers get the same bytes, in turns, each repetition \
            new ones. CPU is what /proc says of the server alone. Settling is off for the push (it is measured by \
            itself); --serve-argument replaces that.
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: "The peer.")
    var registry = "docker-registry"

    @Option(help: "How often everything is done.")
    var repetitions = 5

    @Option(help: "MiB of a large blob.")
    var largeMib = 256

    @Option(help: "How often each set is pulled in a repetition.")
    var pulls = 4

    @Option(help: "Blobs of 1 to 64 KiB in the mix.")
    var small = 200

    @Option(help: "Blobs of 1 MiB in the mix.")
    var middling = 50

    @Option(help: "Connections at once for the mix.")
    var connections = 4

    @Option(help: "own, dropping (pulled bytes never leave the kernel), or curl (a process for each large blob).")
    var client = TransferClient.own

    @Option(help: "A flag for varve serve, once for each; write --serve-argument=--flag. Default: --settle off.")
    var serveArgument: [String] = []

    @Flag(help: "Measure docker-registry against itself: a check of this program.")
    var peerOnly = false

    @Flag(help: "Exit with 1 when a bar is not met.")
    var strict = false

    static let bars: [TransferPhase: Double] = [.pushLarge: 2, .pullLarge: 4, .pushMix: 2, .pullMix: 4]

    func run() throws {
        let work = try TemporaryFolder(in: common.work, prefix: "varve-transfer")
        let arguments = serveArgument.isEmpty ? ["--settle", "off"] : serveArgument
        let kinds: [ServerKind] = [
            peerOnly
                ? .distribution(program: registry)
                : .varve(program: try common.varveProgram(), arguments: arguments),
            .distribution(program: registry),
        ]
        let servers = try kinds.enumerated().map { index, kind in
            try TestServer.start(kind, store: work.path(of: "store-\(index)"), logs: work.path(of: "logs-\(index)"))
        }
        var samples: [TransferSample] = []
        var random = SeededRandom(seed: common.seed)
        for repetition in 1...max(1, repetitions) {
            let large = try BlobSet.large(mebibytes: largeMib, &random)
            let mix = try BlobSet.mix(small: small, middling: middling, &random)
            for index in repetition.isMultiple(of: 2) ? [1, 0] : [0, 1] {
                let meter = TransferMeter(
                    server: servers[index], index: index, repetition: repetition, connections: connections,
                    pulls: pulls,
                    client: client, scratch: work.path(of: "blob"))
                samples += try meter.measure(large, push: .pushLarge, pull: .pullLarge)
                samples += try meter.measure(mix, push: .pushMix, pull: .pullMix)
                note("repetition \(repetition)/\(repetitions): \(kinds[index].name) done")
            }
        }
        for server in servers { server.stop() }
        try common.write(samples, versions: Dictionary(kinds.map { ($0.name, $0.version) }) { $1 })
        let met = report(samples, names: kinds.map(\.name))
        if strict && !met { throw ExitCode(1) }
    }

    /// Prints the table; tells whether all bars are met.
    private func report(_ samples: [TransferSample], names: [String]) -> Bool {
        var table = Table(
            "phase", "\(names[0]) MB/CPU-s", "\(names[1]) MB/CPU-s", "ratio", "lowest..highest", "bar", "",
            "wall MB/s", "wall MB/s", "ratio", "lowest..highest", "bar 1.0")
        var allMet = true
        for phase in TransferPhase.allCases {
            let sides = [0, 1].map { index in samples.filter { $0.phase == phase && $0.server == index } }
            func rate(_ side: [TransferSample], _ seconds: (TransferSample) -> Double) -> Double {
                Double(side.reduce(0) { $0 + $1.bytes }) / 1e6 / side.reduce(0) { $0 + seconds($1) }
            }
            func ratios(_ seconds: (TransferSample) -> Double) -> [Double] {
                zip(sides[0], sides[1]).map { seconds($1) / seconds($0) }.sorted()
            }
            func spread(_ values: [Double]) -> String {
                "\(fixed(values.first ?? .nan))..\(fixed(values.last ?? .nan))"
            }
            let cpu = sides.map { rate($0, \.cpuSeconds) }
            let wall = sides.map { rate($0, \.wallSeconds) }
            let bar = Self.bars[phase] ?? 1
            let met = cpu[0] / cpu[1] >= bar
            let wallMet = wall[0] / wall[1] >= 1
            allMet = allMet && met && wallMet
            table.add(
                phase.title, fixed(cpu[0], 0), fixed(cpu[1], 0), fixed(cpu[0] / cpu[1]), spread(ratios(\.cpuSeconds)),
                fixed(bar, 1), verdict(met), fixed(wall[0], 0), fixed(wall[1], 0), fixed(wall[0] / wall[1]),
                spread(ratios(\.wallSeconds)), verdict(wallMet))
        }
        print(table.text)
        print("Rates are all bytes over all seconds; lowest and highest are single repetitions. MB = 10^6 bytes.")
        return allMet
    }
}

extension TransferClient: ExpressibleByArgument {}
