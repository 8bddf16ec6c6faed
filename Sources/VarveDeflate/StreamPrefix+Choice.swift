// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The search for the model that describes a stretch best.
///
/// Models cost what encoders cost, so little is run (``ShortLooks``). Where that leaves nothing to be said, the analysis goes on
/// with what was found, and asks the others where it first fails (``AnalysisPass``).
extension StreamPrefix {
    /// What to describe a stream by.
    struct Choice {
        var parameters = StreamParameters()
        /// What described the short look as well, or was not asked there: to be asked where `parameters` fails.
        var alternatives: [StreamParameters] = []
    }

    /// How input is cut, and what the encoder does there: as ``StreamParameters`` has it.
    struct InputUnits {
        var size = 0
        var dictionary = -1
        var jobSize = 0
    }

    typealias Trial = (cost: Cost, parameters: StreamParameters)

    /// So many bytes more do not say that a model with no token wrong is the wrong one.
    static let tie = 24

    /// The parameters that describe the stretch best.
    /// - Parameters:
    ///   - rival: Other parameters to be compared with, and to be kept if nothing is better.
    ///   - keepsUnits: Whether the rival's input units are right.
    func best(against rival: StreamParameters? = nil, keepsUnits: Bool = false) -> Choice {
        var looks = ShortLooks(at: self, isFirst: rival == nil)
        let evidence = treeEvidence()
        let igzip = igzipFamilies(evidence)
        looks.look(at: igzip ?? families(evidence))
        let trials = looks.trials.sorted { $0.cost.bytes < $1.cost.bytes }
        if rival == nil, let first = trials.first, looks.isCheap(first.cost),
            first.cost.isPerfect || looks.isClear(first.cost)
        {
            let ties = trials.filter { trial in
                trial.cost.bytes <= first.cost.bytes + Self.tie && (trial.cost.isPerfect || !first.cost.isPerfect)
            }
            if let unit = unit(for: first.parameters) {
                let sets = (ties.map(\.parameters) + looks.untried).map { $0.cutting(unit) }
                return Choice(parameters: sets[0], alternatives: Array(sets.dropFirst()))
            }
        }
        var predictors = Predictors(isIgzip: igzip != nil)
        if igzip == nil, !looks.nearlyFits, let found = cheapestWays(trials, &predictors) {
            return Choice(parameters: found)
        }
        return Choice(parameters: thorough(trials, rival, keepsUnits, &predictors))
    }

    /// Compressed bytes of some first elements; of a block that was shortened its share.
    func compressed(_ sample: [StreamElement]) -> Int {
        guard case .block(let last)? = sample.last else { return compressedBytes }
        var first: Int?
        var whole = last
        for element in elements {
            guard case .block(let block) = element else { continue }
            let start = first ?? block.bitStart
            first = start
            if block.bitStart == last.bitStart { whole = block }
            if block.bitStart > last.bitStart {
                let share = (block.bitStart - last.bitStart) * last.tokenCount / max(whole.tokenCount, 1)
                let isShort = last.tokenCount < whole.tokenCount
                return ((isShort ? last.bitStart + share : block.bitStart) - start) / 8
            }
        }
        return compressedBytes
    }

    /// What the encoder does where its input is cut, by what it did at the first such place; nil if nothing explains that.
    private func unit(for parameters: StreamParameters) -> InputUnits? {
        let guesses = unitGuesses().filter { parameters.mayCut($0) }
        if guesses.contains(where: { $0.jobSize > 0 }) { return units(of: guesses, for: parameters) }
        guard guesses.count > 1, let first = boundary() else {
            if case .chain = parameters.model, let last = guesses.last(where: { $0.dictionary > 0 }) { return last }
            return guesses.first
        }
        var best: InputUnits?
        var least = Cost.tooMuch
        // Whether zlib went on or began anew with a dictionary shows only later: pigz begins anew.
        var likely = guesses
        if case .chain = parameters.model { likely.sort { $0.dictionary > $1.dictionary } }
        for guess in likely {
            let trial = parameters.cutting(guess)
            var place = SegmentPlace()
            place.plain = first.plain
            place.member = start
            place.matchEnd = first.plain
            place.ending = first.plain
            var from = DeflatePlan.Segment()
            from.plainStart = first.plain
            from.age = first.plain - start
            place.start(&from, trial, runUps: 4)
            let found = cost(trial, elements[first.elements], from: from, most: least, departuresMost: Self.strayMost)
            if found.bytes < least {
                least = found.bytes
                best = guess
            }
            if found.isPerfect && found.bytes <= Self.leastBytes { break }
        }
        return best
    }

    /// So many departures in some text may come from where the look at it begins, which is not where the encoder did.
    private static let strayMost = 16
    /// A description that says nothing but that all is as expected, and where the input ended.
    private static let leastBytes = 8

