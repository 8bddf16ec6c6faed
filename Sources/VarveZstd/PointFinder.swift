// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Finds the restart points and wire points of frames while the analyzer goes over them.
///
/// What table entries a restart point needs is known at once only by comparing all of them. Models that can be watched tell, until
/// the next point, which of those matter, and which text; the others' points have them all.
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
    private var other: FrameWalk?
    private var watched: (walk: FrameWalk, watch: SlotWatch)?
    /// The entries that the point watched first needs if the one watched last stays.
    private var entriesBefore = TableEntries()

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
        let runUps = placement.runUps(
            walk.parameters, walk.model, to: position, last: writer.lastRestart.plain,
            stretch: place.compressed - writer.lastRestart.compressed)
        for runUp in runUps {
            let point = point(place, walk, runUp)
            if startsJob {
                // The job's own beginning does all that a run-up would.
                writer.put(point)
                return walk
            }
            if SlotWatch.canWatch(walk.model) {
                if try watch(point, place, walk) { return walk }
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
        var next = other ?? FrameWalk(walk.parameters)
        if next.parameters != walk.parameters { next = FrameWalk(walk.parameters) }
        other = next
        try next.runUp(place.header, place.history.text, to: point)
        return next
    }

    /// Bytes that the table entries of a restart point may take.
    private func budget(_ mark: BlockMark, _ walk: FrameWalk) -> Int {
        placement.budget(
            walk.parameters, stretch: mark.compressed - writer.restart.mark.compressed, total: mark.compressed,
            spent: writer.bytes.count)
    }

    // MARK: entries that matter

    /// - Returns: Whether the place could be made a restart point.
    private func watch(_ point: RestartPoint, _ place: Place, _ walk: FrameWalk) throws -> Bool {
        if watched?.walk !== walk { watched = (walk, SlotWatch(walk.model)) }
        guard let watch = watched?.watch else { return false }
        let next = try runUp(to: point, place, walk)
        let position = place.position
        endStretch(farEnd: position - point.runUp, isLast: false)
        watch.open(
            at: position, unlike: next.model, lowest: next.model.lowest(at: position), place.history.text)
        walk.model.watch = watch
        var point = point
        point.far = FarText()
        writer.put(point, isDecided: false)
        return true
    }

    /// The stretch behind the restart point put last is over, and what that costs is known.
    /// - Parameters:
    ///   - end: Where the run-up of the next point begins.
    ///   - isLast: Whether none is to be watched next: the job or the frame is over.
    private func endStretch(farEnd end: Int = 0, isLast: Bool) {
        guard let (walk, watch) = watched else { return }
        writer.touch(watch.beginStretch(farEnd: end))
        let kinds = walk.model.slotKinds
        if let point = writer.undecided, let needed = watch.needed(ofLast: true) {
            let entries = TableEntries(needed, kinds: kinds)
            if entries.coded.count <= budget(point.mark, walk) {
                if watch.count > 1 {
                    writer.complete(entriesBefore)
                    watch.close(last: false)
                }
                writer.decide(isKept: true)
                entriesBefore = entries
            } else {
                watch.close(last: true)
                writer.decide(isKept: false)
                // The one before is to go on to the next one.
                if let needed = watch.needed(ofLast: false) { entriesBefore = TableEntries(needed, kinds: kinds) }
            }
        }
        guard isLast else { return }
        if watch.count > 0 { writer.complete(entriesBefore) }
        watch.close(last: false)
        walk.model.watch = nil
    }

    // MARK: all entries

    /// - Returns: The walk that was restarted there; nil if the place could not be made a restart point.
    private func restart(_ point: RestartPoint, _ place: Place, _ walk: FrameWalk) throws -> FrameWalk? {
        var point = point
        let next = try runUp(to: point, place, walk)
        let budget = budget(point.mark, walk)
        // Some entries share a byte: those of the same place.
        let most = budget < .max / 8 ? budget * walk.model.slotKinds : .max
        var entries: [TableEntries.Entry] = []
        next.model.compare(with: walk.model, at: place.position) {
            entries.append($0)
            return entries.count <= most
        }
        guard entries.count <= most else { return nil }
        point.entries = TableEntries(entries, of: next.model, at: place.position, place.history.text)
        guard point.entries.coded.count <= budget else { return nil }
        try next.take(point, place.history.text)
        // From here on all is as it will be for who restarts here.
        other = walk
        writer.put(point)
        return next
    }
}
