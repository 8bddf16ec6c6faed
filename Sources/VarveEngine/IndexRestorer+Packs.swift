// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

extension IndexRestorer {
    /// What one pack's file says.
    private struct FoundPack {
        var id: PackID
        var row: PackRow
        var directory: FrameDirectory
        /// Frames whose tables or payloads are damaged: their chunks are not to be found.
        var damaged: Set<Int> = []
        var forwarding = ForwardingTable()
    }

    func readPacks() throws(VarveError) {
        for directory in try list(StoreLayout.packs) {
            for name in try list("\(StoreLayout.packs)/\(directory)") where name.hasSuffix(".pack") {
                let path = "\(StoreLayout.packs)/\(directory)/\(name)"
                guard let id = PackID(hex: name.dropLast(5)), StoreLayout.pack(id.hex).path == path else { continue }
                try readPack(id, path)
            }
        }
    }

    /// Forwards of packs that are not there any more.
    func putForwards() throws(VarveError) {
        let found = forwards
        try write { (transaction) throws(IndexError) in
            for (id, row) in found where try transaction.packNumber(of: id.vector) == nil {
                try transaction.putForward(id.vector, row)
            }
        }
        forwards = [:]
    }

    private func readPack(_ id: PackID, _ path: String) throws(VarveError) {
        let file: File
        let length: UInt64
        do throws(DriverError) {
            file = try files.open(path, .write)
            length = try file.length()
        } catch {
            return problem("pack \(id): it can not be opened: \(error)")
        }
        var found = try sealedPack(id, file, length)
        if found == nil { found = try openPack(id, file, length) }
        guard var pack = found else {
            problem("pack \(id): its beginning is damaged; what it holds is lost, the file is left as it is")
            return
        }
        pack.row.createdAt = now()
        let number = try write { [pack] (transaction) throws(IndexError) in
            let number = try transaction.allocatePackNumber()
            try transaction.putPack(number, pack.row)
            return number
        }
        outcome.report.packs += 1
        outcome.report.chunks += UInt64(pack.directory.chunkCount)
        try readFrames(of: pack, number: number, file)
        for entry in pack.forwarding.entries {
            let runs = entry.runs.map {
                ForwardRow.Run(oldFirst: $0.oldFirst, newFirst: $0.newFirst, count: $0.count)
            }
            // Of two that say so, one was not finished: what it has, the other has too.
            let count = runs.reduce(UInt64(0)) { $0 + UInt64($1.count) }
            let known = forwards[entry.pack]?.runs.reduce(UInt64(0)) { $0 + UInt64($1.count) } ?? 0
            if count > known { forwards[entry.pack] = ForwardRow(pack: number, runs: runs) }
        }
    }

    /// A pack with a footer, or at least the trailer of one.
    private func sealedPack(_ id: PackID, _ file: File, _ length: UInt64) throws(VarveError) -> FoundPack? {
        guard length >= UInt64(PackHeader.byteCount + PackTrailer.byteCount) else { return nil }
        let end: [UInt8]
        do throws(DriverError) {
            end = try file.read(at: length - UInt64(PackTrailer.byteCount), count: PackTrailer.byteCount)
        } catch {
            throw error.asVarveError
        }
        let trailer = try? end.lend { bytes throws(CodecError) in try PackTrailer(decoding: bytes, fileBytes: length) }
        guard let trailer else { return nil }
        let row = PackRow(id: id.vector, state: .sealed, committedBytes: length)
        let directory: FrameDirectory
        do throws(VarveError) {
            directory = try PackReader.sealedDirectory(of: file, id: id, length: length)
        } catch {
            guard error.code == .corrupted else { throw error }
            // The frames say the same, as far as they can be walked.
            let scan = try walk(file, upTo: trailer.footerOffset)
            guard scan.header?.id == id else { return nil }
            directory = scan.directory
            problem("pack \(id): its footer or a frame is damaged (\(error.plain))")
        }
        var pack = FoundPack(id: id, row: row, directory: directory)
        pack.row.setCounts(directory)
        pack.forwarding = (try? PackReader.forwarding(of: file, length: length)) ?? ForwardingTable()
        return pack
    }

    /// A pack without a footer: what is whole of it from the beginning on. The rest is cut off.
    private func openPack(_ id: PackID, _ file: File, _ length: UInt64) throws(VarveError) -> FoundPack? {
        let scan = try walk(file, upTo: length)
        guard scan.header?.id == id else { return nil }
        // Frame headers say where the next one begins even if a payload is damaged: only what follows the last whole
        // frame can be what a crash left.
        var whole = 0
        var damaged: Set<Int> = []
        for (index, entry) in scan.directory.entries.enumerated() {
            if try isWhole(entry, file) { whole = index + 1 } else { damaged.insert(index) }
        }
        var directory = FrameDirectory()
        if whole < scan.directory.entries.count {
            let end = whole == 0 ? UInt64(PackHeader.byteCount) : scan.directory.entries[whole - 1].endOffset
            directory = try walk(file, upTo: end).directory
        } else {
            directory = scan.directory
        }
        damaged = damaged.filter { $0 < whole }
        if !damaged.isEmpty { problem("pack \(id): frames \(damaged.sorted()) are damaged") }
        if directory.endOffset < length { try cut(file, id, from: directory.endOffset, to: length) }
        var pack = FoundPack(
            id: id, row: PackRow(id: id.vector, state: .open, committedBytes: directory.endOffset), directory: directory
        )
        pack.row.setCounts(directory)
        pack.damaged = damaged
        return pack
    }

