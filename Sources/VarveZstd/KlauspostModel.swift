// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A hash table of klauspost/compress: a place in the high half of each entry, in the low half either the first four bytes
/// found there or the place that had the slot before (*chains*). Places count from some point before the frame, so that a new
/// frame need not clear the table.
final class PlaceTable {
    let entries: UnsafeMutablePointer<UInt64>
    private let memory: LargeMemory
    let bits: UInt64
    let isChain: Bool
    /// Bytes that a slot is the hash of.
    let hashBytes: Int

    init(bits: UInt64, isChain: Bool, hashBytes: Int) {
        self.bits = bits
        self.isChain = isChain
        self.hashBytes = hashBytes
        memory = LargeMemory(MemoryLayout<UInt64>.stride << Int(bits))
        entries = memory.bytes.bindMemory(to: UInt64.self, capacity: 1 << Int(bits))
    }

    /// Places that an entry keeps.
    var parts: Int { isChain ? 2 : 1 }

    /// The slot of the lowest bytes of a word.
    func slot(_ word: UInt64) -> Int {
        switch hashBytes {
        case 5: return Matching.hash5(word, bits)
        case 6: return Matching.hash6(word, bits)
        default: return Matching.hash8(word, bits)
        }
    }

    func clear() { entries.update(repeating: 0, count: 1 << Int(bits)) }

    /// Moves all places down by `delta`; what lies before that is forgotten.
    func moveDown(by delta: Int) {
        let delta = UInt64(truncatingIfNeeded: delta)
        for index in 0..<(1 << Int(bits)) {
            let entry = entries[index]
            let place = entry >> 32
            let low = entry & 0xffff_ffff
            if place < delta {
                entries[index] = 0
            } else if isChain {
                entries[index] = (place - delta) << 32 | (low < delta ? 0 : low - delta)
            } else {
                entries[index] = (place - delta) << 32 | low
            }
        }
    }

    /// Puts a place before the one that a chain has.
    @inline(__always)
    static func push(_ entries: UnsafeMutablePointer<UInt64>, _ slot: Int, _ place: UInt64) {
        entries[slot] = place &<< 32 | entries[slot] &>> 32
    }
}

/// What the match searches of klauspost/compress have in common: tables that outlive a frame.
class KlauspostModel: MatchModel {
    /// Places after this are moved down.
    private static let placeMax = 1 << 30
    /// Lengths at which the encoder stops to extend a match backwards.
    static let lengthMax = 131_074

    let windowBytes: Int
    private let blockSize: Int
    let tables: [PlaceTable]
    /// What is added to places of the frame for the tables.
    final private(set) var shift: Int
    /// Where the frame's text ended so far.
    private var lastEnd = 0
    /// Whether the frame is one block that its encoder had as a whole: then some levels take a slightly different search.
    final private(set) var isAlone = false
    /// No place before this is looked at.
    final private(set) var floor = 0
    final var recorder: HintRecorder?
    final private(set) var hints: HintReader?
    var hintForm: HintForm { .places }
    var pace: Int { 1 }

    init(windowBytes: Int, blockSize: Int, tables: [PlaceTable]) {
        self.windowBytes = windowBytes
        self.blockSize = min(blockSize, windowBytes)
        self.tables = tables
        shift = windowBytes
    }

    final func blockBytes(at position: Int) -> Int { blockSize }

    final func startsJob(at position: Int) -> Bool { false }

    final func begin(_ header: FrameHeader) {
        isAlone = Self.isWhole(header, windowBytes) && header.contentBytes ?? 0 <= blockSize
        floor = 0
        hints = nil
        // Everything known is put out of reach. Clearing the tables would cost more than many a frame.
        shift += lastEnd + gap
        lastEnd = 0
        if shift > Self.placeMax / 2 { clear() }
    }

    /// How far places of earlier frames must lie before this one's: a search that does not look for places before the frame
    /// needs a window.
    var gap: Int { windowBytes }

