// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes a gzip file again out of a plan and the plain bytes, segment by segment.
///
/// Segments are independent: any order, any number at once (each with a workspace of its own). A plan is checked when it is
/// taken; whether its bytes were the right ones only the file's digest can tell, and the caller must check that.
package struct DeflateRebuilder: Sendable {
    /// A stretch between two restart points.
    package struct Segment: Sendable {
        /// The bytes of the gzip file that the segment makes.
        package var compressed: Range<Int>
        /// The plain bytes that must be there to make them (more than the segment stands for: text before and after).
        package var plainNeeded: Range<Int>
        /// The plain bytes that the segment stands for.
        package var plain: Range<Int>
    }

    /// The gzip file's size.
    package let compressedCount: Int
    /// The size of all plain bytes.
    package let plainCount: Int
    /// The encoder model's name.
    package let encoder: String
    package let segments: [Segment]

    private let bytes: [UInt8]
    private let table: [DeflatePlan.Segment]
    private let parameters: [StreamParameters]

    /// - Throws: ``DeflateError`` `plan-damaged`, or `plan-version` if a newer program wrote it.
    package init(plan bytes: [UInt8]) throws(DeflateError) {
        let plan = try DeflatePlan(decoding: bytes)
        self.bytes = bytes
        compressedCount = plan.compressedCount
        plainCount = plan.plainCount
        table = plan.segments
        parameters = plan.parameters
        encoder = plan.parameters.map(\.model.name).joined(separator: "+")
        let total = plan.plainCount
        segments = plan.segments.map { segment in
            let end = segment.plainStart + segment.plainCount
            return Segment(
                compressed: segment.compressedStart..<(segment.compressedStart + segment.compressedCount),
                plainNeeded: (segment.plainStart - segment.lead - segment.history)..<min(
                    total, end + DeflatePlan.lookahead),
                plain: segment.plainStart..<end)
        }
    }

    /// The segments that make the given bytes of the gzip file.
    package func segments(for compressed: Range<Int>) -> Range<Int> {
        if compressed.isEmpty { return 0..<0 }
        var first = segments.count
        var last = -1
        for (index, segment) in segments.enumerated() where segment.compressed.overlaps(compressed) {
            first = min(first, index)
            last = max(last, index)
        }
        return last < first ? 0..<0 : first..<(last + 1)
    }

    /// Memory that is kept from one segment to the next: a few megabytes. Not to be shared between threads at a time.
    package final class Workspace {
        fileprivate var walk: (any SegmentCoding)?
        fileprivate var parameters: StreamParameters?
        fileprivate let plain = PlainBuffer(capacity: 3 << 19)

        package init() {}
    }

    /// Makes one segment's bytes.
    /// - Parameters:
    ///   - index: Which; must be in `segments.indices`.
    ///   - plain: Fills the buffer with the plain bytes of the range, all of them.
    ///   - enough: How many of the segment's first bytes are wanted; what comes after them costs no time.
    ///   - output: Gets exactly the bytes of `segments[index].compressed`, lent for the call; the first `enough` of them,
    ///     and perhaps more, where that is less.
    /// - Throws: `plan-damaged`, or what the closures throw.
    package func rebuild(
        segment index: Int, using workspace: Workspace, enough: Int = .max,
        plain: (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void,
        into output: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard segments.indices.contains(index) else { throw DeflateError.planDamaged }
        let entry = table[index]
        let needed = segments[index].plainNeeded
        let set = parameters[entry.parameters]
        if workspace.parameters != set {
            workspace.walk = set.model.makeWalk(set)
            workspace.parameters = set
        }
        guard let walk = workspace.walk else { throw DeflateError.planDamaged }
        let buffer = workspace.plain
        buffer.count = 0
        buffer.reserve(needed.count)
        try plain(needed, UnsafeMutableRawBufferPointer(start: buffer.base, count: needed.count))
        buffer.count = needed.count
        let start = entry.plainStart - needed.lowerBound
        let geometry = SegmentGeometry(
            start: start, end: start + entry.plainCount, available: needed.count, lead: entry.lead,
            history: entry.history, age: entry.age)
        let sink = BitSink(capacity: entry.compressedCount + 64, phase: entry.phase, phaseBits: entry.phaseBits)
        try bytes.withUnsafeBufferPointer { all in
            let blocks = UnsafeBufferPointer(
                rebasing: all[entry.payloadStart..<(entry.payloadStart + entry.blocksCount)])
            let tokenStart = entry.payloadStart + entry.blocksCount
            let tokens = UnsafeBufferPointer(rebasing: all[tokenStart..<(tokenStart + entry.tokensCount)])
            try walk.read(
                blocks: blocks, tokens: tokens, plain: UnsafePointer(buffer.base), geometry: geometry, into: sink,
                expected: entry.compressedCount, enough: enough)
        }
        try output(sink.bytes)
    }
}
