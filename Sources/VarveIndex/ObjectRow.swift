// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

/// A bucket.
package struct BucketRow: Sendable, Equatable {
    /// When it was made, in milliseconds since 1970.
    package var createdMilliseconds: UInt64

    package init(createdMilliseconds: UInt64) { self.createdMilliseconds = createdMilliseconds }
}

extension BucketRow: CodedRow {
    static var rowName: StaticString { "bucket row" }

    func write(to writer: inout RowWriter) { writer.varint(createdMilliseconds) }

    init(from reader: inout RowReader) throws(IndexError) { self.init(createdMilliseconds: try reader.varint()) }
}

/// Where an object is: the bucket's name, one of its namespaces, the key's bytes.
package struct ObjectPlace: Sendable, Hashable {
    package var bucket: String
    package var namespace: UInt8
    package var key: [UInt8]

    package init(bucket: String, namespace: UInt8, key: [UInt8]) {
        self.bucket = bucket
        self.namespace = namespace
        self.key = key
    }
}

/// Bytes that follow one another in an object.
package enum Extent: Sendable, Equatable {
    /// The bytes themselves.
    case bytes([UInt8])
    /// Bytes of a spool file.
    case spool(SIMD16<UInt8>, offset: UInt64, length: UInt64)
    /// Bytes of a blob.
    case blob(Digest, offset: UInt64, length: UInt64)

    /// How many bytes they are.
    package var length: UInt64 {
        switch self {
        case .bytes(let bytes): UInt64(bytes.count)
        case .spool(_, _, let length), .blob(_, _, let length): length
        }
    }
}

/// An object: what a front end keeps with it, and where its bytes are.
package struct ObjectRow: Sendable, Equatable {
    /// The number of this version of the object: every write takes the next one.
    package var version: UInt64
    /// When it was written, in milliseconds since 1970.
    package var modifiedMilliseconds: UInt64
    /// The entity tag.
    package var etag: String
    /// The media type.
    package var contentType: String
    /// What else the front end keeps, by name.
    package var fields: [String: String]
    /// The object's bytes, one behind the other.
    package var extents: [Extent]

    package init(
        version: UInt64, modifiedMilliseconds: UInt64, etag: String = "", contentType: String = "",
        fields: [String: String] = [:], extents: [Extent] = []
    ) {
        self.version = version
        self.modifiedMilliseconds = modifiedMilliseconds
        self.etag = etag
        self.contentType = contentType
        self.fields = fields
        self.extents = extents
    }

    /// The object's length in bytes.
    package var size: UInt64 { extents.reduce(0) { $0 &+ $1.length } }

    /// The spool files that hold bytes of it.
    package var spools: Set<SIMD16<UInt8>> {
        var found: Set<SIMD16<UInt8>> = []
        for case .spool(let id, _, _) in extents { found.insert(id) }
        return found
    }

    /// The blobs that hold bytes of it.
    package var blobs: Set<Digest> {
        var found: Set<Digest> = []
        for case .blob(let digest, _, _) in extents { found.insert(digest) }
        return found
    }
}

extension ObjectRow: CodedRow {
    static var rowName: StaticString { "object row" }

    func write(to writer: inout RowWriter) {
        writer.varint(version)
        writer.varint(modifiedMilliseconds)
        writer.string(etag)
        writer.string(contentType)
        writer.varint(UInt64(fields.count))
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
            writer.string(name)
            writer.string(value)
        }
        writer.varint(UInt64(extents.count))
        for extent in extents {
            switch extent {
            case .bytes(let bytes):
                writer.byte(0)
                writer.string(bytes)
            case .spool(let id, let offset, let length):
                writer.byte(1)
                writer.raw(Key.pack(id))
                writer.varint(offset)
                writer.varint(length)
            case .blob(let digest, let offset, let length):
                writer.byte(2)
                writer.digest(digest)
                writer.varint(offset)
                writer.varint(length)
            }
        }
    }

    init(from reader: inout RowReader) throws(IndexError) {
        self.init(
            version: try reader.varint(), modifiedMilliseconds: try reader.varint(), etag: try reader.text(),
            contentType: try reader.text())
        let fieldCount = try reader.varint()
        // Two lengths each at least, so this bounds what is allocated by what was read.
        guard fieldCount <= UInt64(reader.remaining) / 2 else { throw reader.damaged("more fields than bytes") }
        for _ in 0..<fieldCount {
            let name = try reader.text()
            fields[name] = try reader.text()
        }
        let extentCount = try reader.varint()
        guard extentCount <= UInt64(reader.remaining) / 2 else { throw reader.damaged("more extents than bytes") }
        extents.reserveCapacity(Int(truncatingIfNeeded: extentCount))
        var size: UInt64 = 0
        for _ in 0..<extentCount {
            let extent: Extent
            switch try reader.byte() {
            case 0: extent = .bytes(Array(try reader.string()))
            case 1:
                let id = try reader.raw(16).loadUnaligned(as: SIMD16<UInt8>.self)
                extent = .spool(id, offset: try reader.varint(), length: try reader.varint())
            case 2:
                extent = .blob(try reader.digest(), offset: try reader.varint(), length: try reader.varint())
            default: throw reader.damaged("an unknown kind of extent")
            }
            let (sum, isTooLarge) = size.addingReportingOverflow(extent.length)
            guard !isTooLarge else { throw reader.damaged("more bytes than can be counted") }
            size = sum
            extents.append(extent)
        }
    }
}

/// An object whose key ends in a digest, which waits for its bytes to be taken in as a blob.
package struct AdoptionRow: Sendable, Equatable {
    /// The object.
    package var place: ObjectPlace
    /// Its version: another one is another row's.
    package var version: UInt64
    /// The digest that its key promises.
    package var digest: Digest

    package init(place: ObjectPlace, version: UInt64, digest: Digest) {
        self.place = place
        self.version = version
        self.digest = digest
    }
}

extension AdoptionRow: CodedRow {
    static var rowName: StaticString { "adoption row" }

    func write(to writer: inout RowWriter) {
        writer.place(place)
        writer.varint(version)
        writer.digest(digest)
    }

    init(from reader: inout RowReader) throws(IndexError) {
        self.init(place: try reader.place(), version: try reader.varint(), digest: try reader.digest())
    }
}

/// A number of references.
struct CountRow: Equatable {
    var count: UInt64
}

extension CountRow: CodedRow {
    static var rowName: StaticString { "count row" }
    func write(to writer: inout RowWriter) { writer.varint(count) }
    init(from reader: inout RowReader) throws(IndexError) { self.init(count: try reader.varint()) }
}

extension RowWriter {
    mutating func place(_ place: ObjectPlace) {
        string(place.bucket)
        byte(place.namespace)
        string(place.key)
    }
}

extension RowReader {
    mutating func place() throws(IndexError) -> ObjectPlace {
        ObjectPlace(bucket: try text(), namespace: try byte(), key: Array(try string()))
    }
}
