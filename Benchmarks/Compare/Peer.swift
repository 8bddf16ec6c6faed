// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A program that stores files with deduplication, and how it is told to.
enum Peer: String, CaseIterable {
    case restic
    case resticMax = "restic-max"
    case borg
    case borgSmall = "borg-small"
    case casync

    var program: String {
        switch self {
        case .restic, .resticMax: "restic"
        case .borg, .borgSmall: "borg"
        case .casync: "casync"
        }
    }

    /// What makes it print its version.
    var versionArgument: String { program == "restic" ? "version" : "--version" }

    /// Keeps caches out of the home folder and answers questions.
    func environment(store: String) -> [String: String] {
        switch self {
        case .restic, .resticMax: ["RESTIC_PASSWORD": "varve"]
        case .borg, .borgSmall:
            // Beside the store, not in it: what is not part of the repository is not counted.
            ["BORG_BASE_DIR": store + ".home", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"]
        case .casync: [:]
        }
    }

    /// The commands that bring `files` into a new store in the folder `store`, in order.
    func commands(store: String, files: [String]) -> [[String]] {
        switch self {
        case .restic, .resticMax:
            let restic = ["restic", "-r", store, "--no-cache", "-q"]
            let compression = ["--compression", self == .resticMax ? "max" : "auto"]
            return [restic + ["init", "--repository-version", "2"], restic + compression + ["backup"] + files]
        case .borg, .borgSmall:
            // borg's default is 19,23,21: chunks of about 2 MiB. The small ones are about 64 KiB.
            let chunker = self == .borgSmall ? "buzhash,10,23,16,4095" : "buzhash,19,23,21,4095"
            return [
                ["borg", "init", "-e", "none", store],
                [
                    "borg", "create", "--compression", "zstd,3", "--files-cache", "disabled", "--chunker-params",
                    chunker,
                    store + "::all",
                ] + files,
            ]
        case .casync:
            return files.enumerated().map { index, file in
                [
                    "casync", "make", "--compression=zstd", "--store=\(store)/chunks.castr",
                    "\(store)/\(index).caibx", file,
                ]
            }
        }
    }
}
