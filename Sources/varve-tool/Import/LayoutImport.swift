// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveModel
import VarveOCI

/// Where the files of an OCI layout lie: a directory or a tar archive.
enum LayoutFiles: Sendable {
    case directory(String)
    case archive(TarIndex)

    /// The file `path`; nil if it is not there.
    func source(at path: String) throws(ToolError) -> ByteSource? {
        switch self {
        case .directory(let directory):
            guard access("\(directory)/\(path)", F_OK) == 0 else { return nil }
            return try SourceFile("\(directory)/\(path)").whole
        case .archive(let tar):
            return tar.source(at: path)
        }
    }
}

/// Plans the import of an OCI layout: all images that have a name, or the single one under a given name.
struct LayoutImport: Sendable {
    let files: LayoutFiles
    /// The layout's path, for messages and for names that are a tag alone.
    let path: String
    let name: ImageName?

    func plan() throws -> ImportPlan {
        guard let marker = try files.source(at: OCILayout.markerPath),
            let index = try files.source(at: OCILayout.indexPath)
        else { throw ToolError(.failed, "\(path) is no OCI layout") }
        try OCILayout.check(marker: marker.document(OCILayout.markerPath))
        let entries = try OCILayout(index: index.document(OCILayout.indexPath)).entries
        guard !entries.isEmpty else { throw ToolError(.failed, "the OCI layout \(path) holds no image") }
        if let name {
            guard entries.count == 1 || Set(entries.map(\.content.descriptor.digest)).count == 1 else {
                let names = entries.map { $0.name ?? shortened($0.content.descriptor.digest.description) }
                throw ToolError(
                    .failed, "\(path) holds \(entries.count) images (\(names.joined(separator: ", "))), --as names one",
                    advice: "leave out --as to import all of them under their own names")
            }
            return ImportPlan(images: [try image(entries[0], repository: name.repository, tag: name.tag)])
        }
        var plan = ImportPlan()
        let fallback = ImportName.repository(fromPath: path)
        for entry in entries {
            guard let text = entry.name else { continue }
            guard let name = ImportName.parse(text, fallback: fallback) else {
                throw ToolError(
                    .failed, "no name for the store can be made of '\(text)' in \(path)",
                    advice: "name it: --as NAME:TAG")
            }
            plan.images.append(try image(entry, repository: name.repository, tag: name.tag))
        }
        guard !plan.images.isEmpty else {
            throw ToolError(.failed, "no image in \(path) has a name", advice: "name it: --as NAME:TAG")
        }
        return plan
    }

    /// Gathers an image's parts. Breadth first, then turned round: whoever names comes behind what it names.
    private func image(_ entry: OCILayout.Entry, repository: RepositoryName, tag: Tag) throws -> ImportPlan.Image {
        var image = ImportPlan.Image(repository: repository, tag: tag)
        var manifests: [ImportPlan.Manifest] = []
        var byDigest: [Digest: ImportPlan.Manifest] = [:]
        var frontier = [entry.content.descriptor]
        while !frontier.isEmpty {
            var next: [Descriptor] = []
            for descriptor in frontier {
                let manifest = try byDigest[descriptor.digest] ?? self.manifest(descriptor)
                byDigest[descriptor.digest] = manifest
                manifests.append(manifest)
                for child in manifest.document.summary.manifests where !next.contains(child) { next.append(child) }
            }
            frontier = next
        }
        var seen: Set<Digest> = []
        image.manifests = manifests.reversed().filter { seen.insert($0.digest).inserted }
        for manifest in image.manifests {
            let summary = manifest.document.summary
            for blob in summary.blobs where seen.insert(blob.digest).inserted {
                guard let source = try files.source(at: OCILayout.path(of: blob.digest)) else {
                    throw ToolError(.failed, "\(path) lacks the blob \(blob.digest), which its image \(tag) names")
                }
                image.blobs.append(ImportPlan.Blob(digest: blob.digest, source: source))
            }
            for blob in summary.optionalBlobs where seen.insert(blob.digest).inserted {
                guard let source = try files.source(at: OCILayout.path(of: blob.digest)) else { continue }
                image.blobs.append(ImportPlan.Blob(digest: blob.digest, source: source))
            }
        }
        return image
    }

    private func manifest(_ descriptor: Descriptor) throws -> ImportPlan.Manifest {
        guard let source = try files.source(at: OCILayout.path(of: descriptor.digest)) else {
            throw ToolError(
                .failed, "\(path) lacks the manifest \(descriptor.digest), which its index names",
                advice: "a layout with one platform of several: import the image of that platform alone")
        }
        let bytes = try source.document("the manifest \(descriptor.digest)")
        return ImportPlan.Manifest(
            bytes: bytes, digest: descriptor.digest,
            document: try ManifestDocument(bytes, contentType: descriptor.mediaType))
    }
}
