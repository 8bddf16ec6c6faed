// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc
internal import VarveModel

extension Journal {
    /// Writes the catalogue as `transaction` sees it as a snapshot, then removes the segments and snapshots that it
    /// makes superfluous. Commits may go on meanwhile.
    ///
    /// The snapshot gets its name when it is whole and durable, and nothing is removed before: whenever this is
    /// interrupted, replaying finds either the older files or the snapshot. It says up to where in the journal it goes;
    /// replaying begins with the newest snapshot and goes on from there. Segments go whole, so
    /// `Committer.compactJournal()` begins a new one before it comes here.
    package func compact(from transaction: borrowing ReadTransaction) throws(IndexError) {
        guard let position = try transaction.journalPosition() else { return }
        try compact(from: transaction, covering: position)
    }

    func compact(
        from transaction: borrowing ReadTransaction, covering position: JournalPosition
    ) throws(IndexError) {
        compaction.lock()
        defer { compaction.unlock() }
        let temporary = path(JournalListing.unfinishedName)
        do throws(IndexError) {
            var writer = try SnapshotWriter(temporary, files, position)
            try writer.catalogue(of: transaction)
            try writer.finish()
        } catch {
            unlink(temporary)
            throw error
        }
        let name = JournalListing.snapshotName(position.batch)
        guard rename(temporary, path(name)) == 0 else { throw .system("rename", name) }
        try DurableDirectory.synchronize(directory)

        let listing = try JournalListing(directory)
        for segment in listing.segments where segment < position.segment {
            unlink(path(JournalListing.segmentName(segment)))
        }
        for snapshot in listing.snapshots where snapshot < position.batch {
            unlink(path(JournalListing.snapshotName(snapshot)))
        }
        try DurableDirectory.synchronize(directory)
    }
}

/// Writes a snapshot: header, `snapshotBegin` with the position that it covers, records, `snapshotEnd` with their number.
private struct SnapshotWriter: ~Copyable {
    private let file: JournalFile
    private let files: JournalFiles
    private let salt: UInt32
    private var pending: [UInt8]
    private var base: UInt64 = 0
    private var records: UInt64 = 0

    private static let bufferBytes = 1 << 20
    private static let page = 1000

    init(_ path: String, _ files: JournalFiles, _ position: JournalPosition) throws(IndexError) {
        file = try JournalFile(path, flags: O_RDWR | O_CREAT | O_TRUNC)
        self.files = files
        let header = JournalHeader(isSnapshot: true, salt: .random(in: .min ... .max), sequence: position.batch)
        salt = header.salt
        pending = header.encoded()
        JournalFrame.append(.snapshotBegin, position.encoded(), salt: salt, base: base, to: &pending)
    }

    mutating func add(_ record: JournalRecord) throws(IndexError) {
        JournalFrame.append(record.kind, record.payload(), salt: salt, base: base, to: &pending)
        records &+= 1
        if pending.count >= SnapshotWriter.bufferBytes { try write() }
    }

    private mutating func write() throws(IndexError) {
        let (descriptor, start, files) = (file.descriptor, base, files)
        try pending.withUnsafeBufferPointer { (bytes) throws(IndexError) in
            try files.writeAll(descriptor, UnsafeRawBufferPointer(bytes), at: start)
        }
        base &+= UInt64(pending.count)
        pending.removeAll(keepingCapacity: true)
    }

    mutating func finish() throws(IndexError) {
        var end = RowWriter(capacity: 8)
        end.fixed(records)
        JournalFrame.append(.snapshotEnd, end.bytes, salt: salt, base: base, to: &pending)
        try write()
        try files.synchronizeData(file.descriptor)
    }

    /// Adds everything that the journal is there for.
    mutating func catalogue(of transaction: borrowing ReadTransaction) throws(IndexError) {
        try inlineBlobs(of: transaction)
        try objects(of: transaction)
        var last: String?
        while true {
            let names = try transaction.repositories(after: last, limit: SnapshotWriter.page)
            for name in names {
                guard let row = try transaction.repository(name) else { continue }
                try add(.repositoryCreated(name, at: row.createdAt))
                try links(of: transaction, name)
                try manifests(of: transaction, name)
                try tags(of: transaction, name)
            }
            guard names.count == SnapshotWriter.page else { return }
            last = names.last?.description
        }
    }

    private mutating func inlineBlobs(of transaction: borrowing ReadTransaction) throws(IndexError) {
        var last: Digest?
        while true {
            let blobs = try transaction.blobs(after: last, limit: SnapshotWriter.page)
            for (digest, row) in blobs where row.flags.contains(.inline) {
                guard let bytes = try transaction.inlineBytes(of: digest) else { continue }
                try add(.inlineBlob(digest, landedAt: row.landedAt, bytes: bytes))
            }
            guard blobs.count == SnapshotWriter.page else { return }
            last = blobs.last?.digest
        }
    }

    private mutating func objects(of transaction: borrowing ReadTransaction) throws(IndexError) {
        var waiting: [ObjectPlace: AdoptionRow] = [:]
        var lastSequence: UInt64?
        while true {
            let page = try transaction.adoptions(after: lastSequence, limit: SnapshotWriter.page)
            for (_, row) in page { waiting[row.place] = row }
            guard page.count == SnapshotWriter.page else { break }
            lastSequence = page.last?.sequence
        }
        for (bucket, bucketRow) in try transaction.buckets() {
            try add(.bucketCreated(bucket, at: bucketRow.createdMilliseconds))
            for namespace in WriteTransaction.objectNamespaces {
                var last: [UInt8]?
                while true {
                    let page = try transaction.objects(in: bucket, namespace, after: last, limit: SnapshotWriter.page)
                    for (key, row) in page {
                        let place = ObjectPlace(bucket: bucket, namespace: namespace, key: key)
                        let adoption = waiting[place].flatMap { $0.version == row.version ? $0 : nil }
                        try add(.objectPut(place, row, adopting: adoption?.digest))
                    }
                    guard page.count == SnapshotWriter.page else { break }
                    last = page.last?.key
                }
            }
        }
    }

    private mutating func links(
        of transaction: borrowing ReadTransaction, _ name: RepositoryName
    ) throws(IndexError) {
        var last: Digest?
        while true {
            let links = try transaction.links(in: name, after: last, limit: SnapshotWriter.page)
            for (digest, row) in links { try add(.linked(name, digest, at: row.linkedAt)) }
            guard links.count == SnapshotWriter.page else { return }
            last = links.last?.digest
        }
    }

    private mutating func manifests(
        of transaction: borrowing ReadTransaction, _ name: RepositoryName
    ) throws(IndexError) {
        var last: Digest?
        while true {
            let manifests = try transaction.manifests(in: name, after: last, limit: SnapshotWriter.page)
            for (digest, row) in manifests {
                var referrer: ReferrerRow?
                if let subject = row.subject {
                    referrer = try transaction.referrer(digest, of: subject, in: name)
                }
                try add(.manifestPut(name, digest, row, referrer: referrer))
            }
            guard manifests.count == SnapshotWriter.page else { return }
            last = manifests.last?.digest
        }
    }

    private mutating func tags(of transaction: borrowing ReadTransaction, _ name: RepositoryName) throws(IndexError) {
        var last: String?
        while true {
            let tags = try transaction.tags(in: name, after: last, limit: SnapshotWriter.page)
            for tag in tags {
                guard let row = try transaction.tag(tag, in: name) else { continue }
                try add(.tagSet(name, tag, row))
            }
            guard tags.count == SnapshotWriter.page else { return }
            last = tags.last?.description
        }
    }
}
