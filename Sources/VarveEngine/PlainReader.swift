// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// A blob's recipe with its runs as they lie now: what readers of the blob begin from.
struct LoadedRecipe: Sendable {
    let recipe: Recipe
    fileprivate let content: [RecipeRun]
    fileprivate let headers: [RecipeRun]
    fileprivate let corrections: [RecipeRun]
    fileprivate let packs: [UInt32]

    /// - Throws: `corrupted` if the recipe is damaged or not that blob's; `io`.
    init(core: Core, digest: Digest, size: UInt64, at place: RecipePlace) throws(VarveError) {
        let recipe = try core.packs.reader(place.pack).recipe(at: place.offset, byteCount: Int(place.byteCount))
        guard recipe.digest == digest, recipe.blobBytes == size else {
            throw VarveError(.corrupted, "the recipe of blob \(digest) is another blob's")
        }
        let resolver = try core.resolver(for: recipe)
        self.recipe = recipe
        content = try resolver.resolve(recipe.content, of: recipe)
        headers = try resolver.resolve(recipe.headers, of: recipe)
        corrections = try resolver.resolve(recipe.corrections, of: recipe)
        packs = resolver.numbers
    }
}

/// Reads the plain bytes of a blob (a layer's tar, whatever lies around it) out of its chunks, at any place.
///
/// No byte leaves before it is verified: a frame's chunks are compared with their digests when the frame is decoded. For
/// one thread at a time.
struct PlainReader {
    private let core: Core
    private let recipe: Recipe
    private var content: StreamCursor
    private var headers: StreamCursor
    private var corrections: StreamCursor
    private var digest: Digest { recipe.digest }

    init(core: Core, _ loaded: LoadedRecipe) {
        self.core = core
        recipe = loaded.recipe
        content = StreamCursor(loaded.content, packs: loaded.packs)
        headers = StreamCursor(loaded.headers, packs: loaded.packs)
        corrections = StreamCursor(loaded.corrections, packs: loaded.packs)
    }

    /// All bytes of the corrections stream.
    mutating func allCorrections() throws(VarveError) -> [UInt8] {
        let count = recipe.corrections.byteCount
        guard count <= UInt64(DeflateRebuild.planBytesMax) else {
            throw VarveError(.corrupted, "the corrections of blob \(digest) are too long")
        }
        var bytes = [UInt8](repeating: 0, count: Int(count))
        var whole: WholeDigest?
        try bytes.lendMutable { room throws(VarveError) in
            try copy(0..<count, of: &corrections, to: room, &whole)
        }
        return bytes
    }

    /// Fills `room` with the plain bytes from `start` on. While frames are verified, `whole` absorbs what waits in it.
    mutating func fill(
        _ room: UnsafeMutableRawBufferPointer, from start: UInt64, _ whole: inout WholeDigest?
    ) throws(VarveError) {
        var filled = 0
        try recipe.weave.segments(in: start..<start + UInt64(room.count)) { (stream, range) throws(VarveError) in
            let target = UnsafeMutableRawBufferPointer(
                rebasing: room[filled..<filled + Int(range.upperBound - range.lowerBound)])
            filled += target.count
            switch stream {
            case .content: try copy(range, of: &content, to: target, &whole)
            case .headers: try copy(range, of: &headers, to: target, &whole)
            case .corrections: throw VarveError(.corrupted, "a recipe weaves corrections into a layer")
            }
        }
        guard filled == room.count else {
            throw VarveError(.corrupted, "the recipe of blob \(digest) ends too early")
        }
    }

    /// Decodes and verifies the frames that have the plain bytes of the range, so that they are in the frame cache.
    mutating func warm(_ range: Range<UInt64>) throws(VarveError) {
        var none: WholeDigest?
        try recipe.weave.segments(in: range) { (stream, range) throws(VarveError) in
            guard stream == .content else { return }
            var position = range.lowerBound
            while position < range.upperBound {
                if !content.holds(position) { try load(position, &content, &none) }
                guard let part = content.bytes(from: position, atMost: Int(range.upperBound - position)) else {
                    throw VarveError(.corrupted, "a stream of blob \(digest) has no byte \(position)")
                }
                position += UInt64(part.count)
            }
        }
    }

    /// Copies bytes of one stream, frame by frame.
    private func copy(
        _ range: Range<UInt64>, of cursor: inout StreamCursor, to target: UnsafeMutableRawBufferPointer,
        _ whole: inout WholeDigest?
    ) throws(VarveError) {
        var position = range.lowerBound
        var filled = 0
        while filled < target.count {
            if !cursor.holds(position) { try load(position, &cursor, &whole) }
            guard let part = cursor.bytes(from: position, atMost: target.count - filled) else {
                throw VarveError(.corrupted, "a stream of blob \(digest) has no byte \(position)")
            }
            UnsafeMutableRawBufferPointer(rebasing: target[filled..<filled + part.count]).copyMemory(from: part)
            filled += part.count
            position += UInt64(part.count)
        }
    }

    /// Puts the frame that holds byte `position` of the stream under the cursor.
    private func load(
        _ position: UInt64, _ cursor: inout StreamCursor, _ whole: inout WholeDigest?
    ) throws(VarveError) {
        guard let place = cursor.seek(position) else {
            throw VarveError(.corrupted, "a stream of blob \(digest) has no byte \(position)")
        }
        let reader = try core.packs.reader(place.pack)
        let start: UInt64
        if let known = cursor.runAddress {
            start = known
        } else {
            start = try address(of: place, in: reader, &whole)
            cursor.runAddress = start
        }
        let address = start + place.offsetInRun
        guard let index = reader.directory.frame(holdingRawAddress: address), let entry = reader.entry(index) else {
            throw VarveError(.corrupted, "pack \(reader.id.hex) has no raw address \(address)")
        }
        guard cursor.put(try frame(index, of: reader, &whole), at: place, address: address, entry: entry) else {
            throw VarveError(.corrupted, "frame \(index) of pack \(reader.id.hex) differs from the pack's directory")
        }
    }

    /// The raw address at which the run begins that has the place.
    private func address(
        of place: StreamCursor.Place, in reader: PackReader, _ whole: inout WholeDigest?
    ) throws(VarveError) -> UInt64 {
        let (index, entry) = try reader.frame(holding: place.firstOrdinal)
        let inFrame = Int(place.firstOrdinal - entry.firstOrdinal)
        if inFrame == 0 { return entry.rawAddress }
        // The run begins inside a frame: its table says where. Its chunks are not wanted if the place lies behind.
        let isBehind = entry.rawAddress + place.offsetInRun >= entry.rawAddresses.upperBound
        let table = isBehind ? try reader.table(index) : try frame(index, of: reader, &whole).table
        guard inFrame < table.count else {
            throw VarveError(.corrupted, "pack \(reader.id.hex) has no chunk \(place.firstOrdinal)")
        }
        return entry.rawAddress + UInt64(table.range(inFrame).lowerBound)
    }

    private func frame(
        _ index: Int, of reader: PackReader, _ whole: inout WholeDigest?
    ) throws(VarveError) -> DecodedFrame {
        try core.packs.frames.frame(FrameCache.Key(pack: reader.number, frame: index)) { () throws(VarveError) in
            let frame = try reader.decode(index)
            if whole != nil {
                try whole?.verify(frame)
            } else {
                try frame.verify()
            }
            return frame
        }
    }
}
