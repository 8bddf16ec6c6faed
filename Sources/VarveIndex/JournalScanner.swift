// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Walks the records of one journal file.
///
/// A record that is not whole is either the torn end of the file or damage within it. Which of the two it is shows in
/// whether any whole record follows; the salt keeps bytes within a blob from passing for one.
struct JournalScanner {
    /// What the walk found.
    enum Event {
        /// A record.
        case record(JournalKind, UnsafeRawBufferPointer)
        /// A whole batch ends; all records since the last event of this kind belong to it.
        case batchEnd(number: UInt64, end: UInt64)
        /// Bytes that are no record, with whole records behind them.
        case damage(Range<UInt64>)
        /// The rest of the file is no record.
        case torn(at: UInt64)
        /// The file's end, behind a whole record.
        case end
    }

    private let file: UnsafeRawBufferPointer
    private let salt: UInt32
    private let looksBehindDamage: Bool
    private var offset: Int
    private var batchStart: Int

    /// Bytes that may be checked in search of the next whole record behind one damaged place: blobs can be made of what
    /// looks like long records, and each has to be checked.
    private static let searchBudgetBytes = 4 << 30

    /// - Parameters:
    ///   - offset: Where to begin: behind the header, or between two batches.
    ///   - looksBehindDamage: Whether to look for whole records behind what is none; otherwise that is `torn`.
    init(
        _ file: UnsafeRawBufferPointer, salt: UInt32, offset: Int = JournalHeader.byteCount,
        looksBehindDamage: Bool = true
    ) {
        self.looksBehindDamage = looksBehindDamage
        self.file = file
        self.salt = salt
        self.offset = offset
        batchStart = offset
    }

    mutating func next() -> Event {
        guard offset < file.count else { return .end }
        guard case .record(let kind, let payload, let end) = JournalFrame.probe(file, at: offset, salt: salt) else {
            return skip()
        }
        let start = offset
        offset = end
        guard kind == .batchEnd else { return .record(kind, payload) }
        var reader = RowReader(payload, of: "batch end")
        guard let number = try? reader.fixed(UInt64.self), let first = try? reader.fixed(UInt64.self),
            let crc = try? reader.fixed(UInt32.self), let begin = Int(exactly: first), begin >= batchStart,
            begin <= start,
            crc == checksum(UnsafeRawBufferPointer(rebasing: file[begin..<start]))
        else {
            // Its own check was right, so what it ends has been damaged, which was told when it was met.
            batchStart = offset
            return .damage(UInt64(start)..<UInt64(start))
        }
        batchStart = offset
        return .batchEnd(number: number, end: UInt64(offset))
    }

    private mutating func skip() -> Event {
        let start = offset
        var probe = offset + 1
        var budget = JournalScanner.searchBudgetBytes
        while looksBehindDamage, budget > 0, file.count - probe >= JournalFrame.overheadBytes {
            switch JournalFrame.probe(file, at: probe, salt: salt) {
            case .record:
                offset = probe
                return .damage(UInt64(start)..<UInt64(probe))
            case .checkDiffers(let byteCount): budget -= byteCount
            case .impossible: break
            }
            probe += 1
        }
        offset = file.count
        return .torn(at: UInt64(start))
    }
}
