// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A table of slots with the last two places of each, the later one in the high half.
protocol SlotTable {
    subscript(slot: Int) -> UInt64 { get }
    /// Puts a place before those that a slot has.
    func push(_ slot: Int, _ place: UInt64)
}

/// The encoder's own table: an entry a slot.
struct DirectSlots: SlotTable {
    let entries: UnsafeMutablePointer<UInt64>

    @inline(__always)
    subscript(slot: Int) -> UInt64 { entries[slot] }

    @inline(__always)
    func push(_ slot: Int, _ place: UInt64) { PlaceTable.push(entries, slot, place) }
}

/// The same for at most as many slots as half its entries: each entry says which slot it is for. Every look at a table of
/// millions of slots misses the cache, and a frame of a few kilobytes uses few of them.
///
/// An entry has, from the top, 6 bits of the frame's number, 22 of the slot, 18 of each place.
struct SmallSlots: SlotTable {
    let entries: UnsafeMutablePointer<UInt64>
    let mask: Int
    let frame: UInt64

    @inline(__always)
    private func find(_ slot: Int) -> (index: Int, entry: UInt64) {
        let wanted = frame &<< 22 | UInt64(truncatingIfNeeded: slot)
        // The high bits of a slot are the better ones, but neighbours shall not lie beside each other.
        var index = (slot &* 0x9e37_79b1) &>> 8 & mask
        while true {
            let entry = entries[index]
            if entry &>> 36 == wanted { return (index, entry) }
            if entry &>> 58 != frame { return (index, wanted &<< 36) }
            index = (index &+ 1) & mask
        }
    }

    @inline(__always)
    subscript(slot: Int) -> UInt64 {
        let entry = find(slot).entry
        return (entry &>> 18 & 0x3_ffff) &<< 32 | entry & 0x3_ffff
    }

    @inline(__always)
    func push(_ slot: Int, _ place: UInt64) {
        let (index, entry) = find(slot)
        entries[index] = entry & ~0xf_ffff_ffff | (place & 0x3_ffff) &<< 18 | entry &>> 18 & 0x3_ffff
    }
}

/// The memory of two small tables.
final class SmallTables {
    private static let capacity = 4 * ZstdTables.blockMax
    private let entries: UnsafeMutablePointer<UInt64>
    private var frame: UInt64 = 0
    private(set) var long: SmallSlots
    private(set) var short: SmallSlots

    init() {
        entries = .allocate(capacity: Self.capacity)
        entries.initialize(repeating: 0, count: Self.capacity)
        long = SmallSlots(entries: entries, mask: 0, frame: 0)
        short = long
    }

    deinit { entries.deallocate() }

    /// Empties both for a frame of `count` bytes, a block at most.
    func begin(_ count: Int) {
        frame += 1
        if frame == 64 {
            frame = 1
            entries.update(repeating: 0, count: Self.capacity)
        }
        let size = min(4 << (max(count, 2) - 1).highBit, Self.capacity / 2)
        long = SmallSlots(entries: entries, mask: size - 1, frame: frame)
        short = SmallSlots(entries: entries + size, mask: size - 1, frame: frame)
    }
}