    /// The way to cut input that describes the long look best: where a job ends is no one place's matter. The first jobs
    /// tell, if they leave nothing to be said.
    private func units(of guesses: [InputUnits], for parameters: StreamParameters) -> InputUnits? {
        let likely = guesses.filter { $0.jobSize > 0 } + guesses.filter { $0.jobSize == 0 }
        let jobs = sample.prefix { element in
            guard case .block(let block) = element else { return true }
            return block.plainStart - start < Self.jobsPlain
        }
        for (elements, isAll) in jobs.count < sample.count ? [(jobs, false), (sample[...], true)] : [(jobs, true)] {
            var best: InputUnits?
            var least = Cost()
            for guess in likely {
                let cut = parameters.cutting(guess)
                let found = cost(cut, elements, from: segment(cut), most: least.bytes)
                if found.bytes < least.bytes {
                    least = found
                    best = guess
                }
            }
            if least.isPerfect || isAll { return best }
        }
        return nil
    }

    /// So much text tells the usual sizes of jobs from each other.
    private static let jobsPlain = 600 << 10

    /// A place within the first member at which the input was cut, with some of what follows: the first one with so much text
    /// before it that going on differs from beginning anew with a dictionary; else the last one.
    private func boundary() -> (plain: Int, elements: Range<Int>)? {
        var marker: (plain: Int, index: Int)?
        var found: (plain: Int, index: Int)?
        for (index, element) in elements.enumerated() {
            guard case .block(let block) = element else {
                if index == 0 { continue }
                break
            }
            // A marker counts once there is text behind it.
            if block.plainCount > 0, let known = marker {
                found = known
                if known.plain - start > 2 * 32768 { break }
            }
            if block.isMarker, block.plainStart > start { marker = (block.plainStart, index) }
        }
        return found.map { ($0.plain, textElements(from: $0.index + 1)) }
    }

    /// Elements from `index` on with some text, all of one member; none if there is no text.
    private func textElements(from index: Int) -> Range<Int> {
        let most = 128 << 10
        var text = 0
        var end = index
        while end < elements.count, case .block(let block) = elements[end] {
            if text > 0 && text + block.plainCount > most { break }
            text += block.plainCount
            end += 1
        }
        return text > 0 ? index..<end : index..<index
    }

    /// Compares those that did best in the short look over the whole stretch, and with the generic predictor.
    private func thorough(
        _ trials: [Trial], _ rival: StreamParameters?, _ keepsUnits: Bool, _ predictors: inout Predictors
    ) -> StreamParameters {
        let shortest = trials.first?.cost.bytes ?? Cost.tooMuch
        let mostSteps = trials.filter { $0.cost.bytes < Cost.tooMuch }.map(\.cost.steps).max() ?? 0
        // What is slow over the glance would be far too slow over ten times as much.
        let sample = mostSteps > Self.stepsMax / 8 ? glance : self.sample
        var best = StreamParameters()
        var bestCost = Int.max
        var bestFound: Cost?
        var units = unitGuesses()
        if let rival {
            best = rival
            let found = cost(rival, sample)
            bestCost = found.bytes
            bestFound = found
            if keepsUnits { units = [rival.units] }
        }
        var perfect = 0
        let close = trials.prefix(8).filter { $0.cost.bytes <= shortest + shortest / 3 + 64 }
        let likely = withUnits(close, units)
        for trial in likely.prefix(10) {
            // zlib and GNU gzip search alike and differ in where blocks end: one more may be better still.
            if perfect > 0 && trial.cost.bytes > (likely.first?.cost.bytes ?? 0) + Self.tie || perfect > 1 { break }
            let found = cost(trial.parameters, sample, most: bestCost)
            if found.bytes < bestCost {
                bestCost = found.bytes
                best = trial.parameters
                bestFound = found
            }
            if found.isPerfect {
                perfect += 1
                if case .plain = trial.parameters.rule { perfect += 1 }
            }
        }
        if perfect == 0, let bestFound { best = handedOver(best, bestFound, sample, &bestCost) }
        // Not convincing, places where input ended aside: see what the generic predictor makes of it.
        if bestCost - Effort.bytes(endings: endings(in: sample)) > compressedBytes / 400 {
            let generic = predictors.generic(self).parameters
            let found = cost(generic, sample, most: bestCost).bytes
            if found < bestCost {
                bestCost = found
                best = generic
            }
        }
        // Dear all the same: it may come from an encoder that looks for the cheapest way.
        if !predictors.isIgzip && bestCost > compressed(sample) / Self.dearShare {
            let optimal = predictors.optimal(self).parameters
            if cost(optimal, sample, most: bestCost).bytes < bestCost { best = optimal }
        }
        return best
    }

    /// The predictor for encoders that look for the cheapest way, if nothing else comes near it: long looks would be in vain.
    /// - Parameter trials: Looks over the glance, the best first.
    private func cheapestWays(_ trials: [Trial], _ predictors: inout Predictors) -> StreamParameters? {
        let shortest = trials.first?.cost.bytes ?? Cost.tooMuch
        if shortest <= compressed(glance) / Self.dearShare { return nil }
        let optimal = predictors.optimal(self)
        return optimal.bytes < min(shortest / 2, predictors.generic(self).bytes) ? optimal.parameters : nil
    }

