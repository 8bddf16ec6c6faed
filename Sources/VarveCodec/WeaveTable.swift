// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How the header stream and the content stream of a layer alternate.
///
/// Entry after entry: so many bytes of the header stream, then so many of the content stream. The table is explicit, so
/// that rebuilding never parses a tar and any range of the plain bytes is found without decoding a header. It stays in its
/// encoded form, about three bytes an entry, with a checkpoint every 64 entries to search by; its memory is therefore
/// bounded by the bytes it was read from.
package struct WeaveTable: Sendable, Equatable {
    struct Checkpoint: Sendable, Equatable {
        /// Where in `encoded` the entry lies.
        var offset: Int
        /// Bytes of both streams before the entry.
        var headerBytes: UInt64
        var contentBytes: UInt64
        var plainBytes: UInt64 { headerBytes &+ contentBytes }
    }

    static let entriesPerCheckpoint = 64
    /// No stream is longer than this, so sums of two never overflow.
    package static let streamByteLimit: UInt64 = 1 << 62

    /// Pairs of variable-length numbers, checked when the table was made.
    let encoded: [UInt8]
    let checkpoints: [Checkpoint]
    /// Entries, each some header bytes followed by some content bytes. 0 if the plain bytes are the content stream.
    package let entryCount: Int
    /// Length of the header stream.
    package let headerBytes: UInt64
    /// Length of the content stream.
    package let contentBytes: UInt64
    /// Length of what the weave gives.
    package var plainBytes: UInt64 { headerBytes + contentBytes }

    /// A table without entries: the plain bytes are a content stream of that length.
    package static func contentOnly(byteCount: UInt64) -> WeaveTable {
        WeaveTable(encoded: [], checkpoints: [], entryCount: 0, headerBytes: 0, contentBytes: byteCount)
    }

    init(encoded: [UInt8], checkpoints: [Checkpoint], entryCount: Int, headerBytes: UInt64, contentBytes: UInt64) {
        self.encoded = encoded
        self.checkpoints = checkpoints
        self.entryCount = entryCount
        self.headerBytes = headerBytes
        self.contentBytes = contentBytes
    }

    /// Calls `body` with the ranges of the two streams that make up `range` of the plain bytes, in order.
    ///
    /// What of `range` lies behind the end is left out. Finding the start takes a binary search and at most 64 entries.
    package func segments<Failure: Error>(
        in range: Range<UInt64>, _ body: (StreamKind, Range<UInt64>) throws(Failure) -> Void
    ) throws(Failure) {
        let range = range.clamped(to: 0..<plainBytes)
        guard !range.isEmpty else { return }
        guard entryCount > 0 else { return try body(.content, range) }
        var cursor = Cursor(self, before: range.lowerBound)
        while cursor.plainOffset < range.upperBound, let entry = cursor.next() {
            let contentStart = entry.plainOffset &+ entry.headerBytes
            let header = range.clamped(to: entry.plainOffset..<contentStart)
            if !header.isEmpty {
                let shift = entry.headerOffset &- entry.plainOffset
                try body(.headers, header.lowerBound &+ shift..<header.upperBound &+ shift)
            }
            let content = range.clamped(to: contentStart..<contentStart &+ entry.contentBytes)
            if !content.isEmpty {
                let shift = entry.contentOffset &- contentStart
                try body(.content, content.lowerBound &+ shift..<content.upperBound &+ shift)
            }
        }
    }

    // MARK: Coding

    /// Appends the entry count and the entries.
    package func encode(into writer: inout ByteWriter) {
        writer.writeVarint(UInt64(entryCount))
        writer.write(encoded)
    }

    /// Reads the entry count and the entries; `plainBytes` is what they must add up to.
    /// - Throws: ``CodecError``: `malformed` for sums that differ, or an empty part where none may be (only the first
    ///   header part and the last content part may be empty); `truncated`; `limitExceeded`.
    package init(decoding reader: inout ByteReader, plainBytes: UInt64) throws(CodecError) {
        guard plainBytes <= Self.streamByteLimit else {
            throw CodecError(.limitExceeded, "a blob of \(plainBytes) bytes is not supported")
        }
        let count = try reader.readCount(bytesEach: 2, "the number of weave entries")
        guard count > 0 else {
            self = .contentOnly(byteCount: plainBytes)
            return
        }
        let start = reader.position
        var checkpoints: [Checkpoint] = []
        checkpoints.reserveCapacity((count - 1) / Self.entriesPerCheckpoint + 1)
        var headers: UInt64 = 0
        var contents: UInt64 = 0
        for index in 0..<count {
            if index % Self.entriesPerCheckpoint == 0 {
                checkpoints.append(
                    Checkpoint(offset: reader.position - start, headerBytes: headers, contentBytes: contents))
            }
            let header = try reader.readVarint()
            let content = try reader.readVarint()
            guard header > 0 || index == 0, content > 0 || index == count - 1 else {
                throw CodecError(.malformed, "entry \(index) of the weave has an empty part")
            }
            // Both sums stay at or below plainBytes, hence below 2^62: what is left is never negative.
            let left = plainBytes - headers - contents
            guard header <= left, content <= left - header else {
                throw CodecError(.malformed, "the weave is longer than the plain bytes, \(plainBytes)")
            }
            headers += header
            contents += content
        }
        guard headers + contents == plainBytes, headers > 0 else {
            throw CodecError(.malformed, "the weave gives \(headers + contents) bytes instead of \(plainBytes)")
        }
        self.init(
            encoded: Array(reader.taken(from: start)), checkpoints: checkpoints, entryCount: count,
            headerBytes: headers, contentBytes: contents)
    }
}

extension WeaveTable {
    /// One entry and where its parts begin.
    struct Entry {
        var headerOffset: UInt64
        var headerBytes: UInt64
        var contentOffset: UInt64
        var contentBytes: UInt64
        var plainOffset: UInt64 { headerOffset &+ contentOffset }
    }

    /// Walks over entries, beginning at the one that holds a given plain byte.
    struct Cursor {
        private let table: WeaveTable
        private var index: Int
        private var offset: Int
        private var headerOffset: UInt64
        private var contentOffset: UInt64

        /// Where, in the plain bytes, the next entry begins.
        var plainOffset: UInt64 { headerOffset &+ contentOffset }

        /// At the entry that holds byte `plainOffset`, or one shortly before it.
        init(_ table: WeaveTable, before plainOffset: UInt64) {
            var low = 0
            var high = table.checkpoints.count
            while high - low > 1 {
                let middle = (low + high) / 2
                if table.checkpoints[middle].plainBytes <= plainOffset { low = middle } else { high = middle }
            }
            let checkpoint = table.checkpoints[low]
            self.table = table
            index = low * WeaveTable.entriesPerCheckpoint
            offset = checkpoint.offset
            headerOffset = checkpoint.headerBytes
            contentOffset = checkpoint.contentBytes
        }

        mutating func next() -> Entry? {
            guard index < table.entryCount else { return nil }
            let header = number()
            let content = number()
            defer {
                index += 1
                headerOffset &+= header
                contentOffset &+= content
            }
            return Entry(
                headerOffset: headerOffset, headerBytes: header, contentOffset: contentOffset, contentBytes: content)
        }

        /// The next number. It was checked when the table was made.
        private mutating func number() -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                let byte = table.encoded[offset]
                offset += 1
                value |= UInt64(byte & 0x7f) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
        }
    }
}
