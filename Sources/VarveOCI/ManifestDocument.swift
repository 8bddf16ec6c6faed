// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

/// A manifest or index, read strictly.
///
/// A registry serves the very bytes that were pushed, so what is read here decides only what those bytes keep alive and
/// what is listed. A text that two readers could take for two different documents is refused: a key twice or in another
/// case, `manifests` beside `layers` (CVE-2021-41190), a `mediaType` that is not the one it was pushed under. A media
/// type that is not known is accepted if the text is a JSON object.
public struct ManifestDocument: Hashable, Sendable {
    /// Bytes that a manifest may have (OCI distribution specification: at least 4 MiB must be taken).
    public static let bytesMax = 4 << 20

    /// What the document is.
    public enum Kind: Sendable, Hashable {
        /// An OCI or Docker image manifest.
        case image
        /// An OCI index or Docker manifest list.
        case index
        /// An OCI artifact manifest.
        case artifact
        /// A JSON object of a type that is not known.
        case opaque
    }

    /// What the document is.
    public var kind: Kind
    /// The media type under which it is served.
    public var mediaType: String
    /// An image's config.
    public var config: ContentDescriptor?
    /// An image's layers, or an artifact manifest's blobs, in order.
    public var layers: [ContentDescriptor]
    /// An index's manifests, in order.
    public var manifests: [ContentDescriptor]
    /// The manifest that this one refers to.
    public var subject: ContentDescriptor?
    /// `artifactType`, if it is there and not empty.
    public var artifactType: String?
    /// The document's own annotations.
    public var annotations: [String: String]
    /// The `annotations` object as written.
    public var annotationsJSON: [UInt8]?

    /// Reads a manifest.
    /// - Parameter contentType: The media type it came with; parameters are ignored. With nil, an empty or a general type
    ///   (`application/json`, `application/octet-stream`) the document's own `mediaType` decides, or its shape.
    /// - Throws: ``VarveError`` with code `tooLarge` above ``bytesMax``; `manifestInvalid` with a sentence that says
    ///   where; `unsupported` for Docker's schema 1, whose layers this version would not know.
    public init(_ bytes: [UInt8], contentType: String? = nil) throws(VarveError) {
        guard bytes.count <= ManifestDocument.bytesMax else {
            throw VarveError(
                .tooLarge, "manifest of \(bytes.count) bytes, at most \(ManifestDocument.bytesMax) are taken")
        }
        do {
            self = try Parser(bytes, contentType: contentType).document()
        } catch {
            throw VarveError(.manifestInvalid, "manifest is not valid: \(error)")
        }
        if mediaType == MediaType.dockerSchema1 || mediaType == MediaType.dockerSchema1Signed {
            throw VarveError(.unsupported, "Docker manifests of version 2 schema 1 are not supported")
        }
    }

    /// What the engine must know of it.
    public var summary: ManifestSummary {
        let isOptional = { (layer: ContentDescriptor) -> Bool in
            kind == .opaque || layer.hasURLs || MediaType.isNonDistributable(layer.descriptor.mediaType)
        }
        let needed = layers.filter { !isOptional($0) }
        let optional = layers.filter(isOptional)
        return ManifestSummary(
            mediaType: mediaType,
            blobs: (kind == .opaque ? [] : config.map { [$0.descriptor] } ?? []) + needed.map(\.descriptor),
            optionalBlobs: (kind == .opaque ? config.map { [$0.descriptor] } ?? [] : []) + optional.map(\.descriptor),
            manifests: kind == .opaque ? [] : manifests.map(\.descriptor),
            subject: subject?.descriptor,
            artifactType: artifactType ?? (kind == .image ? config?.descriptor.mediaType : nil),
            annotationsJSON: annotationsJSON)
    }

    init(kind: Kind, mediaType: String) {
        self.kind = kind
        self.mediaType = mediaType
        layers = []
        manifests = []
        annotations = [:]
    }

    /// An OCI image manifest for a config and layers, as JSON.
    public static func image(config: Descriptor, layers: [Descriptor]) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.key("schemaVersion")
            json.value(2)
            json.key("mediaType")
            json.value(MediaType.ociManifest)
            json.key("config")
            ContentDescriptor(config).write(to: &json)
            json.key("layers")
            json.array { json in for layer in layers { ContentDescriptor(layer).write(to: &json) } }
        }
        return json.bytes
    }
}