    private func walk(_ file: File, upTo length: UInt64) throws(VarveError) -> FrameDirectory.ScanResult {
        do throws(DriverError) {
            return try FrameDirectory.scan(upTo: length) { (offset, count) throws(DriverError) in
                var bytes = [UInt8](repeating: 0, count: count)
                let found = try bytes.lendMutable { buffer throws(DriverError) in
                    try file.read(at: offset, into: buffer)
                }
                bytes.removeSubrange(found...)
                return bytes
            }
        } catch {
            throw error.asVarveError
        }
    }

    /// Whether the table and the payload of a frame are as they were written.
    private func isWhole(_ entry: FrameDirectory.Entry, _ file: File) throws(VarveError) -> Bool {
        let bytes: [UInt8]
        do throws(DriverError) {
            bytes = try file.read(at: entry.offset, count: entry.frameBytes)
        } catch {
            guard error.number == ENODATA else { throw error.asVarveError }
            return false
        }
        let isWhole = try? bytes.lend { bytes throws(CodecError) in
            let header = try FrameHeader(decoding: bytes)
            let table = UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.byteCount..<header.payloadOffset])
            _ = try FrameTable(decoding: table, header: header)
            return crc32c(UnsafeRawBufferPointer(rebasing: bytes[header.payloadOffset...])) == header.payloadChecksum
        }
        return isWhole ?? false
    }

    /// Cuts the end of a pack off. If there are frames in it, it is kept beside the pack, for a repair.
    private func cut(_ file: File, _ id: PackID, from start: UInt64, to end: UInt64) throws(VarveError) {
        do throws(DriverError) {
            // A pack is hardly longer than 64 MiB; of a file that was made longer by other hands the beginning is enough.
            let rest = try file.read(at: start, count: Int(min(end - start, 256 << 20)))
            if Self.holdsFrame(rest) {
                let copy = StoreLayout.pack(id.hex).path.dropLast(5) + ".cut"
                try files.replace(String(copy), with: rest)
                problem(
                    "pack \(id): damaged at offset \(start); \(rest.count) bytes with frames in them are in \(copy)")
            }
            try file.truncate(to: start)
            try file.sync()
        } catch {
            throw error.asVarveError
        }
    }

    /// Whether a frame's header lies somewhere in the bytes.
    private static func holdsFrame(_ bytes: [UInt8]) -> Bool {
        bytes.lend { bytes in
            guard bytes.count >= FrameHeader.byteCount else { return false }
            for offset in 0...bytes.count - FrameHeader.byteCount
            where bytes[offset] == UInt8(ascii: "V") && bytes[offset + 1] == UInt8(ascii: "F") {
                if (try? FrameHeader(decoding: UnsafeRawBufferPointer(rebasing: bytes[offset...]))) != nil {
                    return true
                }
            }
            return false
        }
    }

    // MARK: Frames

    /// Puts the chunks of a pack into the index and takes note of its recipes.
    private func readFrames(of pack: FoundPack, number: UInt32, _ file: File) throws(VarveError) {
        let reader = PackReader(number: number, id: pack.id, file: file, directory: pack.directory)
        var entries: [ChunkEntry] = []
        entries.reserveCapacity(Int(pack.directory.chunkCount))
        for (index, entry) in pack.directory.entries.enumerated() where !pack.damaged.contains(index) {
            do throws(VarveError) {
                if entry.kind.holdsChunks {
                    let table = try reader.table(index)
                    for chunk in 0..<min(table.count, entry.chunkCount) {
                        let prefix = table.digest(chunk).prefix16
                        entries.append(
                            ChunkEntry(hi: prefix.0, lo: prefix.1, ordinal: entry.firstOrdinal + UInt32(chunk)))
                    }
                } else {
                    let recipe = try reader.recipe(at: entry.offset, byteCount: entry.frameBytes)
                    let place = RecipePlace(
                        pack: number, offset: entry.offset, byteCount: UInt32(clamping: entry.frameBytes))
                    recipes[recipe.digest, default: []].append(
                        FoundRecipe(place: place, blobBytes: recipe.blobBytes, plainBytes: recipe.plainBytes))
                }
            } catch {
                guard error.code == .corrupted else { throw error }
                problem("pack \(pack.id): frame \(index): \(error.plain)")
            }
            try read(UInt64(entry.frameBytes), "reading packs")
        }
        let found = entries
        try write { (transaction) throws(IndexError) in
            var sorted = found
            try transaction.insertChunks(sorting: &sorted, pack: number)
        }
    }
}

extension PackRow {
    fileprivate mutating func setCounts(_ directory: FrameDirectory) {
        chunkCount = directory.chunkCount
        frameCount = UInt32(clamping: directory.entries.count)
    }
}
