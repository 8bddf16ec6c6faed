// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Is told what a search looks up in its tables.
protocol SlotReading {
    /// The search looks for a match at `at` and finds `place` in the slot; one would have `bytes` equal bytes at least, 4 or 8.
    /// - Parameters:
    ///   - slot: Counted through all tables.
    ///   - word: The text at `at`, four bytes of it.
    ///   - place: Anything out of reach where the slot is empty.
    func look(_ slot: Int, for at: Int, _ word: UInt64, _ place: Int, _ bytes: Int)
    /// What it found there is one.
    func match(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int)
    /// The search looks at that many bytes of text from `place` on.
    func compare(_ place: Int, _ count: Int)
}

/// Nobody wants to know.
struct Unwatched: SlotReading {
    @inline(__always)
    func look(_ slot: Int, for at: Int, _ word: UInt64, _ place: Int, _ bytes: Int) {}
    @inline(__always)
    func match(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int) {}
    @inline(__always)
    func compare(_ place: Int, _ count: Int) {}
}

/// Passes on what may matter of a block's search.
struct Watched: SlotReading {
    private let watch: SlotWatch
    private let text: UnsafePointer<UInt8>
    // Copies, for the search's loop.
    private let marks: UnsafePointer<UInt16>
    private let newest: Int
    private let farEnd: Int

    init(watch: SlotWatch, text: UnsafePointer<UInt8>) {
        self.watch = watch
        self.text = text
        marks = UnsafePointer(watch.marks)
        newest = watch.newest
        farEnd = watch.farEnd
    }

    @inline(__always)
    func look(_ slot: Int, for at: Int, _ word: UInt64, _ place: Int, _ bytes: Int) {
        if SlotWatch.mayBeLeft(word, marks[slot]) { watch.found(slot, at, place, bytes, text) }
    }

    @inline(__always)
    func match(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int) {
        // What was written behind the last point is the same for everybody.
        if place < newest, marks[slot] != 0 { watch.found(slot, at, place, bytes, text) }
    }

    @inline(__always)
    func compare(_ place: Int, _ count: Int) {
        if place < farEnd { watch.touch(place, count) }
    }
}
