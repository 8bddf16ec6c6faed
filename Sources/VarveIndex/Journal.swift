// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc
internal import Synchronization

/// The catalogue journal: names, manifests and small blobs once more, outside the index, so that nothing that a client
/// was promised depends on one LMDB file. Packs and raw files describe themselves; these things would be lost with it.
///
/// Order: records → `fdatasync` → commit of the index, which notes the journal's position → acknowledgement. So after a
/// crash the journal is ahead of the index by one batch at most, and nobody was told that this batch happened: it is
/// cut off when the two are put together (`attach`), as is a torn end. Nothing before the position in the index is ever
/// cut: damage there is damage, not a torn end. If more than one whole batch lies behind the position, the index is an
/// old copy or was lost, and cutting would destroy what was promised: that is refused as `journalAhead`.
///
/// Segments grow to a size, then a new one begins. `compact(from:)` writes the present state as a snapshot beside them,
/// and removes the segments that it covers.
package final class Journal: Sendable {
    /// How a journal is kept.
    package struct Options: Sendable {
        /// Length at which a segment ends, in bytes; a batch is never split.
        package var segmentBytes: UInt64 = 64 << 20

        package init() {}
    }

    /// What opening had to mend.
    package struct Recovery: Sendable, Equatable {
        /// Bytes behind the index's position that were cut: never acknowledged.
        package var cutBytes: UInt64 = 0
        /// Whole batches among them.
        package var cutBatches = 0
        /// The journal lacked what the index holds, and was written anew from it.
        package var wasBehind = false
    }

    struct State {
        var descriptor: Int32 = -1
        var salt: UInt32 = 0
        var position = JournalPosition(segment: 0, offset: 0, batch: 0)
        var mustRotate = false
        var isBroken = false
        var recovery = Recovery()
    }

    let directory: String
    let options: Options
    let files: JournalFiles
    let state = Mutex(State())
    /// One compaction at a time.
    let compaction = Monitor()

    /// Makes the directory of a journal durable. What is in it is looked at when a committer is made for it.
    package init(
        directory: String, options: Options = Options(), files: JournalFiles = .system
    ) throws(IndexError) {
        try DurableDirectory.create(directory)
        self.directory = directory
        self.options = options
        self.files = files
    }

    deinit { close() }

    /// Closes the segment being written. Nothing may be written later.
    package func close() {
        state.withLock { state in
            if state.descriptor >= 0 { Glibc.close(state.descriptor) }
            state.descriptor = -1
        }
    }

    /// What opening had to mend; known once a committer has been made.
    package var recovery: Recovery { state.withLock { $0.recovery } }

    /// Bytes of all segments and snapshots.
    package func byteCount() throws(IndexError) -> UInt64 {
        var total: UInt64 = 0
        for file in try JournalListing(directory).all {
            total &+= UInt64(try JournalFile(path(file), flags: O_RDONLY).byteCount())
        }
        return total
    }

    func path(_ name: String) -> String { directory + "/" + name }

    /// The next batch begins a new segment.
    func rotateAtNextFlush() { state.withLock { $0.mustRotate = true } }

    // MARK: Writing

    /// Appends the records as one batch and makes it durable.
    /// - Returns: The position behind it, to be committed with the index.
    /// - Throws: What the write or the sync failed with. The journal takes nothing more afterwards: what a failed sync
    ///   left on disk is not known.
    func flush(_ buffer: JournalBuffer) throws(IndexError) -> JournalPosition {
        try locked { (state) throws(IndexError) in
            guard state.descriptor >= 0, !state.isBroken else { throw IndexError(.closed, call: "journal") }
            do throws(IndexError) {
                if state.mustRotate || state.position.offset >= options.segmentBytes {
                    try begin(segment: state.position.segment &+ 1, &state)
                }
                let base = state.position.offset
                let number = state.position.batch &+ 1
                var bytes: [UInt8] = []
                bytes.reserveCapacity(buffer.byteCount + (buffer.records.count + 4) * JournalFrame.overheadBytes)
                for record in buffer.records {
                    JournalFrame.append(record.kind, record.payload, salt: state.salt, base: base, to: &bytes)
                }
                let end = JournalFrame.batchEnd(number: number, start: base, crc: checksum(bytes))
                JournalFrame.append(.batchEnd, end, salt: state.salt, base: base, to: &bytes)
                try write(bytes, state.descriptor, at: base)
                try files.synchronizeData(state.descriptor)
                state.position.offset = base &+ UInt64(bytes.count)
                state.position.batch = number
                return state.position
            } catch {
                state.isBroken = true
                throw error
            }
        }
    }

    /// The position behind the last batch.
    var position: JournalPosition { state.withLock { $0.position } }

    /// Takes the batch behind `position` back: the commit that it belongs to will be tried again from the start.
    func takeBack(to position: JournalPosition) throws(IndexError) {
        try locked { (state) throws(IndexError) in
            // If the batch is the first of its segment, the segment stays, empty.
            let isSameSegment = position.segment == state.position.segment
            state.position.offset = isSameSegment ? position.offset : UInt64(JournalHeader.byteCount)
            state.position.batch = position.batch
            guard ftruncate(state.descriptor, Int(clamping: state.position.offset)) == 0 else {
                state.isBroken = true
                throw .system("ftruncate", "journal")
            }
        }
    }

    /// Begins a segment: its file with a header, durable with its entry, becomes the one being written.
    func begin(segment sequence: UInt64, _ state: inout State) throws(IndexError) {
        let name = JournalListing.segmentName(sequence)
        let descriptor = open(path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("open", name) }
        let header = JournalHeader(isSnapshot: false, salt: .random(in: .min ... .max), sequence: sequence)
        do throws(IndexError) {
            try write(header.encoded(), descriptor, at: 0)
            try files.synchronizeData(descriptor)
            try DurableDirectory.synchronize(directory)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        if state.descriptor >= 0 { Glibc.close(state.descriptor) }
        state.descriptor = descriptor
        state.salt = header.salt
        state.position.segment = sequence
        state.position.offset = UInt64(JournalHeader.byteCount)
        state.mustRotate = false
    }

    func write(_ bytes: [UInt8], _ descriptor: Int32, at offset: UInt64) throws(IndexError) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(IndexError) in
            try files.writeAll(descriptor, UnsafeRawBufferPointer(bytes), at: offset)
        }
    }

    func locked<Value: Sendable>(_ body: (inout State) throws(IndexError) -> Value) throws(IndexError) -> Value {
        try state.withLock { (state) throws(IndexError) in try body(&state) }
    }
}
