// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Finds out which table entries matter behind restart points, and which text before them.
///
/// A short run-up leaves thousands of entries otherwise than the encoder has them, but hardly one of them ever makes a difference:
/// most are overwritten before the text they point to comes up again. Two searches that differ in a slot decide the same as long
/// as neither place in it is a match for the text at hand, and once the slot is written both have the same place there. So the
/// encoder's search goes on and tells what it looks at: an entry is needed where the search takes it for a match, or where the one
/// that the run-up left instead may be one. What the search looks up and does not compare nobody compares who decides the same up
/// to there. At the next restart point everybody begins anew, and what was not needed by then never is.
///
/// What a run-up left is taken for a match if its first bytes are equal and it is within a window; what else a search asks for may
/// make an entry needed that is not, never the other way.
final class SlotWatch {
    /// Points watched at the same time, at most: one, and the next one until it is clear whether it stays.
    private static let openMax = 2
    /// Slots of all tables, at most: each point that is watched keeps nine bytes for each.
    static let slotsMax = 1 << 19

    /// For each slot a byte for each point: 0 where its entry is decided, or else what the run-up left instead: the mark of its
    /// first four bytes of text, or that there is none.
    ///
    /// Nearly all slots are written before they ever mattered. The marks stay in the cache, what else is known of a slot does not.
    let marks: UnsafeMutablePointer<UInt16>
    private static let nothingLeft: UInt16 = 1
    private static let noBlock = -1
    private let window: Int
    /// Room for `open`.
    private let distances: UnsafeMutablePointer<UInt32>
    private unowned let model: any MatchModel
    private let points: [Point]
    /// Those that are open, the oldest first, and the others.
    private var open: [Int] = []
    private var free: [Int]
    /// The place of the point opened last.
    private(set) var newest = 0
    /// Text before this is far: it is taken down which pieces of it are looked at, and by which block first.
    private(set) var farEnd = 0
    private var firstBlocks: [Int]
    /// Where the block begins that is searched now.
    var block = 0

    private final class Point {
        var position = 0
        /// No place before this is a match for anybody who restarts.
        var lowest = 0
        /// What the run-up left otherwise, by slots: how far before the point. Those of slots without a mark, or with the one that
        /// says that nothing is left, are anything.
        let left: UnsafeMutablePointer<UInt32>
        /// The slots that were given a mark.
        let slots: UnsafeMutablePointer<UInt32>
        var slotCount = 0
        var needed = NeededEntries()

        init(slots count: Int) {
            left = .allocate(capacity: count)
            slots = .allocate(capacity: count)
        }

        deinit {
            left.deallocate()
            slots.deallocate()
        }
    }

    /// - Parameter model: The encoder's search; it must outlive the watch.
    init(_ model: any MatchModel) {
        let slots = model.slotCount
        self.model = model
        window = model.windowBytes
        marks = .allocate(capacity: slots)
        marks.initialize(repeating: 0, count: slots)
        distances = .allocate(capacity: slots)
        points = (0..<Self.openMax).map { _ in Point(slots: slots) }
        free = Array(points.indices)
        // Far text is less than a window long, so that no two pieces of it have the same number here.
        firstBlocks = Array(repeating: Self.noBlock, count: window / FarText.pieceBytes + 3)
    }

    deinit {
        marks.deallocate()
        distances.deallocate()
    }

    /// Whether a model can be watched.
    static func canWatch(_ model: any MatchModel) -> Bool { model.canBeWatched && model.slotCount <= slotsMax }

    /// Points that are watched.
    var count: Int { open.count }

