// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which text before a restart point's run-up is looked at between the point and the next one.
///
/// Matches reach back a window, but most of a window is never looked at: who starts at a point reads a third of it or less.
struct FarText: Equatable {
    /// Text is counted in pieces of so many bytes, from the frame's beginning.
    static let pieceBytes = 1 << 16
    /// Bytes behind a piece that come with it: words that begin in it.
    private static let slack = 64
    private static let piecesMax = FrameHeader.windowMax / pieceBytes + 2

    /// Numbers of pieces; those that begin where the run-up or behind it do not count.
    var pieces: Set<Int> = []

    init() {}

    /// The stretches that are looked at, in order, of the text from `first` to the run-up at `end`.
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

    /// Appends it: a bit for each piece, from the last one before `end` backwards.
    func put(_ bytes: inout [UInt8], before end: Int) {
        var mask: [UInt8] = []
        let last = (end - 1) / Self.pieceBytes
        for piece in pieces where piece <= last && end > 0 {
            let bit = last - piece
            while mask.count <= bit / 8 { mask.append(0) }
            mask[bit / 8] |= 1 << UInt8(bit % 8)
        }
        PlanBytes.put(&bytes, mask)
    }

    init(_ input: inout PlanInput, before end: Int) throws(ZstdError) {
        let mask = try input.block()
        let last = (end - 1) / Self.pieceBytes
        guard mask.count <= Self.piecesMax / 8 + 1 else { throw .planDamaged }
        for bit in 0..<(8 * mask.count) where mask[bit / 8] & 1 << UInt8(bit % 8) != 0 {
            guard bit <= last, end > 0 else { throw .planDamaged }
            pieces.insert(last - bit)
        }
    }
}
