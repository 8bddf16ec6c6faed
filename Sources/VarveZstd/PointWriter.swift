// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Takes down the points of a frame as they are found.
///
/// Whether a restart point stays may be decided later; one that turns out to be too dear becomes a wire point. Then the stretch
/// behind it belongs to the restart point before, which is why one is written only when the next one is decided.
struct PointWriter {
    /// All points but those that wait for a decision, as they are in the plan.
    private(set) var bytes: [UInt8] = []
    /// How many restart points were written.
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
    private var waiting: [Waiting] = []
    /// The mark of the point written last, and the restart point written last.
    private var written = (mark: BlockMark(), restart: RestartPoint())
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
    /// - Parameter isDecided: Whether it is known to stay.
    mutating func put(_ point: RestartPoint, isDecided: Bool = true) {
        lastRestart = point.mark
        put(point.mark, point, isDecided)
    }

    /// The point that is not decided; there is one at most.
    var undecided: RestartPoint? { waiting.first { !$0.isDecided }?.restart }

    /// Decides whether that one stays.
    mutating func decide(isKept: Bool) {
        guard let index = waiting.firstIndex(where: { !$0.isDecided }) else { return }
        waiting[index].isDecided = true
        if !isKept { waiting[index].restart = nil }
        write()
    }

    /// Gives the restart point before the one that is undecided, or the last one, its memory.
    mutating func complete(_ memory: RestartPoint.Memory) {
        guard let index = indexBeforeUndecided else { return }
        waiting[index].restart?.memory = memory
    }

    private var indexBeforeUndecided: Int? {
        let index = waiting.firstIndex { !$0.isDecided } ?? waiting.count
        return waiting[..<index].lastIndex { $0.restart != nil }
    }

    /// Nothing more comes.
    mutating func end() { write(all: true) }

    /// The restart point before the one that is undecided.
    var restart: RestartPoint { indexBeforeUndecided.flatMap { waiting[$0].restart } ?? written.restart }

    private mutating func put(_ mark: BlockMark, _ restart: RestartPoint?, _ isDecided: Bool = true) {
        next.mark = mark
        waiting.append(Waiting(wire: next, restart: restart, isDecided: isDecided))
        last = mark
        next = WirePoint()
        blocks = 0
        write()
    }

    private mutating func write(all: Bool = false) {
        while let first = waiting.first, first.isDecided {
            if first.restart != nil, !all {
                guard let next = waiting.dropFirst().first(where: { $0.restart != nil }), next.isDecided else { return }
            }
            waiting.removeFirst()
            if let point = first.restart {
                bytes.append(0)
                point.put(&bytes, after: written.mark, written.restart.exceptions)
                written.restart = point
                restarts += 1
            } else {
                bytes.append(1)
                first.wire.put(&bytes, after: written.mark)
            }
            written.mark = first.wire.mark
        }
    }
}
