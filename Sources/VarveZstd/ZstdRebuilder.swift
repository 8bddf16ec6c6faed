// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A plan that was read: what makes a zstd file again out of its plain bytes.
///
/// A plan is checked when it is taken; whether its bytes were the right ones only the file's digest can tell, and the
/// caller must check that.
package struct ZstdRebuilder: Sendable {
    /// The zstd file's size.
    package let compressedCount: Int
    /// The size of all plain bytes.
    package let plainCount: Int
    /// The encoder's name.
    package let encoder: String

    fileprivate let bytes: [UInt8]
    fileprivate let elements: [ZstdPlan.Element]
    fileprivate let parameters: [ZstdParameters]

    /// - Throws: ``ZstdError`` `plan-damaged`, or `plan-version` if a newer program wrote it.
    package init(plan bytes: [UInt8]) throws(ZstdError) {
        let plan = try ZstdPlan(decoding: bytes)
        self.bytes = bytes
        compressedCount = plan.compressedCount
        plainCount = plan.plainCount
        elements = plan.elements
        parameters = plan.parameters
        encoder = plan.parameters.map(\.name).joined(separator: "+")
    }

    /// The bytes from `start` to the end, in order. Frames before it are left out; its own is made from its beginning.
    package func stream(from start: Int) -> ZstdRebuildStream {
        let first = elements.firstIndex { $0.compressedStart + $0.compressedCount > start } ?? elements.count
        return ZstdRebuildStream(self, element: first, skipping: start)
    }
}

/// Makes a zstd file's bytes, block by block. For one thread at a time; holds two windows of text and some megabytes.
package final class ZstdRebuildStream {
    /// Fills the buffer with the plain bytes of the range, all of them.
    package typealias Plain = (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void

    /// Bytes that come at once, at most; kept bytes of a file (skippable frames) may come to more.
    package static let pieceMax = ZstdTables.blockMax + 3

    private let rebuilder: ZstdRebuilder
    private let history = History()
    private var walk: FrameWalk?
    private var element: Int
    private var skipLeft: Int
    private var frame: Frame?
    private var kept = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)

    /// A frame in progress.
    private struct Frame {
        var element: ZstdPlan.Element
        var input: PlanInput
        var next: PlacedException?
        var usualLeft = 0
        var position = 0
        var made: Int
        var isDone = false
    }

    fileprivate init(_ rebuilder: ZstdRebuilder, element: Int, skipping start: Int) {
        self.rebuilder = rebuilder
        self.element = element
        let first = element < rebuilder.elements.count ? rebuilder.elements[element].compressedStart : start
        skipLeft = start - first
    }

    /// Makes the next bytes, lent until the next call; empty ones never, nil at the end.
    /// - Throws: `plan-damaged`, or what `plain` throws.
    package func next(plain: Plain) throws -> UnsafeRawBufferPointer? {
        while let piece = try piece(plain) {
            if skipLeft >= piece.count {  // empty ones too
                skipLeft -= piece.count
                continue
            }
            let rest = UnsafeRawBufferPointer(rebasing: piece[skipLeft...])
            skipLeft = 0
            return rest
        }
        return nil
    }

    private func piece(_ plain: Plain) throws -> UnsafeRawBufferPointer? {
        if frame != nil { return try block(plain) }
        guard element < rebuilder.elements.count else { return nil }
        let here = rebuilder.elements[element]
        guard let set = here.parameters else {
            element += 1
            return keep(here.bytes)
        }
        if walk?.parameters != rebuilder.parameters[set] { walk = FrameWalk(rebuilder.parameters[set]) }
        walk?.begin(try FrameHeader(Array(rebuilder.bytes[here.bytes])))
        history.begin(window: walk?.model.windowBytes ?? 0)
        var started = Frame(
            element: here, input: PlanInput(bytes: rebuilder.bytes, range: here.exceptions), made: here.bytes.count)
        try Self.advance(&started)
        frame = started
        return keep(here.bytes)
    }

    /// Lends bytes of the plan.
    private func keep(_ place: Range<Int>) -> UnsafeRawBufferPointer {
        if kept.count < place.count {
            kept.deallocate()
            kept = .allocate(byteCount: place.count, alignment: 16)
        }
        kept.copyBytes(from: rebuilder.bytes[place])
        return UnsafeRawBufferPointer(rebasing: kept[..<place.count])
    }

    deinit { kept.deallocate() }

    private static func advance(_ frame: inout Frame) throws(ZstdError) {
        if frame.input.isAtEnd {
            frame.next = nil
            return
        }
        let exception = try PlacedException(&frame.input)
        frame.usualLeft = exception.usualBlocks
        frame.next = exception
    }

    private func block(_ plain: Plain) throws -> UnsafeRawBufferPointer? {
        guard var now = frame, let walk else { throw ZstdError.planDamaged }
        let total = now.element.plainCount
        if now.isDone {
            frame = nil
            element += 1
            guard now.made + now.element.checksum.count == now.element.compressedCount, now.position == total,
                now.next == nil
            else { throw ZstdError.planDamaged }
            return keep(now.element.checksum)
        }
        let left = total - now.position
        let usual = walk.usual(at: now.position, left: left)
        var (count, isLast) = usual
        var exception: BlockException?
        if let next = now.next, now.usualLeft == 0 {
            count = next.plainCount ?? count
            isLast = next.isLast
            exception = next.exception
            try Self.advance(&now)
        } else {
            now.usualLeft -= 1
        }
        guard count <= left, count > 0 || isLast else { throw ZstdError.planDamaged }
        let room = history.room(ZstdTables.blockMax)
        let start = now.element.plainStart + now.position
        if count > 0 { try plain(start..<(start + count), UnsafeMutableRawBufferPointer(start: room, count: count)) }
        history.filled(count)
        try walk.make(history.text, now.position, now.position + count, isLast: isLast, exception)
        now.position += count
        now.made += walk.bytes.count
        now.isDone = isLast
        guard now.made <= now.element.compressedCount else { throw ZstdError.planDamaged }
        frame = now
        return UnsafeRawBufferPointer(walk.bytes)
    }
}
