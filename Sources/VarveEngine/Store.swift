// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import Logging
public import NIOCore
public import VarveModel

/// A store of layers, kept once: the engine behind every front end.
///
/// A blob lands raw and is acknowledged; later it is settled into deduplicated chunks, the rebuilt bytes are compared
/// with the blob's digest, and only then may the raw bytes go. Whatever way it lies on disk, the bytes that come out are
/// the bytes that were pushed.
///
/// Thread-safe. One process may write; others may open it with `readOnly`.
public final class Store: Sendable {
    /// Opens the store in directory `path`, or makes one there if it is absent or empty.
    ///
    /// - Throws: ``VarveError`` with code `inUse` if another process writes to it, `notAStore` if the directory holds
    ///   other things (or nothing, when `settings.readOnly`), `corrupted`, `io`.
    public static func open(
        at path: String, settings: StoreSettings = StoreSettings(), logger: Logger = Logger(label: "varve")
    ) async throws(VarveError) -> Store { throw VarveError(.unsupported, "not yet") }

    /// Ends background work, waits for what is being written, closes the index. Uploads in progress are kept.
    public func close() async {}

    // MARK: Uploads

    /// Opens an upload session.
    /// - Throws: `poisoned`, `outOfSpace`, `readOnly`.
    public func startUpload(in repository: RepositoryName, algorithm: Digest.Algorithm = .sha256)
        async throws(VarveError) -> UploadStatus
    { throw VarveError(.unsupported, "not yet") }

    /// How far an upload has come.
    /// - Throws: `uploadUnknown` if there is none of that name in that repository.
    public func uploadStatus(_ id: String, in repository: RepositoryName) async throws(VarveError) -> UploadStatus {
        throw VarveError(.unsupported, "not yet")
    }

    /// Appends bytes to an upload. What arrived before `body` failed stays (the client may resume there).
    /// - Parameter offset: Where the piece begins; must be the upload's end. nil = wherever it ends.
    /// - Parameter body: The bytes, in buffers of any size. Not read further ahead than one buffer.
    /// - Parameter expecting: Exact number of bytes that must arrive, if known.
    /// - Throws: `uploadUnknown`, `offsetMismatch`, `uploadBusy` if another request writes to it, `sizeMismatch`,
    ///   `outOfSpace`, `poisoned`, or `cancelled` when `body` throws.
    public func appendUpload<Body: AsyncSequence>(
        _ id: String, in repository: RepositoryName, at offset: UInt64?, expecting: UInt64?, body: Body
    ) async throws(VarveError) -> UploadStatus where Body.Element == ByteBuffer {
        throw VarveError(.unsupported, "not yet")
    }

    /// Ends an upload as the blob `digest`, durable and linked into the repository when it returns.
    /// - Throws: `digestMismatch` (the session is gone then), `uploadUnknown`, `uploadBusy`, `outOfSpace`, `poisoned`.
    public func finishUpload(_ id: String, in repository: RepositoryName, digest: Digest) async throws(VarveError)
        -> BlobInfo
    { throw VarveError(.unsupported, "not yet") }

    /// Drops an upload and its bytes.
    /// - Throws: `uploadUnknown`.
    public func cancelUpload(_ id: String, in repository: RepositoryName) async throws(VarveError) {
        throw VarveError(.unsupported, "not yet")
    }

    // MARK: Blobs

    /// Stores a whole blob, durable and linked when it returns. A blob that is there already is read and checked all the same.
    /// - Throws: `digestMismatch`, `sizeMismatch`, `outOfSpace`, `poisoned`, `cancelled`.
    public func putBlob<Body: AsyncSequence>(
        _ digest: Digest, in repository: RepositoryName, expecting: UInt64?, body: Body
    ) async throws(VarveError) -> BlobInfo where Body.Element == ByteBuffer {
        throw VarveError(.unsupported, "not yet")
    }

    /// Links a blob that `source` (or, if nil, any repository) holds into `repository`.
    /// - Returns: nil if there is nothing to mount.
    public func mountBlob(_ digest: Digest, from source: RepositoryName?, into repository: RepositoryName)
        async throws(VarveError) -> BlobInfo?
    { throw VarveError(.unsupported, "not yet") }

    /// What is known of a blob of a repository; with `repository` nil, of the whole store.
    /// - Throws: `blobUnknown`.
    public func blob(_ digest: Digest, in repository: RepositoryName?) async throws(VarveError) -> BlobInfo {
        throw VarveError(.unsupported, "not yet")
    }

    /// Opens a blob's bytes, or a range of them.
    /// - Parameter range: Byte offsets, upper bound excluded, within the blob; nil = all.
    /// - Throws: `blobUnknown`, `rangeNotSatisfiable`, `corrupted`, `io`.
    public func openBlob(_ digest: Digest, in repository: RepositoryName?, range: Range<UInt64>? = nil)
        async throws(VarveError) -> BlobContent
    { throw VarveError(.unsupported, "not yet") }

