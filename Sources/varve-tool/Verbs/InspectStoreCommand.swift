// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import ArgumentParser
import VarveEngine
public import VarveModel

/// `varve inspect-store`: packs, recipes and rows as they lie on disk.
struct InspectStoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect-store",
        abstract: "Show packs, recipes and index rows as they lie on disk.",
        discussion: """
            For whoever wants to know exactly. One line each; the format document says what the fields are. Works beside \
            a server.

            Examples:
              varve inspect-store packs --store ./layers
              varve inspect-store pack 5f0c…e1 --store ./layers
              varve inspect-store recipe sha256:… --store ./layers
              varve inspect-store rows tags --store ./layers
              varve inspect-store index --store ./layers
            """,
        subcommands: [Packs.self, Pack.self, Recipe.self, Rows.self, Index.self], defaultSubcommand: Packs.self)

    static func show(_ subject: InspectSubject, of store: StoreOptions) async throws {
        try await StoreAccess(store).reading { store in
            // The reader may go away in the middle; the engine's lines then lead nowhere, and the end tells.
            let output = Output()
            try await store.inspect(subject) { output.lineOrRemember($0) }
            try output.flush()
        }
    }

    struct Packs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One line a pack (what is shown by default).")
        @OptionGroup var store: StoreOptions

        func run() async throws { try await show(.packs, of: store) }
    }

    struct Pack: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The frames of one pack.")
        @OptionGroup var store: StoreOptions
        @Argument(help: ArgumentHelp("The pack's id: 32 hex digits.", valueName: "id"))
        var id: String

        func validate() throws {
            guard id.utf8.count == 32, id.allSatisfy({ "0123456789abcdef".contains($0) }) else {
                throw ValidationError("A pack's id is 32 lower-case hex digits.")
            }
        }

        func run() async throws { try await show(.pack(id), of: store) }
    }

    struct Recipe: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "How a blob is rebuilt.")
        @OptionGroup var store: StoreOptions
        @Argument(help: ArgumentHelp("The blob's digest, as in sha256:….", valueName: "digest"))
        var digest: Digest

        func run() async throws { try await show(.recipe(digest), of: store) }
    }

    struct Rows: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The rows of one table of the index, or of all.")
        @OptionGroup var store: StoreOptions
        @Argument(help: ArgumentHelp("The table's name; without it, all tables.", valueName: "table"))
        var table: String?

        func run() async throws { try await show(.rows(table: table), of: store) }
    }

    struct Index: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The index's pages, table by table; reads and checks all of them.")
        @OptionGroup var store: StoreOptions

        func run() async throws { try await show(.index, of: store) }
    }
}

extension Digest: ExpressibleByArgument {
    /// Parses `algorithm:hex`.
    public init?(argument: String) { self.init(argument) }
}
