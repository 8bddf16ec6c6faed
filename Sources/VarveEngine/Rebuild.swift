// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// Rebuilds a blob, or a range of it, from its recipe, in order, a piece at a time.
///
/// No byte leaves before it is verified: a frame's chunks are compared with their digests when the frame is decoded, and
/// when the whole blob is rebuilt the last piece is held back until the blob's own digest has been compared too. The two
/// hashes share one pass: while the chunks of the next frame are hashed on one lane, the piece made before goes through
/// the other.
///
/// For one thread at a time.
final class Rebuild: @unchecked Sendable {  // one reader at a time, see BlobStream
    static let pieceBytes = 1 << 20

    private let core: Core
    private let digest: Digest
    private let recipe: Recipe
    private let range: Range<UInt64>
    private var position: UInt64
    private var content: StreamCursor
    private var headers: StreamCursor
    /// The running digest of the whole blob; nil when only a part is rebuilt, or its algorithm is not ours to fuse.
    private var whole: WholeDigest?

    /// Bytes that will come in all.
    let length: UInt64

    init(
        core: Core, digest: Digest, size: UInt64, recipe place: RecipePlace, range: Range<UInt64>
    ) throws(VarveError) {
        let reader = try core.packs.reader(place.pack)
        let recipe = try reader.recipe(at: place.offset, byteCount: Int(place.byteCount))
        guard recipe.digest == digest, recipe.blobBytes == size else {
            throw VarveError(.corrupted, "the recipe of blob \(digest) is another blob's")
        }
        guard recipe.outerEncoding == .none, recipe.plainBytes == size else {
            throw VarveError(.unsupported, "blob \(digest) has an encoding that this version can not rebuild")
        }
        self.core = core
        self.digest = digest
        self.recipe = recipe
        self.range = range
        position = range.lowerBound
        length = range.upperBound - range.lowerBound
        let resolver = try core.resolver(for: recipe)
        content = StreamCursor(try resolver.resolve(recipe.content, of: recipe), packs: resolver.numbers)
        headers = StreamCursor(try resolver.resolve(recipe.headers, of: recipe), packs: resolver.numbers)
        if range == 0..<size { whole = try WholeDigest(digest.algorithm) }
    }

