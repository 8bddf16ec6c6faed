// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveModel

extension ManifestDocument {
    /// Reads one document twice: first its top-level keys and `mediaType`, which decide what it is; then its parts, as
    /// that kind demands.
    struct Parser {
        private let bytes: [UInt8]
        private let contentType: String?

        init(_ bytes: [UInt8], contentType: String?) {
            self.bytes = bytes
            self.contentType = contentType.map(MediaType.essence).flatMap { Parser.isGeneral($0) ? nil : $0 }
        }

        func document() throws(JSONFault) -> ManifestDocument {
            let shape = try shape()
            if let mediaType = shape.mediaType, let contentType, mediaType.lowercased() != contentType {
                throw JSONFault(message: "mediaType is not the Content-Type", offset: 0)
            }
            let mediaType = shape.mediaType ?? contentType ?? shape.likelyMediaType
            guard let mediaType else { throw JSONFault(message: "neither mediaType nor Content-Type", offset: 0) }
            let kind = Parser.kind(of: mediaType)
            if kind == .image || kind == .index, shape.schemaVersion != 2 {
                throw JSONFault(message: "schemaVersion is not 2", offset: 0)
            }
            return try parts(of: ManifestDocument(kind: kind, mediaType: mediaType))
        }

        /// What the top level shows.
        private struct Shape {
            var mediaType: String?
            var schemaVersion: Int64?
            var keys: Set<String> = []

            /// The type of a document that does not say and came with none.
            var likelyMediaType: String? {
                guard schemaVersion == 2 else { return nil }
                if keys.contains("manifests") { return MediaType.ociIndex }
                return keys.contains("config") && keys.contains("layers") ? MediaType.ociManifest : nil
            }
        }

        private func shape() throws(JSONFault) -> Shape {
            var reader = try JSONReader(bytes)
            var shape = Shape()
            try reader.object { (reader, key) throws(JSONFault) in
                switch key {
                case "mediaType":
                    let text = try reader.string()
                    if !text.isEmpty { shape.mediaType = text }
                case "schemaVersion": shape.schemaVersion = try reader.integer()
                case "config", "layers", "blobs", "manifests", "subject", "artifactType", "annotations":
                    shape.keys.insert(key)
                    try reader.skip()
                default:
                    try ContentDescriptor.refuseLookalike(key, of: Parser.known, at: reader)
                    try reader.skip()
                }
            }
            try reader.finish()
            if shape.keys.contains("manifests"), shape.keys.contains("layers") || shape.keys.contains("config") {
                throw JSONFault(message: "both an index's and an image's keys", offset: 0)
            }
            return shape
        }

        private func parts(of document: consuming ManifestDocument) throws(JSONFault) -> ManifestDocument {
            var document = document
            var reader = try JSONReader(bytes)
            var seen: Set<String> = []
            let kind = document.kind
            do {
                try reader.object { (reader, key) throws(JSONFault) in
                    seen.insert(key)
                    switch key {
                    case "config": document.config = try ContentDescriptor.read(&reader)
                    case "layers" where kind != .artifact, "blobs" where kind == .artifact || kind == .opaque:
                        document.layers += try Parser.descriptors(&reader)
                    case "manifests" where kind != .artifact: document.manifests = try Parser.descriptors(&reader)
                    case "subject":
                        if try !reader.null() { document.subject = try ContentDescriptor.read(&reader) }
                    case "artifactType":
                        if try !reader.null() {
                            let text = try reader.string()
                            document.artifactType = text.isEmpty ? nil : text
                        }
                    case "annotations":
                        (document.annotations, document.annotationsJSON) = try ContentDescriptor.annotations(&reader)
                    default: try reader.skip()
                    }
                }
            } catch {
                // Of a type that we do not know, nothing is demanded but that it is an object.
                if kind == .opaque { return ManifestDocument(kind: .opaque, mediaType: document.mediaType) }
                throw error
            }
            switch kind {
            case .image where !seen.isSuperset(of: ["config", "layers"]):
                throw JSONFault(message: "image manifest without config or layers", offset: 0)
            case .index where !seen.contains("manifests"):
                throw JSONFault(message: "index without manifests", offset: 0)
            default: return document
            }
        }

        /// An array of descriptors; `null` counts as an empty one, as Go writes it.
        private static func descriptors(_ reader: inout JSONReader) throws(JSONFault) -> [ContentDescriptor] {
            if try reader.null() { return [] }
            var all: [ContentDescriptor] = []
            try reader.array { (reader) throws(JSONFault) in all.append(try ContentDescriptor.read(&reader)) }
            return all
        }

        private static func kind(of mediaType: String) -> Kind {
            switch mediaType {
            case MediaType.ociManifest, MediaType.dockerManifest: .image
            case MediaType.ociIndex, MediaType.dockerList: .index
            case MediaType.ociArtifact: .artifact
            default: .opaque
            }
        }

        private static func isGeneral(_ mediaType: String) -> Bool {
            ["", "application/json", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"]
                .contains(mediaType)
        }

        /// Top-level keys in lower case.
        private static let known: Set<String> = [
            "schemaversion", "mediatype", "config", "layers", "blobs", "manifests", "subject", "artifacttype",
            "annotations",
        ]
    }
}
