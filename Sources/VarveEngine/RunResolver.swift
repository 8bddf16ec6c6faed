// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveIndex
import VarveModel

/// Where the runs of a recipe lie now.
///
/// A recipe names packs by the ids under which its chunks were stored first. A pack that is still there is read as it
/// is; of one that was rewritten a forward says which pack holds what is alive of it, and under which ordinals. The
/// order of chunks never changes in that, so a run stays one run.
struct RunResolver {
    /// The packs to read, by this store's numbers, in the order of the recipe's list.
    let numbers: [UInt32]
    /// For each pack of the list that was rewritten, what became of it.
    private let forwards: [ForwardRow?]

    /// Looks the packs of a recipe up.
    /// - Throws: `corrupted` if one is neither there nor forwarded.
    init(_ ids: [PackID], in transaction: borrowing ReadTransaction) throws {
        var numbers: [UInt32] = []
        var forwards: [ForwardRow?] = []
        for id in ids {
            let number = try transaction.packNumber(of: id.vector)
            if let number, try transaction.pack(number)?.state != .condemned {
                numbers.append(number)
                forwards.append(nil)
            } else if let forward = try transaction.forward(of: id.vector) {
                numbers.append(forward.pack)
                forwards.append(forward)
            } else if let number {
                // Condemned with nowhere to go: what is in it may still be read.
                numbers.append(number)
                forwards.append(nil)
            } else {
                throw VarveError(.corrupted, "pack \(id.hex) is not in the index")
            }
        }
        self.numbers = numbers
        self.forwards = forwards
    }

    /// Whether the pack at `index` of the recipe's list was rewritten.
    func isForwarded(_ index: Int) -> Bool { forwards[index] != nil }

    /// The runs of one stream with the ordinals that their chunks have now.
    /// - Throws: `corrupted` if a run's chunks are not all there.
    func resolve(_ runs: RecipeRuns, of recipe: Recipe) throws(VarveError) -> [RecipeRun] {
        guard forwards.contains(where: { $0 != nil }) else { return runs.runs }
        var resolved = runs.runs
        for index in resolved.indices {
            let run = resolved[index]
            let pack = Int(run.pack)
            guard forwards.indices.contains(pack), let forward = forwards[pack] else { continue }
            guard let ordinal = forward.ordinal(of: run.firstOrdinal, count: run.chunkCount) else {
                throw VarveError(
                    .corrupted,
                    "chunks \(run.ordinals) of pack \(recipe.packs[pack].hex) were not kept when it was rewritten")
            }
            resolved[index].firstOrdinal = ordinal
        }
        return resolved
    }
}

extension Core {
    /// Where the packs of a recipe are.
    func resolver(for recipe: Recipe) throws(VarveError) -> RunResolver {
        let (resolver, rows) = try read { transaction in
            let resolver = try RunResolver(recipe.packs, in: transaction)
            return (resolver, try settings.readOnly ? resolver.numbers.map { try transaction.pack($0) } : [])
        }
        // Beside a process that writes, an open pack may have grown since it was opened here.
        for (number, row) in zip(resolver.numbers, rows) {
            if let row { packs.forget(number, ifFewerFramesThan: row.frameCount) }
        }
        return resolver
    }

    /// The runs of all streams of a recipe, where they lie now.
    func places(of recipe: Recipe) throws(VarveError) -> [(pack: UInt32, ordinals: Range<UInt32>, byteCount: UInt64)] {
        let resolver = try resolver(for: recipe)
        var places: [(pack: UInt32, ordinals: Range<UInt32>, byteCount: UInt64)] = []
        for stream in StreamKind.allCases {
            for run in try resolver.resolve(recipe.runs(of: stream), of: recipe) {
                places.append((resolver.numbers[Int(run.pack)], run.ordinals, run.byteCount))
            }
        }
        return places
    }
}
