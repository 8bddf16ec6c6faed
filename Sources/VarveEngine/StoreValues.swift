// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveModel

/// An upload session of the OCI distribution API.
public struct UploadStatus: Sendable, Hashable {
    /// The session's name: an opaque token, 32 hex digits. Never a path.
    public var id: String
    /// The repository it was opened in; it can not be used from another.
    public var repository: RepositoryName
    /// Bytes received so far; the next piece begins here.
    public var offset: UInt64
    /// When it began, seconds since 1970.
    public var startedAt: UInt64
}

/// What is settled about a blob.
public struct BlobInfo: Sendable, Hashable {
    /// The blob's digest.
    public var digest: Digest
    /// Its length in bytes.
    public var size: UInt64
    /// When it landed, seconds since 1970.
    public var landedAt: UInt64
    /// Whether it can be rebuilt from chunks.
    public var isSettled: Bool
    /// Whether its bytes lie raw on disk (landing, hot cache, or a blob that stays raw).
    public var isRaw: Bool
    /// Why it is not settled: a short, stable word; nil if it is.
    public var rawReason: String?
    /// Bytes that settling it added to the packs (compressed, with tables); 0 if it is not settled.
    public var storedBytes: UInt64

    /// Whether its raw file could not be read when it was to be settled, and nothing else has its bytes. A push of the
    /// same bytes brings them back.
    public var isDamaged: Bool { !isSettled && rawReason == RawReason.damaged }
}

/// Where a blob's bytes come from. Either way they are exactly the bytes asked for, in order.
public enum BlobContent: Sendable {
    /// An open file: send `range` of it with sendfile. Closing is up to the receiver (`BlobFile.close()`), once.
    case file(BlobFile)
    /// Bytes in memory (small blobs and manifests).
    case bytes(ByteBuffer)
    /// Bytes rebuilt from chunks while they are asked for; every chunk is verified before it is handed over.
    case stream(BlobStream)
}

/// A manifest as it was pushed.
public struct StoredManifest: Sendable {
    /// Digest of the bytes, in the algorithm under which it was pushed.
    public var digest: Digest
    /// The media type it was pushed with.
    public var mediaType: String
    /// The very bytes.
    public var bytes: ByteBuffer
}

/// One manifest that refers to a subject (OCI distribution specification, "Listing Referrers").
public struct Referrer: Sendable, Hashable {
    /// Digest, length and media type of the referring manifest.
    public var descriptor: Descriptor
    /// Its artifact type, if it has one.
    public var artifactType: String?
    /// Its annotations as one JSON object, or nil.
    public var annotationsJSON: [UInt8]?
}

/// The figures of `varve stats`, all in bytes or counts. `stats --json` prints them under the same names.
public struct StoreStats: Sendable, Hashable {
    /// Blobs count.
    public var blobsCount: UInt64 = 0
    /// As pushed.
    public var blobsBytes: UInt64 = 0
    /// Settled count.
    public var settledCount: UInt64 = 0
    /// As pushed.
    public var settledBytes: UInt64 = 0
    /// Blobs that can only be served from their raw bytes.
    public var rawCount: UInt64 = 0
    /// Raw bytes.
    public var rawBytes: UInt64 = 0
    /// Reason → blobs that are raw for it.
    public var rawReasons: [String: UInt64] = [:]
    /// Blobs so small that they lie in the index: configs, manifests.
    public var inlineCount: UInt64 = 0
    /// Inline bytes.
    public var inlineBytes: UInt64 = 0
    /// Raw bytes of settled blobs.
    public var cacheBytes: UInt64 = 0
    /// Chunks count.
    public var chunksCount: UInt64 = 0
    /// Packs count.
    public var packsCount: UInt64 = 0
    /// Packs bytes.
    public var packsBytes: UInt64 = 0
    /// Index bytes.
    public var indexBytes: UInt64 = 0
    /// Journal bytes.
    public var journalBytes: UInt64 = 0
    /// Everything the store occupies, every file of it.
    public var storedBytes: UInt64 = 0
    /// Queued count.
    public var queuedCount: UInt64 = 0
    /// Repositories count.
    public var repositoriesCount: UInt64 = 0
    /// Manifests count.
    public var manifestsCount: UInt64 = 0
    /// Tags count.
    public var tagsCount: UInt64 = 0
    /// Buckets of the storage driver count.
    public var bucketsCount: UInt64 = 0
    /// Bytes of objects that are no blobs (yet): parts of uploads, what waits to be adopted.
    public var spoolBytes: UInt64 = 0
    /// Objects that wait to be adopted as blobs count.
    public var adoptingCount: UInt64 = 0

    /// Pushed bytes for each stored byte; 0 for an empty store.
    public var ratio: Double { storedBytes == 0 ? 0 : Double(blobsBytes) / Double(storedBytes) }

    /// All zero.
    public init() {}
}

/// What a long operation has done so far; handed to its progress closure from time to time.
public struct Progress: Sendable {
    /// What is being done now, in two or three words.
    public var activity: String
    /// Bytes done.
    public var done: UInt64
    /// Bytes in all, 0 if not known.
    public var total: UInt64

    /// A report of its parts.
    public init(activity: String, done: UInt64, total: UInt64) {
        self.activity = activity
        self.done = done
        self.total = total
    }
}

/// What `verify` found.
public struct VerifyReport: Sendable {
    /// Blobs checked.
    public var blobsChecked: UInt64 = 0
    /// Chunks checked.
    public var chunksChecked: UInt64 = 0
    /// Bytes checked.
    public var bytesChecked: UInt64 = 0
    /// One line for each thing that is damaged, with what it touches.
    public var damage: [String] = []

    /// Nothing checked, nothing found.
    public init() {}
}

/// What a collection gave back.
public struct CollectReport: Sendable {
    /// Blobs removed.
    public var blobsRemoved: UInt64 = 0
    /// Chunks removed.
    public var chunksRemoved: UInt64 = 0
    /// Packs rewritten.
    public var packsRewritten: UInt64 = 0
    /// Bytes freed.
    public var bytesFreed: UInt64 = 0

    /// Nothing removed.
    public init() {}
}

/// How an image's bytes lie in the store, for `varve inspect`.
public struct LayerUsage: Sendable {
    /// The layer's blob.
    public var blob: BlobInfo
    /// Raw bytes of its distinct chunks.
    public var chunkBytes: UInt64
    /// Those of them that no blob outside the image uses.
    public var uniqueBytes: UInt64
}

/// What an image occupies, shares, and would give back.
public struct ImageUsage: Sendable {
    /// Manifest.
    public var manifest: Digest
    /// Layers.
    public var layers: [LayerUsage]
    /// Bytes of all its blobs as pushed.
    public var logicalBytes: UInt64
    /// Raw bytes of chunks that only this image uses: about what deleting it would free, before compression.
    public var uniqueBytes: UInt64
    /// Raw bytes of chunks that it shares with other images.
    public var sharedBytes: UInt64
    /// Stored (compressed) bytes that deleting it would free, estimated by each frame's ratio.
    public var freedBytes: UInt64
    /// Other images, as `name:tag` or `name@digest`, with the raw bytes shared with each; most first.
    public var sharesWith: [(image: String, bytes: UInt64)]
}
