// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What the search of klauspost/compress's level "best" finds at a place.
struct BestMatch {
    var from = 0
    var at: Int
    /// 0, or less than 4, for no match.
    var length = 0
    /// Which of the offsets used last, 4 added if no literal comes before; -1 for a new one, 0 for no match.
    var recent = 0
    var cost: Int
}

/// A block while that search goes over it.
struct BestSearch<Table: SlotTable> {
    let text: UnsafePointer<UInt8>
    let start: Int
    let end: Int
    let window: Int
    let shift: Int
    /// What a literal costs, in 1/1024 bits.
    let literalBits: Int
    let offsetCost: UnsafePointer<Int>
    let lengthCost: UnsafePointer<Int>
    let codes: UnsafePointer<UInt8>
    let long: Table
    let short: Table
    /// No place before this is looked at.
    var floor: Int

    @inline(__always)
    func longSlot(_ word: UInt64) -> Int { Matching.hash8(word, KlauspostBestModel.longBits) }

    @inline(__always)
    func shortSlot(_ word: UInt64) -> Int {
        Int((UInt32(truncatingIfNeeded: word) &* 2_654_435_761) &>> UInt32(32 &- KlauspostBestModel.shortBits))
    }

    /// The last place of an entry, and the one before.
    @inline(__always)
    func near(_ entry: UInt64) -> Int { Int(entry &>> 32) &- shift }

    @inline(__always)
    func far(_ entry: UInt64) -> Int { Int(entry & 0xffff_ffff) &- shift }

    @inline(__always)
    func learn(_ first: Int, _ end: Int) {
        var place = first
        while place < end {
            let word = Matching.word8(text, place)
            let stored = UInt64(truncatingIfNeeded: place &+ shift)
            long.push(longSlot(word), stored)
            short.push(shortSlot(word), stored)
            place &+= 1
        }
    }

    /// Estimates a match; one that is unlikely to pay becomes none, at the price `none`.
    @inline(__always)
    func price(_ match: inout BestMatch, _ offsetCode: Int, _ none: Int) {
        let length = UInt32(truncatingIfNeeded: match.length &- 3)
        let lengthCode = length < 128 ? Int(codes[Int(length)]) : 67 &- length.leadingZeroBitCount
        match.cost = offsetCost[offsetCode] &+ lengthCost[lengthCode] &- (match.length &* literalBits) &>> 10
        if match.cost > 0 {
            match.length = 0
            match.cost = none
        }
    }

    var none: Int { KlauspostModel.lengthMax * 8 }

    /// Takes the match of `place` with `source` if it seems better than the best so far.
    /// - Parameter lowest: The first place that made a difference so far, or could have.
    @inline(__always)
    func improve(
        _ best: inout BestMatch, _ source: Int, _ place: Int, _ first: UInt32, _ recent: Int, _ anchor: Int,
        _ era: KlauspostBestModel.Era,
        _ lowest: inout Int
    ) {
        let distance = place &- source
        if distance >= window || distance <= 0 || source < floor || Matching.word4(text, source) != first { return }
        if best.length > 16 {
            let left = end &- (best.at &+ best.length)
            if left <= 0 { return }
            let ahead = best.length &- (place &- best.at) &- 8
            if left > 2 && ahead > 4
                && Matching.word4(text, source &+ ahead) != Matching.word4(text, place &+ ahead)
            {
                return
            }
        }
        var match = BestMatch(from: source, at: place, length: 0, recent: recent, cost: 0)
        match.length = 4 &+ Matching.length(text, place &+ 4, source &+ 4, end)
        let goesBack = era == .second ? recent < 0 : era == .third ? true : best.recent <= 0
        if goesBack {
            let lowest = max(place &- window, floor)
            while match.from > lowest && match.at > anchor && text[match.from &- 1] == text[match.at &- 1]
                && match.length < KlauspostModel.lengthMax
            {
                match.at &-= 1
                match.from &-= 1
                match.length &+= 1
            }
        }
        lowest = min(lowest, match.from)
        let offset = recent < 0 ? match.at &- match.from &+ 3 : era == .second ? recent : recent & 3
        price(&match, offset.highBit, none)
        if best.cost >= none
            || match.cost &- best.cost &+ ((match.at &- best.at) &* literalBits) &>> 10 < 0
        {
            best = match
        }
    }

