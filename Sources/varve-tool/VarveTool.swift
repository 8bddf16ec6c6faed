// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation

/// `varve`: the verbs, what they have in common, and how they end.
@main
struct VarveTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "varve",
        abstract: "Keeps container layers once, and gives back the very bytes that were pushed.",
        discussion: """
            A store is a directory. 'varve serve' speaks the OCI distribution API for docker, containerd, podman, skopeo \
            and Kubernetes; the other verbs look after a store, with or without a server beside them. Name the store by \
            --store DIR, or once for all by the environment variable VARVE_STORE.

              varve serve --store ./layers
              podman push --tls-verify=false demo:1 127.0.0.1:5000/demo:1
              varve images --store ./layers
              varve stats --store ./layers

            A pushed layer is acknowledged when its bytes are on disk. Later it is settled: cut into chunks that are kept \
            once for all layers, rebuilt as a proof, and only then are its raw bytes given up.

            Results are written to standard output, progress and messages to standard error. Sizes are written like \
            64MiB (2^20) or 64MB (10^6), lengths of time like 30s, 15m, 24h or 7d.

            \(ExitStatus.explanation)
            """,
        version: "varve 0.1.0",
        groupedSubcommands: [
            CommandGroup(name: "Serve", subcommands: [ServeCommand.self]),
            CommandGroup(
                name: "Images",
                subcommands: [
                    ImportCommand.self, ExportCommand.self, ImagesCommand.self, InspectCommand.self, RemoveCommand.self,
                ]),
            CommandGroup(
                name: "Look after the store",
                subcommands: [
                    StatsCommand.self, SettleCommand.self, VerifyCommand.self, CollectCommand.self,
                    RebuildIndexCommand.self, InspectStoreCommand.self,
                ]),
        ])

    /// Parses, runs, and ends the process with the status that the outcome has.
    static func main() async {
        let command: any ParsableCommand
        do {
            command = try parseAsRoot()
        } catch {
            exit(withError: error)
        }
        nonisolated(unsafe) let parsed = command  // handed to this one task, used by nobody else
        let work = Task {
            do {
                if let verb = parsed as? any AsyncParsableCommand {
                    nonisolated(unsafe) var running = verb  // as above: the task has it alone
                    try await running.run()
                } else {
                    var running = parsed
                    try running.run()
                }
                return ExitStatus.done
            } catch {
                return report(error)
            }
        }
        if !(command is ServeCommand) { Interrupts.shared.watch { work.cancel() } }
        let status = await work.value
        // Without the atexit handlers of a half-stopped runtime: everything was flushed by who wrote it.
        Foundation.exit((Interrupts.shared.status ?? status).rawValue)
    }

    /// Says what went wrong, and how the process is to end.
    private static func report(_ error: any Error) -> ExitStatus {
        // Help, version and usage errors are the parser's to print.
        if String(reflecting: type(of: error)).hasPrefix("ArgumentParser.") { exit(withError: error) }
        let failure = ToolError(error)
        if failure.status != .brokenPipe, Interrupts.shared.status == nil { Output.note(failure.description) }
        return failure.status
    }
}

extension VarveTool {
    /// The names of all verbs.
    static var verbs: [String] {
        configuration.groupedSubcommands.flatMap(\.subcommands).compactMap { $0.configuration.commandName }
    }
}
