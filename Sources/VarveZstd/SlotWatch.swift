// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Is told what a search looks up in its tables.
protocol SlotReading {
    /// The search looks for a match at `at` and finds `place` in the slot; one would have `bytes` equal bytes at least, 4 or 8.
    /// - Parameters:
    ///   - slot: Counted through all tables.
    ///   - place: Anything out of reach where the slot is empty.
    func read(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int)
    /// The search looks at that many bytes of text from `place` on.
    func compare(_ place: Int, _ count: Int)
}

/// Nobody wants to know.
struct Unwatched: SlotReading {
    @inline(__always)
    func read(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int) {}
    @inline(__always)
    func compare(_ place: Int, _ count: Int) {}
}

/// Passes on what concerns slots that are watched.
struct Watched: SlotReading {
    let watch: SlotWatch
    let text: UnsafePointer<UInt8>

    @inline(__always)
    func read(_ slot: Int, for at: Int, _ place: Int, _ bytes: Int) {
        if watch.pending[slot] != 0 { watch.found(slot, at, place, bytes, text) }
    }

    @inline(__always)
    func compare(_ place: Int, _ count: Int) {
        if place < watch.farEnd { watch.touch(place, count) }
    }
}

/// Finds out which table entries matter behind restart points, and which text before them.
///
/// A short run-up leaves thousands of entries otherwise than the encoder has them, but hardly one of them ever makes a difference:
/// most are overwritten before the text they point to comes up again. Two searches that differ in a slot decide the same as long
/// as neither place in it is a match for the text at hand, and once the slot is written both have the same place there. So the
/// encoder's search goes on and tells what it reads: an entry is needed if it, or the one that the run-up left instead, would be
/// a match at the first read that one of them could be. At the next restart point everybody begins anew, and what was not needed
/// by then never is.
///
/// A match is taken for one if its first bytes are equal and it is within a window; what else a search asks for may make an
/// entry needed that is not, never the other way.
final class SlotWatch {
    /// Points watched at the same time, at most: one, and the next one until it is clear whether it stays.
    private static let openMax = 2
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
    /// Text before this is far: it is taken down which pieces of it are looked at.
    private(set) var farEnd = 0
    private var touched: [Bool]

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
        // Far text is less than a window long, so that no two pieces of it have the same number here.
        touched = Array(repeating: false, count: window / FarText.pieceBytes + 3)
    }

    deinit { pending.deallocate() }

    /// Whether a model can be watched.
    static func canWatch(_ model: any MatchModel) -> Bool { model.canBeWatched && model.slotCount <= slotsMax }

    /// Points that are watched.
    var count: Int { open.count }

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

    /// Takes down what text before `end` is looked at from now on.
    /// - Returns: The pieces before the former end that were.
    func beginStretch(farEnd end: Int) -> [Int] {
        var pieces: [Int] = []
        if farEnd > 0 {
            let last = (farEnd - 1) / FarText.pieceBytes
            for piece in max(last - touched.count + 1, 0)...last where touched[piece % touched.count] {
                pieces.append(piece)
                touched[piece % touched.count] = false
            }
        }
        farEnd = end
        return pieces
    }

    @inline(never)
    fileprivate func touch(_ place: Int, _ count: Int) {
        let first = max(place, farEnd - window) / FarText.pieceBytes
        let last = min(place + count, farEnd - 1) / FarText.pieceBytes
        var piece = max(first, 0)
        while piece <= last {
            touched[piece % touched.count] = true
            piece += 1
        }
    }

    /// The entries that mattered so far, of the point opened first or of the one opened last.
    func needed(ofLast: Bool) -> NeededEntries? { (ofLast ? open.last : open.first).map { points[$0].needed } }

    /// Ends the watch over one of the two.
    func close(last: Bool) {
        guard !open.isEmpty else { return }
        let bit = last ? open.removeLast() : open.removeFirst()
        free.append(bit)
        for slot in points[bit].slots { pending[slot] &= ~(1 &<< UInt8(bit)) }
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
            if place < farEnd { touch(place, bytes) }
            point.needed.add(slot, point.position - place, model, text, at: point.position)
            return true
        }
        let distance = Int(point.distances[slot])
        guard distance > 0, isMatch(point.position &- distance) else { return false }
        point.needed.clear(slot)
        return true
    }
}