    /// Watches a point from the block on that begins there.
    /// - Parameters:
    ///   - other: The search that ran up to it.
    ///   - lowest: Where the text begins that may be looked at behind the point.
    func open(at position: Int, unlike other: any MatchModel, lowest: Int, _ text: UnsafePointer<UInt8>) {
        guard let bit = free.popLast() else { return }
        open.append(bit)
        let point = points[bit]
        point.position = position
        point.lowest = lowest
        point.needed = NeededEntries()
        newest = position
        let (slots, left, marks) = (point.slots, point.left, marks)
        let place = UInt16(8 * bit)
        let count = model.differences(from: other, at: position, slots: slots, distances: distances)
        for index in 0..<count {
            let slot = Int(slots[index])
            let distance = Int(distances[index])
            var mark = Self.nothingLeft
            // No match lies before `lowest`. Searches stop some bytes before the end of a block, so that the text is there.
            if distance > 0, position &- distance >= lowest {
                left[slot] = distances[index]
                mark = Self.mark(UInt64(Matching.word4(text, position &- distance)))
            }
            marks[slot] |= mark &<< place
        }
        point.slotCount = count
    }

    /// Of four bytes of text seven bits.
    @inline(__always)
    private static func mark(_ word: UInt64) -> UInt16 {
        UInt16(truncatingIfNeeded: (UInt32(truncatingIfNeeded: word) &* 0x9e37_79b1) &>> 25) | 0x80
    }

    /// Whether a run-up may have left a place with these four bytes of text in a slot with those marks.
    @inline(__always)
    static func mayBeLeft(_ word: UInt64, _ marks: UInt16) -> Bool {
        let differences = marks ^ mark(word) &* 0x101
        // Whether one of the two bytes is zero.
        return (differences &- 0x101) & ~differences & 0x8080 != 0
    }

    /// Takes down what text before `end` is looked at from now on.
    /// - Returns: The pieces before the former end that were.
    func beginStretch(farEnd end: Int) -> FarText {
        var far = FarText()
        if farEnd > 0 {
            let last = (farEnd - 1) / FarText.pieceBytes
            for piece in max(last - firstBlocks.count + 1, 0)...last {
                let block = firstBlocks[piece % firstBlocks.count]
                guard block != Self.noBlock else { continue }
                far.add(piece, by: block)
                firstBlocks[piece % firstBlocks.count] = Self.noBlock
            }
        }
        farEnd = end
        return far
    }

    /// Far text was looked at.
    @inline(never)
    func touch(_ place: Int, _ count: Int) {
        let first = max(place, farEnd - window) / FarText.pieceBytes
        let last = min(place + count, farEnd - 1) / FarText.pieceBytes
        var piece = max(first, 0)
        while piece <= last {
            let index = piece % firstBlocks.count
            if firstBlocks[index] == Self.noBlock { firstBlocks[index] = block }
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
        let point = points[bit]
        for index in 0..<point.slotCount { marks[Int(point.slots[index])] &= ~(0xff &<< UInt16(8 * bit)) }
    }

    /// The entry of a slot, or what a run-up left there, may be a match at `at`.
    /// - Parameters:
    ///   - place: What the encoder has in the slot.
    ///   - bytes: See ``SlotReading``.
    @inline(never)
    func found(_ slot: Int, _ at: Int, _ place: Int, _ bytes: Int, _ text: UnsafePointer<UInt8>) {
        for bit in 0..<Self.openMax {
            let shift = UInt16(8 * bit)
            let mark = marks[slot] &>> shift & 0xff
            // Written since, or so.
            if mark != 0, place >= points[bit].position || decide(points[bit], mark, slot, at, place, bytes, text) {
                marks[slot] &= ~(0xff &<< shift)
            }
        }
    }

    /// - Returns: Whether nothing more need be known about the slot.
    private func decide(
        _ point: Point, _ mark: UInt16, _ slot: Int, _ at: Int, _ place: Int, _ bytes: Int, _ text: UnsafePointer<UInt8>
    ) -> Bool {
        let first = max(point.lowest, at &- window)
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
        guard mark != Self.nothingLeft, isMatch(point.position - Int(point.left[slot])) else { return false }
        point.needed.clear(slot)
        return true
    }
}
