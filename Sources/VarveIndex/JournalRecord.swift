// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

/// One change of the catalogue: what can not be found again in packs and raw files when the index is lost.
///
/// Every record says what is so from now on, not what was done: writing it twice, or once more after it was true
/// already, changes nothing.
package enum JournalRecord: Sendable, Equatable {
    /// A small blob's bytes.
    case inlineBlob(Digest, landedAt: UInt64, bytes: [UInt8])
    /// A small blob is gone.
    case blobForgotten(Digest)
    /// A repository exists.
    case repositoryCreated(RepositoryName, at: UInt64)
    /// A repository is gone with everything in it.
    case repositoryRemoved(RepositoryName)
    /// A blob may be read through a repository.
    case linked(RepositoryName, Digest, at: UInt64)
    /// It may not any more.
    case unlinked(RepositoryName, Digest)
    /// A repository holds a manifest; with what the referrers list says of it if it has a subject.
    case manifestPut(RepositoryName, Digest, ManifestRow, referrer: ReferrerRow?)
    /// It does not any more.
    case manifestRemoved(RepositoryName, Digest)
    /// A tag names a manifest.
    case tagSet(RepositoryName, Tag, TagRow)
    /// There is no such tag any more.
    case tagRemoved(RepositoryName, Tag)
    /// A bucket exists.
    case bucketCreated(String, at: UInt64)
    /// A bucket is gone with everything in it.
    case bucketRemoved(String)
    /// An object is this from now on; with the digest that its key promises if it waits for being taken in as a blob.
    case objectPut(ObjectPlace, ObjectRow, adopting: Digest?)
    /// There is no such object any more.
    case objectRemoved(ObjectPlace)
    /// Nothing: gives the journal something to write where a new segment should begin.
    case checkpoint
}

/// The kinds of record, as their byte in the journal. Kinds above 64 frame others and are the journal's own.
enum JournalKind: UInt8, CaseIterable {
    case inlineBlob = 1
    case blobForgotten = 2
    case repositoryCreated = 3
    case repositoryRemoved = 4
    case linked = 5
    case unlinked = 6
    case manifestPut = 7
    case manifestRemoved = 8
    case tagSet = 9
    case tagRemoved = 10
    case checkpoint = 11
    case bucketCreated = 12
    case bucketRemoved = 13
    case objectPut = 14
    case objectRemoved = 15
    case batchEnd = 65
    case snapshotBegin = 66
    case snapshotEnd = 67
}

extension JournalRecord {
    var kind: JournalKind {
        switch self {
        case .inlineBlob: .inlineBlob
        case .blobForgotten: .blobForgotten
        case .repositoryCreated: .repositoryCreated
        case .repositoryRemoved: .repositoryRemoved
        case .linked: .linked
        case .unlinked: .unlinked
        case .manifestPut: .manifestPut
        case .manifestRemoved: .manifestRemoved
        case .tagSet: .tagSet
        case .tagRemoved: .tagRemoved
        case .bucketCreated: .bucketCreated
        case .bucketRemoved: .bucketRemoved
        case .objectPut: .objectPut
        case .objectRemoved: .objectRemoved
        case .checkpoint: .checkpoint
        }
    }

    /// The record's payload.
    func payload() -> [UInt8] {
        var writer = RowWriter()
        switch self {
        case .inlineBlob(let digest, let landedAt, let bytes):
            writer.digest(digest)
            writer.varint(landedAt)
            writer.string(bytes)
        case .blobForgotten(let digest):
            writer.digest(digest)
        case .repositoryCreated(let name, let seconds):
            writer.string(name.description)
            writer.varint(seconds)
        case .repositoryRemoved(let name):
            writer.string(name.description)
        case .linked(let name, let digest, let seconds):
            writer.string(name.description)
            writer.digest(digest)
            writer.varint(seconds)
        case .unlinked(let name, let digest), .manifestRemoved(let name, let digest):
            writer.string(name.description)
            writer.digest(digest)
        case .manifestPut(let name, let digest, let row, let referrer):
            writer.string(name.description)
            writer.digest(digest)
            writer.string(row.encoded(key: []))
            writer.byte(referrer == nil ? 0 : 1)
            if let referrer { writer.string(referrer.encoded(key: [])) }
        case .tagSet(let name, let tag, let row):
            writer.string(name.description)
            writer.string(tag.description)
            writer.string(row.encoded(key: []))
        case .tagRemoved(let name, let tag):
            writer.string(name.description)
            writer.string(tag.description)
        case .bucketCreated(let name, let milliseconds):
            writer.string(name)
            writer.varint(milliseconds)
        case .bucketRemoved(let name):
            writer.string(name)
        case .objectPut(let place, let row, let digest):
            writer.place(place)
            writer.string(row.encoded(key: []))
            writer.byte(digest == nil ? 0 : 1)
            if let digest { writer.digest(digest) }
        case .objectRemoved(let place):
            writer.place(place)
        case .checkpoint:
            break
        }
        return writer.bytes
    }

