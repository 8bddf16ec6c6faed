// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of klauspost/compress at its default level: two hash tables, of eight and of five bytes, that keep the
/// first four bytes beside each place; steps that grow through text without matches; offsets of earlier blocks are not used.
final class KlauspostDoubleModel: KlauspostModel {
    private static let longBits: UInt64 = 17
    private static let shortBits: UInt64 = 15
    private let long = PlaceTable(bits: longBits, isChain: false, hashBytes: 8)
    private let short = PlaceTable(bits: shortBits, isChain: false, hashBytes: 5)

    init(windowBytes: Int) {
        super.init(windowBytes: windowBytes, blockSize: ZstdTables.blockMax, tables: [long, short])
    }

    override func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {
        if end &- start < 16 { return }
        if isAlone {
            search(text, start, end, list, true, Unrecorded())
        } else if let recorder {
            search(text, start, end, list, false, Recorded(recorder))
        } else if let hints {
            search(text, start, end, list, false, Hinted(hints))
        } else {
            search(text, start, end, list, false, Unrecorded())
        }
    }

    @inline(__always)
    private func search<Reading: StepReading>(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList, _ isAlone: Bool,
        _ reading: Reading
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

        while true {
            var from = 0
            // The place that made the search look at the next one, too, or the only one.
            var lead = 0
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
                let entry = UInt64(truncatingIfNeeded: at &+ shift) &<< 32 | low
                long[longSlot] = entry
                short[shortSlot] = entry
                if reading.isHinted(at) {
                    let told = reading.take()
                    switch told.outcome {
                    case .last:
                        guard told.fits(at &+ 1, anchor, end, distance: offset1) else { return reading.refuse() }
                        list.append(at &+ 1 &- told.back &- anchor, told.length, 1)
                        at &+= 1 &- told.back &+ told.length
                        anchor = at
                        if at >= limit { return }
                        word = Matching.word8(text, at)
                        continue search
                    case .former: return reading.refuse()
                    case .first: break
                    case .second, .third:
                        let nextWord = Matching.word8(text, at &+ 1)
                        long[Matching.hash8(nextWord, Self.longBits)] =
                            UInt64(truncatingIfNeeded: at &+ 1 &+ shift) &<< 32 | nextWord & 0xffff_ffff
                        if told.outcome == .third { at &+= 1 }
                    }
                    guard told.fits(at, anchor, end, distance: told.distance), told.distance < window else {
                        return reading.refuse()
                    }
                    from = at &- told.distance
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
                            && length < 131_073
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
                        word = Matching.word8(text, at)
                        continue search
                    }
                }
                let longPlace = Int(longEntry &>> 32) &- shift
                if at &- longPlace < window && longEntry & 0xffff_ffff == low {
                    outcome = .first
                    from = longPlace
                    lead = longPlace
                    break search
                }
                let shortPlace = Int(shortEntry &>> 32) &- shift
                if at &- shortPlace < window && shortEntry & 0xffff_ffff == low {
                    lead = shortPlace
                    let nextWord = Matching.word8(text, at &+ 1)
                    let nextSlot = Matching.hash8(nextWord, Self.longBits)
                    let nextEntry = long[nextSlot]
                    let nextLow = nextWord & 0xffff_ffff
                    long[nextSlot] = UInt64(truncatingIfNeeded: at &+ 1 &+ shift) &<< 32 | nextLow
                    let nextPlace = Int(nextEntry &>> 32) &- shift
                    if at &- nextPlace &+ 1 < window && nextEntry & 0xffff_ffff == nextLow {
                        outcome = .third
                        from = nextPlace
                        at &+= 1
                    } else {
                        outcome = .second
                        from = shortPlace
                    }
                    break search
                }
                at &+= 1 &+ (at &- anchor) &>> 7
                if at >= limit { return }
                word = Matching.word8(text, at)
            }
            offset2 = offset1
            offset1 = at &- from
            var length: Int
            if let hint {
                length = hint.length
                at &-= hint.back
            } else {
                length = Matching.length(text, at &+ 4, from &+ 4, end) &+ 4
                let found = at
                let lowest = max(at &- window, floor)
                while from > lowest && at > anchor && text[from &- 1] == text[at &- 1] && length < 131_074 {
                    at &-= 1
                    from &-= 1
                    length &+= 1
                }
                reading.came(
                    to: SearchHint(outcome: outcome, distance: offset1, length: length, back: found &- at), at: step,
                    lowest: min(from &- 1, lead))
            }
            list.append(at &- anchor, length, offset1 &+ 3)
            at &+= length
            anchor = at
            if at >= limit { return }
            let first = at &- length &+ 1
            let last = at &- 2
            let firstWord = Matching.word8(text, first)
            let lastWord = Matching.word8(text, last)
            let firstPlace = UInt64(truncatingIfNeeded: first &+ shift) &<< 32
            let lastPlace = UInt64(truncatingIfNeeded: last &+ shift) &<< 32
            let one = UInt64(1) &<< 32
            long[Matching.hash8(firstWord, Self.longBits)] = firstPlace | firstWord & 0xffff_ffff
            long[Matching.hash8(lastWord, Self.longBits)] = lastPlace | lastWord & 0xffff_ffff
            short[Matching.hash5(firstWord &>> 8, Self.shortBits)] =
                (firstPlace &+ one) | (firstWord &>> 8) & 0xffff_ffff
            short[Matching.hash5(lastWord &>> 8, Self.shortBits)] =
                (lastPlace &+ one) | (lastWord &>> 8) & 0xffff_ffff
            word = Matching.word8(text, at)
            if isAlone ? list.count <= 2 : !mayRepeat { continue }
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
                let entry = UInt64(truncatingIfNeeded: at &+ shift) &<< 32 | word & 0xffff_ffff
                long[Matching.hash8(word, Self.longBits)] = entry
                short[Matching.hash5(isAlone ? lastWord &>> 16 : word, Self.shortBits)] = entry
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
