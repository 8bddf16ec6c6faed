// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

/// The documents of an OCI image layout directory (OCI image specification, "OCI Image Layout"): values only, no files.
public struct OCILayout: Hashable, Sendable {
    /// Name of the file that marks a layout.
    public static let markerPath = "oci-layout"
    /// Name of the index file.
    public static let indexPath = "index.json"
    /// The marker file's bytes.
    public static let markerBytes = Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)
    /// The annotation that carries an image's tag, or its whole reference.
    public static let refNameKey = "org.opencontainers.image.ref.name"
    /// The annotation in which containerd and docker carry the whole reference.
    public static let imageNameKey = "io.containerd.image.name"

    /// One image of the layout.
    public struct Entry: Hashable, Sendable {
        /// The image's manifest or index.
        public var content: ContentDescriptor

        /// An entry of its descriptor.
        public init(_ content: ContentDescriptor) { self.content = content }

        /// An entry that carries `name` as its reference.
        public init(_ descriptor: Descriptor, name: String?) {
            content = ContentDescriptor(descriptor, annotations: name.map { [OCILayout.refNameKey: $0] } ?? [:])
        }

        /// The image's reference or tag: containerd's annotation if it is there, else OCI's.
        public var name: String? {
            content.annotations[OCILayout.imageNameKey] ?? content.annotations[OCILayout.refNameKey]
        }
    }

    /// The images, in order.
    public var entries: [Entry]

    /// A layout of these images.
    public init(_ entries: [Entry]) { self.entries = entries }

    /// Reads `index.json`.
    /// - Throws: ``VarveError`` with code `manifestInvalid`, `tooLarge`.
    public init(index bytes: [UInt8]) throws(VarveError) {
        let document = try ManifestDocument(bytes, contentType: nil)
        guard document.kind == .index else {
            throw VarveError(.manifestInvalid, "\(OCILayout.indexPath) is not an image index")
        }
        entries = document.manifests.map(Entry.init)
    }

    /// Checks the marker file.
    /// - Throws: ``VarveError`` with code `manifestInvalid` if it is not a layout's, `unsupported` if its major version
    ///   is not 1.
    public static func check(marker bytes: [UInt8]) throws(VarveError) {
        var version: String?
        do {
            var reader = try JSONReader(bytes)
            try reader.object { (reader, key) throws(JSONFault) in
                if key == "imageLayoutVersion" { version = try reader.string() } else { try reader.skip() }
            }
            try reader.finish()
        } catch {
            throw VarveError(.manifestInvalid, "\(markerPath) is not valid: \(error)")
        }
        guard let version else { throw VarveError(.manifestInvalid, "\(markerPath) names no version") }
        guard version.hasPrefix("1.") else {
            throw VarveError(.unsupported, "OCI layout of version \(version), only 1 is known")
        }
    }

    /// `index.json` for the images.
    public var indexBytes: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.key("schemaVersion")
            json.value(2)
            json.key("mediaType")
            json.value(MediaType.ociIndex)
            json.key("manifests")
            json.array { json in for entry in entries { entry.content.write(to: &json) } }
        }
        return json.bytes
    }

    /// Where a blob lies, relative to the layout's directory: `blobs/sha256/…`.
    public static func path(of digest: Digest) -> String { "blobs/\(digest.algorithm.name)/\(digest.hex)" }

    /// The digest of a path that ``path(of:)`` gives; nil for any other.
    public static func digest(ofPath path: String) -> Digest? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "blobs" else { return nil }
        return Digest("\(parts[1]):\(parts[2])")
    }
}
