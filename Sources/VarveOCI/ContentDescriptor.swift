// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

/// A descriptor as it stands in a document, with the parts that tools show (OCI image specification, "OCI Content
/// Descriptors").
public struct ContentDescriptor: Hashable, Sendable {
    /// Media type, digest, length.
    public var descriptor: Descriptor
    /// `artifactType`, if it is there.
    public var artifactType: String?
    /// `annotations`, empty if there are none.
    public var annotations: [String: String]
    /// The `annotations` object as written, if it is there.
    public var annotationsJSON: [UInt8]?
    /// `platform`, if it is there.
    public var platform: Platform?
    /// Whether `urls` names other places to get the bytes from.
    public var hasURLs: Bool

    /// A descriptor of all its parts.
    public init(
        _ descriptor: Descriptor, artifactType: String? = nil, annotations: [String: String] = [:],
        platform: Platform? = nil
    ) {
        self.descriptor = descriptor
        self.artifactType = artifactType
        self.annotations = annotations
        self.platform = platform
        hasURLs = false
    }

    /// The platform that an index gives for one of its manifests.
    public struct Platform: Hashable, Sendable, CustomStringConvertible {
        /// Operating system, such as `linux`.
        public var os: String
        /// Architecture, such as `amd64`.
        public var architecture: String
        /// Variant, such as `v8`.
        public var variant: String?

        /// A platform of its parts.
        public init(os: String, architecture: String, variant: String? = nil) {
            self.os = os
            self.architecture = architecture
            self.variant = variant
        }

        /// `linux/arm64/v8`.
        public var description: String { ([os, architecture] + (variant.map { [$0] } ?? [])).joined(separator: "/") }
    }
}

extension ContentDescriptor {
    /// Reads a descriptor strictly: digest, length and media type must be there and well formed.
    static func read(_ reader: inout JSONReader) throws(JSONFault) -> ContentDescriptor {
        let start = reader.offset
        var mediaType: String?
        var digest: Digest?
        var size: UInt64?
        var result = ContentDescriptor(Descriptor(mediaType: "", digest: placeholder, size: 0))
        try reader.object { (reader, key) throws(JSONFault) in
            switch key {
            case "mediaType": mediaType = try reader.string()
            case "digest":
                let offset = reader.offset
                digest = Digest(try reader.string())
                if digest == nil { throw JSONFault(message: "malformed or unsupported digest", offset: offset) }
            case "size":
                let offset = reader.offset
                size = UInt64(exactly: try reader.integer())
                if size == nil { throw JSONFault(message: "negative size", offset: offset) }
            case "urls":
                if try reader.null() { return }
                try reader.array { (reader) throws(JSONFault) in
                    _ = try reader.string()
                    result.hasURLs = true
                }
            case "annotations": (result.annotations, result.annotationsJSON) = try annotations(&reader)
            case "data": if try !reader.null() { _ = try reader.string() }
            case "artifactType": if try !reader.null() { result.artifactType = try reader.string() }
            case "platform": if try !reader.null() { result.platform = try platform(&reader) }
            default:
                try refuseLookalike(key, of: ["mediatype", "digest", "size", "urls", "data"], at: reader)
                try reader.skip()
            }
        }
        guard let mediaType, !mediaType.isEmpty else {
            throw JSONFault(message: "descriptor without mediaType", offset: start)
        }
        guard let digest else { throw JSONFault(message: "descriptor without digest", offset: start) }
        guard let size else { throw JSONFault(message: "descriptor without size", offset: start) }
        result.descriptor = Descriptor(mediaType: mediaType, digest: digest, size: size)
        return result
    }

    /// Reads an object of strings, or `null`; also returns it as written.
    static func annotations(_ reader: inout JSONReader) throws(JSONFault) -> ([String: String], [UInt8]?) {
        if try reader.null() { return ([:], nil) }
        var values: [String: String] = [:]
        let raw = try reader.raw { (reader) throws(JSONFault) in
            try reader.object { (reader, key) throws(JSONFault) in values[key] = try reader.string() }
        }
        return (values, raw)
    }

    private static func platform(_ reader: inout JSONReader) throws(JSONFault) -> Platform {
        var platform = Platform(os: "", architecture: "")
        try reader.object { (reader, key) throws(JSONFault) in
            switch key {
            case "os": platform.os = try reader.string()
            case "architecture": platform.architecture = try reader.string()
            case "variant": platform.variant = try reader.string()
            default: try reader.skip()
            }
        }
        return platform
    }

    /// Throws if `key` would be taken for one of `names` (in lower case) by a reader that does not mind case. Such a
    /// reader would see another document than we do.
    static func refuseLookalike(_ key: String, of names: Set<String>, at reader: JSONReader) throws(JSONFault) {
        if names.contains(key.lowercased()) { throw reader.fault("key that differs from a known one in case only") }
    }

    /// A place-holder until the true one is read.
    private static var placeholder: Digest {
        guard let digest = Digest(.sha256, bytes: [UInt8](repeating: 0, count: 32)) else {
            preconditionFailure("32 bytes are a SHA-256 digest")
        }
        return digest
    }

    /// Writes the descriptor as JSON.
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.key("mediaType")
            json.value(descriptor.mediaType)
            json.key("digest")
            json.value(descriptor.digest.description)
            json.key("size")
            json.value(descriptor.size)
            if let artifactType {
                json.key("artifactType")
                json.value(artifactType)
            }
            if let platform {
                json.key("platform")
                json.object { json in
                    json.key("architecture")
                    json.value(platform.architecture)
                    json.key("os")
                    json.value(platform.os)
                    if let variant = platform.variant {
                        json.key("variant")
                        json.value(variant)
                    }
                }
            }
            if let annotationsJSON {
                json.key("annotations")
                json.raw(annotationsJSON)
            } else if !annotations.isEmpty {
                json.key("annotations")
                json.object { json in
                    for (key, value) in annotations.sorted(by: { $0.key < $1.key }) {
                        json.key(key)
                        json.value(value)
                    }
                }
            }
        }
    }
}
