// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes a zstd file's bytes, block by block. For one thread at a time; holds up to three windows of text and some megabytes.
package final class ZstdRebuildStream {
    /// Fills the buffer with the plain bytes of the range, all of them.
    package typealias Plain = (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void

    /// Bytes that come at once, at most; kept bytes of a file (skippable frames) may come to more.
    package static let pieceMax = ZstdTables.blockMax + 3

    private let rebuilder: ZstdRebuilder
    private let history = History()
    private var walk: FrameWalk?
    private var element: Int
    /// The restart point to begin at.
    private var point: Int?
    private var skipLeft: Int
    private var frame: RebuiltFrame?
    /// The series in progress: sizes of the frames that are left, and bytes made of it.
    private var series: (parameters: Int, left: Int, sizes: PlanInput, plain: Int, made: Int)?
    private var kept = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)

    init(_ rebuilder: ZstdRebuilder, element: Int, point: Int?, skipping count: Int) {
        self.rebuilder = rebuilder
        self.element = element
        self.point = point
        skipLeft = count
    }

    deinit { kept.deallocate() }

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
        if series != nil { return try nextOfSeries() }
        guard element < rebuilder.elements.count else { return nil }
        let here = rebuilder.elements[element]
        switch here.content {
        case .kept(let bytes):
            element += 1
            return lend(rebuilder.bytes[bytes])
        case .series(let set, let count, let sizes):
            series = (set, count, PlanInput(bytes: rebuilder.bytes, range: sizes), here.plainStart, 0)
            return try nextOfSeries()
        case .frame(let content):
            let set = rebuilder.parameters[content.parameters]
            let header =
                content.header.map { Array(rebuilder.bytes[$0]) } ?? set.usualHeader(plainCount: here.plainCount)
            guard let header else { throw ZstdError.planDamaged }
            var started = RebuiltFrame(
                plainStart: here.plainStart, plainCount: here.plainCount, compressedCount: here.compressedCount,
                checksum: content.checksum, input: PlanInput(bytes: rebuilder.bytes, range: content.exceptions))
            let number = point
            let point = number.map { content.points.restarts[$0] }
            self.point = nil
            let start = point?.mark.plain ?? 0
            let wire = content.points.wire(before: (point?.mark.compressed ?? 0) + skipLeft, behind: start)
            if point == nil, wire == nil {
                started.wires = WireCursor(content.points.wires)
                try begin(&started, set, header)
                return lend(header[...])
            }
            skipLeft += point?.mark.compressed ?? 0
            if let point, let number {
                try restart(&started, content, point, FrameHeader(header), plain)
                try started.take(point, number: number, content, rebuilder.bytes)
            } else {
                try begin(&started, set, header)
            }
            started.wires = WireCursor(content.points.wires, at: start)
            frame = nil
            if let wire { try search(&started, to: wire.mark, plain) }
            skipLeft -= started.made
            frame = started
            return lend([])
        }
    }

    private func nextOfSeries() throws -> UnsafeRawBufferPointer? {
        guard var now = series else { return nil }
        let set = rebuilder.parameters[now.parameters]
        if now.left == 0 {
            guard now.made == rebuilder.elements[element].compressedCount else { throw ZstdError.planDamaged }
            series = nil
            element += 1
            return lend([])
        }
        let size = try now.sizes.number()
        guard let header = set.usualHeader(plainCount: size) else { throw ZstdError.planDamaged }
        var started = RebuiltFrame(plainStart: now.plain, plainCount: size, input: PlanInput(bytes: [], range: 0..<0))
        try begin(&started, set, header)
        now.left -= 1
        now.plain += size
        series = now
        return lend(header[...])
    }

    /// Begins a frame at its beginning; its header is made.
    private func begin(_ started: inout RebuiltFrame, _ set: ZstdParameters, _ header: [UInt8]) throws(ZstdError) {
        let walk = walk(of: set)
        walk.begin(try FrameHeader(header))
        history.begin(window: walk.model.windowBytes)
        started.made = header.count
        try started.advance()
        frame = started
    }

    private func walk(of set: ZstdParameters) -> FrameWalk {
        if let walk, walk.parameters == set { return walk }
        let new = FrameWalk(set)
        walk = new
        return new
    }

    /// Begins a frame at a restart point.
    private func restart(
        _ started: inout RebuiltFrame, _ content: ZstdPlan.Frame, _ point: RestartPoint, _ header: FrameHeader,
        _ plain: Plain
    ) throws {
        let walk = walk(of: rebuilder.parameters[content.parameters])
        let end = point.mark.plain
        let first = point.textStart(reach: walk.model.reach(at: end))
        history.begin(window: max(walk.model.windowBytes, end - first), at: first)
        let room = history.room(end - first) - first
        func take(_ range: Range<Int>) throws {
            let start = started.plainStart + range.lowerBound
            try plain(
                start..<(start + range.count),
                UnsafeMutableRawBufferPointer(start: room + range.lowerBound, count: range.count))
        }
        try walk.runUp(header, history.text, to: point, taking: take)
        let (wanted, missing) = point.textBeforeRunUp(from: first)
        // What is not looked at is always the same, whoever restarts here.
        for range in missing { (room + range.lowerBound).update(repeating: 0, count: range.count) }
        history.filled(end - first)
        for range in wanted {
            for start in stride(from: range.lowerBound, to: range.upperBound, by: ZstdTables.blockMax) {
                try take(start..<min(start + ZstdTables.blockMax, range.upperBound))
            }
        }
        try walk.take(point, history.text)
    }

    /// Lets the search go on to a wire point behind. Nothing of the blocks before it is made.
    private func search(_ now: inout RebuiltFrame, to mark: BlockMark, _ plain: Plain) throws {
        guard let walk else { throw ZstdError.planDamaged }
        while now.position < mark.plain {
            let start = now.position
            guard let settling = now.wires.settling(at: start) else { throw ZstdError.planDamaged }
            let next = try take(&now, walk, plain)
            guard !next.isLast else { throw ZstdError.planDamaged }
            walk.search(history.text, start, now.position, settling)
            _ = try now.wires.point(at: now.position)
        }
        try walk.take(mark)
        now.made = mark.compressed
    }

    /// Takes the next block's text.
    private func take(
        _ now: inout RebuiltFrame, _ walk: FrameWalk, _ plain: Plain
    ) throws -> (isLast: Bool, exception: BlockException?) {
        if walk.model.startsJob(at: now.position) {
            // Such a block learns the text before.
            let first = max(now.position - walk.model.reach(at: now.position), 0)
            guard history.start <= first else { throw ZstdError.planDamaged }
        }
        let left = now.plainCount - now.position
        var (count, isLast) = walk.usual(at: now.position, left: left)
        var exception: BlockException?
        if let next = now.next, now.usualLeft == 0 {
            count = next.plainCount ?? count
            isLast = next.isLast
            exception = next.exception
            try now.advance()
        } else {
            now.usualLeft -= 1
        }
        guard count <= left, count > 0 || isLast else { throw ZstdError.planDamaged }
        let room = history.room(ZstdTables.blockMax)
        let start = now.plainStart + now.position
        if count > 0 { try plain(start..<(start + count), UnsafeMutableRawBufferPointer(start: room, count: count)) }
        if now.checksum == nil { now.hash.take(UnsafeBufferPointer(start: room, count: count)) }
        history.filled(count)
        now.position += count
        return (isLast, exception)
    }

    /// Lends bytes that are no block.
    private func lend(_ bytes: ArraySlice<UInt8>) -> UnsafeRawBufferPointer {
        if kept.count < bytes.count {
            kept.deallocate()
            kept = .allocate(byteCount: bytes.count, alignment: 16)
        }
        kept.copyBytes(from: bytes)
        return UnsafeRawBufferPointer(rebasing: kept[..<bytes.count])
    }

    /// Passes over restart points that the frame has come to.
    /// - Returns: Whether it is to begin anew at one.
    private func beginsAnew(_ now: inout RebuiltFrame, _ walk: FrameWalk) throws -> Bool {
        guard now.compressedCount != nil, !now.isDone, case .frame(let content) = rebuilder.elements[element].content
        else { return false }
        let points = content.points.restarts
        while now.restart < points.count, points[now.restart].mark.plain <= now.position {
            let point = points[now.restart]
            guard now.position == point.mark.plain, now.made == point.mark.compressed else {
                throw ZstdError.planDamaged
            }
            if point.far != nil {
                self.point = now.restart
                return true
            }
            // Hints say all to everybody, wherever he began.
            if point.hasHints { try walk.take(point, history.text) }
            now.restart += 1
        }
        return false
    }

    private func block(_ plain: Plain) throws -> UnsafeRawBufferPointer? {
        guard var now = frame, let walk else { throw ZstdError.planDamaged }
        frame = nil  // so that it is not copied while it is changed
        let total = now.plainCount
        if try beginsAnew(&now, walk) { return lend([]) }
        if now.isDone {
            let checksum = now.checksum.map { rebuilder.bytes[$0] } ?? now.hash.bytes[...]
            guard now.position == total, now.next == nil else { throw ZstdError.planDamaged }
            let made = now.made + checksum.count
            if let count = now.compressedCount {
                guard made == count else { throw ZstdError.planDamaged }
                element += 1
            } else {
                series?.made += made
            }
            return lend(checksum)
        }
        let start = now.position
        let settling = now.wires.settling(at: start)
        let (isLast, exception) = try take(&now, walk, plain)
        try walk.make(history.text, start, now.position, isLast: isLast, exception)
        now.made += walk.bytes.count
        now.isDone = isLast
        if let count = now.compressedCount, now.made > count { throw ZstdError.planDamaged }
        // Whoever makes a file whole sees to it that its wire points are true.
        guard settling == nil || settling == walk.settling else { throw ZstdError.planDamaged }
        if let mark = try now.wires.point(at: now.position) {
            guard now.made == mark.compressed, walk.isAt(mark) else { throw ZstdError.planDamaged }
        }
        frame = now
        return UnsafeRawBufferPointer(walk.bytes)
    }
}
