// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which text before a restart point's run-up is looked at between the point and the next one, and by which blocks first.
///
/// Matches reach back a window, but most of a window is never looked at: who starts at a point reads a third of it or less. The
/// first block looks at about half of that. What only later ones look at need not be there before: who wants bytes close behind
/// the point does without it, and others find it decoded when they come to it.
struct FarText: Equatable {
    /// Text is counted in pieces of so many bytes, from the frame's beginning.
    static let pieceBytes = 1 << 16
    /// Bytes behind a piece that come with it: words that begin in it.
    private static let slack = 64
    private static let piecesMax = FrameHeader.windowMax / pieceBytes + 2
    /// Blocks that begin so many plain bytes behind the point, or more, belong to the phase of that number.
    static let phaseStarts = [0, 1 << 17, 3 << 17, 6 << 17]

    /// Numbers of pieces, with the place of the block that looks at each first; those that begin where the run-up or behind it do
    /// not count.
    var pieces: [Int: Int] = [:]

    init() {}

    /// The phase of a block that begins so many plain bytes behind the point.
    static func phase(at distance: Int) -> Int { (phaseStarts.lastIndex { $0 <= distance }) ?? 0 }

    /// Piece `number` is looked at by a block that begins there.
    mutating func add(_ number: Int, by block: Int) { pieces[number] = min(pieces[number] ?? block, block) }

    /// The phase in which the text at `place`, before the run-up, has to be there; nil for never.
    func phase(of place: Int, behind point: Int) -> Int? {
        pieces[place / Self.pieceBytes].map { Self.phase(at: $0 - point) }
    }

    /// The stretches that blocks up to a phase look at, in order, of the text from `first` to the run-up at `end`.
    func ranges(from first: Int, to end: Int, by phase: Int, behind point: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for piece in pieces.keys.sorted() where Self.phase(at: (pieces[piece] ?? 0) - point) <= phase {
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

    /// Appends it: a bit for each piece, from the last one before `end` backwards, and then, for those that have one, two bits
    /// for the phase.
    func put(_ bytes: inout [UInt8], before end: Int, behind point: Int) {
        var mask: [UInt8] = []
        var phases: [UInt8] = []
        var count = 0
        let last = (end - 1) / Self.pieceBytes
        for piece in pieces.keys.sorted(by: >) where piece <= last && end > 0 {
            let bit = last - piece
            while mask.count <= bit / 8 { mask.append(0) }
            mask[bit / 8] |= 1 << UInt8(bit % 8)
            if count % 4 == 0 { phases.append(0) }
            phases[count / 4] |= UInt8(Self.phase(at: (pieces[piece] ?? 0) - point)) << UInt8(2 * (count % 4))
            count += 1
        }
        PlanBytes.put(&bytes, mask)
        bytes += phases
    }

    /// - Parameter hasPhases: Whether phases are written; if not, all belongs to the first one.
    init(_ input: inout PlanInput, before end: Int, behind point: Int, hasPhases: Bool) throws(ZstdError) {
        let mask = try input.block()
        let last = (end - 1) / Self.pieceBytes
        guard mask.count <= Self.piecesMax / 8 + 1 else { throw .planDamaged }
        var phases: UInt8 = 0
        for bit in 0..<(8 * mask.count) where mask[bit / 8] & 1 << UInt8(bit % 8) != 0 {
            guard bit <= last, end > 0 else { throw .planDamaged }
            if hasPhases, pieces.count % 4 == 0 { phases = try input.byte() }
            pieces[last - bit] = point + Self.phaseStarts[Int(phases & 3)]
            phases >>= 2
        }
    }
}

extension [Range<Int>] {
    /// The stretches that lie in both, in order.
    func common(with other: [Range<Int>]) -> [Range<Int>] {
        flatMap { range in other.filter { $0.overlaps(range) }.map { $0.clamped(to: range) } }
    }
}
