// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser

/// Runs Varve and other programs on the same inputs, in the same run, and prints how they compare. Absolute figures belong to
/// the machine; the ratios are what travels.
@main
struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Measures Varve beside its peers on the same inputs.",
        discussion: """
            Build with optimisation (VARVE_BENCHMARKS=1 swift build -c release) and run on an otherwise idle machine. The \
            peers are Debian packages: restic, borgbackup, casync, docker-registry.
            """,
        subcommands: [
            StorageCommand.self, TransferCommand.self, BackingCommand.self, MemoryCommand.self, KillCommand.self,
        ])
}
