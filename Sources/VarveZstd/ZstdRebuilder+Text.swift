// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which text is needed where, for whoever reads it ahead.
extension ZstdRebuilder {
    /// The plain bytes that a stream asks for on its way to these bytes of the file and through them, about, in that order.
    package func text(for range: Range<Int>) -> [Range<Int>] {
        guard let first = segmentIndex(at: range.lowerBound) else { return [] }
        var ranges: [Range<Int>] = []
        for segment in segments[first...] {
            guard segment.compressed.lowerBound < range.upperBound else { break }
            if ranges.isEmpty {
                ranges += runUp(of: segment) + textBefore(segment, in: 0)
            } else if segment.beginsAnew {
                // Who goes on from the one before has the text of the run-up.
                if !crosses(into: segment, through: range.upperBound) { ranges += runUp(of: segment) }
                ranges += textBefore(segment, in: 0)
            }
            let end = plainEnd(of: range.upperBound, in: segment)
            var start = segment.plain.lowerBound
            for (phase, place) in FarText.phaseStarts.enumerated().dropFirst() {
                let next = segment.plain.lowerBound + place
                guard next < min(end, plain(of: range.upperBound, in: segment) + Self.inexact) else { break }
                let more = textBefore(segment, in: phase)
                if more.isEmpty { continue }
                ranges.append(start..<next)
                ranges += more
                start = next
            }
            if end > start { ranges.append(start..<end) }
        }
        return ranges
    }

    /// Plain bytes that a place is inexact of which only that in the compressed bytes is known, about.
    private static var inexact: Int { ZstdTables.blockMax / 2 }

    /// The text of the run-up that leads to a segment.
    private func runUp(of segment: Segment) -> [Range<Int>] {
        segment.runUp > 0 ? [(segment.plain.lowerBound - segment.runUp)..<segment.plain.lowerBound] : []
    }

    /// The text before a segment and its run-up that whoever begins there asks for when he comes to a phase.
    private func textBefore(_ segment: Segment, in phase: Int) -> [Range<Int>] {
        guard let (point, set) = point(of: segment) else { return [] }
        let start = elements[segment.element].plainStart + point.mark.plain
        let window = parameters[set].windowBytes
        // Without a run-up a job begins.
        let reach = min(point.runUp > 0 ? window : ReferenceModel.jobReach(window), point.mark.plain)
        guard point.runUp < reach else { return [] }
        let frame = start - point.mark.plain
        let first = point.mark.plain - reach
        var wanted = point.textBeforeRunUp(from: first, by: phase).wanted
        if phase > 0 { wanted = wanted.common(with: point.textBeforeRunUp(from: first, by: phase - 1).missing) }
        return wanted.map { ($0.lowerBound + frame)..<($0.upperBound + frame) }
    }

    /// Whether who comes to a segment from the one before and wants the file's bytes before `end` has all of them, about, with
    /// the segment's first block, and need not begin anew there.
    func crosses(into segment: Segment, through end: Int) -> Bool {
        guard segment.isCrossed, end < segment.compressed.upperBound, let (_, set) = point(of: segment) else {
            return false
        }
        return plain(of: end, in: segment) - segment.plain.lowerBound <= parameters[set].blockBytes / 8 * 7
    }

    /// About where in the plain bytes the block ends that makes the file's byte before `compressed`.
    private func plainEnd(of compressed: Int, in segment: Segment) -> Int {
        min(plain(of: compressed, in: segment) + 2 * ZstdTables.blockMax, segment.plain.upperBound)
    }

    /// About where in the plain bytes that lies of which the byte at `compressed` is made.
    private func plain(of compressed: Int, in segment: Segment) -> Int {
        guard compressed < segment.compressed.upperBound, case .frame(let frame) = elements[segment.element].content
        else { return segment.plain.upperBound }
        guard compressed > segment.compressed.lowerBound else { return segment.plain.lowerBound }
        // Between two points the text is taken to be everywhere the same.
        let element = elements[segment.element]
        var low = (compressed: segment.compressed.lowerBound, plain: segment.plain.lowerBound)
        var high = (compressed: segment.compressed.upperBound, plain: segment.plain.upperBound)
        for wire in frame.points.wires {
            let place = (element.compressedStart + wire.mark.compressed, element.plainStart + wire.mark.plain)
            if place.0 <= compressed, place.0 > low.compressed { low = place }
            if place.0 >= compressed {
                if place.0 < high.compressed { high = place }
                break
            }
        }
        let share = Double(compressed - low.compressed) / Double(max(high.compressed - low.compressed, 1))
        return low.plain + Int(share * Double(high.plain - low.plain))
    }
}
