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

    static let longBits: UInt64 = 22
    static let shortBits: UInt64 = 18
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

    override var hintForm: HintForm { .candidates }
    override var pace: Int { 4 }
    override var heedsFloor: Bool { true }

    override func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {
        if era == .fifth, putRun(text, start, end, list) { return }
        if end &- start < 16 { return }
        let literalBits = max(ShannonBits.count(text + start, end &- start) * 1024 / (end &- start), 1024)
        offsetCost.withUnsafeBufferPointer { offsetCost in
            lengthCost.withUnsafeBufferPointer { lengthCost in
                guard let offsetCost = offsetCost.baseAddress, let lengthCost = lengthCost.baseAddress else { return }
                func block<Table: SlotTable>(_ long: Table, _ short: Table, _ shift: Int) -> BestSearch<Table> {
                    BestSearch(
                        text: text, start: start, end: end, window: windowBytes, shift: shift, literalBits: literalBits,
                        offsetCost: offsetCost, lengthCost: lengthCost, codes: CodeTables.shared.matchCode,
                        long: long, short: short, floor: max(floor, hints?.point ?? 0))
                }
                if isAlone, start == 0 {
                    small.begin(end)
                    block(small.long, small.short, 1).search(list, era, Unrecorded())
                    return
                }
                let block = block(
                    DirectSlots(entries: long.entries), DirectSlots(entries: short.entries), shift)
                if let recorder {
                    block.search(list, era, Recorded(recorder))
                } else if let hints {
                    block.search(list, era, Hinted(hints))
                } else {
                    block.search(list, era, Unrecorded())
                }
            }
        }
    }
}
