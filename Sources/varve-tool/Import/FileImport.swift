// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveModel
import VarveOCI

/// Plans the import of a file that is neither an archive of images nor a layout: a layer, or anything else.
struct FileImport: Sendable {
    let file: SourceFile
    let name: ImageName?
    /// Called with bytes read while the digest is taken.
    let read: @Sendable (Int) -> Void

    /// Where files without a name are linked.
    static let repository = "imported"

    func plan() async throws -> ImportPlan {
        try plan(digest: await file.whole.digest(read: read))
    }

    private func plan(digest: Digest) throws -> ImportPlan {
        let blob = ImportPlan.Blob(digest: digest, source: file.whole)
        guard let name else {
            guard let repository = RepositoryName(Self.repository) else { preconditionFailure("a fixed, valid name") }
            return ImportPlan(loose: [ImportPlan.Loose(repository: repository, blob: blob)])
        }
        let title = file.path.split(separator: "/").last.map(String.init) ?? file.path
        let format = LayerFormat(prefix: try file.whole.prefix(512))
        let layer = ContentDescriptor(
            Descriptor(mediaType: format.mediaType, digest: digest, size: file.size),
            annotations: ["org.opencontainers.image.title": title])
        // An uncompressed tar becomes an image that runs; of anything else the config would have to name the digest of
        // bytes that are not at hand, so that it becomes an artifact.
        let config =
            format == .tar
            ? ImageConfig.minimal(layer: digest, architecture: Self.architecture, from: title) : Array("{}".utf8)
        let configDigest = try Hashing.digest(of: config)
        let bytes = Self.manifest(
            config: Descriptor(
                mediaType: format == .tar ? MediaType.ociConfig : MediaType.ociEmpty, digest: configDigest,
                size: UInt64(config.count)),
            artifactType: format == .tar ? nil : "application/vnd.unknown.artifact.v1", layer: layer)
        var image = ImportPlan.Image(repository: name.repository, tag: name.tag)
        image.blobs = [blob]
        image.documents = [(configDigest, config)]
        image.manifests = [
            ImportPlan.Manifest(
                bytes: bytes, digest: try Hashing.digest(of: bytes), document: try ManifestDocument(bytes))
        ]
        return ImportPlan(images: [image])
    }

    /// An image manifest with one layer.
    private static func manifest(config: Descriptor, artifactType: String?, layer: ContentDescriptor) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.key("schemaVersion")
            json.value(2)
            json.key("mediaType")
            json.value(MediaType.ociManifest)
            if let artifactType {
                json.key("artifactType")
                json.value(artifactType)
            }
            json.key("config")
            describe(ContentDescriptor(config), in: &json)
            json.key("layers")
            json.array { describe(layer, in: &$0) }
        }
        return json.bytes
    }

    private static func describe(_ content: ContentDescriptor, in json: inout JSONWriter) {
        json.object { json in
            json.key("mediaType")
            json.value(content.descriptor.mediaType)
            json.key("digest")
            json.value(content.descriptor.digest.description)
            json.key("size")
            json.value(content.descriptor.size)
            guard !content.annotations.isEmpty else { return }
            json.key("annotations")
            json.object { json in
                for (key, value) in content.annotations.sorted(by: { $0.key < $1.key }) {
                    json.key(key)
                    json.value(value)
                }
            }
        }
    }

    /// This machine's, in the words of Go, which images use.
    private static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }
}
