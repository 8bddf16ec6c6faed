// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveModel
import VarveOCI

/// Plans the import of a `docker save` archive that is no OCI layout as well (docker before 25, podman, skopeo, kaniko).
///
/// Such an archive holds a config and layers, and no manifest: one is made here, always the same for the same archive.
struct DockerImport: Sendable {
    let tar: TarIndex
    let path: String
    let name: ImageName?
    /// Called with bytes read while digests are taken.
    let read: @Sendable (Int) -> Void

    func plan(_ archive: DockerArchive) async throws -> ImportPlan {
        guard !archive.images.isEmpty else { throw ToolError(.failed, "the archive \(path) holds no image") }
        if let name {
            guard archive.images.count == 1 else {
                let names = archive.images.map { $0.names.first ?? $0.configPath }
                throw ToolError(
                    .failed,
                    "\(path) holds \(archive.images.count) images (\(names.joined(separator: ", "))), --as names one",
                    advice: "leave out --as to import all of them under their own names")
            }
            var image = try await image(archive.images[0])
            (image.repository, image.tag) = (name.repository, name.tag)
            return ImportPlan(images: [image])
        }
        var plan = ImportPlan()
        for saved in archive.images where !saved.names.isEmpty {
            var image = try await image(saved)
            for text in saved.names {
                guard let name = ImportName.parse(text, fallback: ImportName.repository(fromPath: path)) else {
                    throw ToolError(
                        .failed, "no name for the store can be made of '\(text)' in \(path)",
                        advice: "name it: --as NAME:TAG")
                }
                (image.repository, image.tag) = (name.repository, name.tag)
                plan.images.append(image)
            }
        }
        guard !plan.images.isEmpty else {
            throw ToolError(.failed, "no image in \(path) has a name", advice: "name it: --as NAME:TAG")
        }
        return plan
    }

    private func image(_ saved: DockerArchive.Image) async throws -> ImportPlan.Image {
        let parts = try parts(of: saved)
        var digests: [Digest] = []
        for layer in parts.layers {
            if let known = layer.knownDigest {
                digests.append(known)
            } else {
                digests.append(try await layer.source.digest(read: read))
            }
        }
        return try image(parts, digests)
    }

    /// A saved image's config, and its layers as far as they are known without reading them.
    private struct Parts {
        struct Layer {
            var source: ByteSource
            var format: LayerFormat
            var knownDigest: Digest?
        }
        var config: [UInt8]
        var layers: [Layer] = []
    }

    private func parts(of saved: DockerArchive.Image) throws -> Parts {
        var parts = Parts(config: try member(saved.configPath).document(saved.configPath))
        let diffIDs = ImageConfig.diffIDs(parts.config)
        for (index, layerPath) in saved.layerPaths.enumerated() {
            let source = try member(layerPath)
            let format = LayerFormat(prefix: try source.prefix(512))
            // The config names the digests of uncompressed layers, which saves reading them twice; the store checks them.
            let isKnown = format == .tar && diffIDs.count == saved.layerPaths.count
            parts.layers.append(
                Parts.Layer(source: source, format: format, knownDigest: isKnown ? diffIDs[index] : nil))
        }
        return parts
    }

    private func image(_ parts: Parts, _ digests: [Digest]) throws -> ImportPlan.Image {
        guard let placeholder = RepositoryName("imported") else { preconditionFailure("a fixed, valid name") }
        var image = ImportPlan.Image(repository: placeholder)
        let config = Descriptor(
            mediaType: MediaType.ociConfig, digest: try Hashing.digest(of: parts.config),
            size: UInt64(parts.config.count))
        image.documents.append((config.digest, parts.config))
        var layers: [Descriptor] = []
        for (layer, digest) in zip(parts.layers, digests) {
            layers.append(Descriptor(mediaType: layer.format.mediaType, digest: digest, size: layer.source.size))
            image.blobs.append(ImportPlan.Blob(digest: digest, source: layer.source))
        }
        let bytes = ManifestDocument.image(config: config, layers: layers)
        image.manifests = [
            ImportPlan.Manifest(
                bytes: bytes, digest: try Hashing.digest(of: bytes), document: try ManifestDocument(bytes))
        ]
        return image
    }

    private func member(_ name: String) throws(ToolError) -> ByteSource {
        guard let source = tar.source(at: name) else {
            throw ToolError(.failed, "\(path) lacks the file \(name), which its \(DockerArchive.manifestPath) names")
        }
        return source
    }
}

/// What a layer's first bytes say that it is.
enum LayerFormat: Sendable {
    case tar, gzip, zstd, other

    init(prefix: [UInt8]) {
        if prefix.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if prefix.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
            self = .zstd
        } else {
            self = TarIndex.isHeader(prefix.prefix(512)) ? .tar : .other
        }
    }

    var mediaType: String {
        switch self {
        case .tar: MediaType.ociLayer
        case .gzip: MediaType.ociLayerGzip
        case .zstd: MediaType.ociLayerZstd
        case .other: "application/octet-stream"
        }
    }
}

/// The parts of an image's config that the import needs.
enum ImageConfig {
    /// `rootfs.diff_ids`: the digests of the uncompressed layers. Empty if they are not there or not understood; nil in
    /// place of one of an algorithm that is not known.
    static func diffIDs(_ config: [UInt8]) -> [Digest?] {
        var found: [Digest?] = []
        do {
            var reader = try JSONReader(config)
            try reader.object { (reader, key) throws(JSONFault) in
                guard key == "rootfs" else { return try reader.skip() }
                try reader.object { (reader, key) throws(JSONFault) in
                    guard key == "diff_ids" else { return try reader.skip() }
                    if try reader.null() { return }
                    try reader.array { (reader) throws(JSONFault) in found.append(Digest(try reader.string())) }
                }
            }
        } catch {
            return []
        }
        return found
    }

    /// A config for a single uncompressed layer, so that runtimes take the image.
    static func minimal(layer: Digest, architecture: String, from name: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.key("architecture")
            json.value(architecture)
            json.key("os")
            json.value("linux")
            json.key("config")
            json.object { _ in }
            json.key("rootfs")
            json.object { json in
                json.key("type")
                json.value("layers")
                json.key("diff_ids")
                json.array { $0.value(layer.description) }
            }
            json.key("history")
            json.array { json in
                json.object { json in
                    json.key("created_by")
                    json.value("varve import \(name)")
                }
            }
        }
        return json.bytes
    }
}
