// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Takes down the points of a frame as they are found. What table entries a restart point has may be said later, and one that
/// turns out to be too dear becomes a wire point.
struct PointWriter {
    /// All points but those that wait for a decision, as they are in the plan.
    private(set) var bytes: [UInt8] = []
    /// The restart point written last, and how many were.
    private(set) var restart = RestartPoint()
    private(set) var restarts = 0
    /// The marks of the point and of the restart point that were put last.
    private(set) var last = BlockMark()
    private(set) var lastRestart = BlockMark()

    private struct Waiting {
        /// What it says if it is a wire point.
        var wire: WirePoint
        var restart: RestartPoint?
        var isDecided = true
    }
    /// Begins with one that is not decided.
    private var waiting: [Waiting] = []
    private var written = BlockMark()
    /// The wire point that comes next, as far as it is known.
    private var next = WirePoint()
    private var blocks = 0

    /// A block was written.
    mutating func note(_ settling: Settling) {
        next.note(blocks, settling)
        blocks += 1
    }

    /// Makes the place reached a wire point.
    mutating func putWire(at mark: BlockMark) { put(mark, nil) }

    /// Makes the place reached a restart point.
    /// - Parameter isDecided: Whether its table entries are known.
    mutating func put(_ point: RestartPoint, isDecided: Bool = true) {
        lastRestart = point.mark
        put(point.mark, point, isDecided)
    }

    /// The oldest point whose table entries are not known.
    var undecided: RestartPoint? { waiting.first?.restart }

    /// Gives that one its table entries; with none it becomes a wire point.
    mutating func decide(_ entries: TableEntries?) {
        guard !waiting.isEmpty else { return }
        if let entries { waiting[0].restart?.entries = entries } else { waiting[0].restart = nil }
        waiting[0].isDecided = true
        write()
    }

    private mutating func put(_ mark: BlockMark, _ restart: RestartPoint?, _ isDecided: Bool = true) {
        next.mark = mark
        waiting.append(Waiting(wire: next, restart: restart, isDecided: isDecided))
        last = mark
        next = WirePoint()
        blocks = 0
        write()
    }

    private mutating func write() {
        while let first = waiting.first, first.isDecided {
            waiting.removeFirst()
            if let point = first.restart {
                bytes.append(0)
                point.put(&bytes, after: written, restart.exceptions)
                restart = point
                restarts += 1
            } else {
                bytes.append(1)
                first.wire.put(&bytes, after: written)
            }
            written = first.wire.mark
        }
    }
}
