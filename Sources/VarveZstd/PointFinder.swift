// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Finds the restart points and wire points of frames while the analyzer goes over them.
///
/// The models say, up to the next point, what the hints of a restart point have to be.
final class PointFinder {
    /// What the analyzer has come to.
    struct Place {
        /// Plain and compressed bytes of the frame so far.
        let position: Int
        let compressed: Int
        /// Bytes of its exceptions so far, and usual blocks since the last one.
        let exceptions: Int
        let usualBlocks: Int
    }

    private var writer = PointWriter()
    private var placement: PointPlacement
    private let recorder = HintRecorder()
    /// Who tells the recorder.
    private var recorded: FrameWalk?
    /// The hints of the point opened first if the one opened last stays.
    private var hintsBefore: SearchHints?

    init(spacing: Int?) { placement = PointPlacement(spacing: spacing) }

    /// A frame begins.
    /// - Parameter spacing: See ``ZstdPass/spacing``.
    func begin(spacing: Int?) {
        endStretch(isLast: true)
        writer = PointWriter()
        placement = PointPlacement(spacing: spacing)
    }

    /// A block was written.
    func note(_ settling: Settling) { writer.note(settling) }

    /// The frame has ended.
    /// - Returns: Its points as they are in the plan.
    func end() -> [UInt8] {
        endStretch(isLast: true)
        writer.end()
        return writer.bytes
    }

    /// Restart points of the frame that has ended.
    var restarts: Int { writer.restarts }

    /// Makes the place reached a restart point if it is time for one, or a wire point.
    func reach(_ place: Place, with walk: FrameWalk) {
        let position = place.position
        let startsJob = walk.model.startsJob(at: position)
        if startsJob { endStretch(isLast: true) }
        let isTime = placement.isTime(
            walk.parameters, walk.model, at: position, last: writer.lastRestart.plain,
            stretch: place.compressed - writer.lastRestart.compressed)
        if walk.model.mayRestart(at: position), isTime {
            let point = point(place, walk)
            // A job's own beginning does all that hints would.
            if startsJob { writer.put(point) } else { record(point, walk) }
        } else if placement.wantsWire(at: position, last: writer.last.plain) {
            writer.putWire(at: mark(place, walk))
        }
    }

    private func mark(_ place: Place, _ walk: FrameWalk) -> BlockMark {
        var mark = walk.mark()
        mark.plain = place.position
        mark.compressed = place.compressed
        return mark
    }

    private func point(_ place: Place, _ walk: FrameWalk) -> RestartPoint {
        var point = RestartPoint()
        point.mark = mark(place, walk)
        point.numbers = walk.model.numbers
        point.exceptions = place.exceptions
        point.usualBlocks = place.usualBlocks
        return point
    }

    /// Bytes that the hints of a restart point may take.
    private func budget(_ mark: BlockMark) -> Int {
        placement.budget(
            stretch: mark.compressed - writer.restart.mark.compressed, total: mark.compressed,
            spent: writer.bytes.count)
    }

    private func record(_ point: RestartPoint, _ walk: FrameWalk) {
        endStretch(isLast: recorded !== walk)
        recorded = walk
        recorder.open(at: point.mark.plain, walk.model.hintForm)
        walk.model.recorder = recorder
        writer.put(point, isDecided: false)
    }

    /// The stretch behind the restart point put last is over, and what that costs is known.
    /// - Parameter isLast: Whether no hints are to be taken down next: the job or the frame is over.
    private func endStretch(isLast: Bool) {
        guard let walk = recorded else { return }
        if let point = writer.undecided, let hints = recorder.hints(ofLast: true) {
            if hints.coded.count <= budget(point.mark) {
                if recorder.count > 1 {
                    complete()
                    recorder.close(last: false)
                }
                writer.decide(isKept: true)
            } else {
                recorder.close(last: true)
                writer.decide(isKept: false)
                // The one before is to go on to the next one.
            }
            hintsBefore = recorder.hints(ofLast: false)
        }
        guard isLast else { return }
        complete()
        recorder.close(last: false)
        walk.model.recorder = nil
        recorded = nil
    }

    private func complete() {
        if recorder.count > 0, let hintsBefore { writer.complete(.hints(hintsBefore)) }
    }
}
