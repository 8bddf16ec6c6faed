// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of libzstd's strategy "dfast" (levels 3 and 4): two hash tables, of eight and of `shortBytes` bytes; a step
/// that grows every 256 bytes without a match.
final class ReferenceDoubleModel: ReferenceModel {
    init(_ settings: Settings) {
        super.init(settings, tableLogs: [settings.longLog, settings.shortLog])
    }

    override func firstSlot(_ word: UInt64) -> Int { Matching.hash8(word, UInt64(settings.longLog)) }

    override func learn(_ text: UnsafePointer<UInt8>, _ start: Int) {
        let shift = 2 - base
        var at = base
        while at + 2 <= start - 8 {
            let word = Matching.word8(text, at)
            let index = UInt32(truncatingIfNeeded: at + shift)
            tables[1].entries[slot(word, UInt64(settings.shortLog), settings.shortBytes)] = index
            tables[0].entries[Matching.hash8(word, UInt64(settings.longLog))] = index
            at += 3
        }
    }

    override func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {
        // The number of bytes as a constant is worth something; five is what the usual level has.
        if let recorder {
            search(text, start, end, list, Recorded(recorder))
        } else if let hints {
            search(text, start, end, list, Hinted(hints))
        } else {
            search(text, start, end, list, Unrecorded())
        }
    }

    @inline(__always)
    private func search<Reading: StepReading>(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList, _ reading: Reading
    ) {
        if settings.shortBytes == 5 {
            search(text, start, end, list, 5, reading)
        } else {
            search(text, start, end, list, settings.shortBytes, reading)
        }
    }

    @inline(__always)
    private func search<Reading: StepReading>(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList, _ shortBytes: Int,
        _ reading: Reading
    ) {
        let section = section(of: start)
        if section > base, end - windowBytes < section {
            searchBoth(text, start, end, section, list, shortBytes, reading)
        } else {
            searchOne(text, start, end, section, list, shortBytes, reading)
        }
    }

