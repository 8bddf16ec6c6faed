// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOPosix
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// Appends frames to packs. Belongs to the one thread that settles (or collects).
///
/// A frame's chunks get their ordinals when they are added, in order; the frame itself is compressed by a worker and
/// written when its turn comes. Nothing here is visible to the index until `commit`: a crash before leaves bytes behind
/// the committed length, which the next opening cuts off.
final class PackWriter {
    /// Raw bytes gathered in a frame.
    static let frameBytes = 512 << 10
    /// Frames that wait for a worker or for their turn; the bound on memory.
    private static let jobsMax = 4

    /// Who asked for a frame, to be told what it cost.
    final class Account {
        var storedBytes: UInt64 = 0
        /// Raw bytes of the frames that are written.
        var writtenRawBytes: UInt64 = 0
    }

    /// Everything that can be taken back while nothing is committed.
    struct Mark {
        fileprivate var number: UInt32
        fileprivate var directory: FrameDirectory
        fileprivate var pendingCount: Int

        /// Where the next chunk would go.
        var place: PackStore.ChunkPlace { PackStore.ChunkPlace(pack: number, ordinal: directory.chunkCount) }
    }

    private let core: Core
    private var current: Open?
    /// Packs whose rows have to be written at the next commit: number → chunks that are new in them.
    private var touched: [UInt32: Touched] = [:]
    private var touchedOrder: [UInt32] = []
    private var jobs: [FrameJob] = []
    private var freeJobs: [FrameJob] = []
    private var building: FrameJob?
    private var compressor: ZstdCompressor

    private struct Open {
        var number: UInt32
        var reader: PackReader
        var createdAt: UInt64
        /// The ordinal of the next chunk, those of waiting frames counted.
        var nextOrdinal: UInt32
        var waitingRawBytes: UInt64 = 0
    }

    private struct Touched {
        var row: PackRow
        var entries: [ChunkEntry] = []
        var reader: PackReader
    }

    init(core: Core) throws(VarveError) {
        self.core = core
        do throws(CodecError) {
            compressor = try ZstdCompressor()
        } catch {
            throw VarveError(.io, "no memory for compression", cause: error)
        }
    }

    deinit {
        for job in jobs { job.wait() }
    }

    // MARK: Adding

    /// Makes sure that there is a pack to add about `bytes` more to: seals a full one, begins a new one. Commits to the
    /// index when it seals, so it must not be called inside a read snapshot.
    func makeRoom(for bytes: Int) throws(VarveError) {
        if let open = current,
            open.reader.directory.endOffset + open.waitingRawBytes + UInt64(bytes) > core.settings.packBytes,
            open.nextOrdinal > 0
        {
            try drain()
            if open.reader.directory.endOffset + UInt64(bytes) / 2 > core.settings.packBytes { try seal() }
        }
        if current == nil {
            let resumed = try resume()
            if let resumed { current = resumed } else { current = try begin() }
        }
    }

    /// Adds a new chunk and says where it will be.
    func add(
        _ bytes: UnsafeRawBufferPointer, digest: ChunkDigest, kind: FrameKind, account: Account
    ) throws(VarveError) -> PackStore.ChunkPlace {
        if let frame = building,
            frame.kind != kind || frame.account !== account || frame.rawCount + bytes.count > Self.frameBytes
        {
            try closeFrame()
        }
        guard current != nil else { throw VarveError(.io, "no pack is open for writing") }
        let frame: FrameJob
        if let building {
            frame = building
        } else {
            frame = freeJobs.popLast() ?? FrameJob()
            frame.begin(kind: kind, account: account, firstOrdinal: current?.nextOrdinal ?? 0)
            building = frame
        }
        frame.add(bytes, digest)
        let ordinal = current?.nextOrdinal ?? 0
        let number = current?.number ?? 0
        current?.nextOrdinal += 1
        let prefix = digest.prefix16
        touched[number]?.entries.append(ChunkEntry(hi: prefix.0, lo: prefix.1, ordinal: ordinal))
        return PackStore.ChunkPlace(pack: number, ordinal: ordinal)
    }

