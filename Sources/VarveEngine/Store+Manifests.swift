// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveModel

import VarveCodec
import VarveDrivers
import VarveIndex

extension Store {
    /// Most bytes a manifest may have.
    public static let manifestBytesMax = 4 << 20

    /// Stores a manifest and sets `tags` to it, in one step.
    /// - Throws: `digestMismatch`, `tooLarge`, `manifestBlobUnknown` (the message names the digest), `outOfSpace`,
    ///   `poisoned`.
    public func putManifest(
        _ bytes: ByteBuffer, digest: Digest, summary: ManifestSummary, tags: [Tag], in repository: RepositoryName
    ) async throws(VarveError) {
        try core.checkWritable()
        guard bytes.readableBytes <= Store.manifestBytesMax else {
            throw VarveError(.tooLarge, "a manifest may have \(Store.manifestBytesMax) bytes")
        }
        let found = try await core.pool.run { () throws(VarveError) -> Digest in
            var hash = try runningHash(digest.algorithm)
            bytes.withUnsafeReadableBytes { hash.update($0) }
            return finishHash(hash)
        }
        guard found == digest else {
            throw VarveError(.digestMismatch, "the manifest has the digest \(found), not \(digest)")
        }
        let time = now()
        try await core.commit { [sweeps = core.sweeps] transaction in
            sweeps.names([digest])
            sweeps.names(summary.blobs.lazy.map(\.digest))
            sweeps.names(summary.optionalBlobs.lazy.map(\.digest))
            sweeps.names(summary.manifests.lazy.map(\.digest))
            for blob in summary.blobs where try transaction.link(of: blob.digest, in: repository) == nil {
                throw VarveError(.manifestBlobUnknown, "no blob \(blob.digest) in \(repository)")
            }
            for child in summary.manifests where try transaction.manifest(child.digest, in: repository) == nil {
                throw VarveError(.manifestBlobUnknown, "no manifest \(child.digest) in \(repository)")
            }
            if try transaction.blob(digest) == nil {
                try transaction.putInlineBlob(digest, bytes: Array(buffer: bytes), landedAt: time)
            }
            var row = ManifestRow(mediaType: summary.mediaType, size: UInt64(bytes.readableBytes))
            row.references =
                summary.blobs.map { ManifestRow.Reference(digest: $0.digest, kind: .blob) }
                + summary.optionalBlobs.map { ManifestRow.Reference(digest: $0.digest, kind: .optionalBlob) }
                + summary.manifests.map { ManifestRow.Reference(digest: $0.digest, kind: .manifest) }
            row.subject = summary.subject?.digest
            row.pushedAt = time
            let referrer = summary.subject.map { _ in
                ReferrerRow(
                    mediaType: summary.mediaType, size: row.size, artifactType: summary.artifactType,
                    annotationsJSON: summary.annotationsJSON)
            }
            try transaction.putManifest(digest, in: repository, row, referrer: referrer)
            for tag in tags {
                try transaction.setTag(
                    tag, in: repository, TagRow(digest: digest, mediaType: summary.mediaType, updatedAt: time))
            }
        }
    }

    /// The manifest that `reference` names.
    /// - Throws: `manifestUnknown`, `repositoryUnknown`.
    public func manifest(
        _ reference: ManifestReference, in repository: RepositoryName
    ) async throws(VarveError) -> StoredManifest {
        try await core.pool.run { [core] () throws(VarveError) in
            let (digest, mediaType) = try core.read { transaction -> (Digest, String) in
                guard try transaction.repository(repository) != nil else {
                    throw VarveError(.repositoryUnknown, "no repository \(repository)")
                }
                let digest: Digest? =
                    switch reference {
                    case .digest(let digest): digest
                    case .tag(let tag): try transaction.tag(tag, in: repository)?.digest
                    }
                guard let digest, let row = try transaction.manifest(digest, in: repository) else {
                    throw VarveError(.manifestUnknown, "no manifest \(reference) in \(repository)")
                }
                return (digest, row.mediaType)
            }
            return StoredManifest(digest: digest, mediaType: mediaType, bytes: try core.allBytes(of: digest))
        }
    }

