// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveIndex
import VarveModel

/// What the recipes of all settled blobs need of the packs.
struct LiveChunks {
    /// For each pack, by this store's number, the chunks that are needed.
    private(set) var chunks: [UInt32: ChunkSet] = [:]
    /// For each pack, bytes of the frames of needed recipes.
    private(set) var recipeBytes: [UInt32: UInt64] = [:]
    /// The ids by which recipes name packs, those of rewritten ones among them.
    private(set) var names: Set<PackID> = []

    func isEmpty(_ pack: UInt32) -> Bool { chunks[pack]?.isEmpty ?? true && recipeBytes[pack] == nil }

    /// Adds what one blob needs.
    /// - Throws: `corrupted` if its recipe can not be read or names chunks that are not there.
    mutating func add(_ digest: Digest, _ place: RecipePlace, core: Core) throws(VarveError) {
        let recipe = try core.recipe(of: digest, at: place)
        recipeBytes[place.pack, default: 0] += UInt64(place.byteCount)
        names.formUnion(recipe.packs)
        for (pack, ordinals, _) in try core.places(of: recipe) {
            if chunks[pack] == nil {
                chunks[pack] = ChunkSet(chunkCount: try core.packs.reader(pack).directory.chunkCount)
            }
            guard let count = chunks[pack]?.chunkCount, ordinals.upperBound <= count else {
                throw VarveError(
                    .corrupted, "the recipe of blob \(digest) needs chunks \(ordinals) that its pack lacks")
            }
            chunks[pack]?.insert(ordinals)
        }
    }

    /// About how many bytes of a pack are needed: of each frame the share of its chunks that is, and the recipes.
    func bytes(of pack: UInt32, _ directory: FrameDirectory) -> UInt64 {
        var sum = recipeBytes[pack] ?? 0
        guard let live = chunks[pack] else { return sum }
        for entry in directory.entries where entry.kind.holdsChunks {
            let count = live.count(in: entry.ordinals)
            if count > 0 { sum += UInt64(entry.frameBytes) * UInt64(count) / UInt64(entry.chunkCount) }
        }
        return sum
    }
}

extension Core {
    /// The recipe of a blob.
    /// - Throws: `corrupted` if it can not be read or is another blob's.
    func recipe(of digest: Digest, at place: RecipePlace) throws(VarveError) -> Recipe {
        let recipe = try packs.reader(place.pack).recipe(at: place.offset, byteCount: Int(place.byteCount))
        guard recipe.digest == digest else {
            throw VarveError(.corrupted, "the recipe of blob \(digest) is another blob's")
        }
        return recipe
    }
}
