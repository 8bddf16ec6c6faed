// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

extension IndexRestorer {
    /// Gives every blob its recipe, if it has one that can be followed.
    func placeRecipes() throws(VarveError) {
        let named = try namedByManifests()
        let packs = PackStore(files: files, environment: rebuilder.environment, frameCacheBytes: 0)
        for digest in recipes.keys.sorted() {
            try stop.check()
            let known = try read { (transaction) throws(IndexError) in
                (row: try transaction.blob(digest), isHeld: try transaction.isHeld(digest))
            }
            if let row = known.row, row.flags.contains(.inline) { continue }
            let isNamed = known.isHeld || named.contains(digest)
            var usable: [FoundRecipe] = []
            for recipe in recipes[digest] ?? [] where try isUsable(recipe, of: digest, packs) { usable.append(recipe) }
            if known.row != nil {
                if !usable.isEmpty { outcome.doubtful.append((digest, usable)) }
            } else if isNamed {
                guard let recipe = usable.last else {
                    problem("blob \(digest): it has no raw bytes, and its recipe needs chunks that are not there")
                    continue
                }
                try put(recipe, of: digest)
                if usable.count > 1 { outcome.doubtful.append((digest, usable)) }
            } else if !knowsNames, !usable.isEmpty {
                // Nothing says whether it was deleted, or whether its name was lost.
                outcome.doubtful.append((digest, usable))
                outcome.nameless.append(digest)
            }
        }
        recipes = [:]
        if !knowsNames { try findNamelessRaw(named) }
    }

    private func put(_ recipe: FoundRecipe, of digest: Digest) throws(VarveError) {
        let time = now()
        outcome.report.settled += 1
        try write { (transaction) throws(IndexError) in
            try transaction.putBlob(digest, BlobRow(recipe, at: time))
        }
    }

    private func findNamelessRaw(_ named: Set<Digest>) throws(VarveError) {
        var last: Digest?
        while true {
            let page = try read { [last] (transaction) throws(IndexError) in
                let page = try transaction.blobs(after: last, limit: 1000)
                var unheld: [Digest] = []
                for (digest, row) in page
                where row.flags.contains(.rawFile) && !named.contains(digest) {
                    if try !transaction.isHeld(digest) { unheld.append(digest) }
                }
                return (unheld: unheld, count: page.count, last: page.last?.digest)
            }
            outcome.nameless += page.unheld
            guard page.count == 1000 else { return }
            last = page.last
        }
    }

    /// Whether every chunk that a recipe needs is there.
    private func isUsable(
        _ found: FoundRecipe, of digest: Digest, _ packs: PackStore
    ) throws(VarveError) -> Bool {
        do throws(VarveError) {
            let recipe = try packs.reader(found.place.pack).recipe(
                at: found.place.offset, byteCount: Int(found.place.byteCount))
            let resolved = try read { (transaction) throws(IndexError) in
                Result { try RunResolver(recipe.packs, in: transaction) }
            }
            guard case .success(let resolver) = resolved else { return false }
            for stream in StreamKind.allCases {
                for run in try resolver.resolve(recipe.runs(of: stream), of: recipe) {
                    let directory = try packs.reader(resolver.numbers[Int(run.pack)]).directory
                    guard run.ordinals.upperBound <= directory.chunkCount else { return false }
                }
            }
            return true
        } catch {
            guard error.code == .corrupted else { throw error }
            return false
        }
    }
}

extension BlobRow {
    /// The row of a blob of which a recipe was found and no raw bytes.
    init(_ recipe: IndexRestorer.FoundRecipe, at time: UInt64) {
        self.init(
            size: recipe.blobBytes, recipe: recipe.place, landedAt: time, lastUsed: time,
            settledBytes: UInt64(recipe.place.byteCount), plainSize: recipe.plainBytes)
    }
}