    /// Takes a manifest and every tag that points to it (digest), or one tag alone (tag), out of a repository.
    /// - Throws: `manifestUnknown`, `repositoryUnknown`.
    public func removeManifest(
        _ reference: ManifestReference, from repository: RepositoryName
    ) async throws(VarveError) {
        try core.checkWritable()
        try await core.commit { transaction in
            guard try transaction.repository(repository) != nil else {
                throw VarveError(.repositoryUnknown, "no repository \(repository)")
            }
            let removed: Bool
            switch reference {
            case .tag(let tag):
                removed = try transaction.removeTag(tag, in: repository)
            case .digest(let digest):
                for tag in try transaction.tags(of: digest, in: repository) {
                    _ = try transaction.removeTag(tag, in: repository)
                }
                removed = try transaction.removeManifest(digest, in: repository)
                // From now on the repository's blobs are its manifests', and go with them.
                if removed { try transaction.setMeta(Collector.deletionNote(repository), []) }
            }
            guard removed else { throw VarveError(.manifestUnknown, "no manifest \(reference) in \(repository)") }
        }
    }

    /// Tags in byte order, those behind `last`, at most `limit`.
    /// - Throws: `repositoryUnknown`.
    public func tags(
        of repository: RepositoryName, after last: String?, limit: Int
    ) async throws(VarveError) -> [Tag] {
        try await reading { transaction in
            guard try transaction.repository(repository) != nil else {
                throw VarveError(.repositoryUnknown, "no repository \(repository)")
            }
            return try transaction.tags(in: repository, after: last, limit: limit)
        }
    }

    /// The digest of the manifest that a tag names.
    /// - Throws: `manifestUnknown`.
    public func tagTarget(_ tag: Tag, of repository: RepositoryName) async throws(VarveError) -> Digest {
        try await reading { transaction in
            guard let row = try transaction.tag(tag, in: repository) else {
                throw VarveError(.manifestUnknown, "no tag \(tag) in \(repository)")
            }
            return row.digest
        }
    }

    /// Manifests of a repository in digest order, those behind `last`, at most `limit`.
    public func manifests(
        of repository: RepositoryName, after last: Digest?, limit: Int
    ) async throws(VarveError) -> [Descriptor] {
        try await reading { transaction in
            try transaction.manifests(in: repository, after: last, limit: limit).map {
                Descriptor(mediaType: $0.row.mediaType, digest: $0.digest, size: $0.row.size)
            }
        }
    }

    /// Repositories in byte order, those behind `last`, at most `limit`.
    public func repositories(after last: String?, limit: Int) async throws(VarveError) -> [RepositoryName] {
        try await reading { try $0.repositories(after: last, limit: limit) }
    }

    /// Manifests of the repository whose subject is `digest`, in digest order. Empty if there are none; never
    /// `notFound`. What a fallback tag (`sha256-<hex>`) lists is the front end's to add.
    public func referrers(
        of digest: Digest, in repository: RepositoryName
    ) async throws(VarveError) -> [Referrer] {
        try await reading { transaction in
            var found: [Referrer] = []
            var last: Digest?
            while true {
                let page = try transaction.referrers(of: digest, in: repository, after: last, limit: 1000)
                found += page.map {
                    Referrer(
                        descriptor: Descriptor(mediaType: $0.row.mediaType, digest: $0.digest, size: $0.row.size),
                        artifactType: $0.row.artifactType, annotationsJSON: $0.row.annotationsJSON)
                }
                guard page.count == 1000 else { return found }
                last = page.last?.digest
            }
        }
    }

    /// A read snapshot on a worker thread.
    func reading<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing ReadTransaction) throws -> Value
    ) async throws(VarveError) -> Value {
        try await core.pool.run { [core] () throws(VarveError) in try core.read(body) }
    }
}

extension Array<UInt8> {
    fileprivate init(buffer: ByteBuffer) { self = Array(buffer.readableBytesView) }
}
