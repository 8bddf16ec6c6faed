// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The name of a bucket: 3 to 63 bytes of `a-z`, `0-9`, `.` and `-`, beginning and ending with a letter or a digit,
/// without two dots side by side. A name never becomes a path as it is.
public struct BucketName: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The name as text.
    public let description: String

    /// Parses a name; nil if it does not fit the grammar.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard (3...63).contains(bytes.count) else { return nil }
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        var last: UInt8 = 0
        for byte in bytes {
            guard isAlphanumeric(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "."),
                !(byte == UInt8(ascii: ".") && last == byte)
            else { return nil }
            last = byte
        }
        guard isAlphanumeric(bytes[0]), isAlphanumeric(last) else { return nil }
        description = String(decoding: bytes, as: UTF8.self)
    }

    /// By bytes, as buckets are listed.
    public static func < (left: Self, right: Self) -> Bool {
        left.description.utf8.lexicographicallyPrecedes(right.description.utf8)
    }
}

/// The key of an object: 1 to 1,024 bytes of UTF-8, any characters. A key never becomes a path.
///
/// Keys are equal and ordered by their bytes, unlike `String`, for which differently composed characters are the same.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Most bytes that a client's key may have.
    public static let byteCountMax = 1024
    /// Most bytes of a key made from a client's key and more.
    package static let derivedByteCountMax = 2560
    /// The key's bytes: UTF-8.
    public let bytes: [UInt8]

    /// A key; nil if the text is empty or too long.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard (1...Self.byteCountMax).contains(bytes.count) else { return nil }
        self.bytes = bytes
    }

    /// A key of bytes; nil if they are no UTF-8, none, or too many.
    public init?(utf8 bytes: [UInt8]) {
        guard (1...Self.byteCountMax).contains(bytes.count), String(validating: bytes, as: UTF8.self) != nil else {
            return nil
        }
        self.bytes = bytes
    }

    /// A key of a hidden namespace, or one that was checked before.
    package init?(derived bytes: [UInt8]) {
        guard (1...Self.derivedByteCountMax).contains(bytes.count) else { return nil }
        self.bytes = bytes
    }

    /// The key as text.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// By bytes.
    public static func < (left: Self, right: Self) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// One of the separate sets of keys that every bucket has. Only `objects` is what clients list; the others hold what is
/// not yet an object.
public enum ObjectNamespace: UInt8, Hashable, Sendable, CaseIterable {
    /// The bucket's objects.
    case objects = 0
    /// Unfinished multipart uploads: one object each, named by ``UploadName``.
    case uploads = 1
    /// Their parts, named by ``UploadName/partKey(_:)``.
    case parts = 2
}

/// Where an object is: bucket, namespace, key.
public struct ObjectAddress: Hashable, Sendable, CustomStringConvertible {
    /// The bucket.
    public var bucket: BucketName
    /// The set of keys within it.
    public var namespace: ObjectNamespace
    /// The key.
    public var key: ObjectKey

    /// An address of its parts.
    public init(_ bucket: BucketName, _ key: ObjectKey, in namespace: ObjectNamespace = .objects) {
        self.bucket = bucket
        self.namespace = namespace
        self.key = key
    }

    /// Bucket and key, for messages.
    public var description: String {
        namespace == .objects ? "\(bucket)/\(key)" : "\(bucket)/\(key) (\(namespace))"
    }
}
