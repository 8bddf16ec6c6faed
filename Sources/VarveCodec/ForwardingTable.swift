// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Under which names the chunks of a pack were known before they came there.
///
/// A recipe never changes: it names a chunk by the pack and the ordinal under which that was stored first. When a pack
/// is rewritten, what is alive in it goes into one new pack, in the same order, and the footer of the new pack says for
/// each old pack which of its ordinals are which of the new ones. Since the order stays, chunks that followed one another
/// and are all alive follow one another again: a run of a recipe is always inside one run of the table.
///
/// The table speaks of chunks of its own pack only. When that pack is rewritten in turn, the next one's table names all
/// old packs directly: looking up is one step, whatever happened before.
package struct ForwardingTable: Sendable, Equatable {
    /// Chunks that followed one another in the old pack and do so in this one.
    package struct Run: Sendable, Equatable {
        /// The first chunk's ordinal in the old pack.
        package var oldFirst: UInt32
        /// Its ordinal in this pack.
        package var newFirst: UInt32
        /// Number of chunks, at least 1.
        package var count: UInt32

        package init(oldFirst: UInt32, newFirst: UInt32, count: UInt32) {
            self.oldFirst = oldFirst
            self.newFirst = newFirst
            self.count = count
        }
    }

    /// What came from one old pack.
    package struct Entry: Sendable, Equatable {
        package var pack: PackID
        /// Ascending in both ordinals, none joining the one before.
        package var runs: [Run]

        package init(pack: PackID, runs: [Run]) {
            self.pack = pack
            self.runs = runs
        }
    }

    /// By pack id, ascending.
    package let entries: [Entry]

    /// A table of the entries, which may come in any order. Entries without runs are left out.
    package init(_ entries: [Entry] = []) {
        self.entries = entries.filter { !$0.runs.isEmpty }.sorted { $0.pack < $1.pack }
    }

    // MARK: Coding

    private static let smallestEntryBytes = PackID.byteCount + 4

    /// The table's bytes: none for a table without entries.
    /// - Throws: ``CodecError`` with code `invalidArgument` for a table that breaks the rules of its runs.
    func encoded() throws(CodecError) -> [UInt8] {
        guard !entries.isEmpty else { return [] }
        var writer = ByteWriter()
        writer.writeVarint(UInt64(entries.count))
        for entry in entries {
            writer.write(entry.pack)
            writer.writeVarint(UInt64(entry.runs.count))
            var oldEnd: UInt64 = 0
            var newEnd: UInt64 = 0
            for run in entry.runs {
                guard run.oldFirst >= oldEnd, run.newFirst >= newEnd, run.count > 0 else {
                    throw CodecError(.invalidArgument, "runs of pack \(entry.pack) that are not in order")
                }
                writer.writeVarint(UInt64(run.oldFirst) - oldEnd)
                writer.writeVarint(run.count)
                writer.writeVarint(UInt64(run.newFirst) - newEnd)
                oldEnd = UInt64(run.oldFirst) + UInt64(run.count)
                newEnd = UInt64(run.newFirst) + UInt64(run.count)
            }
        }
        return writer.bytes
    }

    /// Reads a table; `chunkCount` is the number of chunks of the pack that it belongs to.
    /// - Throws: ``CodecError``: `truncated`, `malformed`, `limitExceeded`.
    init(decoding bytes: UnsafeRawBufferPointer, chunkCount: UInt32) throws(CodecError) {
        var entries: [Entry] = []
        if !bytes.isEmpty {
            var reader = ByteReader(bytes)
            let count = try reader.readCount(bytesEach: Self.smallestEntryBytes, "the number of forwarded packs")
            guard count > 0 else { throw CodecError(.malformed, "a forwarding table of no packs") }
            entries.reserveCapacity(count)
            for _ in 0..<count {
                let entry = try Self.readEntry(&reader, chunkCount: chunkCount)
                if let last = entries.last, last.pack >= entry.pack {
                    throw CodecError(.malformed, "the packs of a forwarding table are not in order")
                }
                entries.append(entry)
            }
            guard reader.isAtEnd else {
                throw CodecError(.malformed, "a forwarding table goes on for \(reader.remaining) bytes")
            }
        }
        self.entries = entries
    }

    private static func readEntry(_ reader: inout ByteReader, chunkCount: UInt32) throws(CodecError) -> Entry {
        let limit = UInt64(UInt32.max)
        let pack = try reader.readPackID()
        let count = try reader.readCount(bytesEach: 3, "the number of forwarding runs")
        guard count > 0 else { throw CodecError(.malformed, "nothing of pack \(pack) is forwarded") }
        var runs: [Run] = []
        runs.reserveCapacity(count)
        var oldEnd: UInt64 = 0
        var newEnd: UInt64 = 0
        for index in 0..<count {
            let oldGap = try reader.readVarint(atMost: limit, "a forwarded ordinal")
            let length = try reader.readVarint(atMost: limit, "the length of a forwarding run")
            let newGap = try reader.readVarint(atMost: limit, "a new ordinal")
            let old = oldEnd + oldGap
            let new = newEnd + newGap
            // Sums of three numbers of 32 bits each: far from an overflow.
            guard length > 0, old + length <= limit, new + length <= UInt64(chunkCount),
                index == 0 || oldGap > 0 || newGap > 0
            else { throw CodecError(.malformed, "a run of pack \(pack): \(length) chunks, \(old) to \(new)") }
            runs.append(
                Run(
                    oldFirst: UInt32(truncatingIfNeeded: old), newFirst: UInt32(truncatingIfNeeded: new),
                    count: UInt32(truncatingIfNeeded: length)))
            oldEnd = old + length
            newEnd = new + length
        }
        return Entry(pack: pack, runs: runs)
    }

    /// Reads the table in a footer, the `trailer.footerBytes` bytes before the trailer.
    /// - Throws: ``CodecError``: `truncated`, `checksumMismatch`, `malformed`, `limitExceeded`.
    package init(decodingFooter bytes: UnsafeRawBufferPointer, trailer: PackTrailer) throws(CodecError) {
        guard bytes.count == trailer.footerBytes else {
            throw CodecError(.truncated, "a footer has \(trailer.footerBytes) bytes, \(bytes.count) are here")
        }
        guard crc32c(bytes) == trailer.footerChecksum else {
            throw CodecError(.checksumMismatch, "a pack's footer is damaged")
        }
        var footer = ByteReader(bytes)
        try self.init(decoding: try Self.readBytes(from: &footer), chunkCount: trailer.chunkCount)
    }

    /// Takes the table's bytes, with their length before them, from a footer.
    static func readBytes(from footer: inout ByteReader) throws(CodecError) -> UnsafeRawBufferPointer {
        try footer.readBytes(try footer.readCount(bytesEach: 1, "the length of a forwarding table"))
    }
}
