// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

// Repositories and the blobs that may be read through them. `links` is ordered by repository, `holders` by blob: the
// same pairs both ways.

extension IndexTransaction where Self: ~Copyable {
    /// The repository of that name; nil if there is none.
    package func repository(_ name: RepositoryName) throws(IndexError) -> RepositoryRow? {
        let access = access
        return try access.row(access.tables.repositories, Key.repository(name))
    }

    /// A page of all repositories by name, from behind `after`, which need not be one of them; `limit` at most.
    package func repositories(after: String? = nil, limit: Int) throws(IndexError) -> [RepositoryName] {
        var page: [RepositoryName] = []
        guard limit > 0 else { return page }
        let access = access
        // Names are 255 bytes at most: what follows a longer text is what follows its first 255 bytes.
        let start = after.map { Array($0.utf8.prefix(255)) }
        try access.scan(access.tables.repositories, prefix: [], after: start) { (rest, _, _) throws(IndexError) in
            var reader = RowReader(rest, of: "repository key")
            page.append(try reader.lastRepository())
            return page.count < limit
        }
        return page
    }

    /// Whether and since when a blob may be read through a repository.
    package func link(of digest: Digest, in repository: RepositoryName) throws(IndexError) -> LinkRow? {
        let access = access
        return try access.row(access.tables.links, Key.within(repository, digest))
    }

    /// A page of the blobs of a repository by digest, from behind `after`; `limit` at most.
    package func links(
        in repository: RepositoryName, after: Digest? = nil, limit: Int
    ) throws(IndexError) -> [(digest: Digest, row: LinkRow)] {
        var page: [(digest: Digest, row: LinkRow)] = []
        guard limit > 0 else { return page }
        let access = access
        let prefix = Key.within(repository)
        let start = after.map { Key.digest($0) }
        try access.scan(access.tables.links, prefix: prefix, after: start) { (rest, key, value) throws(IndexError) in
            var reader = RowReader(rest, of: "link key")
            page.append((try reader.lastDigest(), try LinkRow(decoding: value, key: Array(key))))
            return page.count < limit
        }
        return page
    }

    /// Repositories through which a blob may be read, by name; `limit` at most.
    package func holders(of digest: Digest, limit: Int) throws(IndexError) -> [RepositoryName] {
        var page: [RepositoryName] = []
        guard limit > 0 else { return page }
        let access = access
        let prefix = Key.digest(digest)
        try access.scan(access.tables.holders, prefix: prefix, after: nil) { (rest, _, _) throws(IndexError) in
            var reader = RowReader(rest, of: "holder key")
            page.append(try reader.lastRepository())
            return page.count < limit
        }
        return page
    }
}

extension WriteTransaction {
    /// Makes a repository; false if it is there.
    @discardableResult
    package func createRepository(_ name: RepositoryName, at seconds: UInt64) throws(IndexError) -> Bool {
        let key = Key.repository(name)
        guard try access.get(access.tables.repositories, key) == nil else { return false }
        try access.put(access.tables.repositories, key, row: RepositoryRow(createdAt: seconds))
        journal?.add(.repositoryCreated(name, at: seconds))
        return true
    }

    /// Removes a repository with all its links, manifests, tags and referrers; false if it is not there. Blobs stay.
    @discardableResult
    package func removeRepository(_ name: RepositoryName) throws(IndexError) -> Bool {
        guard try access.delete(access.tables.repositories, Key.repository(name)) else { return false }
        let prefix = Key.within(name)
        try access.deleteAll(access.tables.links, prefix: prefix) { (digest) throws(IndexError) in
            try access.delete(access.tables.holders, digest + Array(name.description.utf8))
        }
        try access.deleteAll(access.tables.manifests, prefix: prefix) { (_) throws(IndexError) in }
        try access.deleteAll(access.tables.tags, prefix: prefix) { (_) throws(IndexError) in }
        try access.deleteAll(access.tables.referrers, prefix: prefix) { (_) throws(IndexError) in }
        journal?.add(.repositoryRemoved(name))
        return true
    }

    /// Lets a blob be read through a repository, which is made if it is not there.
    /// - Returns: False if it could be already; then its row is as before.
    @discardableResult
    package func link(_ digest: Digest, in repository: RepositoryName, at seconds: UInt64) throws(IndexError) -> Bool {
        let key = Key.within(repository, digest)
        guard try access.get(access.tables.links, key) == nil else { return false }
        try createRepository(repository, at: seconds)
        try access.put(access.tables.links, key, row: LinkRow(linkedAt: seconds))
        try access.put(access.tables.holders, Key.holder(of: digest, repository), [])
        journal?.add(.linked(repository, digest, at: seconds))
        return true
    }

    /// Ends that; false if it could not be read there.
    @discardableResult
    package func unlink(_ digest: Digest, in repository: RepositoryName) throws(IndexError) -> Bool {
        guard try access.delete(access.tables.links, Key.within(repository, digest)) else { return false }
        try access.delete(access.tables.holders, Key.holder(of: digest, repository))
        journal?.add(.unlinked(repository, digest))
        return true
    }
}
