// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Another model in mid-stream.
extension AnalysisPass {
    /// Whether a description is longer than that of an encoder that is known, or, where the member was found to be of one that
    /// looks for the cheapest way, than that of such: places where input ended take some bytes each.
    func isDear(_ count: Int, _ compressed: Int, before end: Int) -> Bool {
        var share = 250
        if case .optimal = parameters.model, place.member == memberJudged { share = StreamPrefix.dearShare }
        let ends = endings.reduce(0) { $0 + ($1 > segment.plainStart && $1 <= end ? 1 : 0) }
        let most = 256 + compressed / share + Effort.bytes(endings: ends)
        return walk.unrepresentable || walk.gaveUp != nil || count > most
    }

    /// Whether it is time to look for another model: seldom where that was in vain.
    private var mayChoose: Bool { !plan.segments.isEmpty && plan.segments.count >= nextChoice }

    /// Looks for a better model: the stream's beginning may have said little, a further member may have another encoder.
    /// - Returns: Whether there is one; the segment in progress then begins with it.
    mutating func chooseModel(_ cut: Cut, _ compressed: Int) -> Bool {
        if !mayChoose { return false }
        let start = segment
        let place = self.place
        let prefix = StreamPrefix(
            scanner.reader, Array(elements[0..<cut.index]), walks: walks, endings: endings,
            compressedBytes: compressed, start: start.plainStart, member: place.member
        ) { parameters in
            var trial = start
            if trial.age > 0 { place.start(&trial, parameters, runUps: 4) }
            return trial
        }
        // Where input was never seen to end before, nothing is known of units yet.
        let knowsUnits = start.age > 0 && (parameters.unitSize > 0 || !prefix.showsUnits)
        memberJudged = place.member
        let found = prefix.best(against: parameters, keepsUnits: knowsUnits).parameters
        if found == parameters {
            choicesInVain += 1
            nextChoice = plan.segments.count + 1 << min(choicesInVain, 20)
            return false
        }
        follow(found)
        return true
    }

    /// Asks the models that did as well in a short look, or were not asked there, how they do in the segment in progress,
    /// where the one so far fails.
    /// - Parameter bytes: What it costs with the one so far.
    /// - Returns: Whether one of them does better; the segment then begins with it.
    mutating func askAlternatives(_ cut: Cut, better bytes: Int) -> Bool {
        var best: (bytes: Int, parameters: StreamParameters)?
        var perfect: [StreamParameters] = []
        var least = bytes
        // Some bytes less do not say that one that is wrong too is the right one.
        let departuresMost = bytes <= 2 * StreamPrefix.tie ? 0 : Int.max
        for rival in alternatives {
            let found = described(by: rival, cut, most: least, departuresMost)
            if found.bytes > least { continue }
            if found.departures == 0 { perfect.append(rival) }
            if found.bytes < least && (found.departures == 0 || found.bytes + StreamPrefix.tie < bytes) {
                least = found.bytes
                best = (least, rival)
            }
        }
        alternatives = Array(perfect.filter { $0 != best?.parameters }.prefix(Self.alternativesMost))
        guard let best else { return false }
        follow(best.parameters)
        return true
    }

    /// More are not asked again: a file could be made to have all of them asked at every segment.
    private static let alternativesMost = 6

    /// What it costs to describe the segment in progress with a model; very much if that is given up, for the length or for
    /// departures.
    private func described(
        by parameters: StreamParameters, _ cut: Cut, most: Int, _ departuresMost: Int
    ) -> (bytes: Int, departures: Int) {
        var start = segment
        if start.age > 0 { place.start(&start, parameters, runUps: 4) }
        let walk = walks.take(parameters)
        defer { walks.put(walk, parameters.model) }
        var effort = effort(upTo: cut.plain)
        effort.bytesMax = most
        effort.departuresMax = departuresMost
        let description = describe(elements[0..<cut.index], start, end: cut.plain, by: walk, effort)
        if walk.unrepresentable || walk.gaveUp != nil { return (.max, walk.corrections) }
        return (description.blocks.count + description.tokens.count, walk.corrections)
    }

    /// Lets the segment in progress follow other parameters.
    private mutating func follow(_ found: StreamParameters) {
        if let trialWalk { walks.put(trialWalk, parameters.model) }
        walks.put(walk, parameters.model)
        trialWalk = nil
        parameters = found
        walk = walks.take(found)
        runUps = RunUpHabit(found.model)
        isUntried = false
        if segment.age > 0 { place.start(&segment, parameters, runUps: 4) }
        if plan.segments.isEmpty { plan.parameters = [] }
        if let index = plan.parameters.firstIndex(of: found) {
            segment.parameters = index
        } else {
            segment.parameters = plan.parameters.count
            plan.parameters.append(found)
        }
    }
}
