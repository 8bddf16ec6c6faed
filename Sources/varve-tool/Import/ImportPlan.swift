// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveModel
import VarveOCI

/// What is to be put into the store for one source: blobs, then manifests, then names.
struct ImportPlan: Sendable {
    struct Blob: Sendable {
        var digest: Digest
        var source: ByteSource
    }
    struct Manifest: Sendable {
        var bytes: [UInt8]
        var digest: Digest
        var document: ManifestDocument
    }
    /// An image with its parts in the order in which they go in.
    struct Image: Sendable {
        var repository: RepositoryName
        var tag: Tag?
        var blobs: [Blob] = []
        /// Small blobs that no file holds.
        var documents: [(digest: Digest, bytes: [UInt8])] = []
        /// Each behind those that it names; the last one gets the tag.
        var manifests: [Manifest] = []
    }
    /// A file that is kept as it is.
    struct Loose: Sendable {
        var repository: RepositoryName
        var blob: Blob
    }

    var images: [Image] = []
    var loose: [Loose] = []

    /// Bytes of all blobs, as often as they are named.
    var bytes: UInt64 {
        images.reduce(0) { sum, image in image.blobs.reduce(sum) { $0 &+ $1.source.size } }
            &+ loose.reduce(0) { $0 &+ $1.blob.source.size }
    }
}

/// The name under which an image of an archive or a layout is to be found in the store.
enum ImportName {
    /// Reads a name as documents carry them: `12` (a tag alone, in the repository `fallback`), `debian:12`,
    /// `docker.io/library/debian:12` (docker's own long form of the same), `registry.example:5000/team/app:3` (the
    /// registry's address is left out: it has a port, which no repository's name can have).
    /// - Returns: nil if no repository and tag can be made of it.
    static func parse(_ text: String, fallback: RepositoryName?) -> ImageName? {
        if !text.contains("/"), !text.contains(":"), let tag = Tag(text) {
            return fallback.map { ImageName(repository: $0, tag: tag) }
        }
        var rest = text[...]
        for prefix in ["docker.io/library/", "docker.io/"] where rest.hasPrefix(prefix) {
            rest = rest.dropFirst(prefix.count)
        }
        if let slash = rest.firstIndex(of: "/"), rest[..<slash].contains(":") {
            rest = rest[rest.index(after: slash)...]
        }
        return ImageName(argument: String(rest))
    }

    /// A repository's name made from the last part of a path, without `.tar` and the like; nil if that is none.
    static func repository(fromPath path: String) -> RepositoryName? {
        guard let last = path.split(separator: "/").last(where: { $0 != "." }) else { return nil }
        var name = last.lowercased()
        for suffix in [".tar", ".oci"] where name.hasSuffix(suffix) { name.removeLast(suffix.count) }
        return RepositoryName(name)
    }
}