    func search<Reading: StepReading>(_ list: SequenceList, _ era: KlauspostBestModel.Era, _ reading: Reading) {
        switch era {
        case .first: searchFirst(list, reading)
        case .second: search(list, era: .second, reading)
        case .third: search(list, era: .third, reading)
        case .fourth, .fifth: search(list, era: .fourth, reading)
        }
    }

    @inline(__always)
    private func search<Reading: StepReading>(
        _ list: SequenceList, era: KlauspostBestModel.Era, _ reading: Reading
    ) {
        let limit = end &- 12
        var step = BestStep(at: start, anchor: start)

        while true {
            let at = step.at
            enter(&step)
            step.mayRepeat = list.count > 2
            let best: BestMatch
            if reading.isHinted(at) {
                let hint = reading.take()
                guard let told = match(hint, step, offset: step.offset(hint.code)) else { return reading.refuse() }
                best = told
            } else {
                var lowest = Int.max
                best = find(step, era, &lowest)
                reading.came(at: at, lowest: lowest) { hint(best, step, era, since: $0) }
            }
            if best.length < 4 {
                step.at &+= 1 &+ (at &- step.anchor) &>> 9
                if step.at >= limit { return }
                continue
            }
            let isRepeat = best.recent > 0
            list.append(
                best.at &- step.anchor, best.length, isRepeat ? best.recent & 3 : best.at &- best.from &+ 3)
            step.at = best.at &+ best.length
            step.anchor = step.at
            if isRepeat {
                step.use(best.recent)
            } else {
                (step.offset1, step.offset2, step.offset3) = (best.at &- best.from, step.offset1, step.offset2)
            }
            if era == .second {
                if step.at >= limit { return }
                learn(at &+ 1, step.at)
            } else {
                learn(at &+ 1, min(step.at, isRepeat ? limit &+ 4 : limit &- 4))
                if step.at >= limit { return }
            }
        }
    }

    /// The best match for a step, whose place the tables have already.
    @inline(__always)
    private func find(_ step: BestStep, _ era: KlauspostBestModel.Era, _ lowest: inout Int) -> BestMatch {
        let limit = end &- 12
        let goodEnough = 250
        let (at, anchor, word) = (step.at, step.anchor, step.word)
        let (offset1, offset2, offset3) = (step.offset1, step.offset2, step.offset3)
        let low = UInt32(truncatingIfNeeded: word)
        var best = BestMatch(at: at, cost: none)

        @inline(__always)
        func improve(_ source: Int, _ place: Int, _ first: UInt32, _ recent: Int = -1) {
            self.improve(&best, source, place, first, recent, anchor, era, &lowest)
        }

        improve(near(step.longEntry), at, low)
        improve(far(step.longEntry), at, low)
        improve(near(step.shortEntry), at, low)
        improve(far(step.shortEntry), at, low)
        if step.mayRepeat && best.length < goodEnough {
            if at == anchor {
                improve(at &- offset2, at, low, 1 | 4)
                improve(at &- offset3, at, low, 2 | 4)
                if offset1 > 1 { improve(at &- (offset1 &- 1), at, low, 3 | 4) }
            }
            if best.recent <= 0 {
                var first = UInt32(truncatingIfNeeded: word &>> 8)
                var place = at &+ 1
                improve(place &- offset1, place, first, 1)
                improve(place &- offset2, place, first, 2)
                improve(place &- offset3, place, first, 3)
                if best.recent < 0 {
                    first = UInt32(truncatingIfNeeded: word &>> 24)
                    place &+= 2
                    improve(place &- offset1, place, first, 1)
                    improve(place &- offset2, place, first, 2)
                    improve(place &- offset3, place, first, 3)
                }
            }
        }
        if best.length < 4 || best.length >= goodEnough { return best }
        let word1 = Matching.word8(text, at &+ 1)
        let word2 = Matching.word8(text, at &+ 2)
        let low1 = UInt32(truncatingIfNeeded: word1)
        let low2 = UInt32(truncatingIfNeeded: word2)
        let short1 = short[shortSlot(word &>> 8)]
        let long1 = long[longSlot(word1)]
        let long2 = long[longSlot(word2)]
        improve(near(short1), at &+ 1, low1)
        improve(near(long1), at &+ 1, low1)
        improve(far(long1), at &+ 1, low1)
        improve(near(long2), at &+ 2, low2)
        improve(far(long2), at &+ 2, low2)
        // What begins where the best one ends may have a longer match before it.
        if best.at > at &- 2, best.at &+ best.length < limit {
            let entry = long[longSlot(Matching.word8(text, best.at &+ best.length))]
            var source = near(entry) &- best.length &+ 2
            if source >= 0 {
                var place = best.at &+ 2
                improve(source, place, Matching.word4(text, place))
                source = far(entry) &- best.length &+ 2
                if source >= 0 {
                    place = best.at &+ 2
                    improve(source, place, Matching.word4(text, place))
                }
            }
        }
        return best
    }