    /// The next piece; nil at the end.
    /// - Throws: `corrupted`, `io`, `outOfSpace` never.
    func nextPiece() throws(VarveError) -> ByteBuffer? {
        guard position < range.upperBound else {
            // An empty blob has no last piece to hold back; its digest is compared all the same.
            if length == 0 { try finishWhole() }
            return nil
        }
        let end = min(position + UInt64(Self.pieceBytes), range.upperBound)
        let count = Int(end - position)
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        var failure: VarveError?
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            do throws(VarveError) {
                try fill(UnsafeMutableRawBufferPointer(rebasing: room[..<count]), from: position)
                return count
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        position = end
        if whole != nil {
            whole?.absorb(buffer)
            if position == range.upperBound { try finishWhole() }
        }
        return buffer
    }

    /// Rebuilds everything and keeps nothing: the proof.
    func prove() throws(VarveError) {
        while try nextPiece() != nil {}
    }

    private func finishWhole() throws(VarveError) {
        guard var hash = whole.take() else { return }
        let found = try hash.finish()
        guard found == digest else {
            throw VarveError(.corrupted, "blob \(digest) was rebuilt as \(found)")
        }
    }

    private func fill(_ room: UnsafeMutableRawBufferPointer, from start: UInt64) throws(VarveError) {
        var filled = 0
        try recipe.weave.segments(in: start..<start + UInt64(room.count)) { (stream, range) throws(VarveError) in
            let target = UnsafeMutableRawBufferPointer(
                rebasing: room[filled..<filled + Int(range.upperBound - range.lowerBound)])
            filled += target.count
            switch stream {
            case .content: try copy(range, of: &content, to: target)
            case .headers: try copy(range, of: &headers, to: target)
            case .corrections: throw VarveError(.corrupted, "a recipe weaves corrections into a layer")
            }
        }
        guard filled == room.count else {
            throw VarveError(.corrupted, "the recipe of blob \(digest) ends too early")
        }
    }

    /// Copies bytes of one stream, frame by frame.
    private func copy(
        _ range: Range<UInt64>, of cursor: inout StreamCursor, to target: UnsafeMutableRawBufferPointer
    ) throws(VarveError) {
        var position = range.lowerBound
        var filled = 0
        while filled < target.count {
            if !cursor.holds(position) { try load(position, &cursor) }
            guard let part = cursor.bytes(from: position, atMost: target.count - filled) else {
                throw VarveError(.corrupted, "a stream of blob \(digest) has no byte \(position)")
            }
            UnsafeMutableRawBufferPointer(rebasing: target[filled..<filled + part.count]).copyMemory(from: part)
            filled += part.count
            position += UInt64(part.count)
        }
    }

    /// Puts the frame that holds byte `position` of the stream under the cursor.
    private func load(_ position: UInt64, _ cursor: inout StreamCursor) throws(VarveError) {
        guard let place = cursor.seek(position) else {
            throw VarveError(.corrupted, "a stream of blob \(digest) has no byte \(position)")
        }
        let reader = try core.packs.reader(place.pack)
        let (first, firstEntry) = try reader.frame(holding: place.firstOrdinal)
        var index = first
        var entry = firstEntry
        var frame: DecodedFrame?
        var start = entry.rawAddress
        let inFrame = Int(place.firstOrdinal - entry.firstOrdinal)
        if inFrame > 0 {
            // The run begins inside a frame: its table says where.
            let decoded = try self.frame(index, of: reader)
            guard inFrame < decoded.table.count else {
                throw VarveError(.corrupted, "pack \(reader.id.hex) has no chunk \(place.firstOrdinal)")
            }
            start += UInt64(decoded.table.range(inFrame).lowerBound)
            frame = decoded
        }
        let address = start + place.offsetInRun
        if !entry.rawAddresses.contains(address) {
            guard let found = reader.directory.frame(holdingRawAddress: address), let other = reader.entry(found) else {
                throw VarveError(.corrupted, "pack \(reader.id.hex) has no raw address \(address)")
            }
            (index, entry) = (found, other)
            frame = nil
        }
        let decoded: DecodedFrame
        if let frame { decoded = frame } else { decoded = try self.frame(index, of: reader) }
        guard cursor.put(decoded, at: place, address: address, entry: entry) else {
            throw VarveError(.corrupted, "frame \(index) of pack \(reader.id.hex) differs from the pack's directory")
        }
    }

    private func frame(_ index: Int, of reader: PackReader) throws(VarveError) -> DecodedFrame {
        let key = FrameCache.Key(pack: reader.number, frame: index)
        if let frame = core.packs.frames[key] { return frame }
        let frame = try reader.decode(index)
        if whole != nil {
            try whole?.verify(frame)
        } else {
            try frame.verify()
        }
        core.packs.frames[key] = frame
        return frame
    }
}

extension Core {
    /// A small blob's bytes, whole: a manifest, however it is stored.
    func allBytes(of digest: Digest) throws(VarveError) -> ByteBuffer {
        switch try open(digest, in: nil, range: nil) {
        case .bytes(let buffer):
            return buffer
        case .file(let file):
            defer { file.close() }
            guard file.length <= UInt64(Store.manifestBytesMax) else {
                throw VarveError(.tooLarge, "blob \(digest) is too long for a manifest")
            }
            do throws(DriverError) {
                return ByteBuffer(
                    bytes: try files.open(StoreLayout.raw(digest).path, .read).read(at: 0, count: Int(file.length)))
            } catch {
                throw error.asVarveError
            }
        case .stream(let stream):
            guard stream.length <= UInt64(Store.manifestBytesMax) else {
                throw VarveError(.tooLarge, "blob \(digest) is too long for a manifest")
            }
            var whole = ByteBuffer()
            while var piece = try stream.rebuild.nextPiece() { whole.writeBuffer(&piece) }
            return whole
        }
    }
}