    @inline(__always)
    private func searchOne<Reading: StepReading>(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ section: Int, _ list: SequenceList, _ shortBytes: Int,
        _ reading: Reading
    ) {
        let long = tables[0].entries
        let short = tables[1].entries
        let isNew = settings.isNew
        let longBits = UInt64(settings.longLog)
        let shortBits = UInt64(settings.shortLog)
        let shift = 2 &- base
        let window = windowBytes
        let limit = end &- 8
        // Places at or below it are out of reach.
        let lowest = max(end &- section > window ? end &- window : section, floor)
        let lowestIndex = UInt32(truncatingIfNeeded: lowest &+ shift)
        let lowestThere = max(lowest, reading.start)
        var at = start
        if at == lowest { at &+= 1 }
        let reach = at &- max(at &- section > window ? at &- window : section, min(floor, at))
        var (offset1, offset2) = recent
        var saved1 = 0
        var saved2 = 0
        if offset2 > reach {
            saved2 = offset2
            offset2 = 0
        }
        if offset1 > reach {
            saved1 = offset1
            offset1 = 0
        }
        var anchor = start

        @inline(__always)
        func isRepeat(_ place: Int, _ offset: Int) -> Bool {
            place &- offset >= reading.start
                && Matching.word4(text, place) == Matching.word4(text, place &- offset)
        }

        outer: while true {
            var step = 1
            var nextStep = at &+ 256
            var ahead = at &+ 1
            if ahead > limit { break }
            var longSlot = Matching.hash8(Matching.word8(text, at), longBits)
            var longIndex = long[longSlot]
            var current = at
            var length = 0
            var offset = 0
            repeat {
                let word = Matching.word8(text, at)
                let slot = slot(word, shortBits, shortBytes)
                let shortIndex = short[slot]
                current = at
                let index = UInt32(truncatingIfNeeded: at &+ shift)
                long[longSlot] = index
                short[slot] = index
                if reading.isHinted(at) {
                    let told = reading.take()
                    length = told.length
                    if told.outcome == .last {
                        guard told.back == 0, told.fits(at &+ 1, anchor, end, distance: offset1) else {
                            return reading.refuse()
                        }
                        at &+= 1
                        list.append(at &- anchor, length, 1)
                        break
                    }
                    if told.outcome == .third { at = ahead }
                    guard told.outcome != .former, told.fits(at, anchor, end, distance: told.distance) else {
                        return reading.refuse()
                    }
                    at &-= told.back
                    offset2 = offset1
                    offset1 = told.distance
                    if step < 4 {
                        long[Matching.hash8(Matching.word8(text, ahead), longBits)] =
                            UInt32(truncatingIfNeeded: ahead &+ shift)
                    }
                    list.append(at &- anchor, length, offset1 &+ 3)
                    break
                }
                if offset1 > 0, at &+ 1 &- offset1 >= reading.start,
                    Matching.word4(text, at &+ 1 &- offset1) == UInt32(truncatingIfNeeded: word &>> 8)
                {
                    length = Matching.length(text, at &+ 5, at &+ 5 &- offset1, end) &+ 4
                    at &+= 1
                    reading.came(to: SearchHint(outcome: .last, length: length), at: current, lowest: at &- offset1)
                    list.append(at &- anchor, length, 1)
                    break
                }
                let aheadWord = Matching.word8(text, ahead)
                let aheadSlot = Matching.hash8(aheadWord, longBits)
                var outcome = SearchHint.Outcome.first
                var lead = 0
                var found = at
                if longIndex > lowestIndex {
                    var source = Int(longIndex) &- shift
                    if Matching.word8(text, source) == word {
                        lead = source
                        length = Matching.length(text, at &+ 8, source &+ 8, end) &+ 8
                        offset = at &- source
                        while at > anchor && source > lowestThere && text[at &- 1] == text[source &- 1] {
                            at &-= 1
                            source &-= 1
                            length &+= 1
                        }
                    }
                }
                let aheadIndex = long[aheadSlot]
                if length == 0, shortIndex > lowestIndex {
                    var source = Int(shortIndex) &- shift
                    if Matching.word4(text, source) == UInt32(truncatingIfNeeded: word) {
                        lead = source
                        outcome = .second
                        let aheadSource = Int(aheadIndex) &- shift
                        if aheadIndex > lowestIndex, Matching.word8(text, aheadSource) == aheadWord {
                            length = Matching.length(text, ahead &+ 8, aheadSource &+ 8, end) &+ 8
                            outcome = .third
                        }
                        // Earlier versions take a long match at the next place whatever the short one is.
                        if length == 0 || isNew {
                            let short = Matching.length(text, at &+ 4, source &+ 4, end) &+ 4
                            if short >= length {
                                length = short
                                outcome = .second
                            }
                        }
                        if outcome == .third { (at, source) = (ahead, aheadSource) }
                        found = at
                        offset = at &- source
                        while at > anchor && source > lowestThere && text[at &- 1] == text[source &- 1] {
                            at &-= 1
                            source &-= 1
                            length &+= 1
                        }
                    }
                }
                if length > 0 {
                    reading.came(
                        to: SearchHint(outcome: outcome, distance: offset, length: length, back: found &- at),
                        at: current, lowest: min(at &- offset &- 1, lead))
                    offset2 = offset1
                    offset1 = offset
                    if step < 4 { long[aheadSlot] = UInt32(truncatingIfNeeded: ahead &+ shift) }
                    list.append(at &- anchor, length, offset &+ 3)
                    break
                }
                if ahead >= nextStep {
                    step &+= 1
                    nextStep &+= 256
                }
                at = ahead
                ahead &+= step
                longSlot = aheadSlot
                longIndex = aheadIndex
            } while ahead <= limit
            if length == 0 { break outer }

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
                while at <= limit, offset2 > 0 {
                    let more: Int
                    if reading.isFormerHinted(at) {
                        let told = reading.take()
                        guard told.back == 0, told.fits(at, anchor, end, distance: offset2) else {
                            return reading.refuse()
                        }
                        more = told.length
                    } else {
                        guard isRepeat(at, offset2) else { break }
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
        if saved1 != 0 && offset1 != 0 { saved2 = saved1 }
        found = (offset1 != 0 ? offset1 : saved1, offset2 != 0 ? offset2 : saved2)
    }
}