    private func clear() {
        shift = windowBytes
        for table in tables { table.clear() }
    }

    /// Whether the encoder had the whole frame at hand when it wrote that header: it says how long it is, or small.
    static func isWhole(_ header: FrameHeader, _ windowBytes: Int) -> Bool {
        header.contentBytes != nil || header.windowBytes < windowBytes
    }

    /// Blocks do not use offsets of earlier ones.
    final func settle(recent: (UInt32, UInt32, UInt32), isCompressed: Bool, asProposed: Bool) {}

    final func propose(_ text: UnsafePointer<UInt8>, from start: Int, to end: Int, into list: SequenceList) {
        list.count = 0
        if end &+ shift > Self.placeMax {
            // Places stay within 32 bits. What is out of reach is forgotten.
            let delta = start &+ shift &- windowBytes &- windowBytes
            for table in tables { table.moveDown(by: delta) }
            shift -= delta
        }
        lastEnd = end
        search(text, start, end, list)
    }

    // MARK: starting in the middle

    /// Not in a frame that its header says is one block: its search tells nobody what it finds.
    final func mayRestart(at position: Int) -> Bool { !isAlone }

    final func reach(at position: Int) -> Int { windowBytes }

    final func beginRunUp(at position: Int) { floor = position }

    final func endRunUp(at position: Int) { floor = max(position - reach(at: position), 0) }

    final func begin(with hints: HintReader) {
        if !heedsFloor { for table in tables { table.clear() } }
        self.hints = hints
    }

    /// Whether the search looks at no place before `floor` or the point where its hints begin, so that tables may keep those.
    var heedsFloor: Bool { false }

    final var wasMisled: Bool { hints?.state.pointee.isDamaged == true }

    final var numbers: [Int] { [] }

    final func take(numbers: [Int]) -> Bool { numbers.isEmpty }

    final func set(_ entry: TableEntries.Entry, at position: Int, _ text: UnsafePointer<UInt8>) -> Bool {
        let place = position - entry.distance
        // Places may have been moved down since `position`, past this one if the window is small.
        guard entry.distance == 0 || holds(entry.distance, before: position) && place + shift > 0 else { return false }
        var slot = entry.slot
        for table in tables {
            let count = table.isChain ? 2 << Int(table.bits) : 1 << Int(table.bits)
            if slot >= count {
                slot -= count
                continue
            }
            let stored = entry.distance == 0 ? 0 : UInt64(truncatingIfNeeded: place + shift)
            if !table.isChain {
                let low = entry.distance == 0 ? 0 : UInt64(Matching.word4(text, place))
                table.entries[slot] = stored << 32 | low
            } else if slot & 1 == 0 {
                table.entries[slot / 2] = stored << 32 | table.entries[slot / 2] & 0xffff_ffff
            } else {
                table.entries[slot / 2] = table.entries[slot / 2] & ~0xffff_ffff | stored
            }
            return true
        }
        return false
    }

    /// Four bytes are read at the place, which must lie in the text before the block.
    final func holds(_ distance: Int, before position: Int) -> Bool {
        distance >= 4 && distance < windowBytes && position - distance >= floor
    }

    final var slotKinds: Int { tables.reduce(0) { $0 + $1.parts } }

    final func slot(_ kind: Int, at place: Int, _ text: UnsafePointer<UInt8>) -> Int {
        var part = kind
        var first = 0
        for table in tables {
            if part < table.parts { return first + table.parts * table.slot(Matching.word8(text, place)) + part }
            part -= table.parts
            first += table.parts << Int(table.bits)
        }
        return first
    }

    /// Finds the sequences of a block. The list is empty.
    func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {}

    /// Newer versions look for runs first: one literal and a match for the rest.
    final func putRun(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) -> Bool {
        let count = end &- start
        guard count > 3, Matching.length(text, start &+ 1, start, end) == count &- 1 else { return false }
        list.append(1, count &- 1, 4)
        return true
    }
}
