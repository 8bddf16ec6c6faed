// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveEngine
import VarveModel
import VarveOCI

/// Writes an image with everything it names into an OCI layout.
struct ImageExport: Sendable {
    let image: ImageReference
    let tree: ImageTree
    let store: Store

    /// Writes the layout.
    /// - Parameter isArchive: Whether `manifest.json` is written too, so that `docker load` takes the archive.
    func write(to sink: some ExportSink, isArchive: Bool, bar: ProgressBar) async throws {
        if let missing = tree.missing.first {
            throw ToolError(
                .failed, "\(image) is an index, and the store does not hold its manifest \(missing)",
                advice: "export the manifests that are there one by one: 'varve images --all' lists them")
        }
        try await sink.file(OCILayout.markerPath, OCILayout.markerBytes)
        let index = try mergedIndex(sink.existingIndex()).indexBytes
        // In an archive everything that says what is inside comes first; in a directory, last: it is whole only then.
        if isArchive {
            try await sink.file(OCILayout.indexPath, index)
            if let docker { try await sink.file(DockerArchive.manifestPath, docker.manifestBytes) }
        }
        try await blobs(to: sink, bar: bar)
        if !isArchive { try await sink.file(OCILayout.indexPath, index) }
        try await sink.finish()
    }

    private func blobs(to sink: some ExportSink, bar: ProgressBar) async throws {
        let optional = try await present(tree.optionalBlobs)
        let total = (tree.blobs + optional).reduce(UInt64(0)) { $0 &+ $1.size }
        let meter = ByteMeter(activity: "exporting", total: total, bar: bar)
        for blob in tree.blobs + optional {
            try Task.checkCancellation()
            if sink.has(blob.digest, size: blob.size) {
                meter.add(Int(clamping: blob.size))
                continue
            }
            let content = try await store.openBlob(blob.digest, in: image.repository)
            try await sink.blob(blob.digest, size: blob.size, content, BlobCopier { meter.add($0) })
        }
        for node in tree.nodes {
            let size = UInt64(node.manifest.bytes.readableBytes)
            try await sink.blob(node.manifest.digest, size: size, .bytes(node.manifest.bytes), BlobCopier { _ in })
        }
    }

    /// Of blobs that need not be there, those that are.
    private func present(_ blobs: [Descriptor]) async throws -> [Descriptor] {
        var present: [Descriptor] = []
        for blob in blobs {
            let found = try await Catalogue.ifPresent { () throws(VarveError) in
                try await store.blob(blob.digest, in: image.repository)
            }
            if found != nil { present.append(blob) }
        }
        return present
    }

    /// The layout's index with this image in it, in place of one of the same name.
    private func mergedIndex(_ existing: [UInt8]?) throws -> OCILayout {
        var layout = try existing.map { bytes throws(VarveError) in try OCILayout(index: bytes) } ?? OCILayout([])
        let root = tree.root
        let descriptor = Descriptor(
            mediaType: root.manifest.mediaType, digest: root.manifest.digest,
            size: UInt64(root.manifest.bytes.readableBytes))
        var entry = OCILayout.Entry(descriptor, name: nil)
        // skopeo looks for the tag alone, containerd and docker for the whole name.
        if case .tag(let tag) = image.reference {
            entry.content.annotations[OCILayout.refNameKey] = tag.description
            entry.content.annotations[OCILayout.imageNameKey] = image.description
        }
        layout.entries.removeAll { other in
            other.content.annotations[OCILayout.refNameKey] == entry.content.annotations[OCILayout.refNameKey]
                && (other.name != nil || other.content.descriptor.digest == descriptor.digest)
        }
        layout.entries.append(entry)
        return layout
    }

    /// The archive's documents for `docker load`; nil for what that can not load.
    private var docker: DockerArchive? {
        guard tree.kind == "image", let config = tree.root.document.config else { return nil }
        var names: [String] = []
        if case .tag = image.reference { names = [image.description] }
        return DockerArchive([
            DockerArchive.Image(
                configPath: OCILayout.path(of: config.descriptor.digest), names: names,
                layerPaths: tree.root.document.layers.map { OCILayout.path(of: $0.descriptor.digest) })
        ])
    }
}
