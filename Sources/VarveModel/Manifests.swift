// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What a descriptor says (OCI image specification, "OCI Content Descriptors"), as far as the engine needs it.
public struct Descriptor: Hashable, Sendable {
    /// The media type, as written.
    public var mediaType: String
    /// The digest of the described bytes.
    public var digest: Digest
    /// Their length.
    public var size: UInt64

    /// A descriptor of three parts.
    public init(mediaType: String, digest: Digest, size: UInt64) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
    }
}

/// What the engine must know of a manifest to keep what it names alive and to list it among referrers. Made from the
/// JSON by the module that understands it; the manifest's bytes themselves stay exactly as they were pushed.
public struct ManifestSummary: Hashable, Sendable {
    /// The media type under which the manifest was pushed and is served.
    public var mediaType: String
    /// Config and layers: blobs that must be in the repository.
    public var blobs: [Descriptor]
    /// Blobs named by the manifest that need not be there (non-distributable layers).
    public var optionalBlobs: [Descriptor]
    /// The manifests of an index: must be in the repository.
    public var manifests: [Descriptor]
    /// The manifest that this one refers to; may be absent from the repository.
    public var subject: Descriptor?
    /// `artifactType`, or the config's media type where there is none.
    public var artifactType: String?
    /// The manifest's annotations as one JSON object, or nil.
    public var annotationsJSON: [UInt8]?

    /// A summary of all its parts.
    public init(
        mediaType: String, blobs: [Descriptor] = [], optionalBlobs: [Descriptor] = [], manifests: [Descriptor] = [],
        subject: Descriptor? = nil, artifactType: String? = nil, annotationsJSON: [UInt8]? = nil
    ) {
        self.mediaType = mediaType
        self.blobs = blobs
        self.optionalBlobs = optionalBlobs
        self.manifests = manifests
        self.subject = subject
        self.artifactType = artifactType
        self.annotationsJSON = annotationsJSON
    }
}
