// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The media types of OCI and Docker images that mean something to a store; any other is only a name.
public enum MediaType {
    /// OCI image manifest.
    public static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    /// OCI image index.
    public static let ociIndex = "application/vnd.oci.image.index.v1+json"
    /// OCI artifact manifest (a release candidate of OCI 1.1 had it; some registries still hold them).
    public static let ociArtifact = "application/vnd.oci.artifact.manifest.v1+json"
    /// OCI image configuration.
    public static let ociConfig = "application/vnd.oci.image.config.v1+json"
    /// An uncompressed layer.
    public static let ociLayer = "application/vnd.oci.image.layer.v1.tar"
    /// A gzip layer.
    public static let ociLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    /// A zstd layer.
    public static let ociLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    /// The two bytes `{}`, the config of an artifact that has none.
    public static let ociEmpty = "application/vnd.oci.empty.v1+json"
    /// Docker image manifest, version 2 schema 2.
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    /// Docker manifest list.
    public static let dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
    /// Docker image manifest, version 2 schema 1: not supported.
    public static let dockerSchema1 = "application/vnd.docker.distribution.manifest.v1+json"
    /// The same with a signature: not supported.
    public static let dockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"

    /// Whether a layer of that type is, by licence, not to be pushed: it lies elsewhere, under its descriptor's URLs.
    public static func isNonDistributable(_ mediaType: String) -> Bool {
        mediaType.hasPrefix("application/vnd.oci.image.layer.nondistributable.v1.")
            || mediaType.hasPrefix("application/vnd.docker.image.rootfs.foreign.diff.")
    }

    /// The type without parameters and surrounding space, in lower case: `text/plain; a=b` is `text/plain`.
    public static func essence(_ field: String) -> String {
        var bytes = field.utf8.prefix { $0 != UInt8(ascii: ";") }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes = bytes.dropLast() }
        let trimmed = bytes.drop { $0 == 0x20 || $0 == 0x09 }
        return String(Substring(trimmed)).lowercased()
    }
}
