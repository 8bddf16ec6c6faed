// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

/// What replaying a journal met.
package struct ReplayReport: Sendable, Equatable {
    /// Bytes of a file that are no record although whole records follow them.
    package struct Damage: Sendable, Equatable {
        /// The file's name.
        package var file: String
        /// Which bytes.
        package var range: Range<UInt64>
    }

    /// Records handed over.
    package var records = 0
    /// Damaged places. Whole records behind them were handed over all the same.
    package var damage: [Damage] = []
    /// Bytes of a torn end that were passed over.
    package var tornBytes: UInt64 = 0
    /// Sequence numbers of segments that should be there and are not.
    package var missingSegments: [UInt64] = []
    /// The position behind the last batch; nil if there is no journal.
    package var end: JournalPosition?
}

extension Journal {
    /// Hands every record to `body`, from the newest whole snapshot on, in the order in which they were written. With
    /// all of them applied, the catalogue is as it was after the last batch.
    ///
    /// Nothing is changed on disk. Damage does not end it: whatever is whole is handed over, and the report says what
    /// is not. A batch without its end at the end of the last segment was never acknowledged and is left out.
    package static func replay(
        directory: String, _ body: (JournalRecord) throws(IndexError) -> Void
    ) throws(IndexError) -> ReplayReport {
        var report = ReplayReport()
        let listing = try JournalListing(directory)
        var from: JournalPosition?
        for snapshot in listing.snapshots.reversed() {
            let path = directory + "/" + JournalListing.snapshotName(snapshot)
            if let position = try snapshotPosition(path) {
                from = position
                try replaySnapshot(path, &report, body)
                break
            }
            report.damage.append(.init(file: JournalListing.snapshotName(snapshot), range: 0..<0))
        }
        if from == nil, let newest = listing.snapshots.last {
            // No snapshot is whole: what can be read of the newest one is better than nothing.
            try replaySnapshot(directory + "/" + JournalListing.snapshotName(newest), &report, body)
        }
        report.end = from
        var expected = from?.segment
        for segment in listing.segments where segment >= from?.segment ?? 0 {
            while let missing = expected, missing < segment, report.missingSegments.count < 1000 {
                report.missingSegments.append(missing)
                expected = missing &+ 1
            }
            expected = segment &+ 1
            try replaySegment(
                directory, segment, from: from?.segment == segment ? from?.offset : nil,
                isLast: segment == listing.segments.last, &report, body)
        }
        if let segment = from?.segment, !listing.segments.contains(where: { $0 >= segment }) {
            report.missingSegments.append(segment)
        }
        return report
    }

    private static func replaySegment(
        _ directory: String, _ segment: UInt64, from offset: UInt64?, isLast: Bool, _ report: inout ReplayReport,
        _ body: (JournalRecord) throws(IndexError) -> Void
    ) throws(IndexError) {
        let name = JournalListing.segmentName(segment)
        let file = try JournalFile(directory + "/" + name, flags: O_RDONLY)
        var found = report
        try file.withBytes { (bytes) throws(IndexError) in
            guard let header = try header(of: bytes, name, isLast: isLast, &found) else { return }
            let start = min(offset.map { Int(clamping: $0) } ?? JournalHeader.byteCount, bytes.count)
            var scanner = JournalScanner(bytes, salt: header.salt, offset: start)
            var batch: [JournalRecord] = []
            var batchIsDamaged = false
            var batchStart = UInt64(start)
            var isDone = false
            while !isDone {
                switch scanner.next() {
                case .record(let kind, let payload):
                    if let record = try? JournalRecord.decode(kind, payload) { batch.append(record) }
                case .damage(let range):
                    if !range.isEmpty { found.damage.append(.init(file: name, range: range)) }
                    batchIsDamaged = true
                    // An empty range is the end of a batch that is not whole.
                    if range.isEmpty { try hand(&batch, &found, body) }
                case .batchEnd(let number, let end):
                    try hand(&batch, &found, body)
                    batchIsDamaged = false
                    batchStart = end
                    found.end = JournalPosition(segment: segment, offset: end, batch: number)
                case .torn(let offset):
                    if !isLast { found.damage.append(.init(file: name, range: offset..<UInt64(bytes.count))) }
                    isDone = true
                case .end:
                    isDone = true
                }
            }
            // In the last segment a batch without its end was not acknowledged; elsewhere its end was damaged.
            if isLast && !batchIsDamaged {
                found.tornBytes &+= UInt64(bytes.count) &- batchStart
            } else {
                try hand(&batch, &found, body)
            }
        }
        report = found
    }

    private static func hand(
        _ batch: inout [JournalRecord], _ report: inout ReplayReport,
        _ body: (JournalRecord) throws(IndexError) -> Void
    ) throws(IndexError) {
        for record in batch {
            try body(record)
            report.records += 1
        }
        batch.removeAll(keepingCapacity: true)
    }

    private static func header(
        of bytes: UnsafeRawBufferPointer, _ name: String, isLast: Bool, _ report: inout ReplayReport
    ) throws(IndexError) -> JournalHeader? {
        do throws(IndexError) {
            return try JournalHeader(decoding: bytes)
        } catch {
            guard error.isCorrupt else { throw error }
            // Without its salt no record of a file can be told from other bytes.
            if isLast && bytes.count <= JournalHeader.byteCount {
                report.tornBytes &+= UInt64(bytes.count)
            } else {
                report.damage.append(.init(file: name, range: 0..<UInt64(bytes.count)))
            }
            return nil
        }
    }

    /// The position that a snapshot covers, if it is whole.
    private static func snapshotPosition(_ path: String) throws(IndexError) -> JournalPosition? {
        try JournalFile(path, flags: O_RDONLY).withBytes { (bytes) throws(IndexError) in
            guard let header = try? JournalHeader(decoding: bytes), header.isSnapshot else { return nil }
            var scanner = JournalScanner(bytes, salt: header.salt)
            guard case .record(.snapshotBegin, let begin) = scanner.next() else { return nil }
            var reader = RowReader(begin, of: "snapshot")
            guard let position = try? JournalPosition(from: &reader) else { return nil }
            var records: UInt64 = 0
            while true {
                guard case .record(let kind, let payload) = scanner.next() else { return nil }
                if kind == .snapshotEnd {
                    var reader = RowReader(payload, of: "snapshot")
                    return (try? reader.fixed(UInt64.self)) == records ? position : nil
                }
                records &+= 1
            }
        }
    }

    private static func replaySnapshot(
        _ path: String, _ report: inout ReplayReport, _ body: (JournalRecord) throws(IndexError) -> Void
    ) throws(IndexError) {
        var found = report
        try JournalFile(path, flags: O_RDONLY).withBytes { (bytes) throws(IndexError) in
            guard let header = try? JournalHeader(decoding: bytes), header.isSnapshot else { return }
            var scanner = JournalScanner(bytes, salt: header.salt)
            while true {
                switch scanner.next() {
                case .record(let kind, let payload):
                    guard let record = try? JournalRecord.decode(kind, payload) else { continue }
                    try body(record)
                    found.records += 1
                case .damage, .batchEnd: continue
                case .torn, .end: return
                }
            }
        }
        report = found
    }
}
