// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// Copies what is alive of packs into one new pack.
///
/// Frames whose chunks are all alive are copied as they are; of others the chunks that are alive are gathered, with
/// their neighbours', into new frames. The order of chunks stays, so that runs of recipes stay runs. Recipes are copied
/// byte for byte. Nothing of this is known to the index until somebody says so; a crash leaves a file that nothing knows.
final class PackMover {
    /// An old pack, and what has become of it.
    struct Moved {
        var number: UInt32
        var row: PackRow
        /// Old ordinals → new ones.
        var runs: [ForwardRow.Run] = []
        /// What is alive, with new ordinals.
        var live: [ChunkEntry] = []
        /// What is not, with old ordinals.
        var dead: [ChunkEntry] = []
        /// Blobs whose recipes were moved: where each was, and its offset in the new pack.
        var recipes: [(digest: Digest, old: RecipePlace, offset: UInt64)] = []
    }

    let id: PackID
    private(set) var moved: [Moved] = []
    private(set) var directory = FrameDirectory()
    private let core: Core
    private let file: File
    private let path: (directory: String, path: String)
    private var compressor: ZstdCompressor
    /// The frame that is being gathered.
    private var frame = Frame()
    private var output: [UInt8] = []

    private struct Frame {
        var kind = FrameKind.content
        var raw: [UInt8] = []
        var digests: [ChunkDigest] = []
        var lengths: [UInt32] = []
    }

    /// Begins a pack.
    init(core: Core) throws(VarveError) {
        self.core = core
        let id = PackID.random()
        let path = StoreLayout.pack(id.hex)
        self.id = id
        self.path = path
        do throws(CodecError) {
            compressor = try ZstdCompressor()
        } catch {
            throw VarveError(.io, "no memory for compression", cause: error)
        }
        let header = PackHeader(id: id, chunkerID: core.format.chunkerID).encoded()
        file = try core.writing {
            try core.files.makeDirectory(path.directory)
            let file = try core.files.open(path.path, .create)
            try file.write(header)
            return file
        }
    }

    /// Copies what is alive of a pack.
    /// - Parameter recipes: The blobs whose recipes lie in it, by the offsets of their frames.
    /// - Throws: `corrupted` if something that is alive can not be read; the new pack is then as before.
    func move(
        _ number: UInt32, _ row: PackRow, _ reader: PackReader, live: ChunkSet?,
        recipes: [UInt64: (Digest, RecipePlace)]
    ) throws(VarveError) {
        let before = directory
        do throws(VarveError) {
            var result = Moved(number: number, row: row)
            let none = ChunkSet(chunkCount: 0)
            for (index, entry) in reader.directory.entries.enumerated() {
                if entry.kind.holdsChunks {
                    try moveChunks(index, entry, reader, live: live ?? none, &result)
                } else if let (digest, place) = recipes[entry.offset] {
                    try closeFrame()
                    result.recipes.append((digest, place, directory.endOffset))
                    try copy(entry, reader)
                }
            }
            try closeFrame()
            guard result.recipes.count == recipes.count else {
                throw VarveError(.corrupted, "pack \(reader.id.hex) lacks recipes that the index places there")
            }
            moved.append(result)
        } catch {
            directory = before
            frame = Frame()
            throw error
        }
    }

    private func moveChunks(
        _ index: Int, _ entry: FrameDirectory.Entry, _ reader: PackReader, live: ChunkSet, _ result: inout Moved
    ) throws(VarveError) {
        let count = live.count(in: entry.ordinals)
        if count == entry.chunkCount {
            try closeFrame()
            let table = try reader.table(index)
            for chunk in 0..<entry.chunkCount {
                result.keep(table.digest(chunk), entry.firstOrdinal + UInt32(chunk), as: nextOrdinal + UInt32(chunk))
            }
            return try copy(entry, reader)
        }
        if count == 0 {
            let table = try reader.table(index)
            for chunk in 0..<table.count { result.drop(table.digest(chunk), entry.firstOrdinal + UInt32(chunk)) }
            return
        }
        let decoded = try reader.decode(index)
        try decoded.verify()
        guard decoded.table.count == entry.chunkCount else {
            throw VarveError(.corrupted, "frame \(index) of pack \(reader.id.hex) differs from the pack's directory")
        }
        for chunk in 0..<entry.chunkCount {
            let ordinal = entry.firstOrdinal + UInt32(chunk)
            let digest = decoded.table.digest(chunk)
            guard live.contains(ordinal) else {
                result.drop(digest, ordinal)
                continue
            }
            let bytes = UnsafeRawBufferPointer(rebasing: decoded.bytes[decoded.table.range(chunk)])
            if frame.kind != entry.kind || frame.raw.count + bytes.count > PackWriter.frameBytes { try closeFrame() }
            result.keep(digest, ordinal, as: nextOrdinal)
            frame.kind = entry.kind
            frame.raw.append(contentsOf: bytes)
            frame.digests.append(digest)
            frame.lengths.append(UInt32(bytes.count))
        }
    }

    private var nextOrdinal: UInt32 { directory.chunkCount + UInt32(frame.digests.count) }

