// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of klauspost/compress at its level "best", which is also what files of the kind "zstd:chunked" are made
/// with: tables of eight- and four-byte hashes that know the last two places of each, all places of a match learnt, and of up
/// to twenty candidates the one whose estimated cost is the lowest.
final class KlauspostBestModel: KlauspostModel {
    /// How the search went on from version to version.
    enum Era {
        /// Up to 1.15.12.
        case first
        /// From 1.16.4: candidates are extended backwards before they are compared.
        case second
        /// From 1.17.2: also those at offsets used last; places are learnt up to the block's end.
        case third
        /// From 1.17.6: not after one of those was the best.
        case fourth
        /// From 1.17.8: runs are looked for first.
        case fifth
    }

    private static let longBits: UInt64 = 22
    private static let shortBits: UInt64 = 18
    /// For frames of one block: their places alone, in a table that fits a processor's cache.
    private let small = SmallTables()
    private let long = PlaceTable(bits: longBits, isChain: true, hashBytes: 8)
    private let short = PlaceTable(bits: shortBits, isChain: true, hashBytes: 5)
    private let era: Era
    /// Bits that the predefined tables give the codes of offsets and match lengths, extra bits included.
    private let offsetCost: [Int]
    private let lengthCost: [Int]

    init(windowBytes: Int, era: Era) {
        self.era = era
        let offsets = FseTable(ZstdTables.offsetNorm, log: 5)
        let lengths = FseTable(ZstdTables.matchLengthNorm, log: 6)
        offsetCost = (0..<32).map { $0 + Int(offsets.deltaBits[$0] >> 16) }
        lengthCost = (0..<53).map { Int(ZstdTables.matchLengthBits[$0]) + Int(lengths.deltaBits[$0] >> 16) }
        super.init(windowBytes: windowBytes, blockSize: ZstdTables.blockMax, tables: [long, short])
    }

    override var gap: Int { 16 }

    private struct Match {
        var from = 0
        var at: Int
        var length = 0
        /// Which of the offsets used last, 4 added if no literal comes before; -1 for a new one, 0 for no match.
        var recent = 0
        var cost: Int
    }

    override func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {
        if era == .fifth, putRun(text, start, end, list) { return }
        if end &- start < 16 { return }
        let literalBits = max(ShannonBits.count(text + start, end &- start) * 1024 / (end &- start), 1024)
        offsetCost.withUnsafeBufferPointer { offsetCost in
            lengthCost.withUnsafeBufferPointer { lengthCost in
                guard let offsetCost = offsetCost.baseAddress, let lengthCost = lengthCost.baseAddress else { return }
                let codes = CodeTables.shared.matchCode
                if isAlone, start == 0 {
                    small.begin(end)
                    let block = Block(
                        text: text, start: start, end: end, window: windowBytes, floor: floor, shift: 1,
                        literalBits: literalBits, offsetCost: offsetCost, lengthCost: lengthCost, codes: codes,
                        long: small.long, short: small.short)
                    if era == .first { block.searchFirst(list) } else { block.search(list, era) }
                } else {
                    let block = Block(
                        text: text, start: start, end: end, window: windowBytes, floor: floor, shift: shift,
                        literalBits: literalBits, offsetCost: offsetCost, lengthCost: lengthCost, codes: codes,
                        long: DirectSlots(entries: long.entries), short: DirectSlots(entries: short.entries))
                    if era == .first { block.searchFirst(list) } else { block.search(list, era) }
                }
            }
        }
    }

    /// A block while it is searched.
    private struct Block<Table: SlotTable> {
        let text: UnsafePointer<UInt8>
        let start: Int
        let end: Int
        let window: Int
        let floor: Int
        let shift: Int
        /// What a literal costs, in 1/1024 bits.
        let literalBits: Int
        let offsetCost: UnsafePointer<Int>
        let lengthCost: UnsafePointer<Int>
        let codes: UnsafePointer<UInt8>
        let long: Table
        let short: Table

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
        func price(_ match: inout Match, _ offsetCode: Int, _ none: Int) {
            let length = UInt32(truncatingIfNeeded: match.length &- 3)
            let lengthCode = length < 128 ? Int(codes[Int(length)]) : 67 &- length.leadingZeroBitCount
            match.cost = offsetCost[offsetCode] &+ lengthCost[lengthCode] &- (match.length &* literalBits) &>> 10
            if match.cost > 0 {
                match.length = 0
                match.cost = none
            }
        }

        // MARK: from 1.16.4

        private var none: Int { KlauspostModel.lengthMax * 8 }

        /// Takes the match of `place` with `source` if it seems better than the best so far.
        @inline(__always)
        func improve(
            _ best: inout Match, _ source: Int, _ place: Int, _ first: UInt32, _ recent: Int, _ anchor: Int, _ era: Era
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
            var match = Match(from: source, at: place, length: 0, recent: recent, cost: 0)
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
            let offset = recent < 0 ? match.at &- match.from &+ 3 : era == .second ? recent : recent & 3
            price(&match, offset.highBit, none)
            if best.cost >= none
                || match.cost &- best.cost &+ ((match.at &- best.at) &* literalBits) &>> 10 < 0
            {
                best = match
            }
        }

