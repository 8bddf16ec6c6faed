// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension ReferenceDoubleModel {
    /// The search while the section before can be reached, too: no look ahead, a step that grows with the distance from the last
    /// match.
    @inline(__always)
    func searchBoth<Reading: StepReading>(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ section: Int, _ list: SequenceList, _ shortBytes: Int,
        _ reading: Reading
    ) {
        let long = tables[0].entries
        let short = tables[1].entries
        let longBits = UInt64(settings.longLog)
        let shortBits = UInt64(settings.shortLog)
        let shift = 2 &- base
        let limit = end &- 8
        let lowest = max(end &- windowBytes, floor)
        let lowestIndex = UInt32(truncatingIfNeeded: lowest &+ shift)
        var at = start
        var anchor = start
        var (offset1, offset2) = recent

        /// Whether a repeated offset may be looked at: it stays in reach, and its four bytes in one section.
        @inline(__always)
        func mayRepeat(_ place: Int, _ offset: Int) -> Bool {
            let source = place &- offset
            return offset <= place &- lowest && (source >= section || source < section &- 3)
                && (offset != 0 && source >= max(lowest, reading.start))
                && Matching.word4(text, source) == Matching.word4(text, place)
        }

        while at < limit {
            let current = at
            let word = Matching.word8(text, at)
            let longSlot = Matching.hash8(word, longBits)
            let shortSlot = slot(word, shortBits, shortBytes)
            let longIndex = long[longSlot]
            let shortIndex = short[shortSlot]
            let index = UInt32(truncatingIfNeeded: at &+ shift)
            long[longSlot] = index
            short[shortSlot] = index
            var length = 0
            if reading.isHinted(at) {
                let told = reading.take()
                if told.outcome == .last {
                    guard told.back == 0, told.fits(at &+ 1, anchor, end, distance: offset1) else {
                        return reading.refuse()
                    }
                    at &+= 1
                    length = told.length
                    list.append(at &- anchor, length, 1)
                } else {
                    if told.outcome == .second || told.outcome == .third {
                        long[Matching.hash8(Matching.word8(text, at &+ 1), longBits)] = index &+ 1
                        if told.outcome == .third { at &+= 1 }
                    }
                    guard told.outcome != .former, told.fits(at, anchor, end, distance: told.distance) else {
                        return reading.refuse()
                    }
                    offset2 = offset1
                    offset1 = told.distance
                    at &-= told.back
                    length = told.length
                    list.append(at &- anchor, length, offset1 &+ 3)
                }
            } else if mayRepeat(at &+ 1, offset1) {
                at &+= 1
                length = Matching.length(text, at &+ 4, at &+ 4 &- offset1, end) &+ 4
                reading.came(to: SearchHint(outcome: .last, length: length), at: current, lowest: at &- offset1)
                list.append(at &- anchor, length, 1)
            } else {
                var source = 0
                var outcome = SearchHint.Outcome.first
                var lead = 0
                if longIndex > lowestIndex, Matching.word8(text, Int(longIndex) &- shift) == word {
                    source = Int(longIndex) &- shift
                    lead = source
                    length = Matching.length(text, at &+ 8, source &+ 8, end) &+ 8
                } else if shortIndex > lowestIndex,
                    Matching.word4(text, Int(shortIndex) &- shift) == UInt32(truncatingIfNeeded: word)
                {
                    lead = Int(shortIndex) &- shift
                    let nextWord = Matching.word8(text, at &+ 1)
                    let nextSlot = Matching.hash8(nextWord, longBits)
                    let nextIndex = long[nextSlot]
                    long[nextSlot] = index &+ 1
                    if nextIndex > lowestIndex, Matching.word8(text, Int(nextIndex) &- shift) == nextWord {
                        outcome = .third
                        at &+= 1
                        source = Int(nextIndex) &- shift
                        length = Matching.length(text, at &+ 8, source &+ 8, end) &+ 8
                    } else {
                        outcome = .second
                        source = lead
                        length = Matching.length(text, at &+ 4, source &+ 4, end) &+ 4
                    }
                } else {
                    at &+= (at &- anchor) &>> 8 &+ 1
                    continue
                }
                let first = max(source < section ? lowest : max(section, lowest), reading.start)
                offset2 = offset1
                offset1 = at &- source
                let found = at
                while at > anchor && source > first && text[at &- 1] == text[source &- 1] {
                    at &-= 1
                    source &-= 1
                    length &+= 1
                }
                reading.came(
                    to: SearchHint(outcome: outcome, distance: offset1, length: length, back: found &- at), at: current,
                    lowest: min(source &- 1, lead))
                list.append(at &- anchor, length, offset1 &+ 3)
            }
            at &+= length
            anchor = at
            if at <= limit {
                let inside = current &+ 2
                let insideWord = Matching.word8(text, inside)
                let insideIndex = UInt32(truncatingIfNeeded: inside &+ shift)
                long[Matching.hash8(insideWord, longBits)] = insideIndex
                long[Matching.hash8(Matching.word8(text, at &- 2), longBits)] =
                    UInt32(truncatingIfNeeded: at &- 2 &+ shift)
                short[slot(insideWord, shortBits, shortBytes)] = insideIndex
                short[slot(Matching.word8(text, at &- 1), shortBits, shortBytes)] =
                    UInt32(truncatingIfNeeded: at &- 1 &+ shift)
                while at <= limit {
                    let more: Int
                    if reading.isFormerHinted(at) {
                        let told = reading.take()
                        guard told.back == 0, told.fits(at, anchor, end, distance: offset2) else {
                            return reading.refuse()
                        }
                        more = told.length
                    } else {
                        guard mayRepeat(at, offset2) else { break }
                        more = Matching.length(text, at &+ 4, at &+ 4 &- offset2, end) &+ 4
                        reading.came(to: SearchHint(outcome: .former, length: more), at: at, lowest: at &- offset2)
                    }
                    swap(&offset1, &offset2)
                    let word = Matching.word8(text, at)
                    let index = UInt32(truncatingIfNeeded: at &+ shift)
                    short[slot(word, shortBits, shortBytes)] = index
                    long[Matching.hash8(word, longBits)] = index
                    list.append(0, more, 1)
                    at &+= more
                    anchor = at
                }
            }
        }
        found = (offset1, offset2)
    }
}
