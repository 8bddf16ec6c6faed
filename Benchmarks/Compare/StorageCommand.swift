// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import VarveRig

/// Bytes on disk for the same tars in Varve and in programs that deduplicate.
struct StorageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage", abstract: "Bytes on disk of the same files in Varve, restic, borg and casync.",
        discussion: """
            Every file goes into Varve as a layer of its own, in the order given; everything is settled, raw bytes are \
            dropped, and each file is read back and compared. Stored bytes are those of all files of a store, its index included.
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: "Comma-separated: \(Peer.allCases.map(\.rawValue).joined(separator: ", ")).")
    var peers: String = "restic,restic-max,borg,borg-small,casync"

    @Flag(inversion: .prefixedNo, help: "Read every file back out of Varve and compare it.")
    var verify = true

    @Flag(help: "Exit with 1 when a bar is not met.")
    var strict = false

    @Argument(help: "The files, most often uncompressed layer tars.")
    var files: [String]

    struct Sample: Codable {
        let program: String
        let use: DiskUse
        let cpuSeconds: Double
        let wallSeconds: Double
    }

    func run() throws {
        let varve = try common.varveProgram()
        let peers = try chosenPeers()
        let work = try TemporaryFolder(in: common.work, prefix: "varve-storage")
        let paths = files.map { URL(fileURLWithPath: $0).standardizedFileURL.path }
        let input = try paths.reduce(0) { try $0 + DiskUse(of: $1).bytes }
        note("\(paths.count) files, \(megabytes(input)) MB")

        var samples = [try measureVarve(varve, paths, work)]
        for peer in peers {
            note("\(peer.rawValue) …")
            samples.append(try measure(peer, paths, store: try work.makeFolder(peer.rawValue)))
        }

        var table = Table("program", "stored MB", "on disk MB", "% of input", "files", "CPU s", "wall s")
        for sample in samples {
            table.add(
                sample.program, megabytes(sample.use.bytes), megabytes(sample.use.allocatedBytes),
                fixed(100 * Double(sample.use.bytes) / Double(input), 1), "\(sample.use.files)",
                fixed(sample.cpuSeconds, 1), fixed(sample.wallSeconds, 1))
        }
        print(table.text)
        var versions = ["varve": firstVersionLine(varve)]
        for peer in peers { versions[peer.rawValue] = firstVersionLine(peer.program, peer.versionArgument) }
        try common.write(samples, versions: versions)
        guard let best = samples.dropFirst().min(by: { $0.use.bytes < $1.use.bytes }) else { return }
        let ratio = Double(samples[0].use.bytes) / Double(best.use.bytes)
        print("\nvarve / best of the others (\(best.program)): \(fixed(ratio, 3)), bar 0.70: \(verdict(ratio <= 0.70))")
        if strict && ratio > 0.70 { throw ExitCode(1) }
    }

    private func chosenPeers() throws -> [Peer] {
        try peers.split(separator: ",").compactMap { name in
            guard let peer = Peer(rawValue: String(name)) else { throw ValidationError("no peer \(name)") }
            if locateProgram(peer.program) == nil {
                note("\(peer.program) is not installed: left out")
                return nil
            }
            return peer
        }
    }

    private func measureVarve(_ varve: String, _ paths: [String], _ work: borrowing TemporaryFolder) throws -> Sample {
        note("varve …")
        let store = work.path(of: "varve")
        var cost = Cost()
        for path in paths { cost.add(try VarveRig.run([varve, "import", "--store", store, path])) }
        cost.add(try VarveRig.run([varve, "settle", "--evict", "--store", store]))
        let use = try DiskUse(of: store)
        if verify {
            note("reading everything back out of varve …")
            for path in paths {
                let digest = try sha256(ofFile: path)
                let script = #""$0" export --store "$1" "$2" -o - | cmp - "$3""#
                try VarveRig.run(["/bin/sh", "-c", script, varve, store, digest, path])
            }
        }
        return Sample(program: "varve", use: use, cpuSeconds: cost.cpuSeconds, wallSeconds: cost.wallSeconds)
    }

    private func measure(_ peer: Peer, _ paths: [String], store: String) throws -> Sample {
        var cost = Cost()
        for command in peer.commands(store: store, files: paths) {
            cost.add(try VarveRig.run(command, environment: peer.environment(store: store)))
        }
        let use = try DiskUse(of: store)
        try FileManager.default.removeItem(atPath: store)
        return Sample(program: peer.rawValue, use: use, cpuSeconds: cost.cpuSeconds, wallSeconds: cost.wallSeconds)
    }
}

/// Costs of some programs that ran one after the other.
struct Cost {
    private(set) var cpuSeconds = 0.0
    private(set) var wallSeconds = 0.0

    mutating func add(_ ending: ChildProcess.Ending) {
        cpuSeconds += ending.cpuSeconds
        wallSeconds += ending.wallSeconds
    }
}

/// `sha256:…` of a file.
func sha256(ofFile path: String) throws -> String {
    let data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    return try data.withUnsafeBytes { try sha256([$0]) }
}