        func search(_ list: SequenceList, _ era: Era) {
            switch era {
            case .second: search(list, era: .second)
            case .third: search(list, era: .third)
            default: search(list, era: .fourth)
            }
        }

        @inline(__always)
        private func search(_ list: SequenceList, era: Era) {
            let limit = end &- 12
            let goodEnough = 250
            var at = start
            var anchor = start
            var (offset1, offset2, offset3) = (1, 4, 8)

            while true {
                let mayRepeat = list.count > 2
                let word = Matching.word8(text, at)
                let low = UInt32(truncatingIfNeeded: word)
                let longEntry = long[longSlot(word)]
                let shortEntry = short[shortSlot(word)]
                var best = Match(at: at, cost: none)
                improve(&best, near(longEntry), at, low, -1, anchor, era)
                improve(&best, far(longEntry), at, low, -1, anchor, era)
                improve(&best, near(shortEntry), at, low, -1, anchor, era)
                improve(&best, far(shortEntry), at, low, -1, anchor, era)
                if mayRepeat && best.length < goodEnough {
                    if at == anchor {
                        improve(&best, at &- offset2, at, low, 1 | 4, anchor, era)
                        improve(&best, at &- offset3, at, low, 2 | 4, anchor, era)
                        if offset1 > 1 { improve(&best, at &- (offset1 &- 1), at, low, 3 | 4, anchor, era) }
                    }
                    if best.recent <= 0 {
                        var first = UInt32(truncatingIfNeeded: word &>> 8)
                        var place = at &+ 1
                        improve(&best, place &- offset1, place, first, 1, anchor, era)
                        improve(&best, place &- offset2, place, first, 2, anchor, era)
                        improve(&best, place &- offset3, place, first, 3, anchor, era)
                        if best.recent < 0 {
                            first = UInt32(truncatingIfNeeded: word &>> 24)
                            place &+= 2
                            improve(&best, place &- offset1, place, first, 1, anchor, era)
                            improve(&best, place &- offset2, place, first, 2, anchor, era)
                            improve(&best, place &- offset3, place, first, 3, anchor, era)
                        }
                    }
                }
                let stored = UInt64(truncatingIfNeeded: at &+ shift)
                long.push(longSlot(word), stored)
                short.push(shortSlot(word), stored)
                let learnFrom = at &+ 1

                if best.length < goodEnough {
                    if best.length < 4 {
                        at &+= 1 &+ (at &- anchor) &>> 9
                        if at >= limit { return }
                        continue
                    }
                    let word1 = Matching.word8(text, at &+ 1)
                    let word2 = Matching.word8(text, at &+ 2)
                    let low1 = UInt32(truncatingIfNeeded: word1)
                    let low2 = UInt32(truncatingIfNeeded: word2)
                    let short1 = short[shortSlot(word &>> 8)]
                    let long1 = long[longSlot(word1)]
                    let long2 = long[longSlot(word2)]
                    improve(&best, near(short1), at &+ 1, low1, -1, anchor, era)
                    improve(&best, near(long1), at &+ 1, low1, -1, anchor, era)
                    improve(&best, far(long1), at &+ 1, low1, -1, anchor, era)
                    improve(&best, near(long2), at &+ 2, low2, -1, anchor, era)
                    improve(&best, far(long2), at &+ 2, low2, -1, anchor, era)
                    // What begins where the best one ends may have a longer match before it.
                    if best.at > at &- 2, best.at &+ best.length < limit {
                        let entry = long[longSlot(Matching.word8(text, best.at &+ best.length))]
                        var source = near(entry) &- best.length &+ 2
                        if source >= 0 {
                            var place = best.at &+ 2
                            improve(&best, source, place, Matching.word4(text, place), -1, anchor, era)
                            source = far(entry) &- best.length &+ 2
                            if source >= 0 {
                                place = best.at &+ 2
                                improve(&best, source, place, Matching.word4(text, place), -1, anchor, era)
                            }
                        }
                    }
                }

                let isRepeat = best.recent > 0
                if !isRepeat { (offset1, offset2, offset3) = (best.at &- best.from, offset1, offset2) }
                list.append(
                    best.at &- anchor, best.length, isRepeat ? best.recent & 3 : best.at &- best.from &+ 3)
                at = best.at &+ best.length
                anchor = at
                if era == .second {
                    if at >= limit { return }
                    learn(learnFrom, at)
                } else {
                    learn(learnFrom, min(at, isRepeat ? limit &+ 4 : limit &- 4))
                    if at >= limit { return }
                }
                switch best.recent {
                case 2, 5: swap(&offset1, &offset2)
                case 3, 6: (offset1, offset2, offset3) = (offset3, offset1, offset2)
                case 7: (offset1, offset2, offset3) = (offset1 &- 1, offset1, offset2)
                default: break
                }
            }
        }

        // MARK: up to 1.15.12

        private var noneThen: Int { 25_000 }

