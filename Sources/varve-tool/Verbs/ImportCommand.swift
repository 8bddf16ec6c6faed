// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import VarveEngine
import VarveModel
import VarveOCI

/// `varve import`.
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Put images or files into the store.",
        discussion: """
            A source is
              a directory that is an OCI layout, or a tar archive of one,
              a 'docker save' archive,
              any other file: it is kept as a blob, byte for byte.

            Images come in under their own names. A name that is a tag alone gets the directory's or the file's name as \
            its repository; docker.io/library/ and a registry's address with a port are left out. --as names a single \
            image otherwise. A file is linked into the repository 'imported', or with --as wrapped in a manifest, so \
            that clients can pull it: an uncompressed tar as an image of one layer, anything else as an artifact.

            Blobs that the store has already are not read again. Afterwards everything is settled, unless --no-settle \
            leaves that to the next server or to 'varve settle'.

            Makes the store if there is none. Needs it to itself: while a server holds it, push, as in \
            'skopeo copy oci:DIR:TAG docker://127.0.0.1:5000/NAME:TAG'. Of several sources each is done or not done; the \
            exit code is 3 if some failed.

            Examples:
              varve import --store ./layers ./debian-layout --as debian:12
              docker save app:1 -o app.tar && varve import --store ./layers app.tar
              varve import --store ./layers rootfs.tar --as rootfs:1
            """)

    @OptionGroup var store: StoreOptions
    @Option(name: .customLong("as"), help: ArgumentHelp("The image's name in the store.", valueName: "name:tag"))
    var name: ImageName?
    @Flag(inversion: .prefixedNo, help: "Settle what was imported before the verb ends.")
    var settle = true
    @OptionGroup var tuning: SettlingOptions
    @Argument(help: ArgumentHelp("OCI layout directories, archives, files.", valueName: "source"))
    var sources: [String]

    func validate() throws {
        guard name == nil || sources.count == 1 else {
            throw ValidationError("--as names one image: give a single source.")
        }
    }

    func run() async throws {
        let bar = ProgressBar()
        defer { bar.finish() }
        let failures = try await StoreAccess(store).alone(
            "import", instead: "push to the server, as in: skopeo copy oci:DIR:TAG docker://HOST:PORT/NAME:TAG",
            isMade: true, settings: tuning.settings
        ) { store in
            var failures: [ToolError] = []
            for source in sources {
                do {
                    let lines = try await Importer(store: store, bar: bar).run(plan(source, bar), from: source)
                    bar.finish()
                    for line in lines { try Output.write(line + "\n") }
                } catch {
                    let failure = Self.failure(error, of: source)
                    if [.interrupted, .brokenPipe].contains(failure.status) { throw failure }
                    bar.finish()
                    Output.note(failure.description)
                    failures.append(failure)
                }
            }
            if settle, failures.count < sources.count { try await store.settle(evict: false, progress: bar.sink) }
            return failures
        }
        bar.finish()
        guard let first = failures.first else { return }
        if sources.count > failures.count {
            throw ToolError(.partial, "imported \(sources.count - failures.count) of \(sources.count)")
        }
        throw ToolError(first.status, "nothing was imported")
    }

    private static func failure(_ error: any Error, of source: String) -> ToolError {
        var failure = ToolError(error)
        if !failure.message.contains(source) { failure.message = "\(source): \(failure.message)" }
        return failure
    }

    /// Looks at a source and says what is to go in.
    private func plan(_ source: String, _ bar: ProgressBar) async throws -> ImportPlan {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: source, isDirectory: &isDirectory) else {
            throw ToolError(.failed, "there is no \(source)")
        }
        if isDirectory.boolValue {
            guard FileManager.default.fileExists(atPath: "\(source)/\(OCILayout.markerPath)") else {
                throw ToolError(
                    .failed, "the directory \(source) is no OCI layout",
                    advice: "make a tar of it to import its files: tar -C \(source) -cf layer.tar .")
            }
            return try LayoutImport(files: .directory(source), path: source, name: name).plan()
        }
        let file = try SourceFile(source)
        let meter = ByteMeter(activity: "reading", total: file.size, bar: bar)
        if let tar = try TarIndex(file) {
            if tar.source(at: OCILayout.markerPath) != nil, tar.source(at: OCILayout.indexPath) != nil {
                return try LayoutImport(files: .archive(tar), path: source, name: name).plan()
            }
            if let manifest = tar.source(at: DockerArchive.manifestPath),
                let archive = try? DockerArchive(manifest: manifest.document(DockerArchive.manifestPath))
            {
                return try await DockerImport(tar: tar, path: source, name: name) { meter.add($0) }.plan(archive)
            }
        }
        return try await FileImport(file: file, name: name) { meter.add($0) }.plan()
    }
}
