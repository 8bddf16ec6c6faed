// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Finds the restart points and wire points of frames while the analyzer goes over them.
///
/// Models that take hints say, up to the next point, what those have to be. What table entries a restart point of others needs is
/// known at once, by comparing all of them.
final class PointFinder {
    /// What the analyzer has come to.
    struct Place {
        let header: FrameHeader
        let history: History
        /// Bytes of the frame so far.
        let compressed: Int
        /// Bytes of its exceptions so far, and usual blocks since the last one.
        let exceptions: Int
        let usualBlocks: Int

        var position: Int { history.end }
    }

    private var writer = PointWriter()
    private var placement: PointPlacement
    /// For run-ups.
    private var spare: FrameWalk?
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
    /// - Returns: The walk to go on with.
    func reach(_ place: Place, with walk: FrameWalk) throws -> FrameWalk {
        let position = place.position
        let startsJob = walk.model.startsJob(at: position)
        if startsJob { endStretch(isLast: true) }
        var runUps: [Int] = []
        if walk.model.mayRestart(at: position) {
            runUps = placement.runUps(
                walk.parameters, walk.model, to: position, last: writer.lastRestart.plain,
                stretch: place.compressed - writer.lastRestart.compressed)
        }
        for runUp in runUps {
            let point = point(place, walk, runUp)
            if startsJob {
                // The job's own beginning does all that a run-up would.
                writer.put(point)
                return walk
            }
            if walk.model.takesHints {
                record(point, walk)
                return walk
            } else if let next = try restart(point, place, walk) {
                return next
            }
        }
        if !runUps.isEmpty { placement.refused(at: position, position - writer.lastRestart.plain) }
        if placement.wantsWire(at: position, last: writer.last.plain) { writer.putWire(at: mark(place, walk)) }
        return walk
    }

    private func mark(_ place: Place, _ walk: FrameWalk) -> BlockMark {
        var mark = walk.mark()
        mark.plain = place.position
        mark.compressed = place.compressed
        return mark
    }

    private func point(_ place: Place, _ walk: FrameWalk, _ runUp: Int) -> RestartPoint {
        var point = RestartPoint()
        point.mark = mark(place, walk)
        point.numbers = walk.model.numbers
        point.exceptions = place.exceptions
        point.usualBlocks = place.usualBlocks
        point.runUp = runUp
        return point
    }

    /// Another walk that ran up to the point.
    private func runUp(to point: RestartPoint, _ place: Place, _ walk: FrameWalk) throws -> FrameWalk {
        var next = spare ?? FrameWalk(walk.parameters)
        if next.parameters != walk.parameters { next = FrameWalk(walk.parameters) }
        spare = next
        try next.runUp(place.header, place.history.text, to: point)
        return next
    }

    /// Bytes that the table entries of a restart point may take.
    private func budget(_ mark: BlockMark, _ walk: FrameWalk) -> Int {
        placement.budget(
            hasHints: walk.model.takesHints, stretch: mark.compressed - writer.restart.mark.compressed,
            total: mark.compressed,
            spent: writer.bytes.count)
    }

    // MARK: hints

    private func record(_ point: RestartPoint, _ walk: FrameWalk) {
        endStretch(isLast: recorded !== walk)
        recorded = walk
        recorder.open(at: point.mark.plain)
        walk.model.recorder = recorder
        writer.put(point, isDecided: false)
    }

    /// The stretch behind the restart point put last is over, and what that costs is known.
    /// - Parameter isLast: Whether no hints are to be taken down next: the job or the frame is over.
    private func endStretch(isLast: Bool) {
        guard let walk = recorded else { return }
        if let point = writer.undecided, let hints = recorder.hints(ofLast: true) {
            if hints.coded.count <= budget(point.mark, walk) {
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

    // MARK: all entries

    /// - Returns: The walk that was restarted there; nil if the place could not be made a restart point.
    private func restart(_ point: RestartPoint, _ place: Place, _ walk: FrameWalk) throws -> FrameWalk? {
        var point = point
        let next = try runUp(to: point, place, walk)
        guard let model = walk.model as? KlauspostModel, let other = next.model as? KlauspostModel else { return nil }
        let budget = budget(point.mark, walk)
        // Some entries share a byte: those of the same place.
        let most = budget < .max / 8 ? budget * model.slotKinds : .max
        var entries: [TableEntries.Entry] = []
        other.compare(with: model, at: place.position) {
            entries.append($0)
            return entries.count <= most
        }
        guard entries.count <= most else { return nil }
        point.memory = .entries(TableEntries(entries, of: other, at: place.position, place.history.text))
        guard point.memory.entryBytes <= budget else { return nil }
        try next.take(point, place.history.text)
        // From here on all is as it will be for who restarts here.
        spare = walk
        writer.put(point)
        return next
    }
}
