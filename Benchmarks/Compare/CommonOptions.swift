// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import VarveRig

/// What every comparison wants to know.
struct CommonOptions: ParsableArguments {
    @Option(help: "The varve to measure. Default: the one built beside this program.")
    var varve: String?

    @Option(
        help: "Where stores are made while it runs; the disk this is on is measured. Default: the temporary folder.")
    var work: String?

    @Option(help: "Also write every sample, the machine and the versions to this file, as JSON.")
    var json: String?

    @Option(help: "Seed of all data that is made up.")
    var seed: UInt64 = 1

    /// The product's program.
    func varveProgram() throws -> String {
        if let varve {
            guard let found = locateProgram(varve) else { throw RigError("no program \(varve)") }
            return found
        }
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw RigError("give --varve PATH")
        }
        let beside = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("varve").path
        guard let found = locateProgram(beside) else { throw RigError("no varve at \(beside); give --varve PATH") }
        return found
    }

    /// Writes the report, if one is wanted.
    func write<Samples: Encodable>(_ samples: Samples, versions: [String: String]) throws {
        guard let json else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let report = JSONReport(
            arguments: Array(CommandLine.arguments.dropFirst()), seed: seed, machine: Machine(), versions: versions,
            samples: samples)
        try encoder.encode(report).write(to: URL(fileURLWithPath: json))
    }
}

/// What stands in the file that `--json` names.
struct JSONReport<Samples: Encodable>: Encodable {
    let arguments: [String]
    let seed: UInt64
    let machine: Machine
    let versions: [String: String]
    let samples: Samples
}

/// The first line that a program prints about its version.
func firstVersionLine(_ program: String, _ argument: String = "--version") -> String {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("rig-\(UUID().uuidString).version").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    guard let child = try? ChildProcess([program, argument], output: file), child.wait().exitCode == 0 else {
        return "unknown"
    }
    let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").first.map(String.init) ?? "unknown"
}

/// Says on stderr what goes on; results alone go to stdout.
func note(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