    /// Looks the step's place up in the tables, and enters it.
    @inline(__always)
    func enter(_ step: inout BestStep) {
        let word = Matching.word8(text, step.at)
        let (longSlot, shortSlot) = (longSlot(word), shortSlot(word))
        step.word = word
        step.longEntry = long[longSlot]
        step.shortEntry = short[shortSlot]
        let stored = UInt64(truncatingIfNeeded: step.at &+ shift)
        long.push(longSlot, stored)
        short.push(shortSlot, stored)
    }

    // MARK: hints

    /// What has to be said of a step that came to `best` to those who know of no place before `point`; nil if they find the same.
    @inline(never)
    private func hint(
        _ best: BestMatch, _ step: BestStep, _ era: KlauspostBestModel.Era, since point: Int
    ) -> SearchHint? {
        if best.length < 4 || best.from >= point {
            var known = self
            known.floor = max(floor, point)
            var lowest = Int.max
            if known.find(step, era, &lowest).isAlike(best) { return nil }
        }
        return best.hint(step.at)
    }

    /// The match that a hint says; nil if there can be no such match.
    /// - Parameter offset: The one that it uses again, if it says so.
    func match(_ hint: SearchHint, _ step: BestStep, offset: Int) -> BestMatch? {
        if hint.code == HintForm.noMatch { return BestMatch(at: step.at, cost: 0) }
        let isNew = hint.code == HintForm.newOffset
        guard isNew || step.mayRepeat else { return nil }
        let distance = isNew ? hint.distance : offset
        guard hint.fits(step.at, step.anchor, end, distance: distance), distance < window else { return nil }
        let place = step.at &- hint.back
        return BestMatch(
            from: place &- distance, at: place, length: hint.length, recent: isNew ? -1 : hint.code, cost: 0)
    }
}

extension BestMatch {
    /// Whether the search goes on in the same way.
    func isAlike(_ other: BestMatch) -> Bool {
        if length < 4 { return other.length < 4 }
        return at == other.at && length == other.length && from == other.from && recent == other.recent
    }

    /// What says it to those who do not find it at `place`.
    func hint(_ place: Int) -> SearchHint {
        if length < 4 { return SearchHint(code: HintForm.noMatch, length: 0) }
        return SearchHint(
            code: recent < 0 ? HintForm.newOffset : recent, distance: at &- from, length: length, back: place &- at)
    }
}

/// What that search knows at a place.
struct BestStep {
    var at: Int
    /// Where the match before ends.
    var anchor: Int
    var offset1 = 1
    var offset2 = 4
    var offset3 = 8
    /// Whether offsets used before may be used again.
    var mayRepeat = false
    /// The text there, and what the tables had for it.
    var word: UInt64 = 0
    var longEntry: UInt64 = 0
    var shortEntry: UInt64 = 0

    /// The offset that ``BestMatch/recent`` says.
    func offset(_ recent: Int) -> Int {
        switch recent {
        case 1: return offset1
        case 2, 5: return offset2
        case 3, 6: return offset3
        default: return offset1 &- 1
        }
    }

    /// The match uses that one again.
    @inline(__always)
    mutating func use(_ recent: Int) {
        switch recent {
        case 2, 5: swap(&offset1, &offset2)
        case 3, 6: (offset1, offset2, offset3) = (offset3, offset1, offset2)
        case 7: (offset1, offset2, offset3) = (offset1 &- 1, offset1, offset2)
        default: break
        }
    }
}
