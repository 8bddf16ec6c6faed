// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation

/// Which store: what every verb takes.
struct StoreOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The store's directory. Without it, the environment variable VARVE_STORE names it.", valueName: "dir"))
    var store: String?

    /// The directory, from the flag or the environment.
    var path: String {
        store ?? ProcessInfo.processInfo.environment["VARVE_STORE"] ?? ""
    }

    func validate() throws {
        guard !path.isEmpty else {
            throw ValidationError("No store is named: give --store DIR, or set VARVE_STORE.")
        }
    }
}

/// How results are written.
struct FormatOptions: ParsableArguments {
    @Flag(help: "Write one JSON document instead: exact numbers, stable keys.")
    var json = false
}
