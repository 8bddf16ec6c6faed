// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import VarveModel

// The keys of the tables. LMDB bounds a key to 511 bytes; the longest of ours is repository (255) ‖ 0 ‖ digest (65) ‖
// digest (65). A repository's name holds no zero byte, and a digest's first byte tells its length, so no key of a table
// is a prefix of another one's key and a prefix scan finds exactly one repository's, or one subject's, rows.

enum Key {
    /// Longest key of any table, in bytes.
    static let maximumBytes = 511

    static func digest(_ digest: Digest) -> [UInt8] {
        var writer = RowWriter()
        writer.digest(digest)
        return writer.bytes
    }

    static func repository(_ name: RepositoryName) -> [UInt8] { Array(name.description.utf8) }

    /// What all keys of rows within a repository begin with.
    static func within(_ name: RepositoryName) -> [UInt8] { Array(name.description.utf8) + [0] }

    static func within(_ name: RepositoryName, _ digest: Digest) -> [UInt8] { within(name) + Key.digest(digest) }

    static func within(_ name: RepositoryName, _ tag: Tag) -> [UInt8] { within(name) + Array(tag.description.utf8) }

    /// What the keys of all referrers of `subject` begin with.
    static func referrers(_ name: RepositoryName, of subject: Digest) -> [UInt8] { within(name, subject) }

    static func referrer(_ name: RepositoryName, of subject: Digest, _ manifest: Digest) -> [UInt8] {
        within(name, subject) + Key.digest(manifest)
    }

    static func holder(of digest: Digest, _ name: RepositoryName) -> [UInt8] {
        Key.digest(digest) + Array(name.description.utf8)
    }

    static func number(_ number: UInt32) -> [UInt8] {
        var writer = RowWriter(capacity: 4)
        writer.ordered(number)
        return writer.bytes
    }

    static func number(_ number: UInt64) -> [UInt8] {
        var writer = RowWriter(capacity: 8)
        writer.ordered(number)
        return writer.bytes
    }

    static func pack(_ id: SIMD16<UInt8>) -> [UInt8] { (0..<16).map { id[$0] } }
}

extension RowReader {
    /// Everything that is left, as a digest.
    mutating func lastDigest() throws(IndexError) -> Digest {
        let digest = try digest()
        try end()
        return digest
    }

    /// Everything that is left, as a repository's name.
    mutating func lastRepository() throws(IndexError) -> RepositoryName {
        guard let name = RepositoryName(String(decoding: rest(), as: UTF8.self)) else {
            throw damaged("no repository name")
        }
        return name
    }

    /// A byte string as a repository's name.
    mutating func repository() throws(IndexError) -> RepositoryName {
        guard let name = RepositoryName(try text()) else { throw damaged("no repository name") }
        return name
    }

    /// A byte string as a tag.
    mutating func tag() throws(IndexError) -> Tag {
        guard let tag = Tag(try text()) else { throw damaged("no tag") }
        return tag
    }
}
