// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// One pack, open for reading.
final class PackReader: Sendable {
    let number: UInt32
    let id: PackID
    let file: File
    /// Whether it may be read, but not newly referred to.
    let isCondemned: Bool
    private let directoryBox: NIOLockedValueBox<FrameDirectory>

    /// Opens a pack that the index knows. A sealed pack's directory comes from its footer, an open one's from walking its
    /// frames up to what the index has committed.
    /// - Parameter toleratesDamage: An open pack that is damaged somewhere can be read up to there; without it, that is
    ///   an error.
    init(
        number: UInt32, row: PackRow, files: FileSystem, mode: File.Mode = .read, toleratesDamage: Bool = false
    ) throws(VarveError) {
        self.number = number
        id = row.packID
        isCondemned = row.state == .condemned
        let file: File
        do throws(DriverError) {
            file = try files.open(StoreLayout.pack(id.hex).path, mode)
        } catch {
            throw error.isMissing
                ? VarveError(.corrupted, "pack \(row.packID.hex) is missing", cause: error) : error.asVarveError
        }
        self.file = file
        directoryBox = NIOLockedValueBox(try PackReader.directory(of: file, id: id, row: row, toleratesDamage))
    }

    /// A pack that is being written.
    init(number: UInt32, id: PackID, file: File, directory: FrameDirectory) {
        self.number = number
        self.id = id
        self.file = file
        isCondemned = false
        directoryBox = NIOLockedValueBox(directory)
    }

    var directory: FrameDirectory { directoryBox.withLockedValue { $0 } }

    /// The frame that holds chunk `ordinal`.
    /// - Throws: `corrupted` if there is none.
    func frame(holding ordinal: UInt32) throws(VarveError) -> (index: Int, entry: FrameDirectory.Entry) {
        let found: (Int, FrameDirectory.Entry)? = directoryBox.withLockedValue { directory in
            guard let index = directory.frame(holdingOrdinal: ordinal) else { return nil }
            return (index, directory.entries[index])
        }
        guard let found else { throw VarveError(.corrupted, "pack \(id.hex) has no chunk \(ordinal)") }
        return found
    }

    func entry(_ index: Int) -> FrameDirectory.Entry? {
        directoryBox.withLockedValue { $0.entries.indices.contains(index) ? $0.entries[index] : nil }
    }

    /// A frame was appended to the pack.
    func append(_ header: FrameHeader) throws(VarveError) {
        do {
            try directoryBox.withLockedValue { try $0.append(header) }
        } catch {
            throw VarveError(.io, "a frame does not fit pack \(id.hex)", cause: error)
        }
    }

    /// Frames behind `offset` were taken back.
    func replaceDirectory(_ directory: FrameDirectory) { directoryBox.withLockedValue { $0 = directory } }

