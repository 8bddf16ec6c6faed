// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Glibc
import NIOCore
import VarveEngine
import VarveModel

/// `varve export`.
struct ExportCommand: AsyncParsableCommand {
    /// What is written.
    enum Format: String, CaseIterable, ExpressibleByArgument {
        case oci, archive, blob
    }

    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write an image, or one blob, out of the store.",
        discussion: """
            Formats:
              oci      an OCI layout directory; one that is there already is added to
              archive  a tar archive of that layout, which 'docker load', 'podman load', 'ctr images import' and
                       skopeo (oci-archive:) take
              blob     the bytes of one blob or manifest

            Without --format: an image goes into an archive if the output is '-' or ends in .tar, and into a directory \
            otherwise; a digest that is a blob's is written as a blob. Without -o, to standard output, unless that is a \
            terminal. What is written is compared with its digests; a file has its name only once it is whole. Works \
            beside a server.

            Examples:
              varve export --store ./layers demo:1 -o demo-layout
              varve export --store ./layers demo:1 | docker load
              varve export --store ./layers sha256:… -o layer.tar.gz
            """)

    @OptionGroup var store: StoreOptions
    @Option(name: .shortAndLong, help: ArgumentHelp("Where to; '-' is standard output.", valueName: "path"))
    var output = "-"
    @Option(help: "oci, archive or blob.")
    var format: Format?
    @Argument(help: ArgumentHelp("NAME:TAG, NAME@sha256:…, or a digest alone.", valueName: "ref"))
    var subject: Subject

    func validate() throws {
        guard output != "-" else {
            if format == .oci { throw ValidationError("A directory can not go to standard output: give -o PATH.") }
            if isatty(1) == 1 {
                throw ValidationError("This would write to the terminal: give -o PATH, or redirect the output.")
            }
            return
        }
        if output.isEmpty { throw ValidationError("-o needs a path.") }
    }

    func run() async throws {
        let bar = ProgressBar()
        defer { bar.finish() }
        try await StoreAccess(store).reading { store in
            let image = try await Catalogue(store).image(subject)
            if let image, format != .blob {
                try await export(image, from: store, bar: bar)
            } else {
                guard format == nil || format == .blob else {
                    throw ToolError(.failed, "\(subject) is a blob and no image; '--format blob' writes it")
                }
                try await exportBlob(image, from: store, bar: bar)
            }
        }
    }

    private func export(_ image: ImageReference, from store: Store, bar: ProgressBar) async throws {
        let export = ImageExport(image: image, tree: try await ImageTree(of: image, in: store), store: store)
        let isArchive = format.map { $0 == .archive } ?? (output == "-" || output.hasSuffix(".tar"))
        guard isArchive else {
            try await export.write(to: DirectorySink(output), isArchive: false, bar: bar)
            return
        }
        try await toOutput { try await export.write(to: ArchiveSink(output: $0), isArchive: true, bar: bar) }
    }

    /// Writes one blob; `image` is set if the subject is a manifest's.
    private func exportBlob(_ image: ImageReference?, from store: Store, bar: ProgressBar) async throws {
        let digest: Digest
        let size: UInt64
        let content: BlobContent
        if let image {
            let manifest = try await store.manifest(image.reference, in: image.repository)
            (digest, size) = (manifest.digest, UInt64(manifest.bytes.readableBytes))
            content = .bytes(manifest.bytes)
        } else {
            guard case .digest(let wanted) = subject else { return }
            (digest, size) = (wanted, try await store.blob(wanted, in: nil).size)
            content = try await store.openBlob(wanted, in: nil)
        }
        let meter = ByteMeter(activity: "exporting", total: size, bar: bar)
        try await toOutput {
            try await BlobCopier { meter.add($0) }.copy(content, of: digest, size: size, to: $0)
        }
    }

    /// Hands out standard output, or a file that gets its name at the end.
    private func toOutput(_ body: (OutputChannel) async throws -> Void) async throws {
        guard output != "-" else { return try await body(OutputChannel(1, name: "standard output")) }
        var file = try PendingFile(output)
        try await body(file.channel)
        try file.commit()
    }
}
