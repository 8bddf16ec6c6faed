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
/// No byte leaves before it is verified: a frame's chunks, or those of them that will be asked for, are compared with their
/// digests when the frame is decoded. For one thread at a time.
struct PlainReader {
    private let core: Core
    private let recipe: Recipe
    private let extents: FrameExtents
    private var content: StreamCursor
    private var headers: StreamCursor
    private var corrections: StreamCursor
    private var digest: Digest { recipe.digest }

    /// - Parameter extents: What is known of what will be asked for.
    init(core: Core, _ loaded: LoadedRecipe, _ extents: FrameExtents = FrameExtents()) {
        self.core = core
        self.extents = extents
        recipe = loaded.recipe
        content = StreamCursor(loaded.content, packs: loaded.packs, addresses: extents.addresses)
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

    /// What these ranges of plain bytes take of each frame.
    func extents(of ranges: [Range<UInt64>]) throws(VarveError) -> FrameExtents {
        var extents = FrameExtents()
        var cursor = content
        // Of the frame in which one run begins others do, too.
        var tables: [FrameCache.Key: FrameTable] = [:]
        for range in ranges {
            try recipe.weave.segments(in: range) { (stream, range) throws(VarveError) in
                guard stream == .content else { return }
                var position = range.lowerBound
                while position < range.upperBound, !extents.isFull {
                    let (place, reader) = try seek(position, &cursor)
                    let start = try cursor.runAddress { () throws(VarveError) in
                        try runStart(of: place, in: reader) { (index, _) throws(VarveError) in
                            let key = FrameCache.Key(pack: reader.number, frame: index)
                            if let known = tables[key] { return known }
                            let table = try reader.table(index)
                            tables[key] = table
                            return table
                        }
                    }
                    extents.note(start, ofRun: cursor.run)
                    let (index, entry) = try frame(at: start + place.offsetInRun, in: reader)
                    let offset = start + place.offsetInRun - entry.rawAddress
                    let count = min(UInt64(entry.rawBytes) - offset, place.left, range.upperBound - position)
                    extents.add(
                        Int(offset)..<Int(offset + count), of: FrameCache.Key(pack: reader.number, frame: index))
                    position += count
                }
            }
        }
        return extents
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

    /// Finds the byte `position` of a stream, and the pack that has it.
    private func seek(
        _ position: UInt64, _ cursor: inout StreamCursor
    ) throws(VarveError) -> (StreamCursor.Place, PackReader) {
        guard let place = cursor.seek(position) else {
            throw VarveError(.corrupted, "a stream of blob \(digest) has no byte \(position)")
        }
        return (place, try core.packs.reader(place.pack))
    }

    private func frame(
        at address: UInt64, in reader: PackReader
    ) throws(VarveError) -> (index: Int, entry: FrameDirectory.Entry) {
        guard let index = reader.directory.frame(holdingRawAddress: address), let entry = reader.entry(index) else {
            throw VarveError(.corrupted, "pack \(reader.id.hex) has no raw address \(address)")
        }
        return (index, entry)
    }

    /// Puts the frame that holds byte `position` of the stream under the cursor.
    private func load(
        _ position: UInt64, _ cursor: inout StreamCursor, _ whole: inout WholeDigest?
    ) throws(VarveError) {
        let (place, reader) = try seek(position, &cursor)
        let start = try cursor.runAddress { () throws(VarveError) in
            try runStart(of: place, in: reader) { (index, entry) throws(VarveError) in
                // The frame's chunks are not wanted if the place lies behind.
                let isBehind = entry.rawAddress + place.offsetInRun >= entry.rawAddresses.upperBound
                return isBehind ? try reader.table(index) : try frame(index, of: reader, nil, &whole).table
            }
        }
        let address = start + place.offsetInRun
        let (index, entry) = try frame(at: address, in: reader)
        let wanted = extents.extent(
            of: FrameCache.Key(pack: reader.number, frame: index), with: Int(address - entry.rawAddress))
        guard cursor.put(try frame(index, of: reader, wanted, &whole), at: place, address: address, entry: entry) else {
            throw VarveError(.corrupted, "frame \(index) of pack \(reader.id.hex) differs from the pack's directory")
        }
    }

    /// The raw address at which the run begins that has the place.
    /// - Parameter tableOf: Gives the table of a frame, which is needed if the run begins inside.
    private func runStart(
        of place: StreamCursor.Place, in reader: PackReader,
        _ tableOf: (Int, FrameDirectory.Entry) throws(VarveError) -> FrameTable
    ) throws(VarveError) -> UInt64 {
        let (index, entry) = try reader.frame(holding: place.firstOrdinal)
        let inFrame = Int(place.firstOrdinal - entry.firstOrdinal)
        if inFrame == 0 { return entry.rawAddress }
        let table = try tableOf(index, entry)
        guard inFrame < table.count else {
            throw VarveError(.corrupted, "pack \(reader.id.hex) has no chunk \(place.firstOrdinal)")
        }
        return entry.rawAddress + UInt64(table.range(inFrame).lowerBound)
    }

    private func frame(
        _ index: Int, of reader: PackReader, _ wanted: Range<Int>?, _ whole: inout WholeDigest?
    ) throws(VarveError) -> DecodedFrame {
        let key = FrameCache.Key(pack: reader.number, frame: index)
        return try core.packs.frames.frame(key, with: wanted) { wanted throws(VarveError) in
            let frame = try reader.decode(index, wanted)
            if whole != nil {
                try whole?.verify(frame)
            } else {
                try frame.verify()
            }
            return frame
        }
    }
}