    /// The chunk table of a frame, checked.
    func table(_ index: Int) throws(VarveError) -> FrameTable {
        guard let entry = entry(index) else { throw VarveError(.corrupted, "pack \(id.hex) has no frame \(index)") }
        return try reading(entry.offset, FrameHeader.byteCount + entry.tableBytes) { bytes throws(CodecError) in
            let header = try FrameHeader(decoding: bytes)
            return try FrameTable(
                decoding: UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.byteCount...]), header: header)
        }
    }

    /// Decodes a frame of chunks; its chunks are not verified yet.
    /// - Parameter wanted: Bytes of the frame that will do; nil for all.
    func decode(_ index: Int, _ wanted: Range<Int>? = nil) throws(VarveError) -> DecodedFrame {
        guard let entry = entry(index) else { throw VarveError(.corrupted, "pack \(id.hex) has no frame \(index)") }
        return try reading(entry.offset, entry.frameBytes) { bytes throws(CodecError) in
            let header = try FrameHeader(decoding: bytes)
            guard header.frameBytes == bytes.count, header.baseListBytes == 0 else {
                throw CodecError(.unsupported, "a frame that differs from its pack's directory")
            }
            let table = try FrameTable(
                decoding: UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.byteCount..<header.payloadOffset]),
                header: header)
            let frame = DecodedFrame(
                table: table, byteCount: header.rawBytes, wanted: wanted, pack: id, index: index)
            try Decompressors.shared.with { (decompressor: inout ZstdDecompressor) throws(CodecError) in
                try FrameDecoder.decodePayloadPrefix(
                    header, UnsafeRawBufferPointer(rebasing: bytes[header.payloadOffset...]), into: frame.room,
                    decompressor: &decompressor)
            }
            return frame
        }
    }

    /// The decoded payload of a recipe frame.
    func recipe(at offset: UInt64, byteCount: Int) throws(VarveError) -> Recipe {
        try reading(offset, byteCount) { bytes throws(CodecError) in
            let header = try FrameHeader(decoding: bytes)
            guard header.kind == .recipe, header.frameBytes == bytes.count else {
                throw CodecError(.malformed, "there is no recipe where the index says")
            }
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: header.rawBytes, alignment: 16)
            defer { room.deallocate() }
            try Decompressors.shared.with { (decompressor: inout ZstdDecompressor) throws(CodecError) in
                try FrameDecoder.decodePayload(
                    header, UnsafeRawBufferPointer(rebasing: bytes[header.payloadOffset...]), into: room,
                    decompressor: &decompressor)
            }
            return try Recipe(decoding: UnsafeRawBufferPointer(room))
        }
    }

    /// Reads `count` bytes at `offset` and hands them to `body`; says which pack was bad if they are.
    private func reading<Value>(
        _ offset: UInt64, _ count: Int, _ body: (UnsafeRawBufferPointer) throws(CodecError) -> Value
    ) throws(VarveError) -> Value {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
        defer { buffer.deallocate() }
        do throws(DriverError) {
            guard try file.read(at: offset, into: buffer) == count else {
                throw DriverError("pread", file.path, ENODATA)
            }
        } catch {
            throw error.number == ENODATA
                ? VarveError(.corrupted, "pack \(id.hex) ends before offset \(offset) + \(count)") : error.asVarveError
        }
        do throws(CodecError) {
            return try body(UnsafeRawBufferPointer(buffer))
        } catch {
            throw VarveError(.corrupted, "pack \(id.hex) is damaged at offset \(offset)", cause: error)
        }
    }

    private static func directory(
        of file: File, id: PackID, row: PackRow, _ toleratesDamage: Bool
    ) throws(VarveError) -> FrameDirectory {
        do {
            // A footer only repeats what the frames say: without it they are walked as those of an open pack.
            if row.state != .open, let directory = try? sealedDirectory(of: file, id: id, length: row.committedBytes) {
                return directory
            }
            let scan = try FrameDirectory.scan(upTo: row.committedBytes) { (offset, count) throws(DriverError) in
                try file.read(at: offset, count: count)
            }
            if row.state == .open, !toleratesDamage, let damage = scan.damage { throw damage }
            guard scan.header?.id == id else { throw CodecError(.malformed, "the file is another pack's") }
            return scan.directory
        } catch let error as DriverError where error.number != ENODATA {
            throw error.asVarveError
        } catch {
            throw VarveError(.corrupted, "pack \(id.hex) is damaged", cause: error)
        }
    }

    /// Reads the directory of a sealed pack of `length` bytes from its footer.
    /// - Throws: `corrupted`, `io`.
    static func sealedDirectory(of file: File, id: PackID, length: UInt64) throws(VarveError) -> FrameDirectory {
        do {
            guard length >= UInt64(PackHeader.byteCount + PackTrailer.byteCount) else {
                throw CodecError(.truncated, "a sealed pack of \(length) bytes")
            }
            let start = try file.read(at: 0, count: PackHeader.byteCount)
            let header = try start.withUnsafeBytes { bytes throws(CodecError) in try PackHeader(decoding: bytes) }
            guard header.id == id else { throw CodecError(.malformed, "the file is another pack's") }
            let end = try file.read(at: length - UInt64(PackTrailer.byteCount), count: PackTrailer.byteCount)
            let trailer = try end.withUnsafeBytes { bytes throws(CodecError) in
                try PackTrailer(decoding: bytes, fileBytes: length)
            }
            let footer = try file.read(at: trailer.footerOffset, count: trailer.footerBytes)
            return try footer.withUnsafeBytes { bytes throws(CodecError) in
                try Decompressors.shared.with { (decompressor: inout ZstdDecompressor) throws(CodecError) in
                    try FrameDirectory(decodingFooter: bytes, trailer: trailer, decompressor: &decompressor)
                }
            }
        } catch let error as DriverError where error.number != ENODATA {
            throw error.asVarveError
        } catch {
            throw VarveError(.corrupted, "pack \(id.hex) is damaged", cause: error)
        }
    }
}

extension PackRow {
    /// The pack's id as the codec has it.
    var packID: PackID {
        withUnsafeBytes(of: id) { PackID(bytes: $0) } ?? preconditionFailureForSize()
    }

    // Sixteen bytes are an id whatever they hold.
    private func preconditionFailureForSize() -> PackID { preconditionFailure("a pack id has 16 bytes") }
}

extension PackID {
    /// The id as the index keeps it.
    var vector: SIMD16<UInt8> {
        var vector = SIMD16<UInt8>()
        for (index, byte) in bytes.enumerated() { vector[index] = byte }
        return vector
    }
}
