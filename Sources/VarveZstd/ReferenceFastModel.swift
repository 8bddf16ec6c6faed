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
        if let watch {
            search(text, start, end, list, settings.shortBytes == 7 ? 7 : 6, Watched(watch: watch, text: text))
        } else if settings.shortBytes == 7 {
            search(text, start, end, list, 7, Unwatched())
        } else {
            search(text, start, end, list, 6, Unwatched())
        }
    }

    @inline(__always)
    private func search<Reading: SlotReading>(
        _ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList, _ bytes: Int, _ reading: Reading
    ) {
        let table = tables[0].entries
        let bits = UInt64(settings.longLog)
        let shift = 2 &- base
        let window = windowBytes
        let limit = end &- 8
        let lowest = max(end &- base > window ? end &- window : base, floor)
        let lowestIndex = UInt32(truncatingIfNeeded: lowest &+ shift)
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
            reading.compare(place &- offset &- 1, 5)
            return Matching.word4(text, place) == Matching.word4(text, place &- offset)
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
            reading.look(hash, for: at, UInt64(Matching.word4(text, at)), Int(index) &- shift, 4)
            var current = at
            var source = 0
            var length = 0
            repeat {
                current = at
                table[hash] = UInt32(truncatingIfNeeded: at &+ shift)
                if offset1 > 0, isRepeat(third, offset1) {
                    at = third
                    source = at &- offset1
                    length = 4
                    if text[at &- 1] == text[source &- 1] {
                        at &-= 1
                        source &-= 1
                        length = 5
                    }
                    table[nextHash] = UInt32(truncatingIfNeeded: second &+ shift)
                    length &+= Matching.length(text, at &+ length, source &+ length, end)
                    reading.compare(source &- 1, length &+ 9)
                    list.append(at &- anchor, length, 1)
                    break
                }
                if index >= lowestIndex, Matching.word4(text, Int(index) &- shift) == Matching.word4(text, at) {
                    reading.match(hash, for: at, Int(index) &- shift, 4)
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
                    reading.look(hash, for: at, UInt64(Matching.word4(text, at)), Int(index) &- shift, 4)
                    table[hash] = UInt32(truncatingIfNeeded: at &+ shift)
                    if index >= lowestIndex, Matching.word4(text, Int(index) &- shift) == Matching.word4(text, at) {
                        reading.match(hash, for: at, Int(index) &- shift, 4)
                        if step <= 4 { table[nextHash] = UInt32(truncatingIfNeeded: second &+ shift) }
                        length = 4
                    }
                }
                if length > 0 {
                    source = Int(index) &- shift
                    offset2 = offset1
                    offset1 = at &- source
                    while at > anchor && source > lowest && text[at &- 1] == text[source &- 1] {
                        at &-= 1
                        source &-= 1
                        length &+= 1
                    }
                    length &+= Matching.length(text, at &+ length, source &+ length, end)
                    reading.compare(source &- 1, length &+ 9)
                    list.append(at &- anchor, length, offset1 &+ 3)
                    break
                }
                index = table[nextHash]
                hash = nextHash
                nextHash = slot(text, third, bits, bytes)
                at = second
                second = third
                reading.look(hash, for: at, UInt64(Matching.word4(text, at)), Int(index) &- shift, 4)
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
                while at <= limit, offset2 > 0, isRepeat(at, offset2) {
                    let more = Matching.length(text, at &+ 4, at &+ 4 &- offset2, end) &+ 4
                    reading.compare(at &- offset2, more &+ 8)
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
