// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which text before a restart point's run-up is looked at between the point and the next one, as versions 5 to 7 have it.
struct FarText: Equatable {
    /// Text is counted in pieces of so many bytes, from the frame's beginning.
    private static let pieceBytes = 1 << 16
    /// Bytes behind a piece that come with it: words that begin in it.
    private static let slack = 64
    private static let piecesMax = FrameHeader.windowMax / pieceBytes + 2

    private var pieces: Set<Int> = []

    /// A bit for each piece, from the last one before `end` backwards.
    /// - Parameter hasPhases: Whether two bits follow for each of those that have one: when it is looked at first.
    init(_ input: inout PlanInput, before end: Int, hasPhases: Bool) throws(ZstdError) {
        let mask = try input.block()
        let last = (end - 1) / Self.pieceBytes
        guard mask.count <= Self.piecesMax / 8 + 1 else { throw .planDamaged }
        for bit in 0..<(8 * mask.count) where mask[bit / 8] & 1 << UInt8(bit % 8) != 0 {
            guard bit <= last, end > 0 else { throw .planDamaged }
            pieces.insert(last - bit)
        }
        if hasPhases { _ = try input.range(of: (pieces.count + 3) / 4) }
    }

    func has(_ place: Int) -> Bool { pieces.contains(place / Self.pieceBytes) }

    /// The stretches that are looked at of the text from `first` to `end`, in order.
    func ranges(from first: Int, to end: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for piece in pieces.sorted() {
            let start = max(piece * Self.pieceBytes, first)
            let stop = min((piece + 1) * Self.pieceBytes + Self.slack, end)
            guard start < stop else { continue }
            if let last = ranges.last, last.upperBound >= start {
                ranges[ranges.count - 1] = last.lowerBound..<stop
            } else {
                ranges.append(start..<stop)
            }
        }
        return ranges
    }
}