    /// Ends the frame that is being gathered; what comes next begins another.
    func closeFrame() throws(VarveError) {
        guard let frame = building else { return }
        building = nil
        current?.waitingRawBytes += UInt64(frame.rawCount)
        jobs.append(frame)
        frame.start(
            on: core.workers, level: core.settings.compressionLevel, yields: core.settings.settlingYields)
        if jobs.count >= Self.jobsMax { try writeOldest() }
    }

    /// Writes every frame that was closed.
    func drain() throws(VarveError) {
        try closeFrame()
        while !jobs.isEmpty { try writeOldest() }
    }

    /// Appends a recipe, after all frames before it.
    func add(recipe: Recipe, account: Account) throws(VarveError) -> RecipePlace {
        try drain()
        guard let open = current else { throw VarveError(.io, "no pack is open for writing") }
        var output: [UInt8] = []
        let header: FrameHeader
        do {
            let encoded = try recipe.encoded()
            header = try encoded.withUnsafeBytes { bytes in
                try FrameEncoder.append(
                    recipe: bytes, nextOrdinal: open.nextOrdinal, level: 9, compressor: &compressor, to: &output)
            }
        } catch {
            throw VarveError(.tooLarge, "the recipe can not be written", cause: error)
        }
        let offset = open.reader.directory.endOffset
        try write(output, header: header, to: open.reader)
        account.storedBytes += UInt64(output.count)
        return RecipePlace(pack: open.number, offset: offset, byteCount: UInt32(clamping: output.count))
    }

    private func writeOldest() throws(VarveError) {
        let job = jobs.removeFirst()
        job.wait()
        defer { freeJobs.append(job) }
        guard let open = current else { throw VarveError(.io, "no pack is open for writing") }
        switch job.result {
        case .success(let header):
            try write(job.output, header: header, to: open.reader)
            job.account?.storedBytes += UInt64(job.output.count)
            job.account?.writtenRawBytes += UInt64(job.rawCount)
            current?.waitingRawBytes -= UInt64(job.rawCount)
        case .failure(let error):
            throw VarveError(.io, "a frame could not be compressed", cause: error)
        case nil:
            throw VarveError(.cancelled, "the store is closing")
        }
    }

    private func write(_ bytes: [UInt8], header: FrameHeader, to reader: PackReader) throws(VarveError) {
        let offset = reader.directory.endOffset
        try core.writing {
            try bytes.withUnsafeBytes { buffer in
                try reader.file.write(buffer, at: offset)
            }
        }
        try reader.append(header)
    }

    // MARK: Taking back

    /// The present end, to come back to with `rollBack`. Drains.
    func mark() throws(VarveError) -> Mark {
        try drain()
        guard let open = current else { throw VarveError(.io, "no pack is open for writing") }
        return Mark(
            number: open.number, directory: open.reader.directory,
            pendingCount: touched[open.number]?.entries.count ?? 0)
    }

    /// Drops what was added since `mark`, if it all went into the same pack and none of it is committed.
    /// - Returns: false if it is too late; nothing has changed then.
    func rollBack(to mark: Mark) throws(VarveError) -> Bool {
        try drain()
        guard let open = current, open.number == mark.number, let row = touched[open.number]?.row,
            row.committedBytes <= mark.directory.endOffset,
            touched[open.number]?.entries.count ?? 0 >= mark.pendingCount
        else { return false }
        open.reader.replaceDirectory(mark.directory)
        core.packs.frames.forget(pack: open.number)
        core.packs.plans.forget(pack: open.number)
        try core.writing { try open.reader.file.truncate(to: mark.directory.endOffset) }
        current?.nextOrdinal = mark.directory.chunkCount
        touched[open.number]?.entries.removeSubrange(mark.pendingCount...)
        return true
    }

    // MARK: Committing

