// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The search up to 1.15.12. Here 4 is added to ``BestMatch/recent`` for what was found three bytes behind the step, not one.
extension BestSearch {
    private var noneThen: Int { 25_000 }

    func searchFirst<Reading: StepReading>(_ list: SequenceList, _ reading: Reading) {
        let limit = end &- 12
        var step = BestStep(at: start, anchor: start)

        while true {
            let at = step.at
            enter(&step)
            step.mayRepeat = list.count > 2
            let best: BestMatch
            if reading.isHinted(at) {
                let hint = reading.take()
                guard let told = match(hint, step, offset: step.offset(hint.code & 3)) else { return reading.refuse() }
                best = told
            } else {
                var lowest = Int.max
                best = findFirst(step, &lowest)
                reading.came(at: at, lowest: lowest) { firstHint(best, step, since: $0) }
            }
            if best.length < 4 {
                step.at &+= 1 &+ (at &- step.anchor) &>> 9
                if step.at >= limit { return }
                continue
            }
            let distance = best.at &- best.from
            list.append(best.at &- step.anchor, best.length, best.recent > 0 ? best.recent & 3 : distance &+ 3)
            step.at = best.at &+ best.length
            step.anchor = step.at
            if best.recent > 0 {
                if step.at >= limit { return }
                learn(at &+ (best.recent > 3 ? 3 : 1), step.at &- 1)
                step.use(best.recent & 3)
                continue
            }
            (step.offset1, step.offset2, step.offset3) = (distance, step.offset1, step.offset2)
            if step.at >= limit { return }
            learn(best.at &+ 1, step.at &- 1)
            if step.mayRepeat, !searchFormer(list, &step, reading) { return }
        }
    }

    /// Looks right behind a match for ones by the offset before it.
    /// - Returns: Whether the block goes on.
    @inline(__always)
    private func searchFormer<Reading: StepReading>(
        _ list: SequenceList, _ step: inout BestStep, _ reading: Reading
    ) -> Bool {
        while true {
            let at = step.at
            let length: Int
            if reading.isFormerHinted(at) {
                let told = reading.take()
                guard told.back == 0, told.fits(at, at, end, distance: step.offset2) else {
                    reading.refuse()
                    return false
                }
                length = told.length
            } else {
                let source = at &- step.offset2
                if source < floor || Matching.word4(text, source) != Matching.word4(text, at) { return true }
                length = 4 &+ Matching.length(text, at &+ 4, source &+ 4, end)
                reading.came(to: SearchHint(code: HintForm.newOffset, length: length), at: at, lowest: source)
            }
            learn(at, at &+ 1)
            list.append(0, length, 1)
            step.at &+= length
            step.anchor = step.at
            swap(&step.offset1, &step.offset2)
            if step.at >= end &- 12 { return false }
        }
    }

    /// Takes the match of `place` with `source` if it seems as good as the best so far, or better. What is no match is no
    /// better than one, and none is like the other, at places that do not come before.
    @inline(__always)
    private func compare(
        _ best: inout BestMatch, _ source: Int, _ place: Int, _ first: UInt32, _ recent: Int, _ lowest: inout Int
    ) {
        if place &- source >= window || source < floor || Matching.word4(text, source) != first { return }
        lowest = min(lowest, source)
        var match = BestMatch(from: source, at: place, recent: recent, cost: noneThen)
        match.length = 4 &+ Matching.length(text, place &+ 4, source &+ 4, end)
        price(&match, (recent < 0 ? place &- source &+ 3 : recent & 3).highBit, noneThen)
        if match.length == 0 { return }
        let one = best.cost &+ ((best.at &- match.at) &* literalBits) &>> 10
        let other = match.cost &+ ((match.at &- best.at) &* literalBits) &>> 10
        if one >= other { best = match }
    }

    /// As `find`.
    @inline(__always)
    private func findFirst(_ step: BestStep, _ lowest: inout Int) -> BestMatch {
        let goodEnough = 100
        let (at, anchor, word) = (step.at, step.anchor, step.word)
        let low = UInt32(truncatingIfNeeded: word)
        var best = BestMatch(at: at, cost: noneThen)

        @inline(__always)
        func compare(_ source: Int, _ place: Int, _ first: UInt32, _ recent: Int = -1) {
            self.compare(&best, source, place, first, recent, &lowest)
        }

        compare(near(step.longEntry), at, low)
        compare(far(step.longEntry), at, low)
        compare(near(step.shortEntry), at, low)
        compare(far(step.shortEntry), at, low)
        if step.mayRepeat && best.length < goodEnough {
            var first = UInt32(truncatingIfNeeded: word &>> 8)
            var place = at &+ 1
            compare(place &- step.offset1, place, first, 1)
            compare(place &- step.offset2, place, first, 2)
            compare(place &- step.offset3, place, first, 3)
            if best.length > 0 {
                first = UInt32(truncatingIfNeeded: word &>> 24)
                place &+= 2
                compare(place &- step.offset1, place, first, 1 | 4)
                compare(place &- step.offset2, place, first, 2 | 4)
                compare(place &- step.offset3, place, first, 3 | 4)
            }
        }
        if best.length < 4 { return best }
        if best.length < goodEnough {
            let word1 = Matching.word8(text, at &+ 1)
            let word2 = Matching.word8(text, at &+ 2)
            let low1 = UInt32(truncatingIfNeeded: word1)
            let low2 = UInt32(truncatingIfNeeded: word2)
            let short1 = short[shortSlot(word &>> 8)]
            let long1 = long[longSlot(word1)]
            let long2 = long[longSlot(word2)]
            compare(near(short1), at &+ 1, low1)
            compare(near(long1), at &+ 1, low1)
            compare(far(long1), at &+ 1, low1)
            compare(near(long2), at &+ 2, low2)
            compare(far(long2), at &+ 2, low2)
            let (place, length) = (best.at, best.length)
            if place &+ length < end &- 12 {
                let entry = long[longSlot(Matching.word8(text, place &+ length))]
                if near(entry) &- length >= 0 {
                    let first = Matching.word4(text, place)
                    compare(near(entry) &- length, place, first)
                    if far(entry) &- length >= 0 { compare(far(entry) &- length, place, first) }
                }
            }
        }
        let lowestFrom = max(best.at &- window, floor)
        let isRepeat = best.recent > 0
        let first = isRepeat ? anchor &+ 1 : anchor
        let most = isRepeat ? KlauspostModel.lengthMax &- 1 : KlauspostModel.lengthMax
        while best.from > lowestFrom && best.at > first && text[best.from &- 1] == text[best.at &- 1]
            && best.length < most
        {
            best.at &-= 1
            best.from &-= 1
            best.length &+= 1
        }
        lowest = min(lowest, best.from)
        return best
    }

    /// As `hint`.
    @inline(never)
    private func firstHint(_ best: BestMatch, _ step: BestStep, since point: Int) -> SearchHint? {
        if best.length < 4 || best.from >= point {
            var known = self
            known.floor = max(floor, point)
            var lowest = Int.max
            if known.findFirst(step, &lowest).isAlike(best) { return nil }
        }
        return best.hint(step.at)
    }
}
