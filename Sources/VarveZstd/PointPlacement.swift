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

    /// Plain bytes between restart points at least: where jobs begin that are shorter, within jobs, where there are none, and for
    /// models that cannot be watched.
    private static let jobSpacing = 4 << 20
    private static let spacingInJobs = 2 << 20
    /// In jobs less, down to a run-up, where coming from the point before is so much work.
    private static let workInJobs = 6 << 20
    private static let spacingWatched = 1280 << 10
    private static let spacingUnwatched = 3 << 20
    /// A run-up after which all entries that the search leaves otherwise are written has so many bytes at least: in less it does
    /// not fall into step. Where only those count that matter, a short one does.
    static let runUpMin = 4 << 20
    private static let runUpWatched = 512 << 10
    /// Compressed bytes for each byte that the table entries of restart points take: over the frame so far, so that a stretch
    /// over which the search hardly falls into step may take what others left; in any stretch; and in a stretch at most.
    private static let worth = 50
    private static let worthOfStretch = 80
    private static let worthAtMost = 5
    private static let worthAtMostInJobs = 12
    /// Bytes that they may take in any stretch while the frame so far allows it.
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
        let isWatched = SlotWatch.canWatch(model)
        let isHard =
            Self.work(distance, compressed: stretch, runUp: Self.runUpWatched) >= Double(Self.workInJobs)
        let usual =
            job > 0
            ? (isHard ? Self.runUpWatched : Self.spacingInJobs)
            : isWatched ? Self.spacingWatched : max(Self.spacingUnwatched, window / 4)
        guard position >= nextTry, distance >= spacing ?? usual else { return [] }
        var all: [Int]
        if isWatched {
            all = [spacing.map { max($0 / 4, 1) } ?? Self.runUpWatched]
        } else {
            let least = spacing != nil ? 0 : Self.runUpMin
            all = [max(window, least)]
            if least > 0, window / 2 >= least, nextTry <= last { all.insert(window / 2, at: 0) }
        }
        let block = model.blockBytes(at: 0)
        all = all.map { ($0 + block - 1) / block * block }
        // A run-up stays within its job. Where it would be most of the job so far, a point would save little.
        return all.filter { job > 0 ? position & (job - 1) >= 2 * $0 : position >= $0 }
    }

    /// What it takes to go along a stretch from its beginning, in plain bytes of which nothing has to be written. A byte that has
    /// to be makes as much work as four of those.
    /// - Parameter runUp: Before the stretch; its text is taken to be like the stretch's.
    static func work(_ plain: Int, compressed: Int, runUp: Int) -> Double {
        (Double(plain) + Double(runUp)) * (Double(plain) + 4 * Double(compressed)) / Double(max(plain, 1))
    }

    /// Bytes that the table entries of a restart point may take.
    /// - Parameters:
    ///   - stretch: Compressed bytes since the one before.
    ///   - total: Compressed bytes of the frame so far.
    ///   - spent: Bytes that all points took so far.
    func budget(_ parameters: ZstdParameters, stretch: Int, total: Int, spent: Int) -> Int {
        if spacing != nil { return Int.max }
        // The beginning of a job is never far. Where text is nearly all matches, some kilobytes are little to pay for a point.
        let most = max(
            stretch / (parameters.jobBytes > 0 ? Self.worthAtMostInJobs : Self.worthAtMost), Self.fairAnyway)
        let left = min(total / Self.worth - spent, most)
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
