// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
public import NIOCore
public import VarveModel

import VarveCodec
import VarveDrivers
import VarveIndex

extension Store {
    /// Links a blob that `source` (or, if nil, any repository) holds into `repository`.
    /// - Returns: nil if there is nothing to mount.
    public func mountBlob(
        _ digest: Digest, from source: RepositoryName?, into repository: RepositoryName
    ) async throws(VarveError) -> BlobInfo? {
        try core.checkWritable()
        let known = try await core.pool.run { [core] () throws(VarveError) in
            try core.read { transaction in
                if let source { return try transaction.link(of: digest, in: source) != nil }
                return try !transaction.holders(of: digest, limit: 1).isEmpty
            }
        }
        guard known else { return nil }
        let time = now()
        return try await core.commit { transaction -> BlobInfo? in
            guard let row = try transaction.blob(digest), !row.isLost else { return nil }
            _ = try transaction.link(digest, in: repository, at: time)
            return BlobInfo(digest: digest, row: row)
        }
    }

    /// What is known of a blob of a repository; with `repository` nil, of the whole store.
    /// - Throws: `blobUnknown`.
    public func blob(_ digest: Digest, in repository: RepositoryName?) async throws(VarveError) -> BlobInfo {
        try await core.pool.run { [core] () throws(VarveError) in
            BlobInfo(digest: digest, row: try core.row(of: digest, in: repository))
        }
    }

    /// Opens a blob's bytes, or a range of them.
    /// - Parameter range: Byte offsets, upper bound excluded, within the blob; nil = all.
    /// - Throws: `blobUnknown`, `rangeNotSatisfiable`, `corrupted`, `io`.
    public func openBlob(
        _ digest: Digest, in repository: RepositoryName?, range: Range<UInt64>? = nil
    ) async throws(VarveError) -> BlobContent {
        try await core.pool.run { [core] () throws(VarveError) in
            try core.open(digest, in: repository, range: range)
        }
    }

    /// The digest of bytes in memory.
    public func digest(
        of bytes: ByteBuffer, _ algorithm: Digest.Algorithm = .sha256
    ) async throws(VarveError) -> Digest {
        try await core.pool.run { () throws(VarveError) in
            var hash = try runningHash(algorithm)
            bytes.withUnsafeReadableBytes { hash.update($0) }
            return finishHash(hash)
        }
    }

    /// Takes a blob out of a repository. Its bytes go with the next collection if nothing else names them; a manifest
    /// that still names it stays, and stays pullable as far as the rest of it goes.
    /// - Throws: `blobUnknown`.
    public func removeBlob(_ digest: Digest, from repository: RepositoryName) async throws(VarveError) {
        try core.checkWritable()
        let removed = try await core.commit { try $0.unlink(digest, in: repository) }
        guard removed else { throw VarveError(.blobUnknown, "no blob \(digest) in \(repository)") }
    }
}

extension Core {
    /// The row of a blob that `repository` holds, or that anybody does.
    func row(of digest: Digest, in repository: RepositoryName?) throws(VarveError) -> BlobRow {
        let row = try read { transaction -> BlobRow? in
            if let repository {
                guard
                    try transaction.link(of: digest, in: repository) != nil
                        || transaction.manifest(digest, in: repository) != nil
                else { return nil }
            }
            return try transaction.blob(digest)
        }
        guard let row else {
            throw VarveError(.blobUnknown, "no blob \(digest)" + (repository.map { " in \($0)" } ?? ""))
        }
        return row
    }

    /// Opens a blob where it is cheapest to send: memory, raw file, chunks. Blocks.
    func open(
        _ digest: Digest, in repository: RepositoryName?, range: Range<UInt64>?
    ) throws(VarveError) -> BlobContent {
        var row = try row(of: digest, in: repository)
        let range = range ?? 0..<row.size
        guard range.lowerBound <= range.upperBound, range.upperBound <= row.size else {
            throw VarveError(.rangeNotSatisfiable, "the blob has \(row.size) bytes")
        }
        if row.flags.contains(.inline) {
            guard let bytes = try read({ try $0.inlineBytes(of: digest) }), bytes.count == Int(clamping: row.size)
            else {
                throw VarveError(.corrupted, "the bytes of blob \(digest) are not in the index")
            }
            return .bytes(ByteBuffer(bytes: bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
        }
        if row.flags.contains(.rawFile) {
            do throws(DriverError) {
                let file = try files.open(StoreLayout.raw(digest).path, .read)
                guard try file.length() == row.size else {
                    throw DriverError("fstat", file.path, ENODATA)
                }
                cache.used(digest)
                return .file(
                    BlobFile(
                        descriptor: try file.duplicate(), offset: range.lowerBound,
                        length: range.upperBound - range.lowerBound))
            } catch {
                // Evicted between the look-up and the opening, or damaged: rebuild it if that can be done.
                row = try self.row(of: digest, in: repository)
                guard row.isSettled else {
                    throw VarveError(
                        error.isMissing || error.number == ENODATA ? .corrupted : .io,
                        "the raw bytes of blob \(digest) can not be read", cause: error)
                }
            }
        }
        guard let place = row.recipe else {
            throw VarveError(.corrupted, "blob \(digest) has neither raw bytes nor a recipe")
        }
        let rebuild = try self.rebuild(digest, size: row.size, recipe: place, range: range)
        return .stream(BlobStream(rebuild: rebuild, core: self))
    }
}
