// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Walks that nobody uses now, the last ones that were put here: a model's tables are some hundred kilobytes, and the one that
/// did well in a short look is asked again at once.
final class WalkShelf {
    private static let most = 4

    private var walks: [(model: ModelChoice, walk: any SegmentCoding)] = []

    /// A walk with these parameters, for whoever takes it alone.
    func take(_ parameters: StreamParameters) -> any SegmentCoding {
        guard let index = walks.lastIndex(where: { $0.model == parameters.model }) else {
            return parameters.model.makeWalk(parameters)
        }
        let walk = walks.remove(at: index).walk
        walk.follow(parameters)
        return walk
    }

    /// Puts a walk back.
    func put(_ walk: any SegmentCoding, _ model: ModelChoice) {
        if walks.count >= Self.most { walks.removeFirst() }
        walks.append((model, walk))
    }
}
