// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Looks at the candidates for a stretch, as few and as short as will do: at all of a family over very little text, in the
/// order in which they are likely, and over a little more at the first that does well there. Nobody else is asked if that
/// one leaves nothing to be said.
struct ShortLooks {
    private let prefix: StreamPrefix
    private let isFirst: Bool
    /// What the looks over the glance came to.
    private(set) var trials: [StreamPrefix.Trial] = []
    /// The rest of the family of one that left nothing to be said.
    private(set) var untried: [StreamParameters] = []
    /// The cheapest description so far.
    private var shortest = StreamPrefix.Cost.tooMuch
    /// Whether one of them had no token wrong, or hardly any.
    private var fits = false
    private(set) var nearlyFits = false
    private let blinkSize: Int
    private let glanceSize: Int
    /// Bytes of a description for places where input ended.
    private let blinkEnds: Int
    private let glanceEnds: Int

    /// - Parameter isFirst: Whether nothing is known yet: then one that leaves hardly anything to be said will do, for the
    ///   rest of its family is asked where it fails.
    init(at prefix: StreamPrefix, isFirst: Bool) {
        self.prefix = prefix
        self.isFirst = isFirst
        blinkSize = prefix.compressed(prefix.blink)
        glanceSize = prefix.compressed(prefix.glance)
        blinkEnds = Effort.bytes(endings: prefix.endings(in: prefix.blink))
        glanceEnds = Effort.bytes(endings: prefix.endings(in: prefix.glance))
    }

    /// A family, and how its models did over very little text.
    private struct Ranking {
        let family: [StreamParameters]
        var looks: [(bytes: Int, index: Int)] = []
        var asked: Set<Int> = []
        var least: Int { looks.map(\.bytes).min() ?? StreamPrefix.Cost.tooMuch }
        var rest: [StreamParameters] { family.indices.filter { !asked.contains($0) }.map { family[$0] } }
    }

    /// Whether a description of the glance is no longer than that by a model of an encoder that is known: each place where
    /// input ended takes some bytes.
    func isCheap(_ cost: StreamPrefix.Cost) -> Bool { cost.bytes - glanceEnds <= glanceSize / 400 }

    /// Whether a description of the glance says nothing but where input ended, or, where that will do, hardly anything else.
    func isClear(_ cost: StreamPrefix.Cost) -> Bool {
        let most = cost.isPerfect ? StreamPrefix.tie : isFirst ? 2 * StreamPrefix.tie : 0
        return isCheap(cost) && cost.bytes - glanceEnds <= most
    }

    /// Looks at families until one has a model with no token wrong.
    mutating func look(at families: [[StreamParameters]]) {
        var unlikely: [Ranking] = []
        for family in families {
            var ranking = Ranking(family: family)
            if glimpse(&ranking) || fits { return }
            if ranking.least > blinkSize / 40 {
                unlikely.append(ranking)
            } else if !nearlyFits {
                if askAll(&ranking) || fits { return }
            }
        }
        if nearlyFits { return }
        for var ranking in unlikely where askAll(&ranking) || fits { return }
    }

    /// Looks at a family over very little text, and asks who does well there.
    /// - Returns: Whether one of them leaves nothing to be said.
    private mutating func glimpse(_ ranking: inout Ranking) -> Bool {
        var least = nearlyFits ? shortest : StreamPrefix.Cost.tooMuch
        for index in ranking.family.indices {
            let found = prefix.cost(ranking.family[index], prefix.blink, most: 2 * least + 64)
            least = min(least, found.bytes)
            ranking.looks.append((found.bytes, index))
            // What is cut off may be taken for wrong at its end.
            let isClear = found.departures <= 1 && found.bytes - blinkEnds <= 2 * StreamPrefix.tie
            if isClear && ask(index, &ranking) { return true }
        }
        return false
    }

    /// Asks all that are left of a family, in the order of how they did.
    private mutating func askAll(_ ranking: inout Ranking) -> Bool {
        for look in ranking.looks.sorted(by: { ($0.bytes, $0.index) < ($1.bytes, $1.index) })
        where !ranking.asked.contains(look.index) && ask(look.index, &ranking) { return true }
        return false
    }

    /// Has a model describe the glance.
    /// - Returns: Whether it leaves nothing to be said.
    private mutating func ask(_ index: Int, _ ranking: inout Ranking) -> Bool {
        let parameters = ranking.family[index]
        let most = fits ? shortest + StreamPrefix.tie : shortest + shortest / 3 + 64
        let found = prefix.cost(parameters, prefix.glance, most: most, departuresMost: fits ? 0 : .max)
        if found.isPerfect { fits = true }
        if isCheap(found) { nearlyFits = true }
        shortest = min(shortest, found.bytes)
        trials.append((found, parameters))
        ranking.asked.insert(index)
        guard isClear(found) else { return false }
        // zlib and GNU gzip search alike and differ in where blocks end: the other one may be better still.
        for other in ranking.family.indices
        where !ranking.asked.contains(other) && ranking.family[other].searchesLike(parameters) {
            _ = ask(other, &ranking)
        }
        untried = ranking.rest
        return true
    }
}
