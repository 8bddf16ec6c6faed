// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where the points of a frame shall be, and what they may cost.
///
/// Who wants some bytes runs the search from a restart point to a wire point, and makes no more blocks than lie between that and the
/// bytes. So wire points, which cost some 200 bytes, are dense.
struct PointPlacement {
    /// Plain bytes between restart points and a quarter of those between all points, if not the usual numbers; then they may
    /// cost what they do.
    let spacing: Int?

    /// Plain bytes between restart points at least where jobs begin that are shorter.
    private static let jobSpacing = 4 << 20
    /// Plain bytes between restart points if none of them has to be written; a byte that has to be makes as much work
    /// as four others. The search goes along all of a stretch. Each match that reaches back over its beginning costs four bytes or
    /// so, and there are hardly more of those in a longer one.
    private static let work = 4864 << 10
    /// Plain bytes from the last one of a job to the job's end at least.
    private static let jobRestMin = 512 << 10
    /// Compressed bytes for each byte that the hints of restart points take: over the frame so far, so that a stretch in which much
    /// reaches back may take what others left; in any stretch; and in a stretch at most.
    private static let worth = 12
    private static let worthOfStretch = 80
    private static let worthAtMost = 5
    /// Bytes that they may take in any stretch while the frame so far allows it.
    private static let fairAnyway = 40 << 10
    private static let wireSpacing = 512 << 10

    init(spacing: Int?) { self.spacing = spacing }

    /// Whether a restart point shall be at `position`.
    /// - Parameters:
    ///   - last: The restart point before.
    ///   - stretch: Compressed bytes since then.
    func isTime(
        _ parameters: ZstdParameters, _ model: any MatchModel, at position: Int, last: Int, stretch: Int
    ) -> Bool {
        let distance = position - last
        let job = parameters.jobBytes
        if model.startsJob(at: position) {
            return distance >= spacing ?? (job < Self.jobSpacing ? Self.jobSpacing : 0)
        }
        // Where a job begins the text before is looked at, and nothing else.
        let left = job > 0 ? job - position & (job - 1) : Int.max
        let least = max(ReferenceModel.jobReach(model.windowBytes), spacing == nil ? Self.jobRestMin : 0)
        return left > least && spacing.map { distance >= $0 } ?? (model.pace * distance + 4 * stretch >= Self.work)
    }

    /// Bytes that the hints of a restart point may take.
    /// - Parameters:
    ///   - stretch: Compressed bytes since the one before.
    ///   - total: Compressed bytes of the frame so far.
    ///   - spent: Bytes that all points took so far.
    func budget(stretch: Int, total: Int, spent: Int) -> Int {
        if spacing != nil { return Int.max }
        // Where text is nearly all matches, some kilobytes are little to pay for a point.
        let most = max(stretch / Self.worthAtMost, Self.fairAnyway)
        let left = min(total / Self.worth - spent, most)
        return max(left, stretch / Self.worthOfStretch, 64)
    }

    /// Whether a wire point shall be there.
    /// - Parameter last: The point before, of either kind.
    func wantsWire(at position: Int, last: Int) -> Bool {
        position - last >= spacing.map { $0 / 4 } ?? Self.wireSpacing
    }
}
