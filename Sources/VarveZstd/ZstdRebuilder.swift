// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A plan that was read: what makes a zstd file again out of its plain bytes.
///
/// A plan is checked when it is taken; whether its bytes were the right ones only the file's digest can tell, and the
/// caller must check that.
package struct ZstdRebuilder: Sendable {
    /// A stretch of the file that can be made without what lies before it.
    package struct Segment: Sendable {
        /// Its place in the zstd file.
        package let compressed: Range<Int>
        /// Its place in the plain bytes; making it may take some of those before, too.
        package let plain: Range<Int>
        /// Plain bytes over which a search runs before it can be made.
        package let runUp: Int
        let element: Int
        /// Which of its frame's restart points it begins at; nil for the frame's beginning.
        let point: Int?
    }

    /// The zstd file's size.
    package let compressedCount: Int
    /// The size of all plain bytes.
    package let plainCount: Int
    /// The encoder's name.
    package let encoder: String
    /// In the file's order, without gaps.
    package let segments: [Segment]

    let bytes: [UInt8]
    let elements: [ZstdPlan.Element]
    let parameters: [ZstdParameters]

    /// - Throws: ``ZstdError`` `plan-damaged`, or `plan-version` if a newer program wrote it.
    package init(plan bytes: [UInt8]) throws(ZstdError) {
        let plan = try ZstdPlan(decoding: bytes)
        self.bytes = bytes
        compressedCount = plan.compressedCount
        plainCount = plan.plainCount
        elements = plan.elements
        parameters = plan.parameters
        encoder = plan.parameters.map(\.name).joined(separator: "+")
        var segments: [Segment] = []
        for (index, element) in plan.elements.enumerated() {
            var points: [RestartPoint] = []
            if case .frame(let frame) = element.content { points = frame.points.restarts }
            for number in 0...points.count {
                let point = number == 0 ? nil : points[number - 1]
                let place = (compressed: point?.mark.compressed ?? 0, plain: point?.mark.plain ?? 0)
                var end = (compressed: element.compressedCount, plain: element.plainCount)
                if number < points.count { end = (points[number].mark.compressed, points[number].mark.plain) }
                guard end.compressed >= place.compressed else { throw .planDamaged }
                segments.append(
                    Segment(
                        compressed: (element.compressedStart + place.compressed)..<(element.compressedStart
                            + end.compressed),
                        plain: (element.plainStart + place.plain)..<(element.plainStart + end.plain),
                        runUp: point?.runUp ?? 0,
                        element: index,
                        point: number == 0 ? nil : number - 1))
            }
        }
        self.segments = segments
    }

    /// Memory that the plan itself takes, in bytes, about: nearly all of it is parts of the plan, which are not copied, but for the
    /// table entries that former plans have.
    package var memoryBytes: Int {
        let entries = segments.reduce(0) { $0 + (point(of: $1)?.0.memory.entryBytes ?? 0) }
        return bytes.count + entries + 1024 * segments.count
    }

    /// Memory that a stream takes, in bytes, about.
    package var streamBytes: Int {
        var longest = ZstdPlan.checksumMax
        for element in elements {
            if case .frame = element.content { longest = max(longest, element.plainCount) }
        }
        return parameters.map { $0.modelBytes + min(History.capacity(window: $0.windowBytes), 2 * longest) }.max() ?? 0
    }

    /// The first segment of which bytes lie at `start` of the file or behind.
    private func segment(at start: Int) -> Segment? { segmentIndex(at: start).map { segments[$0] } }

    func segmentIndex(at start: Int) -> Int? {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].compressed.upperBound > start { high = middle } else { low = middle + 1 }
        }
        return low < segments.count ? low : nil
    }

    func point(of segment: Segment) -> (RestartPoint, parameters: Int)? {
        guard let number = segment.point, case .frame(let frame) = elements[segment.element].content else { return nil }
        return (frame.points.restarts[number], frame.parameters)
    }

    /// The bytes from `start` to the end, in order. What lies before the segment that `start` is in is left out.
    ///
    /// Nothing depends on where a stream begins: at each restart point all know the same. So whoever makes the whole file proves all
    /// that others make of it.
    package func stream(from start: Int) -> ZstdRebuildStream {
        guard let segment = segment(at: start) else {
            return ZstdRebuildStream(self, element: elements.count, point: nil, skipping: 0)
        }
        return ZstdRebuildStream(
            self, element: segment.element, point: segment.point, skipping: start - segment.compressed.lowerBound)
    }
}
