// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

/// The documents of a `docker save` archive: values only; the tar around them is the caller's.
public struct DockerArchive: Hashable, Sendable {
    /// Name of the file that lists the images.
    public static let manifestPath = "manifest.json"

    /// One image of the archive.
    public struct Image: Hashable, Sendable {
        /// Path of the config within the archive.
        public var configPath: String
        /// References, such as `debian:12`; empty for an image without a name.
        public var names: [String]
        /// Paths of the layers within the archive, base first. A layer that occurs twice may be a symbolic link there.
        public var layerPaths: [String]

        /// An image of its parts.
        public init(configPath: String, names: [String], layerPaths: [String]) {
            self.configPath = configPath
            self.names = names
            self.layerPaths = layerPaths
        }
    }

    /// The images, in order.
    public var images: [Image]

    /// An archive of these images.
    public init(_ images: [Image]) { self.images = images }

    /// Reads `manifest.json`.
    /// - Throws: ``VarveError`` with code `manifestInvalid`, also for a path that is absolute or leaves the archive;
    ///   `tooLarge`.
    public init(manifest bytes: [UInt8]) throws(VarveError) {
        guard bytes.count <= ManifestDocument.bytesMax else {
            throw VarveError(.tooLarge, "\(DockerArchive.manifestPath) of \(bytes.count) bytes")
        }
        do { images = try DockerArchive.read(bytes) } catch {
            throw VarveError(.manifestInvalid, "\(DockerArchive.manifestPath) is not valid: \(error)")
        }
    }

    /// `manifest.json` for the images.
    public var manifestBytes: [UInt8] {
        var json = JSONWriter()
        json.array { json in
            for image in images {
                json.object { json in
                    json.key("Config")
                    json.value(image.configPath)
                    json.key("RepoTags")
                    json.array { json in for name in image.names { json.value(name) } }
                    json.key("Layers")
                    json.array { json in for path in image.layerPaths { json.value(path) } }
                }
            }
        }
        return json.bytes
    }

    private static func read(_ bytes: [UInt8]) throws(JSONFault) -> [Image] {
        var reader = try JSONReader(bytes)
        var images: [Image] = []
        try reader.array { (reader) throws(JSONFault) in images.append(try image(&reader)) }
        try reader.finish()
        return images
    }

    private static func image(_ reader: inout JSONReader) throws(JSONFault) -> Image {
        var image = Image(configPath: "", names: [], layerPaths: [])
        try reader.object { (reader, key) throws(JSONFault) in
            switch key {
            case "Config": image.configPath = try path(&reader)
            case "RepoTags":
                if try reader.null() { return }
                try reader.array { (reader) throws(JSONFault) in image.names.append(try reader.string()) }
            case "Layers":
                if try reader.null() { return }
                try reader.array { (reader) throws(JSONFault) in image.layerPaths.append(try path(&reader)) }
            default: try reader.skip()
            }
        }
        guard !image.configPath.isEmpty else { throw reader.fault("image without a config") }
        return image
    }

    private static func path(_ reader: inout JSONReader) throws(JSONFault) -> String {
        let text = try reader.string()
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }), !text.utf8.contains(0) else {
            throw reader.fault("path that is not plain and relative")
        }
        return text
    }
}