    /// Reads a payload back; nil for the kinds that frame others.
    static func decode(_ kind: JournalKind, _ payload: UnsafeRawBufferPointer) throws(IndexError) -> JournalRecord? {
        var reader = RowReader(payload, of: "journal record")
        let record: JournalRecord
        switch kind {
        case .inlineBlob:
            record = .inlineBlob(
                try reader.digest(), landedAt: try reader.varint(), bytes: Array(try reader.string()))
        case .blobForgotten: record = .blobForgotten(try reader.digest())
        case .repositoryCreated: record = .repositoryCreated(try reader.repository(), at: try reader.varint())
        case .repositoryRemoved: record = .repositoryRemoved(try reader.repository())
        case .linked: record = .linked(try reader.repository(), try reader.digest(), at: try reader.varint())
        case .unlinked: record = .unlinked(try reader.repository(), try reader.digest())
        case .manifestPut:
            let name = try reader.repository()
            let digest = try reader.digest()
            let row = try ManifestRow(decoding: try reader.string(), key: [])
            let hasReferrer = try reader.byte() != 0
            let referrer = hasReferrer ? try ReferrerRow(decoding: try reader.string(), key: []) : nil
            record = .manifestPut(name, digest, row, referrer: referrer)
        case .manifestRemoved: record = .manifestRemoved(try reader.repository(), try reader.digest())
        case .tagSet:
            record = .tagSet(
                try reader.repository(), try reader.tag(), try TagRow(decoding: try reader.string(), key: []))
        case .tagRemoved: record = .tagRemoved(try reader.repository(), try reader.tag())
        case .bucketCreated: record = .bucketCreated(try reader.text(), at: try reader.varint())
        case .bucketRemoved: record = .bucketRemoved(try reader.text())
        case .objectPut:
            let place = try reader.place()
            let row = try ObjectRow(decoding: try reader.string(), key: [])
            let isAdopting = try reader.byte() != 0
            record = .objectPut(place, row, adopting: isAdopting ? try reader.digest() : nil)
        case .objectRemoved: record = .objectRemoved(try reader.place())
        case .checkpoint: record = .checkpoint
        case .batchEnd, .snapshotBegin, .snapshotEnd: return nil
        }
        try reader.end()
        return record
    }

    /// Makes what the record says true in `transaction`.
    package func apply(to transaction: borrowing WriteTransaction) throws(IndexError) {
        switch self {
        case .inlineBlob(let digest, let landedAt, let bytes):
            try transaction.putInlineBlob(digest, bytes: bytes, landedAt: landedAt)
        case .blobForgotten(let digest): try transaction.removeBlob(digest)
        case .repositoryCreated(let name, let seconds): try transaction.createRepository(name, at: seconds)
        case .repositoryRemoved(let name): try transaction.removeRepository(name)
        case .linked(let name, let digest, let seconds): try transaction.link(digest, in: name, at: seconds)
        case .unlinked(let name, let digest): try transaction.unlink(digest, in: name)
        case .manifestPut(let name, let digest, let row, let referrer):
            try transaction.putManifest(digest, in: name, row, referrer: referrer)
        case .manifestRemoved(let name, let digest): try transaction.removeManifest(digest, in: name)
        case .tagSet(let name, let tag, let row): try transaction.setTag(tag, in: name, row)
        case .tagRemoved(let name, let tag): try transaction.removeTag(tag, in: name)
        case .bucketCreated(let name, let milliseconds): try transaction.createBucket(name, at: milliseconds)
        case .bucketRemoved(let name): try transaction.removeBucket(name)
        case .objectPut(let place, let row, let digest):
            // Its bucket may have been lost with a damaged part of the journal.
            try transaction.createBucket(place.bucket, at: row.modifiedMilliseconds)
            try transaction.putObject(at: place, row, adopting: digest)
        case .objectRemoved(let place): try transaction.removeObject(at: place)
        case .checkpoint: break
        }
    }
}

/// Collects the records of a transaction's bodies until they are written together.
final class JournalBuffer {
    private(set) var records: [(kind: JournalKind, payload: [UInt8])] = []
    /// Bytes of all payloads.
    private(set) var byteCount = 0

    func add(_ record: JournalRecord) {
        let payload = record.payload()
        byteCount += payload.count
        records.append((record.kind, payload))
    }

    /// Drops the records behind the first `count`: their body failed.
    func truncate(to count: Int) {
        for record in records[count...] { byteCount -= record.payload.count }
        records.removeSubrange(count...)
    }

    func removeAll() {
        records.removeAll()
        byteCount = 0
    }
}
