// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

// Manifests, tags and referrers of repositories.

extension IndexTransaction where Self: ~Copyable {
    /// A manifest of a repository; nil if it is not there.
    package func manifest(_ digest: Digest, in repository: RepositoryName) throws(IndexError) -> ManifestRow? {
        let access = access
        return try access.row(access.tables.manifests, Key.within(repository, digest))
    }

    /// A page of the manifests of a repository by digest, from behind `after`; `limit` at most.
    package func manifests(
        in repository: RepositoryName, after: Digest? = nil, limit: Int
    ) throws(IndexError) -> [(digest: Digest, row: ManifestRow)] {
        var page: [(digest: Digest, row: ManifestRow)] = []
        guard limit > 0 else { return page }
        let access = access
        let prefix = Key.within(repository)
        let start = after.map { Key.digest($0) }
        try access.scan(
            access.tables.manifests, prefix: prefix, after: start
        ) { (rest, key, value) throws(IndexError) in
            var reader = RowReader(rest, of: "manifest key")
            page.append((try reader.lastDigest(), try ManifestRow(decoding: value, key: Array(key))))
            return page.count < limit
        }
        return page
    }

    /// What a tag names; nil if there is no such tag.
    package func tag(_ tag: Tag, in repository: RepositoryName) throws(IndexError) -> TagRow? {
        let access = access
        return try access.row(access.tables.tags, Key.within(repository, tag))
    }

    /// A page of a repository's tags by name, from behind `after`, which need not be one of them; `limit` at most.
    package func tags(
        in repository: RepositoryName, after: String? = nil, limit: Int
    ) throws(IndexError) -> [Tag] {
        var page: [Tag] = []
        guard limit > 0 else { return page }
        // Tags are 128 bytes at most: what follows a longer text is what follows its first 128 bytes.
        let start = after.map { Array($0.utf8.prefix(128)) }
        try forEachTag(in: repository, after: start) { (tag, _, _) throws(IndexError) in
            page.append(tag)
            return page.count < limit
        }
        return page
    }

    /// All tags of a repository that name a manifest, by name.
    package func tags(of digest: Digest, in repository: RepositoryName) throws(IndexError) -> [Tag] {
        var tags: [Tag] = []
        try forEachTag(in: repository, after: nil) { (tag, key, value) throws(IndexError) in
            if try TagRow(decoding: value, key: Array(key)).digest == digest { tags.append(tag) }
            return true
        }
        return tags
    }

    private func forEachTag(
        in repository: RepositoryName, after: [UInt8]?,
        _ body: (Tag, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(IndexError) -> Bool
    ) throws(IndexError) {
        let access = access
        try access.scan(
            access.tables.tags, prefix: Key.within(repository), after: after
        ) { (rest, key, value) throws(IndexError) in
            guard let tag = Tag(String(decoding: rest, as: UTF8.self)) else { throw .corrupt("tag key", "no tag") }
            return try body(tag, key, value)
        }
    }

    /// What the referrers list says of one manifest that refers to `subject`; nil if it is not on it.
    package func referrer(
        _ digest: Digest, of subject: Digest, in repository: RepositoryName
    ) throws(IndexError) -> ReferrerRow? {
        let access = access
        return try access.row(access.tables.referrers, Key.referrer(repository, of: subject, digest))
    }

    /// A page of the manifests that refer to `subject` in a repository, by digest, from behind `after`; `limit` at most.
    package func referrers(
        of subject: Digest, in repository: RepositoryName, after: Digest? = nil, limit: Int
    ) throws(IndexError) -> [(digest: Digest, row: ReferrerRow)] {
        var page: [(digest: Digest, row: ReferrerRow)] = []
        guard limit > 0 else { return page }
        let access = access
        let prefix = Key.referrers(repository, of: subject)
        let start = after.map { Key.digest($0) }
        try access.scan(
            access.tables.referrers, prefix: prefix, after: start
        ) { (rest, key, value) throws(IndexError) in
            var reader = RowReader(rest, of: "referrer key")
            page.append((try reader.lastDigest(), try ReferrerRow(decoding: value, key: Array(key))))
            return page.count < limit
        }
        return page
    }
}

extension WriteTransaction {
    /// Writes a manifest's row in a repository, which is made if it is not there, and its row among the referrers of
    /// its subject. The manifest's bytes are put with `putInlineBlob(_:bytes:landedAt:)` before.
    /// - Parameter referrer: What the referrers list says of it; used only if the manifest has a subject.
    package func putManifest(
        _ digest: Digest, in repository: RepositoryName, _ row: ManifestRow, referrer: ReferrerRow? = nil
    ) throws(IndexError) {
        try createRepository(repository, at: row.pushedAt)
        try removeReferrer(digest, in: repository)
        try access.put(access.tables.manifests, Key.within(repository, digest), row: row)
        if let subject = row.subject, let referrer {
            try access.put(
                access.tables.referrers, Key.referrer(repository, of: subject, digest), row: referrer)
        }
        journal?.add(.manifestPut(repository, digest, row, referrer: row.subject == nil ? nil : referrer))
    }

    /// Removes a manifest from a repository and from the referrers of its subject; tags that name it are the caller's.
    /// - Returns: False if it is not there.
    @discardableResult
    package func removeManifest(_ digest: Digest, in repository: RepositoryName) throws(IndexError) -> Bool {
        try removeReferrer(digest, in: repository)
        guard try access.delete(access.tables.manifests, Key.within(repository, digest)) else { return false }
        journal?.add(.manifestRemoved(repository, digest))
        return true
    }

    private func removeReferrer(_ digest: Digest, in repository: RepositoryName) throws(IndexError) {
        guard let subject = try manifest(digest, in: repository)?.subject else { return }
        try access.delete(access.tables.referrers, Key.referrer(repository, of: subject, digest))
    }

    /// Sets what a tag names, in a repository that is made if it is not there.
    package func setTag(_ tag: Tag, in repository: RepositoryName, _ row: TagRow) throws(IndexError) {
        try createRepository(repository, at: row.updatedAt)
        try access.put(access.tables.tags, Key.within(repository, tag), row: row)
        journal?.add(.tagSet(repository, tag, row))
    }

    /// Removes a tag; false if it is not there.
    @discardableResult
    package func removeTag(_ tag: Tag, in repository: RepositoryName) throws(IndexError) -> Bool {
        guard try access.delete(access.tables.tags, Key.within(repository, tag)) else { return false }
        journal?.add(.tagRemoved(repository, tag))
        return true
    }
}
