// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How igzip at levels 0-2 looks for matches: at two positions together.
struct IgzipFinder {
    /// Stands for no position.
    static let never = Int32.min
    /// The longest match that is followed.
    static let runMost = 258 * 16

    let plain: UnsafePointer<UInt8>
    let textStart: Int
    let table: UnsafeMutablePointer<Int32>
    let mask: Int
    let hashes: Castagnoli

    /// A match, so many literals away; length 0 for none.
    struct Match {
        var before = 0
        var distance = 0
        var length = 0
    }

    @inline(__always)
    func slot(_ position: Int) -> Int {
        Int(hashes.low(UnsafeRawPointer(plain + position).loadUnaligned(as: UInt32.self))) & mask
    }

    /// Puts positions into the table.
    @inline(__always)
    func insert(from first: Int, through last: Int) {
        for position in first...last { table[slot(position)] = Int32(truncatingIfNeeded: position) }
    }

    /// The distance that the table's entry means at `position`, 0 if that is no text known; the position takes its place.
    @inline(__always)
    func exchange(_ slot: Int, _ position: Int) -> Int {
        let entry = table[slot]
        table[slot] = Int32(truncatingIfNeeded: position)
        if entry == Self.never { return 0 }
        let distance = (position &- 1 &- Int(entry)) & 32767 &+ 1
        return position &- distance >= textStart ? distance : 0
    }

    /// The match at a position, at least sixteen bytes before the input's end, or at the one behind it.
    /// - Parameter hashed: The position whose hashes are taken for those of `at`.
    @inline(__always)
    func look(_ at: Int, hashed: Int, _ inputEnd: Int) -> Match {
        let first = exchange(slot(hashed), at)
        let second = exchange(slot(hashed &+ 1), at &+ 1)
        let differsFirst = differs(at, first)
        if differsFirst == 0 { return Match(before: 0, distance: first, length: length(at, first, inputEnd)) }
        let differsSecond = differs(at &+ 1, second)
        if differsSecond == 0 { return Match(before: 1, distance: second, length: length(at &+ 1, second, inputEnd)) }
        if UInt32(truncatingIfNeeded: differsFirst) == 0 {
            return Match(before: 0, distance: first, length: differsFirst.trailingZeroBitCount &>> 3)
        }
        if UInt32(truncatingIfNeeded: differsSecond) == 0 {
            return Match(before: 1, distance: second, length: differsSecond.trailingZeroBitCount &>> 3)
        }
        return Match()
    }

    /// What is different in the eight bytes at a position and those before it; all of it without a distance.
    @inline(__always)
    private func differs(_ position: Int, _ distance: Int) -> UInt64 {
        if distance == 0 { return ~0 }
        let here = UnsafeRawPointer(plain + position)
        return here.loadUnaligned(as: UInt64.self) ^ (here - distance).loadUnaligned(as: UInt64.self)
    }

    /// How long a match of eight bytes or more is.
    @inline(__always)
    private func length(_ position: Int, _ distance: Int, _ inputEnd: Int) -> Int {
        let here = plain + (position &+ 8)
        return 8 &+ Matching.length(here, here - distance, min(inputEnd &- position, Self.runMost) &- 8)
    }
}
