// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc
internal import Synchronization

extension Journal {
    /// Puts the journal and an index together, so that both say the same, and opens the journal for writing.
    ///
    /// - A journal without anything in it and an index that never had one: the journal begins.
    /// - Behind the index's position lies nothing: as it should be.
    /// - A torn batch, or one whole batch: cut off; it was never acknowledged.
    /// - More than one whole batch, or a journal with content and an index that never had one: `journalAhead`.
    /// - The position lies behind the journal's end: the journal has lost something, and is written anew from the index.
    func attach(to environment: IndexEnvironment) throws(IndexError) {
        let position = try environment.read { (transaction) throws(IndexError) in try transaction.journalPosition() }
        let listing = try JournalListing(directory)
        if listing.hasUnfinished { unlink(path(JournalListing.unfinishedName)) }
        guard let position else {
            try refuseContent(listing)
            try start(segment: (listing.segments.last ?? 0) &+ 1, batch: 0, in: environment)
            return
        }
        if try resume(at: position, listing) {
            try checkLater(than: position.segment, listing)
            return
        }
        let fresh = max(position.segment, listing.segments.last ?? 0) &+ 1
        let beginning = JournalPosition(
            segment: fresh, offset: UInt64(JournalHeader.byteCount), batch: position.batch)
        // The snapshot first: until the index names the new segment, an interruption leaves everything to do again.
        try environment.read { (transaction) throws(IndexError) in try compact(from: transaction, covering: beginning) }
        try start(segment: fresh, batch: position.batch, in: environment)
        state.withLock { $0.recovery.wasBehind = true }
    }

    private func start(segment: UInt64, batch: UInt64, in environment: IndexEnvironment) throws(IndexError) {
        let position = try locked { (state) throws(IndexError) in
            state.position.batch = batch
            try begin(segment: segment, &state)
            return state.position
        }
        try environment.write { (transaction) throws(IndexError) in
            try transaction.setMeta(JournalPosition.metaKey, position.encoded())
        }
    }

    /// An index that never had a journal must not meet one with content: it is a new index, and the content would be
    /// forgotten.
    private func refuseContent(_ listing: JournalListing) throws(IndexError) {
        guard listing.snapshots.isEmpty, try Journal.contentBatches(directory, listing.segments) == 0 else {
            throw IndexError(.journalAhead, call: "journal", detail: "the index is new, the journal is not")
        }
        for segment in listing.segments { unlink(path(JournalListing.segmentName(segment))) }
    }

    /// Opens the segment of `position` for writing there; false if it does not reach that far.
    private func resume(at position: JournalPosition, _ listing: JournalListing) throws(IndexError) -> Bool {
        guard listing.segments.contains(position.segment) else { return false }
        let name = JournalListing.segmentName(position.segment)
        let found = try Journal.wholeBatches(directory, position.segment, from: position.offset)
        guard found.fileBytes >= position.offset, let salt = found.salt else { return false }
        guard found.count <= 1 else {
            throw IndexError(
                .journalAhead, call: "journal", detail: "\(found.count) batches behind the index in \(name)")
        }
        let descriptor = open(path(name), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", name) }
        try locked { (state) throws(IndexError) in
            state.descriptor = descriptor
            state.salt = salt
            state.position = position
            guard found.fileBytes > position.offset else { return }
            guard ftruncate(descriptor, Int(clamping: position.offset)) == 0 else { throw .system("ftruncate", name) }
            try files.synchronizeData(descriptor)
            state.recovery.cutBytes = found.fileBytes - position.offset
            state.recovery.cutBatches = found.count
        }
        return true
    }

    /// Segments behind the index's one: a batch that began a new segment and was not committed.
    private func checkLater(than segment: UInt64, _ listing: JournalListing) throws(IndexError) {
        var batches = recovery.cutBatches
        let later = listing.segments.filter { $0 > segment }
        batches += try Journal.contentBatches(directory, later)
        guard batches <= 1 else {
            throw IndexError(.journalAhead, call: "journal", detail: "\(batches) batches behind the index")
        }
        for sequence in later {
            let name = JournalListing.segmentName(sequence)
            let bytes = UInt64(try JournalFile(path(name), flags: O_RDONLY).byteCount())
            guard unlink(path(name)) == 0 else { throw .system("unlink", name) }
            state.withLock {
                $0.recovery.cutBytes &+= bytes
                $0.recovery.cutBatches = batches
            }
        }
        if !later.isEmpty { try DurableDirectory.synchronize(directory) }
    }

    /// Whole batches in segments. A segment's header is durable before its first batch is written: one that is damaged
    /// with more behind it is no trace of a crash, and counts as many.
    static func contentBatches(_ directory: String, _ segments: [UInt64]) throws(IndexError) -> Int {
        var batches = 0
        for segment in segments {
            let found = try wholeBatches(directory, segment, from: nil)
            batches += found.salt == nil && found.fileBytes > UInt64(JournalHeader.byteCount) ? 1000 : found.count
        }
        return batches
    }

    /// Whole batches in a segment behind `offset`, the file's length, and its salt if its header is whole.
    static func wholeBatches(
        _ directory: String, _ segment: UInt64, from offset: UInt64?
    ) throws(IndexError) -> (count: Int, fileBytes: UInt64, salt: UInt32?) {
        let file = try JournalFile(directory + "/" + JournalListing.segmentName(segment), flags: O_RDONLY)
        return try file.withBytes { (bytes) throws(IndexError) in
            let header: JournalHeader
            do throws(IndexError) {
                header = try JournalHeader(decoding: bytes)
            } catch {
                guard error.isCorrupt else { throw error }
                return (0, UInt64(bytes.count), nil)
            }
            let start = offset.map { Int(clamping: $0) } ?? JournalHeader.byteCount
            guard start <= bytes.count else { return (0, UInt64(bytes.count), header.salt) }
            var scanner = JournalScanner(bytes, salt: header.salt, offset: start, looksBehindDamage: false)
            var count = 0
            while true {
                switch scanner.next() {
                case .batchEnd: count += 1
                case .record, .damage: break
                case .torn, .end: return (count, UInt64(bytes.count), header.salt)
                }
            }
        }
    }
}