    /// What describes the glance best of those that do for any encoder, looked for once.
    private struct Predictors {
        /// Whether the codes say who the encoder was.
        let isIgzip: Bool
        private var found: (optimal: Described?, generic: Described?)

        init(isIgzip: Bool) { self.isIgzip = isIgzip }

        mutating func optimal(_ prefix: StreamPrefix) -> Described {
            let result = found.optimal ?? prefix.bestOptimal()
            found.optimal = result
            return result
        }

        mutating func generic(_ prefix: StreamPrefix) -> Described {
            let result = found.generic ?? prefix.bestGeneric(isIgzip ? [.igzip] : TreeKind.exact)
            found.generic = result
            return result
        }
    }

    private typealias Described = (parameters: StreamParameters, bytes: Int)

    /// A description of more than one in so many bytes is dear for a predictor too.
    static let dearShare = 40

    /// Each trial with each way to cut input, the likeliest first: which encoder it was may show only with the right way.
    private func withUnits(_ trials: [Trial], _ units: [InputUnits]) -> [Trial] {
        var result: [Trial] = []
        var least = Cost.tooMuch
        let differ = units.count > 1 && endings(in: glance) > 0
        for trial in trials {
            for unit in units where trial.parameters.mayCut(unit) {
                var next = trial
                next.parameters = trial.parameters.cutting(unit)
                if differ { next.cost = cost(next.parameters, glance, most: least + least / 3 + 64) }
                least = min(least, next.cost.bytes)
                result.append(next)
            }
        }
        let order = result.indices.sorted { (result[$0].cost.bytes, $0) < (result[$1].cost.bytes, $1) }
        return order.map { result[$0] }.filter { $0.cost.bytes <= least + least / 3 + 64 }
    }

    /// The depth and the builder that describe the short look best, by the model for encoders with the cheapest way.
    private func bestOptimal() -> Described {
        var best = StreamParameters(model: .optimal(.init(depth: Self.depths[0], costs: .refined)), rule: .none)
        var bestCost = cost(best, glance).bytes
        func take(_ trial: StreamParameters) -> Bool {
            let found = cost(trial, glance, most: bestCost).bytes
            if found >= bestCost { return false }
            bestCost = found
            best = trial
            return true
        }
        var trial = best
        trial.model = .optimal(.init(depth: Self.depths[0], costs: .greedy))
        if !take(trial) {
            trial.model = .optimal(.init(depth: Self.depths[0], costs: .lengths))
            let costs: OptimalModel.CostSource = take(trial) ? .lengths : .refined
            for depth in Self.depths.dropFirst() {
                trial.model = .optimal(.init(depth: depth, costs: costs))
                if !take(trial) { break }
            }
            trial.model = .optimal(.init(depth: 32, costs: .previous))
            _ = take(trial)
        }
        for tree in [TreeKind.zopfli, .libdeflate] {
            trial = best
            trial.tree = tree
            _ = take(trial)
        }
        return (best, bestCost)
    }

    /// Places that such encoders look at for a position.
    private static let depths = [512, 128, 48, 24]

    /// - Parameter trees: Builders of codes that may have been at work; the first one is looked at more closely.
    private func bestGeneric(_ trees: [TreeKind]) -> Described {
        var parameters = StreamParameters()
        parameters.rule = plainRule()
        var best = parameters
        var bestCost = Cost.tooMuch
        for tree in trees {
            for hashBytes in [3, 4] {
                for depth in [1, 4, 16, 128, 1024] {
                    var trial = parameters
                    trial.tree = tree
                    trial.model = .generic(.init(hashBytes: hashBytes, depth: depth))
                    if tree != trees[0] && depth != 16 { continue }
                    let found = cost(trial, glance, most: bestCost).bytes
                    if found < bestCost - bestCost / 50 {
                        bestCost = found
                        best = trial
                    }
                }
            }
        }
        return (best, bestCost)
    }
}

extension StreamParameters {
    var units: StreamPrefix.InputUnits {
        .init(size: unitSize, dictionary: unitDictionary, jobSize: jobSize)
    }

    /// The same with input cut another way.
    func cutting(_ units: StreamPrefix.InputUnits) -> Self {
        var result = self
        result.unitSize = units.size
        result.unitDictionary = units.dictionary
        result.jobSize = units.jobSize
        return result
    }

    /// Whether both are of one search, and differ in where blocks end: zlib's and GNU gzip's at a level.
    func searchesLike(_ other: Self) -> Bool {
        guard case .chain(var mine) = model, case .chain(let others) = other.model else { return false }
        mine.gnu = others.gnu
        mine.memLevel = others.memLevel
        return mine == others
    }

    /// Whether input can be cut so: jobs are zlib's only, and where all positions are hashed it is all one where they begin.
    func mayCut(_ units: StreamPrefix.InputUnits) -> Bool {
        if units.jobSize == 0 { return true }
        if case .chain(let settings) = model { return settings.level < 4 && !settings.gnu }
        return false
    }
}