    /// Copies a frame as it is, but for the ordinals in its header.
    private func copy(_ entry: FrameDirectory.Entry, _ reader: PackReader) throws(VarveError) {
        let ordinal = directory.chunkCount
        var bytes: [UInt8]
        do throws(DriverError) {
            bytes = try reader.file.read(at: entry.offset, count: entry.frameBytes)
        } catch {
            throw VarveError(.corrupted, "a frame of pack \(reader.id.hex) can not be read", cause: error)
        }
        let header: FrameHeader
        do throws(CodecError) {
            try bytes.lend { bytes throws(CodecError) in
                let header = try FrameHeader(decoding: bytes)
                guard header.frameBytes == bytes.count, header.chunkCount == entry.chunkCount,
                    header.kind == entry.kind,
                    header.rawBytes == entry.rawBytes, header.baseListBytes == 0
                else { throw CodecError(.unsupported, "a frame that differs from its pack's directory") }
                let payload = UnsafeRawBufferPointer(rebasing: bytes[header.payloadOffset...])
                guard crc32c(payload) == header.payloadChecksum else {
                    throw CodecError(.checksumMismatch, "a frame's payload is damaged")
                }
            }
            header = try FrameEncoder.setFirstOrdinal(ordinal, inFrameAt: 0, of: &bytes)
        } catch {
            throw VarveError(.corrupted, "pack \(reader.id.hex) is damaged at offset \(entry.offset)", cause: error)
        }
        try append(bytes, header)
    }

    private func closeFrame() throws(VarveError) {
        guard !frame.digests.isEmpty else { return }
        output.removeAll(keepingCapacity: true)
        let header: FrameHeader
        do throws(CodecError) {
            header = try frame.raw.lend { raw throws(CodecError) in
                try FrameEncoder.append(
                    kind: frame.kind, raw: raw, digests: frame.digests, lengths: frame.lengths,
                    firstOrdinal: directory.chunkCount, level: core.settings.compressionLevel, compressor: &compressor,
                    to: &output)
            }
        } catch {
            throw VarveError(.io, "a frame could not be compressed", cause: error)
        }
        frame.raw.removeAll(keepingCapacity: true)
        frame.digests.removeAll(keepingCapacity: true)
        frame.lengths.removeAll(keepingCapacity: true)
        try append(output, header)
    }

    private func append(_ bytes: [UInt8], _ header: FrameHeader) throws(VarveError) {
        let offset = directory.endOffset
        try core.writing { try file.write(bytes, at: offset) }
        do throws(CodecError) {
            try directory.append(header)
        } catch {
            throw VarveError(.io, "a frame does not fit pack \(id.hex)", cause: error)
        }
    }

    /// Ends the pack and makes it durable.
    /// - Parameter forwarding: Under which names its chunks were known before.
    /// - Returns: Its row.
    func seal(_ forwarding: ForwardingTable) throws(VarveError) -> PackRow {
        let end: [UInt8]
        do throws(CodecError) {
            end = try directory.encodedSeal(forwarding: forwarding, compressor: &compressor)
        } catch {
            throw VarveError(.io, "a pack could not be sealed", cause: error)
        }
        let length = directory.endOffset + UInt64(end.count)
        try core.writing {
            try file.write(end, at: directory.endOffset)
            // Where a pack was given up half way, what was written of it may reach further.
            try file.truncate(to: length)
            try file.sync()
            try core.files.syncDirectory(path.directory)
        }
        return PackRow(
            id: id.vector, state: .sealed, committedBytes: length, chunkCount: directory.chunkCount,
            frameCount: UInt32(clamping: directory.entries.count), liveBytes: length, createdAt: now())
    }

    /// Removes the file: nothing came of it.
    func discard() throws(VarveError) {
        do throws(DriverError) { try core.files.remove(path.path) } catch { throw error.asVarveError }
    }
}

extension PackMover.Moved {
    fileprivate mutating func keep(_ digest: ChunkDigest, _ old: UInt32, as new: UInt32) {
        let prefix = digest.prefix16
        live.append(ChunkEntry(hi: prefix.0, lo: prefix.1, ordinal: new))
        runs.append(oldFirst: old, newFirst: new, count: 1)
    }

    fileprivate mutating func drop(_ digest: ChunkDigest, _ old: UInt32) {
        let prefix = digest.prefix16
        dead.append(ChunkEntry(hi: prefix.0, lo: prefix.1, ordinal: old))
    }
}

extension [ForwardRow.Run] {
    /// Appends a run, or makes the last one longer if it follows it in both packs.
    mutating func append(oldFirst: UInt32, newFirst: UInt32, count: UInt32) {
        if let last, last.oldFirst + last.count == oldFirst, last.newFirst + last.count == newFirst {
            self[self.count - 1].count += count
        } else {
            append(ForwardRow.Run(oldFirst: oldFirst, newFirst: newFirst, count: count))
        }
    }

    /// These runs, followed by `next`: what was forwarded into a pack that is forwarded itself. What `next` does not keep
    /// is left out.
    func followed(by next: [ForwardRow.Run]) -> [ForwardRow.Run] {
        var result: [ForwardRow.Run] = []
        var index = 0
        for run in self {
            let end = run.newFirst + run.count
            while index < next.count, next[index].oldFirst + next[index].count <= run.newFirst { index += 1 }
            var here = index
            while here < next.count, next[here].oldFirst < end {
                let start = Swift.max(run.newFirst, next[here].oldFirst)
                let stop = Swift.min(end, next[here].oldFirst + next[here].count)
                result.append(
                    oldFirst: run.oldFirst + (start - run.newFirst),
                    newFirst: next[here].newFirst + (start - next[here].oldFirst), count: stop - start)
                here += 1
            }
        }
        return result
    }

    /// The same as the footer of a pack has it.
    var forwarding: [ForwardingTable.Run] {
        map { ForwardingTable.Run(oldFirst: $0.oldFirst, newFirst: $0.newFirst, count: $0.count) }
    }
}

extension File {
    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: [UInt8], at offset: UInt64 = 0) throws(DriverError) {
        try bytes.lend { bytes throws(DriverError) in try write(bytes, at: offset) }
    }
}