        @inline(__always)
        func compare(_ best: inout Match, _ source: Int, _ place: Int, _ first: UInt32, _ recent: Int) {
            var match = Match(at: place, cost: noneThen)
            if place &- source < window && source >= floor && Matching.word4(text, source) == first {
                match.from = source
                match.recent = recent
                match.length = 4 &+ Matching.length(text, place &+ 4, source &+ 4, end)
                price(&match, (recent < 0 ? place &- source &+ 3 : recent).highBit, noneThen)
            }
            let one = best.cost &+ ((best.at &- match.at) &* literalBits) &>> 10
            let other = match.cost &+ ((match.at &- best.at) &* literalBits) &>> 10
            if one >= other { best = match }
        }

        func searchFirst(_ list: SequenceList) {
            let limit = end &- 12
            let goodEnough = 100
            var at = start
            var anchor = start
            var (offset1, offset2, offset3) = (1, 4, 8)

            while true {
                let mayRepeat = list.count > 2
                let word = Matching.word8(text, at)
                let low = UInt32(truncatingIfNeeded: word)
                let longEntry = long[longSlot(word)]
                let shortEntry = short[shortSlot(word)]
                var best = Match(at: at, cost: noneThen)
                compare(&best, near(longEntry), at, low, -1)
                compare(&best, far(longEntry), at, low, -1)
                compare(&best, near(shortEntry), at, low, -1)
                compare(&best, far(shortEntry), at, low, -1)
                if mayRepeat && best.length < goodEnough {
                    for ahead in [1, 3] {
                        let first = UInt32(truncatingIfNeeded: word &>> UInt64(8 &* ahead))
                        let place = at &+ ahead
                        compare(&best, place &- offset1, place, first, 1)
                        compare(&best, place &- offset2, place, first, 2)
                        compare(&best, place &- offset3, place, first, 3)
                        if best.length == 0 { break }
                    }
                }
                let stored = UInt64(truncatingIfNeeded: at &+ shift)
                long.push(longSlot(word), stored)
                short.push(shortSlot(word), stored)
                if best.length < goodEnough {
                    if best.length < 4 {
                        at &+= 1 &+ (at &- anchor) &>> 9
                        if at >= limit { return }
                        continue
                    }
                    let word1 = Matching.word8(text, at &+ 1)
                    let word2 = Matching.word8(text, at &+ 2)
                    let low1 = UInt32(truncatingIfNeeded: word1)
                    let low2 = UInt32(truncatingIfNeeded: word2)
                    let short1 = short[shortSlot(word &>> 8)]
                    let long1 = long[longSlot(word1)]
                    let long2 = long[longSlot(word2)]
                    compare(&best, near(short1), at &+ 1, low1, -1)
                    compare(&best, near(long1), at &+ 1, low1, -1)
                    compare(&best, far(long1), at &+ 1, low1, -1)
                    compare(&best, near(long2), at &+ 2, low2, -1)
                    compare(&best, far(long2), at &+ 2, low2, -1)
                    if best.at &+ best.length < limit {
                        let entry = long[longSlot(Matching.word8(text, best.at &+ best.length))]
                        var match = best
                        if near(entry) &- best.length >= 0 {
                            let first = Matching.word4(text, best.at)
                            compare(&match, near(entry) &- best.length, best.at, first, -1)
                            if far(entry) &- best.length >= 0 {
                                compare(&match, far(entry) &- best.length, best.at, first, -1)
                            }
                            best = match
                        }
                    }
                }
                at = best.at
                var from = best.from
                var length = best.length
                let lowest = max(at &- window, floor)
                if best.recent > 0 {
                    while from > lowest && at > anchor &+ 1 && text[from &- 1] == text[at &- 1]
                        && length < KlauspostModel.lengthMax &- 1
                    {
                        at &-= 1
                        from &-= 1
                        length &+= 1
                    }
                    list.append(at &- anchor, length, best.recent)
                    at = best.at &+ best.length
                    anchor = at
                    if at >= limit { return }
                    learn(best.at, at &- 1)
                    switch best.recent {
                    case 2: swap(&offset1, &offset2)
                    case 3: (offset1, offset2, offset3) = (offset3, offset1, offset2)
                    default: break
                    }
                    continue
                }
                (offset1, offset2, offset3) = (at &- from, offset1, offset2)
                while from > lowest && at > anchor && text[from &- 1] == text[at &- 1]
                    && length < KlauspostModel.lengthMax
                {
                    at &-= 1
                    from &-= 1
                    length &+= 1
                }
                list.append(at &- anchor, length, at &- from &+ 3)
                at &+= length
                anchor = at
                if at >= limit { return }
                learn(at &- length &+ 1, at &- 1)
                if !mayRepeat { continue }
                while true {
                    let word = Matching.word8(text, at)
                    let source = at &- offset2
                    if source < 0 || Matching.word4(text, source) != UInt32(truncatingIfNeeded: word) { break }
                    let more = 4 &+ Matching.length(text, at &+ 4, source &+ 4, end)
                    learn(at, at &+ 1)
                    list.append(0, more, 1)
                    at &+= more
                    anchor = at
                    swap(&offset1, &offset2)
                    if at >= limit { return }
                }
            }
        }
    }
}
