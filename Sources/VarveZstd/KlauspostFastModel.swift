// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of klauspost/compress at its fastest level: one table of six-byte hashes that keeps the first four bytes
/// beside each place, two places looked at a step.
final class KlauspostFastModel: KlauspostModel {
    static let blockSize = 1 << 16
    private static let bits: UInt64 = 15
    private let table = PlaceTable(bits: bits, isChain: false, hashBytes: 6)

    init(windowBytes: Int) {
        super.init(windowBytes: windowBytes, blockSize: Self.blockSize, tables: [table])
    }

    override func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {
        if end &- start < 10 { return }
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
        let isAlone = isAlone
        let table = table.entries
        let shift = shift
        let window = windowBytes
        let floor = max(floor, reading.start)
        let limit = end &- 8
        var at = start
        var anchor = start
        var offset1 = 1
        var offset2 = 4
        var word = Matching.word8(text, at)

        while true {
            var from = 0
            var step = at
            var outcome = SearchHint.Outcome.first
            var hint: SearchHint?
            let mayRepeat = list.count > 2
            search: while true {
                step = at
                let low = word & 0xffff_ffff
                let nextLow = word &>> 8 & 0xffff_ffff
                let slot = Matching.hash6(word, Self.bits)
                let nextSlot = Matching.hash6(word &>> 8, Self.bits)
                let entry = table[slot]
                let nextEntry = table[nextSlot]
                table[slot] = UInt64(truncatingIfNeeded: at &+ shift) &<< 32 | low
                table[nextSlot] = UInt64(truncatingIfNeeded: at &+ 1 &+ shift) &<< 32 | nextLow
                if reading.isHinted(at) {
                    let told = reading.take()
                    switch told.outcome {
                    case .last:
                        guard told.fits(at &+ 2, anchor, end, distance: offset1) else { return reading.refuse() }
                        list.append(at &+ 2 &- told.back &- anchor, told.length, 1)
                        at &+= 2 &- told.back &+ told.length
                        anchor = at
                        if at >= limit { return }
                        word = Matching.word8(text, at)
                        continue search
                    case .former, .third: return reading.refuse()
                    case .first: break
                    case .second: at &+= 1
                    }
                    guard told.fits(at, anchor, end, distance: told.distance), told.distance < window else {
                        return reading.refuse()
                    }
                    from = at &- told.distance
                    hint = told
                    break search
                }
                let repeated = at &- offset1 &+ 2
                if mayRepeat, repeated >= reading.start,
                    Matching.word4(text, repeated) == UInt32(truncatingIfNeeded: word &>> 16)
                {
                    var length = 4 &+ Matching.length(text, at &+ 6, repeated &+ 4, end)
                    let next = at &+ length &+ 2
                    var first = at &+ 2
                    var source = repeated
                    let lowest = max(at &- window, floor)
                    while source > lowest && first > anchor &+ 1 && text[source &- 1] == text[first &- 1] {
                        source &-= 1
                        first &-= 1
                        length &+= 1
                    }
                    reading.came(
                        to: SearchHint(outcome: .last, length: length, back: at &+ 2 &- first), at: at,
                        lowest: source &- 1)
                    list.append(first &- anchor, length, 1)
                    at = next
                    anchor = at
                    if at >= limit { return }
                    word = Matching.word8(text, at)
                    continue search
                }
                let place = Int(entry &>> 32) &- shift
                if at &- place < window && entry & 0xffff_ffff == low {
                    outcome = .first
                    from = place
                    break search
                }
                let nextPlace = Int(nextEntry &>> 32) &- shift
                if at &- nextPlace &+ 1 < window && nextEntry & 0xffff_ffff == nextLow {
                    outcome = .second
                    from = nextPlace
                    at &+= 1
                    break search
                }
                at &+= 2 &+ (at &- anchor) &>> 5
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
                while from > lowest && at > anchor && text[from &- 1] == text[at &- 1] {
                    at &-= 1
                    from &-= 1
                    length &+= 1
                }
                reading.came(
                    to: SearchHint(outcome: outcome, distance: offset1, length: length, back: found &- at), at: step,
                    lowest: from &- 1)
            }
            list.append(at &- anchor, length, offset1 &+ 3)
            at &+= length
            anchor = at
            if at >= limit { return }
            word = Matching.word8(text, at)
            let source = at &- offset2
            let more: Int
            if reading.isFormerHinted(at) {
                let told = reading.take()
                guard told.back == 0, told.fits(at, anchor, end, distance: offset2) else { return reading.refuse() }
                more = told.length
            } else if isAlone ? list.count > 2 : mayRepeat, source >= reading.start,
                Matching.word4(text, source) == UInt32(truncatingIfNeeded: word)
            {
                more = 4 &+ Matching.length(text, at &+ 4, source &+ 4, end)
                reading.came(to: SearchHint(outcome: .former, length: more), at: at, lowest: source)
            } else {
                continue
            }
            table[Matching.hash6(word, Self.bits)] =
                UInt64(truncatingIfNeeded: at &+ shift) &<< 32 | word & 0xffff_ffff
            list.append(0, more, 1)
            at &+= more
            anchor = at
            swap(&offset1, &offset2)
            if at >= limit { return }
            word = Matching.word8(text, at)
        }
    }
}
