// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine
import VarveModel
import VarveOCI

/// `varve images`.
struct ImagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images",
        abstract: "List the images of a store.",
        discussion: """
            One line a tag. SIZE is the bytes of the image's blobs as they were pushed; what an image costs beside the \
            others is what 'varve inspect' tells. --all also lists what has no tag: images whose tag was moved or \
            removed, and the parts of an index. Works beside a server.

            With --json, a list of objects: repository, tag (absent if there is none), digest, mediaType, kind (image, \
            index or artifact), layers.count, blobs.count and blobs.bytes (distinct blobs, as pushed).

            Example:
              varve images --store ./layers
            """)

    @OptionGroup var store: StoreOptions
    @OptionGroup var format: FormatOptions
    @Flag(help: "List images without a tag too.")
    var all = false
    @Argument(help: ArgumentHelp("List one repository only.", valueName: "name"))
    var repository: String?

    func validate() throws {
        if let repository, RepositoryName(repository) == nil {
            throw ValidationError("'\(repository)' is not a repository's name.")
        }
    }

    func run() async throws {
        let wanted = repository.flatMap { RepositoryName($0) }
        let rows = try await StoreAccess(store).reading { store in
            let catalogue = Catalogue(store)
            var rows: [ImageRow] = []
            let repositories = if let wanted { [wanted] } else { try await catalogue.repositories() }
            for repository in repositories {
                rows += try await images(of: repository, in: catalogue)
            }
            return rows
        }
        if format.json { return try Output.json(rows) }
        var table = TextTable([
            ("IMAGE", .left), ("DIGEST", .left), ("KIND", .left), ("LAYERS", .right), ("SIZE", .right),
        ])
        for row in rows {
            let name = row.tag.map { "\(row.repository):\($0)" } ?? "\(row.repository) (no tag)"
            table.add([
                name, shortened(row.digest), row.kind, Units.grouped(row.layers.count),
                Units.bytes(row.blobs.bytes),
            ])
        }
        try Output.write(table.text)
    }

    private func images(of repository: RepositoryName, in catalogue: Catalogue) async throws -> [ImageRow] {
        var rows: [ImageRow] = []
        var named: Set<Digest> = []
        for tag in try await catalogue.tags(of: repository) {
            let image = ImageReference(repository: repository, reference: .tag(tag))
            guard let row = try await row(image, tag: tag, in: catalogue.store) else { continue }
            rows.append(row)
            if let digest = Digest(row.digest) { named.insert(digest) }
        }
        guard all else { return rows }
        for descriptor in try await catalogue.manifests(of: repository) where !named.contains(descriptor.digest) {
            let image = ImageReference(repository: repository, reference: .digest(descriptor.digest))
            if let row = try await row(image, tag: nil, in: catalogue.store) { rows.append(row) }
        }
        return rows
    }

    /// nil if the image went away since its name was read: a server may be at work.
    private func row(_ image: ImageReference, tag: Tag?, in store: Store) async throws -> ImageRow? {
        do {
            return ImageRow(try await ImageTree(of: image, in: store), repository: image.repository, tag: tag)
        } catch let error as VarveError where Catalogue.isAbsence(error.code) {
            return nil
        }
    }
}

/// One image, as `images --json` lists it.
struct ImageRow: Encodable {
    var repository: String
    var tag: String?
    var digest: String
    var mediaType: String
    var kind: String
    var layers: StatsDocument.Count
    var blobs: StatsDocument.CountAndBytes

    init(_ tree: ImageTree, repository: RepositoryName, tag: Tag?) {
        self.repository = repository.description
        self.tag = tag?.description
        digest = tree.root.manifest.digest.description
        mediaType = tree.root.manifest.mediaType
        kind = tree.kind
        layers = StatsDocument.Count(count: UInt64(tree.nodes.reduce(0) { $0 + $1.document.layers.count }))
        blobs = StatsDocument.CountAndBytes(count: UInt64(tree.blobs.count), bytes: tree.blobsBytes)
    }
}

/// The first 12 digits, with the algorithm: enough to tell images apart by eye.
func shortened(_ digest: String) -> String {
    guard let colon = digest.firstIndex(of: ":") else { return digest }
    return String(digest[...colon] + digest[digest.index(after: colon)...].prefix(12))
}
