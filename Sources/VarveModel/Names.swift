// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A repository's name, `<name>` of the OCI distribution specification: path components of lower-case letters and
/// digits, joined by `/`, 255 bytes at most. A name never becomes a path.
public struct RepositoryName: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The name as text.
    public let description: String

    /// Parses a name: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/…)*`; nil for anything else.
    public init?(_ text: some StringProtocol) {
        guard !text.isEmpty, text.utf8.count <= 255 else { return nil }
        for component in text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard RepositoryName.isComponent(component) else { return nil }
        }
        description = String(text)
    }

    private static func isComponent(_ bytes: some Collection<UInt8>) -> Bool {
        var separator: [UInt8] = []
        var wasAlphanumeric = false
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                guard wasAlphanumeric || separator.isEmpty || isSeparator(separator) else { return false }
                separator = []
                wasAlphanumeric = true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                guard wasAlphanumeric || !separator.isEmpty else { return false }
                separator.append(byte)
                wasAlphanumeric = false
            default:
                return false
            }
        }
        return wasAlphanumeric
    }

    private static func isSeparator(_ bytes: [UInt8]) -> Bool {
        bytes == [UInt8(ascii: ".")] || bytes == [UInt8(ascii: "_")] || bytes == Array("__".utf8)
            || bytes.allSatisfy { $0 == UInt8(ascii: "-") }
    }

    /// By bytes, as catalogues are listed.
    public static func < (left: Self, right: Self) -> Bool {
        left.description.utf8.lexicographicallyPrecedes(right.description.utf8)
    }
}

/// A tag of the OCI distribution specification: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
public struct Tag: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The tag as text.
    public let description: String

    /// Parses a tag; nil if it does not fit the grammar.
    public init?(_ text: some StringProtocol) {
        guard (1...128).contains(text.utf8.count), let first = text.utf8.first else { return nil }
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isWord(first),
            text.utf8.dropFirst().allSatisfy({ isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
        else { return nil }
        description = String(text)
    }

    /// By bytes, as tag lists are ordered.
    public static func < (left: Self, right: Self) -> Bool {
        left.description.utf8.lexicographicallyPrecedes(right.description.utf8)
    }
}

/// What names a manifest within a repository: a tag or a digest.
public enum ManifestReference: Hashable, Sendable, CustomStringConvertible {
    case tag(Tag)
    case digest(Digest)

    /// Parses a digest if there is a `:` in the text, a tag otherwise; nil if neither fits.
    public init?(_ text: some StringProtocol) {
        if text.contains(":") {
            guard let digest = Digest(text) else { return nil }
            self = .digest(digest)
        } else {
            guard let tag = Tag(text) else { return nil }
            self = .tag(tag)
        }
    }

    /// The tag, or the digest as text.
    public var description: String {
        switch self {
        case .tag(let tag): tag.description
        case .digest(let digest): digest.description
        }
    }
}
