// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

/// What a front end keeps with an object, atomically with its bytes. The driver gives it back as it was and attaches no
/// meaning to it, save that ``WriteCondition`` compares ``etag``.
public struct ObjectAttributes: Hashable, Sendable {
    /// Most bytes of all texts together.
    public static let byteCountMax = 64 << 10
    /// The entity tag, without quotes.
    public var etag: String
    /// The media type, empty if none was given.
    public var contentType: String
    /// Everything else, by name: user metadata, checksums, headers to be given back.
    public var fields: [String: String]

    /// Attributes of their parts.
    public init(etag: String = "", contentType: String = "", fields: [String: String] = [:]) {
        self.etag = etag
        self.contentType = contentType
        self.fields = fields
    }

    /// - Throws: `tooLarge` past ``byteCountMax``.
    package func check() throws(VarveError) {
        let bytes = fields.reduce(etag.utf8.count + contentType.utf8.count) {
            $0 + $1.key.utf8.count + $1.value.utf8.count
        }
        guard bytes <= Self.byteCountMax, fields.count <= 1024 else {
            throw VarveError(.tooLarge, "an object's attributes have more than \(Self.byteCountMax) bytes")
        }
    }
}

/// What is known of an object.
public struct ObjectInfo: Hashable, Sendable {
    /// Its key.
    public var key: ObjectKey
    /// Its length in bytes.
    public var size: UInt64
    /// When it was written, milliseconds since 1970. For people, never for order.
    public var modifiedMilliseconds: UInt64
    /// Another number for each object ever written in this store: an object that has been replaced, even by the same
    /// bytes, has another one.
    public var version: UInt64
    /// What was kept with it.
    public var attributes: ObjectAttributes

    /// Information of its parts.
    public init(
        key: ObjectKey, size: UInt64, modifiedMilliseconds: UInt64, version: UInt64, attributes: ObjectAttributes
    ) {
        self.key = key
        self.size = size
        self.modifiedMilliseconds = modifiedMilliseconds
        self.version = version
        self.attributes = attributes
    }
}

/// What is known of a bucket.
public struct BucketInfo: Hashable, Sendable {
    /// Its name.
    public var name: BucketName
    /// When it was made, milliseconds since 1970.
    public var createdMilliseconds: UInt64

    /// Information of its parts.
    public init(name: BucketName, createdMilliseconds: UInt64) {
        self.name = name
        self.createdMilliseconds = createdMilliseconds
    }
}

/// What must hold for a write to happen, looked at in the same atomic step.
public struct WriteCondition: Hashable, Sendable {
    /// What must be at the address that is written to.
    public enum Target: Hashable, Sendable {
        /// Anything or nothing.
        case any
        /// Nothing (`If-None-Match: *`).
        case absent
        /// Something (`If-Match: *`).
        case present
        /// An object with one of these entity tags (`If-Match`).
        case matching([String])
        /// No object, or one with none of these entity tags (`If-None-Match`).
        case notMatching([String])
    }
    /// What must be at the address that is written to; else `preconditionFailed`.
    public var target: Target
    /// Another object of any namespace that must be there, else `uploadUnknown`: the upload that a part belongs to.
    public var upload: ObjectAddress?

    /// A condition of its parts.
    public init(_ target: Target = .any, upload: ObjectAddress? = nil) {
        self.target = target
        self.upload = upload
    }

    /// No condition.
    public static var none: WriteCondition { WriteCondition() }

    /// Whether what is at the target fits; `etag` is that of the object there, nil if there is none.
    /// - Throws: `preconditionFailed`.
    package func check(etag: String?) throws(VarveError) {
        let isFulfilled: Bool =
            switch target {
            case .any: true
            case .absent: etag == nil
            case .present: etag != nil
            case .matching(let tags): etag.map(tags.contains) ?? false
            case .notMatching(let tags): etag.map { !tags.contains($0) } ?? true
            }
        guard isFulfilled else {
            throw VarveError(.preconditionFailed, "what is at the key is not what the write depends on")
        }
    }
}

/// A part of an object that another one is to be made of.
public struct ObjectPiece: Hashable, Sendable {
    /// The object.
    public var source: ObjectAddress
    /// Byte offsets in it, upper bound excluded; nil = all of it.
    public var range: Range<UInt64>?
    /// ``ObjectInfo/version`` that it must have, else `preconditionFailed`; nil = any.
    public var version: UInt64?

    /// A piece of its parts.
    public init(_ source: ObjectAddress, range: Range<UInt64>? = nil, version: UInt64? = nil) {
        self.source = source
        self.range = range
        self.version = version
    }
}
