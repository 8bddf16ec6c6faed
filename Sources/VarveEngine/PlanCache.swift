// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveIndex
import VarveZstd

/// Plans of zstd layers as they were read, those used last: who asks for a range of a layer soon asks for another one, and the
/// plan of a large layer takes as long to read as some blocks to make.
final class PlanCache: Sendable {
    private struct Entry {
        let place: RecipePlace
        let rebuilder: ZstdRebuilder
    }
    private struct State {
        /// The one used last is at the end.
        var entries: [Entry] = []
        var bytes = 0
    }
    private let state = NIOLockedValueBox(State())
    private let budget: Int

    /// - Parameter budget: Of all plans together, in bytes.
    init(budget: Int) { self.budget = budget }

    /// The plan that belongs to the recipe at `place`.
    func plan(of place: RecipePlace) -> ZstdRebuilder? {
        state.withLockedValue { state in
            guard let index = state.entries.lastIndex(where: { $0.place == place }) else { return nil }
            let entry = state.entries.remove(at: index)
            state.entries.append(entry)
            return entry.rebuilder
        }
    }

    func keep(_ rebuilder: ZstdRebuilder, of place: RecipePlace) {
        guard rebuilder.memoryBytes <= budget / 2 else { return }
        state.withLockedValue { state in
            guard !state.entries.contains(where: { $0.place == place }) else { return }
            state.entries.append(Entry(place: place, rebuilder: rebuilder))
            state.bytes += rebuilder.memoryBytes
            while state.bytes > budget, !state.entries.isEmpty {
                state.bytes -= state.entries.removeFirst().rebuilder.memoryBytes
            }
        }
    }

    func forget(pack: UInt32) {
        state.withLockedValue { state in
            state.entries.removeAll { $0.place.pack == pack }
            state.bytes = state.entries.reduce(0) { $0 + $1.rebuilder.memoryBytes }
        }
    }
}
