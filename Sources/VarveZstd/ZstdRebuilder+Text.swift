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
            if ranges.isEmpty || beginsAnew(segment) { ranges += runUp(of: segment) + textBefore(segment) }
            let end = plainEnd(of: range.upperBound, in: segment)
            if end > segment.plain.lowerBound { ranges.append(segment.plain.lowerBound..<end) }
        }
        return ranges
    }

    private func beginsAnew(_ segment: Segment) -> Bool { point(of: segment)?.0.far != nil }

    /// The text of the run-up that leads to a segment.
    private func runUp(of segment: Segment) -> [Range<Int>] {
        segment.runUp > 0 ? [(segment.plain.lowerBound - segment.runUp)..<segment.plain.lowerBound] : []
    }

    /// The text before a segment and its run-up that whoever begins there asks for.
    private func textBefore(_ segment: Segment) -> [Range<Int>] {
        guard let (point, set) = point(of: segment) else { return [] }
        let frame = elements[segment.element].plainStart
        let window = parameters[set].windowBytes
        // Without a run-up a job begins.
        let first = point.textStart(reach: point.runUp > 0 ? window : ReferenceModel.jobReach(window))
        return point.textBeforeRunUp(from: first).wanted.map { ($0.lowerBound + frame)..<($0.upperBound + frame) }
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