    /// Takes a blob out of a repository. Its bytes go with the next collection if nothing else names them.
    /// - Throws: `blobUnknown`; `inUse` never (a manifest that still names it stays pullable by what it names elsewhere).
    public func removeBlob(_ digest: Digest, from repository: RepositoryName) async throws(VarveError) {
        throw VarveError(.unsupported, "not yet")
    }

    // MARK: Manifests and names

    /// Stores a manifest and sets `tags` to it, in one step.
    /// - Throws: `digestMismatch`, `manifestBlobUnknown` (message names the digest), `outOfSpace`, `poisoned`.
    public func putManifest(
        _ bytes: ByteBuffer, digest: Digest, summary: ManifestSummary, tags: [Tag], in repository: RepositoryName
    ) async throws(VarveError) { throw VarveError(.unsupported, "not yet") }

    /// The manifest that `reference` names.
    /// - Throws: `manifestUnknown`, `repositoryUnknown`.
    public func manifest(_ reference: ManifestReference, in repository: RepositoryName) async throws(VarveError)
        -> StoredManifest
    { throw VarveError(.unsupported, "not yet") }

    /// Takes a manifest and every tag that points to it (digest), or one tag alone (tag), out of a repository.
    /// - Throws: `manifestUnknown`, `repositoryUnknown`.
    public func removeManifest(_ reference: ManifestReference, from repository: RepositoryName) async throws(VarveError)
    { throw VarveError(.unsupported, "not yet") }

    /// Tags in byte order, those behind `last`, at most `limit`.
    /// - Throws: `repositoryUnknown`.
    public func tags(of repository: RepositoryName, after last: String?, limit: Int) async throws(VarveError) -> [Tag] {
        throw VarveError(.unsupported, "not yet")
    }

    /// The tag's manifest digest and when it was set.
    public func tagTarget(_ tag: Tag, of repository: RepositoryName) async throws(VarveError) -> Digest {
        throw VarveError(.unsupported, "not yet")
    }

    /// Manifest digests of a repository in order, those behind `last`.
    public func manifests(of repository: RepositoryName, after last: Digest?, limit: Int) async throws(VarveError)
        -> [Descriptor]
    { throw VarveError(.unsupported, "not yet") }

    /// Repositories in byte order, those behind `last`, at most `limit`.
    public func repositories(after last: String?, limit: Int) async throws(VarveError) -> [RepositoryName] {
        throw VarveError(.unsupported, "not yet")
    }

    /// Manifests of the repository whose subject is `digest`, in digest order. Empty if there are none; never `notFound`.
    /// The manifests listed by a fallback tag (`sha256-<hex>`) are the front end's to add.
    public func referrers(of digest: Digest, in repository: RepositoryName) async throws(VarveError) -> [Referrer] {
        throw VarveError(.unsupported, "not yet")
    }

    // MARK: Upkeep

    /// Settles everything that waits, and with `evict` drops the raw bytes of every settled blob.
    public func settle(evict: Bool, progress: (@Sendable (Progress) -> Void)? = nil) async throws(VarveError) {
        throw VarveError(.unsupported, "not yet")
    }

    /// Reads everything again and compares it with its digests.
    public func verify(progress: (@Sendable (Progress) -> Void)? = nil) async throws(VarveError) -> VerifyReport {
        throw VarveError(.unsupported, "not yet")
    }

    /// Removes what nothing names any more and gives the space back. The store must be this process's alone.
    public func collect(graceSeconds: UInt64? = nil, progress: (@Sendable (Progress) -> Void)? = nil)
        async throws(VarveError) -> CollectReport
    { throw VarveError(.unsupported, "not yet") }

    /// Counts and sizes. Also works on a store opened `readOnly`.
    public func stats() async throws(VarveError) -> StoreStats { throw VarveError(.unsupported, "not yet") }

    /// Bytes of an image (a manifest, or every image of an index): unique, shared, with whom.
    public func usage(of reference: ManifestReference, in repository: RepositoryName) async throws(VarveError)
        -> ImageUsage
    { throw VarveError(.unsupported, "not yet") }

    /// Makes the index anew from packs, recipes, raw files and the journal. No process may have the store open.
    public static func rebuildIndex(
        at path: String, logger: Logger = Logger(label: "varve"), progress: (@Sendable (Progress) -> Void)? = nil
    ) async throws(VarveError) { throw VarveError(.unsupported, "not yet") }

    /// Packs, frames, recipes and rows as they lie on disk, a line each, handed to `line` in order.
    public func inspect(_ subject: InspectSubject, line: (String) -> Void) async throws(VarveError) {
        throw VarveError(.unsupported, "not yet")
    }

    /// Whether a failed write has made the store read-only until it is opened again; the reason if so.
    public var poisonReason: String? { nil }

    private init() {}
}

/// What `inspect` shows.
public enum InspectSubject: Sendable {
    /// One line a pack.
    case packs
    /// The frames of one pack, by its hex id.
    case pack(String)
    /// A blob's recipe.
    case recipe(Digest)
    /// The rows of one table, or of all.
    case rows(table: String?)
}
