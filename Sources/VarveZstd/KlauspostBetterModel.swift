// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of klauspost/compress at its level "better": a table of eight-byte hashes that knows the last two places
/// of each, one of five-byte hashes, every other place of a match learnt, and a look for a longer match at the end of the
/// one found.
final class KlauspostBetterModel: KlauspostModel {
    private static let longBits: UInt64 = 19
    private static let shortBits: UInt64 = 13
    private let long = PlaceTable(bits: longBits, isChain: true, hashBytes: 8)
    private let short = PlaceTable(bits: shortBits, isChain: false, hashBytes: 5)
    /// Whether runs are looked for first (1.17.8).
    private let knowsRuns: Bool
    /// Whether places are learnt from the one where the match was found (1.17.3), or from the match's first one.
    private let learnsAll: Bool

    init(windowBytes: Int, knowsRuns: Bool, learnsAll: Bool) {
        self.knowsRuns = knowsRuns
        self.learnsAll = learnsAll
        super.init(windowBytes: windowBytes, blockSize: ZstdTables.blockMax, tables: [long, short])
    }

    override var hintForm: HintForm { .longer }

    override func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {
        if knowsRuns, putRun(text, start, end, list) { return }
        if end &- start < 16 { return }
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
        let long = long.entries
        let short = short.entries
        let shift = shift
        let window = windowBytes
        let floor = max(floor, reading.start)
        let limit = end &- 10
        var at = start
        var anchor = start
        var offset1 = 1
        var offset2 = 4
        var word = Matching.word8(text, at)

        /// Learns every other place of a stretch: itself for the long table, the next one for the short one.
        @inline(__always)
        func learn(_ first: Int, _ end: Int) {
            var place = first
            while place < end {
                let word = Matching.word8(text, place)
                let stored = UInt64(truncatingIfNeeded: place &+ shift)
                PlaceTable.push(long, Matching.hash8(word, Self.longBits), stored)
                short[Matching.hash5(word &>> 8, Self.shortBits)] =
                    (stored &+ 1) &<< 32 | (word &>> 8) & 0xffff_ffff
                place &+= 2
            }
        }

        while true {
            var from = 0
            // The first of the places that were taken for the best match, one after the other.
            var lead = 0
            var matched = 0
            var learnFrom = 0
            var step = at
            var outcome = SearchHint.Outcome.first
            var hint: SearchHint?
            let mayRepeat = list.count > 2
            search: while true {
                step = at
                let longSlot = Matching.hash8(word, Self.longBits)
                let shortSlot = Matching.hash5(word, Self.shortBits)
                let longEntry = long[longSlot]
                let shortEntry = short[shortSlot]
                let low = word & 0xffff_ffff
                let stored = UInt64(truncatingIfNeeded: at &+ shift)
                long[longSlot] = stored &<< 32 | longEntry &>> 32
                short[shortSlot] = stored &<< 32 | low
                learnFrom = at &+ 1
                if reading.isHinted(at) {
                    let told = reading.take()
                    switch told.outcome {
                    case .last:
                        guard told.fits(at &+ 1, anchor, end, distance: offset1) else { return reading.refuse() }
                        list.append(at &+ 1 &- told.back &- anchor, told.length, 1)
                        at &+= 1 &- told.back &+ told.length
                        anchor = at
                        if at >= limit { return }
                        learn(learnFrom, at &- 1)
                        word = Matching.word8(text, at)
                        continue search
                    case .former, .third: return reading.refuse()
                    case .first: break
                    case .second:
                        PlaceTable.push(long, Matching.hash8(Matching.word8(text, at &+ 1), Self.longBits), stored &+ 1)
                    }
                    guard told.fits(at, anchor, end, distance: told.distance), told.distance < window else {
                        return reading.refuse()
                    }
                    hint = told
                    break search
                }
                if mayRepeat {
                    let repeated = at &- offset1 &+ 1
                    if repeated >= reading.start,
                        Matching.word4(text, repeated) == UInt32(truncatingIfNeeded: word &>> 8)
                    {
                        var length = 4 &+ Matching.length(text, at &+ 5, repeated &+ 4, end)
                        let next = at &+ length &+ 1
                        var first = at &+ 1
                        var source = repeated
                        let lowest = max(at &- window, floor)
                        while source > lowest && first > anchor &+ 1 && text[source &- 1] == text[first &- 1]
                            && length < Self.lengthMax &- 1
                        {
                            source &-= 1
                            first &-= 1
                            length &+= 1
                        }
                        reading.came(
                            to: SearchHint(outcome: .last, length: length, back: at &+ 1 &- first), at: at,
                            lowest: source &- 1)
                        list.append(first &- anchor, length, 1)
                        at = next
                        anchor = at
                        if at >= limit { return }
                        learn(learnFrom, at &- 1)
                        word = Matching.word8(text, at)
                        continue search
                    }
                }
                let near = Int(longEntry &>> 32) &- shift
                let far = Int(longEntry & 0xffff_ffff) &- shift
                if at &- near < window && Matching.word8(text, near) == word {
                    matched = Matching.length(text, at &+ 8, near &+ 8, end) &+ 8
                    from = near
                    lead = near
                    if at &- far < window && Matching.word8(text, far) == word {
                        let other = Matching.length(text, at &+ 8, far &+ 8, end) &+ 8
                        if other > matched {
                            matched = other
                            from = far
                            lead = far
                        }
                    }
                    outcome = .first
                    break search
                }
                if at &- far < window && Matching.word8(text, far) == word {
                    matched = Matching.length(text, at &+ 8, far &+ 8, end) &+ 8
                    from = far
                    lead = far
                    outcome = .first
                    break search
                }
                let shortPlace = Int(shortEntry &>> 32) &- shift
                if at &- shortPlace < window && shortEntry & 0xffff_ffff == low {
                    matched = Matching.length(text, at &+ 4, shortPlace &+ 4, end) &+ 4
                    from = shortPlace
                    lead = shortPlace
                    outcome = .second
                    let nextWord = Matching.word8(text, at &+ 1)
                    let nextSlot = Matching.hash8(nextWord, Self.longBits)
                    let nextEntry = long[nextSlot]
                    long[nextSlot] = (stored &+ 1) &<< 32 | nextEntry &>> 32
                    let nextNear = Int(nextEntry &>> 32) &- shift
                    if at &- nextNear < window && Matching.word8(text, nextNear) == nextWord {
                        let other = Matching.length(text, at &+ 9, nextNear &+ 8, end) &+ 8
                        if other > matched {
                            from = nextNear
                            lead = min(lead, nextNear)
                            at &+= 1
                            matched = other
                            break search
                        }
                    }
                    let nextFar = Int(nextEntry & 0xffff_ffff) &- shift
                    if at &- nextFar < window && Matching.word8(text, nextFar) == nextWord {
                        let other = Matching.length(text, at &+ 9, nextFar &+ 8, end) &+ 8
                        if other > matched {
                            from = nextFar
                            lead = min(lead, nextFar)
                            at &+= 1
                            matched = other
                        }
                    }
                    break search
                }
                at &+= 1 &+ (at &- anchor) &>> 8
                if at >= limit { return }
                word = Matching.word8(text, at)
            }
            if let hint {
                matched = hint.length
                at &-= hint.back
                from = at &- hint.distance
            } else {
                if at &+ matched < limit {
                    // Three bytes at the beginning may differ; those that do not are found again below.
                    let later = at &+ 3
                    let first = Matching.word4(text, later)
                    let entry = long[Matching.hash8(Matching.word8(text, at &+ matched), Self.longBits)]
                    var place = Int(entry &>> 32)
                    for _ in 0..<2 {
                        let source = place &- shift &- matched &+ 3
                        if source >= floor && source < later && later &- source < window
                            && Matching.word4(text, source) == first
                        {
                            let other = Matching.length(text, later &+ 4, source &+ 4, end) &+ 4
                            if other > matched {
                                from = source
                                lead = min(lead, source)
                                at = later
                                matched = other
                            }
                        }
                        place = Int(entry & 0xffff_ffff)
                    }
                }
                let lowest = max(at &- window, floor)
                while from > lowest && at > anchor && text[from &- 1] == text[at &- 1] && matched < Self.lengthMax {
                    at &-= 1
                    from &-= 1
                    matched &+= 1
                }
                reading.came(
                    to: SearchHint(outcome: outcome, distance: at &- from, length: matched, back: step &- at), at: step,
                    lowest: min(from &- 1, lead))
            }
            offset2 = offset1
            offset1 = at &- from
            list.append(at &- anchor, matched, at &- from &+ 3)
            if !learnsAll { learnFrom = at &+ 1 }
            at &+= matched
            anchor = at
            if at >= limit { return }
            learn(learnFrom, at &- 1)
            word = Matching.word8(text, at)
            if !mayRepeat { continue }
            while true {
                let length: Int
                if reading.isFormerHinted(at) {
                    let told = reading.take()
                    guard told.back == 0, told.fits(at, anchor, end, distance: offset2) else { return reading.refuse() }
                    length = told.length
                } else {
                    let source = at &- offset2
                    if source < reading.start || Matching.word4(text, source) != UInt32(truncatingIfNeeded: word) {
                        break
                    }
                    length = 4 &+ Matching.length(text, at &+ 4, source &+ 4, end)
                    reading.came(to: SearchHint(outcome: .former, length: length), at: at, lowest: source)
                }
                let stored = UInt64(truncatingIfNeeded: at &+ shift)
                PlaceTable.push(long, Matching.hash8(word, Self.longBits), stored)
                short[Matching.hash5(word, Self.shortBits)] = stored &<< 32 | word & 0xffff_ffff
                list.append(0, length, 1)
                at &+= length
                anchor = at
                swap(&offset1, &offset2)
                if at >= limit { return }
                word = Matching.word8(text, at)
            }
        }
    }
}
