// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveIndex
import VarveModel

/// The images of one repository: what has a tag, and what has none and is not part of another.
struct ImageCatalogue {
    /// A manifest that a person would call an image.
    struct Image: Hashable, Sendable {
        /// `name:tag`, or `name@digest` where there is no tag.
        var name: String
        var manifest: Digest
    }

    let repository: RepositoryName
    let manifests: [Digest: ManifestRow]
    let images: [Image]

    init(_ repository: RepositoryName, core: Core) throws(VarveError) {
        self.repository = repository
        var manifests: [Digest: ManifestRow] = [:]
        var children: Set<Digest> = []
        try core.forEachManifest(in: repository) { digest, row in
            manifests[digest] = row
            for reference in row.references where reference.kind == .manifest { children.insert(reference.digest) }
        }
        var images: [Image] = []
        var tagged: Set<Digest> = []
        var last: String?
        while true {
            let page = try core.read { [last] transaction in
                try transaction.tags(in: repository, after: last, limit: 1000).map { tag in
                    (tag, try transaction.tag(tag, in: repository)?.digest)
                }
            }
            for (tag, digest) in page {
                guard let digest, manifests[digest] != nil else { continue }
                tagged.insert(digest)
                images.append(Image(name: "\(repository):\(tag)", manifest: digest))
            }
            guard page.count == 1000 else { break }
            last = page.last?.0.description
        }
        for digest in manifests.keys.sorted() where !tagged.contains(digest) && !children.contains(digest) {
            images.append(Image(name: "\(repository)@\(digest)", manifest: digest))
        }
        self.manifests = manifests
        self.images = images
    }

    /// A manifest and those that it names, directly or not, as far as the repository has them.
    func closure(of manifest: Digest) -> Set<Digest> {
        var found: Set<Digest> = []
        var waiting = [manifest]
        while let digest = waiting.popLast() {
            guard let row = manifests[digest], found.insert(digest).inserted else { continue }
            for reference in row.references where reference.kind == .manifest { waiting.append(reference.digest) }
        }
        return found
    }

    /// Every blob of an image: manifests, configs, layers.
    func blobs(of manifest: Digest) -> Set<Digest> {
        var found = closure(of: manifest)
        for digest in found {
            for reference in manifests[digest]?.references ?? [] { found.insert(reference.digest) }
        }
        return found
    }
}
