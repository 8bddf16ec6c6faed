// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of libzstd's strategy "fast" (levels 1 and 2): one hash table, pairs of neighbouring places, a gap between
/// pairs that grows every 128 bytes without a match. Of the settings the long table counts.
final class ReferenceFastModel: ReferenceModel {
    init(_ settings: Settings) {
        super.init(settings, tableLogs: [settings.longLog])
    }

    @inline(__always)
    private func slot(_ text: UnsafePointer<UInt8>, _ at: Int, _ bits: UInt64, _ bytes: Int) -> Int {
        slot(Matching.word8(text, at), bits, bytes)
    }

    override func firstSlot(_ word: UInt64) -> Int { slot(word, UInt64(settings.longLog), settings.shortBytes) }

    override func learn(_ text: UnsafePointer<UInt8>, _ start: Int) {
        var at = base
        while at + 1 < start - 8 {
            tables[0].entries[slot(text, at, UInt64(settings.longLog), settings.shortBytes)] =
                UInt32(truncatingIfNeeded: at + 2 - base)
            at += 3
        }
    }

    override func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {
        if let recorder {
            search(text, start, end, list, settings.shortBytes == 7 ? 7 : 6, Recorded(recorder))
        } else if let hints {
            search(text, start, end, list, settings.shortBytes == 7 ? 7 : 6, Hinted(hints))
        } else if settings.shortBytes == 7 {
            search(text, start, end, list, 7, Unrecorded())
        } else {
            search(text, start, end, list, 6, Unrecorded())
        }
    }

    @inline(__always)
    private func search<Reading: StepReading>(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList, _ bytes: Int, _ reading: Reading
    ) {
        let table = tables[0].entries
        let bits = UInt64(settings.longLog)
        let shift = 2 &- base
        let window = windowBytes
        let limit = end &- 8
        let lowest = max(end &- base > window ? end &- window : base, floor)
        let lowestIndex = UInt32(truncatingIfNeeded: lowest &+ shift)
        let lowestThere = max(lowest, reading.start)
        var at = start
        if at == lowest { at &+= 1 }
        let reach = at &- (at &- base > window ? at &- window : base)
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

        while true {
            var step = 2
            var nextStep = at &+ 128
            var second = at &+ 1
            var third = at &+ 2
            var fourth = at &+ 3
            if fourth >= limit { break }
            var hash = slot(text, at, bits, bytes)
            var nextHash = slot(text, second, bits, bytes)
            var index = table[hash]
            var current = at
            var source = 0
            var length = 0
            repeat {
                let first = at
                current = at
                table[hash] = UInt32(truncatingIfNeeded: at &+ shift)
                if reading.isHinted(at) {
                    let told = reading.take()
                    length = told.length
                    switch told.outcome {
                    case .last:
                        guard told.fits(third, anchor, end, distance: offset1) else { return reading.refuse() }
                        at = third &- told.back
                        table[nextHash] = UInt32(truncatingIfNeeded: second &+ shift)
                        list.append(at &- anchor, length, 1)
                    case .first:
                        guard told.fits(at, anchor, end, distance: told.distance) else { return reading.refuse() }
                        table[nextHash] = UInt32(truncatingIfNeeded: second &+ shift)
                    case .second:
                        guard told.fits(second, anchor, end, distance: told.distance) else { return reading.refuse() }
                        at = second
                        current = at
                        table[nextHash] = UInt32(truncatingIfNeeded: at &+ shift)
                        if step <= 4 {
                            table[slot(text, third, bits, bytes)] = UInt32(truncatingIfNeeded: third &+ shift)
                        }
                    case .former, .third: return reading.refuse()
                    }
                    if told.outcome != .last {
                        offset2 = offset1
                        offset1 = told.distance
                        at &-= told.back
                        list.append(at &- anchor, length, offset1 &+ 3)
                    }
                    break
                }
                if offset1 > 0, isRepeat(third, offset1) {
                    at = third
                    source = at &- offset1
                    let lowest = source &- 1
                    length = 4
                    if lowest >= reading.start, text[at &- 1] == text[source &- 1] {
                        at &-= 1
                        source &-= 1
                        length = 5
                    }
                    table[nextHash] = UInt32(truncatingIfNeeded: second &+ shift)
                    length &+= Matching.length(text, at &+ length, source &+ length, end)
                    reading.came(
                        to: SearchHint(outcome: .last, length: length, back: third &- at), at: first, lowest: lowest)
                    list.append(at &- anchor, length, 1)
                    break
                }
                if index >= lowestIndex, Matching.word4(text, Int(index) &- shift) == Matching.word4(text, at) {
                    table[nextHash] = UInt32(truncatingIfNeeded: second &+ shift)
                    length = 4
                } else {
                    index = table[nextHash]
                    hash = nextHash
                    nextHash = slot(text, third, bits, bytes)
                    at = second
                    second = third
                    third = fourth
                    current = at
                    table[hash] = UInt32(truncatingIfNeeded: at &+ shift)
                    if index >= lowestIndex, Matching.word4(text, Int(index) &- shift) == Matching.word4(text, at) {
                        if step <= 4 { table[nextHash] = UInt32(truncatingIfNeeded: second &+ shift) }
                        length = 4
                    }
                }
                if length > 0 {
                    source = Int(index) &- shift
                    offset2 = offset1
                    offset1 = at &- source
                    let found = at
                    while at > anchor && source > lowestThere && text[at &- 1] == text[source &- 1] {
                        at &-= 1
                        source &-= 1
                        length &+= 1
                    }
                    length &+= Matching.length(text, at &+ length, source &+ length, end)
                    reading.came(
                        to: SearchHint(
                            outcome: found == first ? .first : .second, distance: offset1, length: length,
                            back: found &- at),
                        at: first, lowest: source &- 1)
                    list.append(at &- anchor, length, offset1 &+ 3)
                    break
                }
                index = table[nextHash]
                hash = nextHash
                nextHash = slot(text, third, bits, bytes)
                at = second
                second = third
                third = at &+ step
                fourth = second &+ step
                if third >= nextStep {
                    step &+= 1
                    nextStep &+= 128
                }
            } while fourth < limit
            if length == 0 { break }

            at &+= length
            anchor = at
            if at <= limit {
                table[slot(text, current &+ 2, bits, bytes)] = UInt32(truncatingIfNeeded: current &+ 2 &+ shift)
                table[slot(text, at &- 2, bits, bytes)] = UInt32(truncatingIfNeeded: at &- 2 &+ shift)
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
                    table[slot(text, at, bits, bytes)] = UInt32(truncatingIfNeeded: at &+ shift)
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
