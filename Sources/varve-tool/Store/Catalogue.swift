// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveEngine
import VarveModel
import VarveOCI

/// Names and manifests of a store, gathered page by page.
struct Catalogue: Sendable {
    let store: Store
    private static let pageSize = 1000

    init(_ store: Store) { self.store = store }

    /// All repositories, in byte order.
    func repositories() async throws -> [RepositoryName] {
        try await pages { try await store.repositories(after: $0?.description, limit: Self.pageSize) }
    }

    /// All tags of a repository, in byte order.
    func tags(of repository: RepositoryName) async throws -> [Tag] {
        try await pages { try await store.tags(of: repository, after: $0?.description, limit: Self.pageSize) }
    }

    /// All manifests of a repository, in digest order.
    func manifests(of repository: RepositoryName) async throws -> [Descriptor] {
        try await pages { try await store.manifests(of: repository, after: $0?.digest, limit: Self.pageSize) }
    }

    /// The repositories that hold the manifest `digest`.
    func repositories(holding digest: Digest) async throws -> [RepositoryName] {
        var found: [RepositoryName] = []
        for repository in try await repositories() {
            let manifest = try await Self.ifPresent { () throws(VarveError) in
                try await store.manifest(.digest(digest), in: repository)
            }
            if manifest != nil { found.append(repository) }
        }
        return found
    }

    /// The image that `subject` names, if it is one; nil for a digest that is no manifest's.
    /// - Throws: `manifestUnknown`, `repositoryUnknown` for a name that is not there.
    func image(_ subject: Subject) async throws -> ImageReference? {
        switch subject {
        case .image(let image):
            _ = try await store.manifest(image.reference, in: image.repository)
            return image
        case .digest(let digest):
            return try await repositories(holding: digest).first.map {
                ImageReference(repository: $0, reference: .digest(digest))
            }
        }
    }

    private func pages<Item>(_ page: (Item?) async throws -> [Item]) async throws -> [Item] {
        var all: [Item] = []
        while true {
            let items = try await page(all.last)
            all += items
            // A short page is the last one; an empty one too, whatever the limit was.
            guard items.count == Self.pageSize else { return all }
        }
    }

    /// What `body` finds; nil if it is not there.
    static func ifPresent<Value>(_ body: () async throws(VarveError) -> Value) async throws(VarveError) -> Value? {
        do {
            return try await body()
        } catch {
            guard isAbsence(error.code) else { throw error }
            return nil
        }
    }

    static func isAbsence(_ code: VarveError.Code) -> Bool {
        [.notFound, .blobUnknown, .manifestUnknown, .repositoryUnknown].contains(code)
    }
}

/// An image with everything it names: one manifest, or an index with the manifests below it.
struct ImageTree: Sendable {
    struct Node: Sendable {
        var manifest: StoredManifest
        var document: ManifestDocument
    }

    /// The manifest that was asked for.
    let root: Node
    /// All manifests, each behind those that it names; the root is the last.
    let nodes: [Node]
    /// Distinct blobs in the order in which they are first named.
    let blobs: [Descriptor]
    /// Those that need not be in the store (non-distributable layers).
    let optionalBlobs: [Descriptor]
    /// Manifests that an index names and the repository does not hold (they were deleted since).
    let missing: [Digest]

    /// Bytes of the distinct blobs, as pushed.
    var blobsBytes: UInt64 { blobs.reduce(0) { $0 &+ $1.size } }

    /// Gathers what `image` names.
    /// - Throws: `manifestUnknown`, `repositoryUnknown`, `manifestInvalid`.
    init(of image: ImageReference, in store: Store) async throws {
        func node(_ reference: ManifestReference) async throws -> Node {
            let manifest = try await store.manifest(reference, in: image.repository)
            let bytes = Array(manifest.bytes.readableBytesView)
            return Node(manifest: manifest, document: try ManifestDocument(bytes, contentType: manifest.mediaType))
        }
        root = try await node(image.reference)
        // Breadth first, then turned round: whoever names comes behind what it names. A digest can not name itself, so
        // this ends; what is named twice is kept where it was named last, in front of all who name it.
        var order: [Digest] = []
        var byDigest = [root.manifest.digest: root]
        var missing: [Digest] = []
        var frontier = [root.manifest.digest]
        while !frontier.isEmpty {
            order += frontier
            var next: [Digest] = []
            for digest in frontier {
                for child in byDigest[digest]?.document.summary.manifests ?? [] where !next.contains(child.digest) {
                    if byDigest[child.digest] == nil {
                        do {
                            byDigest[child.digest] = try await node(.digest(child.digest))
                        } catch let error as VarveError where Catalogue.isAbsence(error.code) {
                            if !missing.contains(child.digest) { missing.append(child.digest) }
                            continue
                        }
                    }
                    next.append(child.digest)
                }
            }
            frontier = next
        }
        var seen: Set<Digest> = []
        nodes = order.reversed().filter { seen.insert($0).inserted }.compactMap { byDigest[$0] }
        var blobs: [Descriptor] = []
        var optional: [Descriptor] = []
        for node in nodes {
            let summary = node.document.summary
            for blob in summary.blobs where seen.insert(blob.digest).inserted { blobs.append(blob) }
            for blob in summary.optionalBlobs where seen.insert(blob.digest).inserted { optional.append(blob) }
        }
        self.blobs = blobs
        optionalBlobs = optional
        self.missing = missing
    }

    /// `index`, `image`, or `artifact` for what no runtime runs.
    var kind: String {
        let document = root.document
        switch document.kind {
        case .index: return "index"
        case .artifact, .opaque: return "artifact"
        case .image:
            let configs = [MediaType.ociConfig, "application/vnd.docker.container.image.v1+json"]
            let isImage = document.artifactType == nil && configs.contains(document.config?.descriptor.mediaType ?? "")
            return isImage ? "image" : "artifact"
        }
    }
}
