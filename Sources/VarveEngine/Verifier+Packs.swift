// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

extension Verifier {
    /// Reads a pack: header, footer, and of each frame header, table, payload, and every chunk's digest.
    func verifyPack(_ number: UInt32, _ row: PackRow) async throws(VarveError) {
        let id = row.packID.hex
        var found: [Damage] = []
        do throws(VarveError) {
            // Opened anew, not taken from those that are open: what is on disk now counts.
            let reader = try await core.pool.run { [core] () throws(VarveError) in
                try PackReader(number: number, row: row, files: core.files)
            }
            if row.state == .sealed {
                found += try await core.pool.run { [self] () throws(VarveError) in
                    try verifySeal(of: reader, row)
                }
            }
            let entries = reader.directory.entries
            if entries.count != Int(row.frameCount) || reader.directory.chunkCount != row.chunkCount {
                let what =
                    "pack \(id): \(entries.count) frames and \(reader.directory.chunkCount) chunks can be read, the "
                    + "index says \(row.frameCount) and \(row.chunkCount)"
                found.append(
                    Damage(
                        what: what,
                        touched: reader.directory.chunkCount < row.chunkCount
                            ? .chunks(pack: number, reader.directory.chunkCount..<row.chunkCount) : .nothing))
            }
            var index = 0
            while index < entries.count {
                let start = index
                let (end, damage) = try await core.pool.run { [self] () throws(VarveError) in
                    try verifyFrames(from: start, of: reader)
                }
                found += damage
                index = end
            }
        } catch {
            if error.code == .cancelled { throw error }
            found.append(Damage(what: "pack \(id): \(error.plain)", touched: .pack(number)))
        }
        guard !found.isEmpty else { return }
        // A pack that went away meanwhile, or is about to, is none that anybody needs: a blob that did would not rebuild.
        let present = try await core.pool.run { [core] () throws(VarveError) in
            try core.read { try $0.pack(number) }
        }
        if let present, present.state != .condemned { for damage in found { note(damage.what, damage.touched) } }
    }

    private func verifySeal(of reader: PackReader, _ row: PackRow) throws(VarveError) -> [Damage] {
        do throws(VarveError) {
            let directory = try PackReader.sealedDirectory(of: reader.file, id: reader.id, length: row.committedBytes)
            let length = try length(of: reader.file)
            guard length == row.committedBytes else {
                throw VarveError(.corrupted, "the file has \(length) bytes, the index says \(row.committedBytes)")
            }
            let scan = try scan(reader.file, upTo: directory.endOffset)
            guard scan.directory == directory, scan.damage == nil else {
                throw VarveError(.corrupted, "its frames are not those that its footer names", cause: scan.damage)
            }
            return []
        } catch {
            return [Damage(what: "pack \(reader.id.hex): \(error.plain)", touched: .nothing)]
        }
    }

    private func length(of file: File) throws(VarveError) -> UInt64 {
        do throws(DriverError) { return try file.length() } catch { throw error.asVarveError }
    }

    private func scan(_ file: File, upTo length: UInt64) throws(VarveError) -> FrameDirectory.ScanResult {
        do throws(DriverError) {
            return try FrameDirectory.scan(upTo: length) { (offset, count) throws(DriverError) in
                try file.read(at: offset, count: count)
            }
        } catch {
            throw error.asVarveError
        }
    }

    /// Checks frames from one on until enough has been read.
    /// - Returns: The first frame not checked, and what is damaged.
    private func verifyFrames(
        from start: Int, of reader: PackReader
    ) throws(VarveError) -> (end: Int, damage: [Damage]) {
        var damage: [Damage] = []
        var index = start
        var bytes = 0
        let entries = reader.directory.entries
        while index < entries.count, bytes < Self.pieceBytes {
            let entry = entries[index]
            do throws(VarveError) {
                if entry.kind.holdsChunks {
                    let frame = try reader.decode(index)
                    try frame.verify()
                    guard frame.table.count == entry.chunkCount, frame.bytes.count == entry.rawBytes else {
                        throw VarveError(.corrupted, "frame \(index) differs from the pack's directory")
                    }
                } else {
                    _ = try reader.recipe(at: entry.offset, byteCount: entry.frameBytes)
                }
            } catch {
                damage.append(
                    Damage(
                        what: "pack \(reader.id.hex): frame \(index) at offset \(entry.offset): \(error.plain)",
                        touched: entry.kind.holdsChunks
                            ? .chunks(pack: reader.number, entry.ordinals)
                            : .recipe(pack: reader.number, offset: entry.offset)))
            }
            count(chunks: UInt64(entry.chunkCount), bytes: UInt64(entry.frameBytes))
            bytes += entry.frameBytes
            index += 1
        }
        return (index, damage)
    }
}

extension VarveError {
    /// The sentence and what is behind it, without the code.
    var plain: String { message + (cause.map { " (\($0))" } ?? "") }
}