    /// Makes everything added so far durable and known to the index. Pack bytes first, rows after.
    func commit() throws(VarveError) {
        try drain()
        let numbers = touchedOrder.filter { touched[$0] != nil }
        var rows: [(number: UInt32, row: PackRow)] = []
        for number in numbers {
            guard var part = touched[number] else { continue }
            let directory = part.reader.directory
            if part.row.state == .open {
                guard directory.endOffset > part.row.committedBytes else { continue }
                try core.writing { try part.reader.file.sync() }
                part.row.committedBytes = directory.endOffset
            }
            part.row.chunkCount = directory.chunkCount
            part.row.frameCount = UInt32(clamping: directory.entries.count)
            touched[number] = part
            rows.append((number, part.row))
        }
        guard !rows.isEmpty else { return }
        try core.commitBlocking { transaction in
            for (number, row) in rows { try transaction.putPack(number, row) }
        }
        for number in numbers {
            guard let entries = touched[number]?.entries, !entries.isEmpty else { continue }
            try core.insertChunks(entries, pack: number)
            touched[number]?.entries = []
        }
        for number in numbers where number != current?.number { touched[number] = nil }
        touchedOrder = touchedOrder.filter { touched[$0] != nil }
    }

    /// Writes the footer. The row says so at the next commit, which follows at once.
    private func seal() throws(VarveError) {
        guard let open = current else { return }
        try drain()
        let directory = open.reader.directory
        let footer: [UInt8]
        do throws(CodecError) {
            footer = try directory.encodedSeal(compressor: &compressor)
        } catch {
            throw VarveError(.io, "a pack could not be sealed", cause: error)
        }
        try core.writing {
            try footer.withUnsafeBytes { bytes in
                try open.reader.file.write(bytes, at: directory.endOffset)
            }
            try open.reader.file.sync()
        }
        touched[open.number]?.row.state = .sealed
        touched[open.number]?.row.committedBytes = directory.endOffset + UInt64(footer.count)
        current = nil
        try commit()
    }

    /// Goes on with a pack that an earlier process left open. One that is damaged or missing is left as it is: nothing
    /// more is trusted to it.
    private func resume() throws(VarveError) -> Open? {
        guard touched.isEmpty else { return nil }
        var last: UInt32?
        while true {
            let page = try core.read { [last] in try $0.packs(after: last, limit: 1024) }
            for (number, row) in page where row.state == .open {
                if let open = try resume(number, row) { return open }
            }
            guard page.count == 1024 else { return nil }
            last = page.last?.number
        }
    }

    private func resume(_ number: UInt32, _ row: PackRow) throws(VarveError) -> Open? {
        let reader: PackReader
        do {
            // Opening to write would make a file that is missing.
            guard try core.files.length(of: StoreLayout.pack(row.packID.hex).path) ?? 0 >= row.committedBytes else {
                return nil
            }
            reader = try PackReader(number: number, row: row, files: core.files, mode: .write)
        } catch {
            let known = core.asVarveError(error, "pack \(row.packID.hex) can not be opened")
            guard known.code == .corrupted else { throw known }
            core.logger.error("a damaged pack is not added to", metadata: ["error": "\(known)"])
            return nil
        }
        // What lies behind the committed length was never acknowledged.
        try core.writing { try reader.file.truncate(to: row.committedBytes) }
        core.packs.publish(reader)
        touch(number, row, reader)
        return Open(
            number: number, reader: reader, createdAt: row.createdAt, nextOrdinal: reader.directory.chunkCount)
    }

    private func begin() throws(VarveError) -> Open {
        let id = PackID.random()
        let (directory, path) = StoreLayout.pack(id.hex)
        let header = PackHeader(id: id, chunkerID: core.format.chunkerID).encoded()
        let file = try core.writing {
            try core.files.makeDirectory(directory)
            let file = try core.files.open(path, .create)
            try header.withUnsafeBytes { bytes in
                try file.write(bytes, at: 0)
            }
            try file.sync()
            try core.files.syncDirectory(directory)
            return file
        }
        var row = PackRow(id: id.vector, committedBytes: UInt64(header.count))
        row.createdAt = now()
        let number = try core.commitBlocking { [row] transaction -> UInt32 in
            let number = try transaction.allocatePackNumber()
            try transaction.putPack(number, row)
            return number
        }
        let reader = PackReader(number: number, id: id, file: file, directory: FrameDirectory())
        core.packs.publish(reader)
        touch(number, row, reader)
        return Open(number: number, reader: reader, createdAt: row.createdAt, nextOrdinal: 0)
    }

    private func touch(_ number: UInt32, _ row: PackRow, _ reader: PackReader) {
        touched[number] = Touched(row: row, reader: reader)
        touchedOrder.append(number)
    }
}
