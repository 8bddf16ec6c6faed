// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Is told what a search looks up in its tables.
protocol SlotReading {
    /// The search looks for a match at `at` and finds `place` in the slot; one would have `bytes` equal bytes at least, 4 or 8.
    /// - Parameters:
    ///   - slot: Counted through all tables.
    ///   - place: Anything out of reach where the slot is empty.
    func read(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int)
}

/// Nobody wants to know.
struct Unwatched: SlotReading {
    @inline(__always)
    func read(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int) {}
}

/// Passes on what concerns slots that are watched.
struct Watched: SlotReading {
    let watch: SlotWatch
    let text: UnsafePointer<UInt8>

    @inline(__always)
    func read(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int) {
        if watch.pending[slot] != 0 { watch.found(slot, at, place, bytes, text) }
    }
}

/// Finds out which table entries matter behind restart points.
///
/// A short run-up leaves thousands of entries otherwise than the encoder has them, but hardly one of them ever makes a difference:
/// most are overwritten before the text they point to comes up again. Two searches that differ in a slot decide the same as long
/// as neither place in it is a match for the text at hand, and once the slot is written both have the same place there. So the
/// encoder's search goes on and tells what it reads: an entry is needed if it, or the one that the run-up left instead, would be
/// a match at the first read that one of them could be. A window behind the point all places before it are out of reach, and
/// what was not needed by then never is.
///
/// A match is taken for one if its first bytes are equal and it is within a window; what else a search asks for may make an
/// entry needed that is not, never the other way.
final class SlotWatch {
    /// Points watched at the same time, at most.
    static let openMax = 8
    /// Slots of all tables, at most: each point that is watched keeps four bytes for each.
    static let slotsMax = 1 << 19

    /// For each slot the open points for which its entry is not decided, a bit each.
    let pending: UnsafeMutablePointer<UInt8>
    private let window: Int
    private unowned let model: any MatchModel
    private let points: [Point]
    /// Those that are open, the oldest first, and the others.
    private var open: [Int] = []
    private var free: [Int]

    private final class Point {
        var position = 0
        /// No place before this is a match for anybody who restarts.
        var lowest = 0
        /// What the run-up left otherwise, by slots: how far before the point, 0 for no place. Those of other slots are anything.
        let distances: UnsafeMutablePointer<UInt32>
        var slots: [Int] = []
        var needed = NeededEntries()

        init(slots: Int) { distances = .allocate(capacity: slots) }

        deinit { distances.deallocate() }
    }

    /// - Parameter model: The encoder's search; it must outlive the watch.
    init(_ model: any MatchModel) {
        let slots = model.slotCount
        self.model = model
        window = model.windowBytes
        pending = .allocate(capacity: slots)
        pending.initialize(repeating: 0, count: slots)
        points = (0..<Self.openMax).map { _ in Point(slots: slots) }
        free = Array(points.indices)
    }

    deinit { pending.deallocate() }

    /// Whether a model can be watched.
    static func canWatch(_ model: any MatchModel) -> Bool { model.canBeWatched && model.slotCount <= slotsMax }

    var isFull: Bool { free.isEmpty }
    var isEmpty: Bool { open.isEmpty }

    /// Watches a point from the block on that begins there.
    /// - Parameters:
    ///   - entries: Those that its run-up left otherwise, as the run-up left them.
    ///   - lowest: Where the text begins that may be looked at behind the point.
    func open(at position: Int, _ entries: [TableEntries.Entry], lowest: Int) {
        guard let bit = free.popLast() else { return }
        open.append(bit)
        let point = points[bit]
        point.position = position
        point.lowest = lowest
        point.slots = entries.map(\.slot)
        point.needed = NeededEntries()
        for entry in entries {
            pending[entry.slot] |= 1 &<< UInt8(bit)
            point.distances[entry.slot] = UInt32(clamping: entry.distance)
        }
    }

    /// Ends the watch over the oldest point.
    /// - Parameter position: If given, only if what lies before the point is out of reach there.
    /// - Returns: The entries that matter; nil if no watch ended.
    func close(at position: Int? = nil) -> NeededEntries? {
        guard let bit = open.first else { return nil }
        let point = points[bit]
        if let position, position < point.position + window { return nil }
        open.removeFirst()
        free.append(bit)
        for slot in point.slots { pending[slot] &= ~(1 &<< UInt8(bit)) }
        return point.needed
    }

    @inline(never)
    fileprivate func found(_ slot: Int, _ at: Int, _ place: Int, _ bytes: Int, _ text: UnsafePointer<UInt8>) {
        let all = pending[slot]
        var decided: UInt8 = 0
        var left = all
        while left != 0 {
            let bit = left.trailingZeroBitCount
            left &= left &- 1
            let point = points[bit]
            // Written since, or so.
            if place >= point.position || decide(point, slot, at, place, bytes, text) { decided |= 1 &<< UInt8(bit) }
        }
        pending[slot] = all & ~decided
    }

    /// - Returns: Whether nothing more need be known about the slot.
    @inline(__always)
    private func decide(
        _ point: Point, _ slot: Int, _ at: Int, _ place: Int, _ bytes: Int, _ text: UnsafePointer<UInt8>
    ) -> Bool {
        let first = max(point.lowest, at &- window)
        @inline(__always)
        func isMatch(_ place: Int) -> Bool {
            guard place >= first else { return false }
            return bytes == 8
                ? Matching.word8(text, place) == Matching.word8(text, at)
                : Matching.word4(text, place) == Matching.word4(text, at)
        }
        if isMatch(place) {
            point.needed.add(slot, point.position - place, model, text, at: point.position)
            return true
        }
        let distance = Int(point.distances[slot])
        guard distance > 0, isMatch(point.position &- distance) else { return false }
        point.needed.clear(slot)
        return true
    }
}
