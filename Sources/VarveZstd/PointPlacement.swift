// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where the points of a frame shall be, and what they may cost.
///
/// Who wants some bytes runs the search over a run-up and from a restart point to a wire point, and makes no more blocks than
/// lie between that and the bytes. So restart points are worth little more than their run-up is long, and wire points, which
/// cost some 200 bytes, are dense.
struct PointPlacement {
    /// Plain bytes between restart points and a quarter of those between all points, if not the usual numbers; then they may
    /// cost what they do.
    let spacing: Int?
    /// Plain bytes before which no restart point is tried again but at a job's start, where it costs nothing.
    private var nextTry = 0

    /// Plain bytes between restart points at least: where jobs begin that are shorter, and of models that take no hints.
    private static let jobSpacing = 4 << 20
    private static let spacingRunUp = 3 << 20
    /// Plain bytes between restart points with hints if none of them has to be written; a byte that has to be makes as much work
    /// as four others. The search goes along all of a stretch. Each match that reaches back over its beginning costs four bytes or
    /// so, and there are hardly more of those in a longer one.
    private static let workHinted = 4864 << 10
    /// Plain bytes from the last one of a job to the job's end at least.
    private static let jobRestMin = 512 << 10
    /// A run-up after which all entries that the search leaves otherwise are written has so many bytes at least: in less it does
    /// not fall into step.
    static let runUpMin = 4 << 20
    /// Compressed bytes for each byte that the memory of restart points takes: over the frame so far, so that a stretch over which the
    /// search hardly falls into step may take what others left; in any stretch; and in a stretch at most.
    private static let worth = 50
    private static let worthHinted = 12
    private static let worthOfStretch = 80
    private static let worthAtMost = 5
    /// Bytes that it may take in any stretch while the frame so far allows it.
    private static let fairAnyway = 40 << 10
    /// A point that would have cost more is tried again after this, or a quarter of the stretch if that is more.
    private static let retryMin = 2 << 20
    private static let wireSpacing = 512 << 10

    init(spacing: Int?) { self.spacing = spacing }

    /// Plain bytes of the run-ups to try for a restart point at `position`; none if none shall be there.
    ///
    /// Of several the shortest will do if what it leaves otherwise is cheap. After a window there is only what does not fall into
    /// step.
    /// - Parameters:
    ///   - last: The restart point before.
    ///   - stretch: Compressed bytes since then.
    func runUps(
        _ parameters: ZstdParameters, _ model: any MatchModel, to position: Int, last: Int, stretch: Int
    ) -> [Int] {
        let distance = position - last
        let job = parameters.jobBytes
        if model.startsJob(at: position) {
            return distance >= spacing ?? (job < Self.jobSpacing ? Self.jobSpacing : 0) ? [0] : []
        }
        let window = model.windowBytes
        if model.takesHints {
            // Where a job begins the text before is looked at, and nothing else.
            let left = job > 0 ? job - position & (job - 1) : Int.max
            let least = max(ReferenceModel.jobReach(window), spacing == nil ? Self.jobRestMin : 0)
            let isTime = spacing.map { distance >= $0 } ?? (distance + 4 * stretch >= Self.workHinted)
            return position >= nextTry && isTime && left > least ? [0] : []
        }
        guard position >= nextTry, distance >= spacing ?? max(Self.spacingRunUp, window / 4) else { return [] }
        let least = spacing != nil ? 0 : Self.runUpMin
        var all = [max(window, least)]
        if least > 0, window / 2 >= least, nextTry <= last { all.insert(window / 2, at: 0) }
        let block = model.blockBytes(at: 0)
        return all.map { ($0 + block - 1) / block * block }.filter { position >= $0 }
    }

    /// Bytes that the memory of a restart point may take.
    /// - Parameters:
    ///   - hasHints: Whether it is hints.
    ///   - stretch: Compressed bytes since the one before.
    ///   - total: Compressed bytes of the frame so far.
    ///   - spent: Bytes that all points took so far.
    func budget(hasHints: Bool, stretch: Int, total: Int, spent: Int) -> Int {
        if spacing != nil { return Int.max }
        // Where text is nearly all matches, some kilobytes are little to pay for a point.
        let most = max(stretch / Self.worthAtMost, Self.fairAnyway)
        let left = min(total / (hasHints ? Self.worthHinted : Self.worth) - spent, most)
        return max(left, stretch / Self.worthOfStretch, 64)
    }

    /// A restart point at `position` would have cost more.
    mutating func refused(at position: Int, _ distance: Int) { nextTry = position + max(Self.retryMin, distance / 4) }

    /// Whether a wire point shall be there.
    /// - Parameter last: The point before, of either kind.
    func wantsWire(at position: Int, last: Int) -> Bool {
        position - last >= spacing.map { $0 / 4 } ?? Self.wireSpacing
    }
}
