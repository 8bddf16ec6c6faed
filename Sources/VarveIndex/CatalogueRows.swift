// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

/// A repository that exists.
package struct RepositoryRow: Sendable, Equatable {
    /// When it was first pushed to, in seconds since 1970.
    package var createdAt: UInt64

    package init(createdAt: UInt64) { self.createdAt = createdAt }
}

/// A blob that may be read through a repository.
package struct LinkRow: Sendable, Equatable {
    /// When it was pushed or mounted there, in seconds since 1970.
    package var linkedAt: UInt64

    package init(linkedAt: UInt64) { self.linkedAt = linkedAt }
}

/// A manifest of a repository: what it names. Its bytes are the inline bytes of the blob of the same digest.
package struct ManifestRow: Sendable, Equatable {
    /// Something that the manifest names by digest.
    package struct Reference: Sendable, Equatable {
        /// What it is named as.
        package enum Kind: UInt8, Sendable {
            /// A config or a layer.
            case blob = 1
            /// A layer that need not be there.
            case optionalBlob = 2
            /// A manifest of an index.
            case manifest = 3
        }

        /// The digest of what is named.
        package var digest: Digest
        /// What it is named as.
        package var kind: Kind

        package init(digest: Digest, kind: Kind) {
            self.digest = digest
            self.kind = kind
        }
    }

    /// The media type under which it was pushed and is served.
    package var mediaType: String
    /// Length of its bytes.
    package var size: UInt64
    /// Everything it names but its subject.
    package var references: [Reference]
    /// The manifest that it refers to.
    package var subject: Digest?
    /// When it was pushed, in seconds since 1970.
    package var pushedAt: UInt64

    package init(
        mediaType: String, size: UInt64, references: [Reference] = [], subject: Digest? = nil, pushedAt: UInt64 = 0
    ) {
        self.mediaType = mediaType
        self.size = size
        self.references = references
        self.subject = subject
        self.pushedAt = pushedAt
    }
}

/// What a tag names.
package struct TagRow: Sendable, Equatable {
    /// The manifest's digest.
    package var digest: Digest
    /// The manifest's media type.
    package var mediaType: String
    /// When the tag was last set, in seconds since 1970.
    package var updatedAt: UInt64

    package init(digest: Digest, mediaType: String, updatedAt: UInt64 = 0) {
        self.digest = digest
        self.mediaType = mediaType
        self.updatedAt = updatedAt
    }
}

/// What the referrers list says of a manifest that refers to another (OCI distribution specification, end-12a).
package struct ReferrerRow: Sendable, Equatable {
    /// The referring manifest's media type.
    package var mediaType: String
    /// Its length in bytes.
    package var size: UInt64
    /// Its artifact type, if it has one.
    package var artifactType: String?
    /// Its annotations as one JSON object, if it has any.
    package var annotationsJSON: [UInt8]?

    package init(mediaType: String, size: UInt64, artifactType: String? = nil, annotationsJSON: [UInt8]? = nil) {
        self.mediaType = mediaType
        self.size = size
        self.artifactType = artifactType
        self.annotationsJSON = annotationsJSON
    }
}

extension RepositoryRow: CodedRow {
    static var rowName: StaticString { "repository row" }
    func write(to writer: inout RowWriter) { writer.varint(createdAt) }
    init(from reader: inout RowReader) throws(IndexError) { self.init(createdAt: try reader.varint()) }
}

extension LinkRow: CodedRow {
    static var rowName: StaticString { "link row" }
    func write(to writer: inout RowWriter) { writer.varint(linkedAt) }
    init(from reader: inout RowReader) throws(IndexError) { self.init(linkedAt: try reader.varint()) }
}

extension ManifestRow: CodedRow {
    static var rowName: StaticString { "manifest row" }

    func write(to writer: inout RowWriter) {
        writer.string(mediaType)
        writer.varint(size)
        writer.varint(pushedAt)
        writer.byte(subject == nil ? 0 : 1)
        if let subject { writer.digest(subject) }
        writer.varint(UInt64(references.count))
        for reference in references {
            writer.byte(reference.kind.rawValue)
            writer.digest(reference.digest)
        }
    }

    init(from reader: inout RowReader) throws(IndexError) {
        let mediaType = try reader.text()
        let size = try reader.varint()
        let pushedAt = try reader.varint()
        var subject: Digest?
        switch try reader.byte() {
        case 0: break
        case 1: subject = try reader.digest()
        default: throw reader.damaged("an unknown subject")
        }
        let count = try reader.varint()
        // A reference takes 34 bytes at least, so this bounds what is allocated by what was read.
        guard count <= UInt64(reader.remaining) / 34 else { throw reader.damaged("more references than bytes") }
        var references: [Reference] = []
        references.reserveCapacity(Int(truncatingIfNeeded: count))
        for _ in 0..<count {
            guard let kind = Reference.Kind(rawValue: try reader.byte()) else {
                throw reader.damaged("an unknown kind")
            }
            references.append(Reference(digest: try reader.digest(), kind: kind))
        }
        self.init(mediaType: mediaType, size: size, references: references, subject: subject, pushedAt: pushedAt)
    }
}

extension TagRow: CodedRow {
    static var rowName: StaticString { "tag row" }

    func write(to writer: inout RowWriter) {
        writer.digest(digest)
        writer.string(mediaType)
        writer.varint(updatedAt)
    }

    init(from reader: inout RowReader) throws(IndexError) {
        self.init(digest: try reader.digest(), mediaType: try reader.text(), updatedAt: try reader.varint())
    }
}

extension ReferrerRow: CodedRow {
    static var rowName: StaticString { "referrer row" }

    func write(to writer: inout RowWriter) {
        writer.string(mediaType)
        writer.varint(size)
        writer.byte((artifactType == nil ? 0 : 1) | (annotationsJSON == nil ? 0 : 2))
        if let artifactType { writer.string(artifactType) }
        if let annotationsJSON { writer.string(annotationsJSON) }
    }

    init(from reader: inout RowReader) throws(IndexError) {
        let mediaType = try reader.text()
        let size = try reader.varint()
        let present = try reader.byte()
        guard present < 4 else { throw reader.damaged("unknown fields") }
        self.init(
            mediaType: mediaType, size: size, artifactType: present & 1 != 0 ? try reader.text() : nil,
            annotationsJSON: present & 2 != 0 ? Array(try reader.string()) : nil)
    }
}
