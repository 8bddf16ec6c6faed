// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine
import VarveModel

/// `varve rm`.
struct RemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove tags or images.",
        discussion: """
            NAME:TAG removes the tag; the image stays in its repository under its digest. With --manifest the image goes \
            too, and every other tag of it in that repository. NAME@sha256:… does the same for an image named by its digest.

            The bytes stay until 'varve gc' collects what nothing names any more. 'varve inspect' tells how much that \
            would be.

            Needs the store to itself: while a server holds it, delete through the server, as in \
            'skopeo delete docker://127.0.0.1:5000/demo:1'.

            Examples:
              varve rm --store ./layers demo:1
              varve rm --store ./layers demo:1 --manifest && varve gc --store ./layers --grace 0
            """)

    @OptionGroup var store: StoreOptions
    @Flag(help: "Remove the image that a tag names, with all its tags, and not the tag alone.")
    var manifest = false
    @Argument(help: ArgumentHelp("NAME:TAG or NAME@sha256:….", valueName: "ref"))
    var references: [String]

    func validate() throws {
        for text in references {
            guard let reference = ImageReference(text) else { throw ValidationError(ImageReference.refusal(of: text)) }
            // `latest` must be written out: removing should never rest on a default.
            if case .tag = reference.reference, !text.hasSuffix(":\(reference.reference)") {
                throw ValidationError("'\(text)' names no tag: write \(reference) if that is what you mean.")
            }
        }
    }

    func run() async throws {
        let access = StoreAccess(store)
        let references = references.compactMap { ImageReference($0) }
        let failures = try await access.alone(
            "rm", instead: "delete through the server: skopeo delete docker://HOST:PORT/\(references[0])"
        ) { store in
            var failures: [VarveError] = []
            for reference in references {
                do {
                    try Output.write(try await remove(reference, from: store) + "\n")
                } catch let error as VarveError {
                    Output.note("\(reference): \(error.message)")
                    failures.append(error)
                }
            }
            return failures
        }
        guard let first = failures.first else { return }
        if failures.count < references.count {
            throw ToolError(.partial, "removed \(references.count - failures.count) of \(references.count)")
        }
        throw ToolError(ExitStatus(first.code), "nothing was removed")
    }

    /// Removes one; returns the line that says what went.
    private func remove(_ image: ImageReference, from store: Store) async throws -> String {
        switch image.reference {
        case .digest(let digest):
            try await store.removeManifest(.digest(digest), from: image.repository)
            return "removed \(image)"
        case .tag(let tag):
            let digest = try await store.tagTarget(tag, of: image.repository)
            guard manifest else {
                try await store.removeManifest(.tag(tag), from: image.repository)
                return "removed the tag \(image); the image is \(image.repository)@\(digest)"
            }
            try await store.removeManifest(.digest(digest), from: image.repository)
            return "removed \(image.repository)@\(digest)"
        }
    }
}
