// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// One run over a file: decodes it and takes down what the models do not give.
final class ZstdPass {
    let input: CompressedInput
    private(set) var summary = ZstdAnalyzer.Summary()
    /// The run ends when exceptions cost more.
    var costMax = Int.max
    /// Whether this is the run that the plan comes from: restart points are found, and other encoders where the first one's
    /// models do not fit any more.
    var isWhole = false
    /// Frames after which the run ends.
    var framesMax = Int.max
    /// Plain bytes between restart points at least, if not the usual number.
    var spacing: Int?
    /// Bytes of exceptions that a frame may have before anybody asks how long it is.
    var frameCostMost = 32 << 20
    /// Frames that were looked at again, see `secondLook`.
    var secondLooks = 0
    /// The frame read last.
    private(set) var record: ZstdPlan.Record?

    private let source: ZstdSource
    private var sets: [ZstdParameters]
    private var set = 0
    private var walk: FrameWalk?
    private let reader = BlockReader()
    private let history = History()
    private var body: [UInt8] = []
    private var elements = 0
    private var series: (count: Int, compressed: Int, plain: Int, bytes: [UInt8]) = (0, 0, 0, [])
    private var plainBytes = 0
    private var exceptions: [UInt8] = []
    private var usualBlocks = 0
    /// Plain bytes of the frame before it cost much.
    private var cheapBytes = 0
    private var exceptionBytes = 0
    private var points = PointFinder(spacing: nil)

    /// Frames that are looked at again with all models, because the last ones did not fit.
    static let secondLooksMax = 12
    private static let setsMax = 16
    /// Bytes of exceptions from which on a frame costs much.
    private static let costMuch = 64

    init(source: @escaping ZstdSource, parameters: ZstdParameters?) {
        self.source = source
        input = CompressedInput(source: source)
        sets = parameters.map { [$0] } ?? []
        walk = parameters.map { FrameWalk($0) }
    }

    /// Bytes that exceptions cost so far; without those that only give a block's size, if it is about the models alone.
    var cost: Int { exceptionBytes + exceptions.count - (leavesOutSizes ? sizeBytes : 0) }
    /// Whether exceptions that only give a block's size are left out of the cost.
    var leavesOutSizes = false
    private var sizeBytes = 0

    /// Runs over the frames until `plainMax` plain bytes are seen.
    func run(plainMax: Int, sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        var sawFrame = false
        while plainBytes < plainMax, cost <= costMax, summary.frames < framesMax, let magic = try input.word() {
            if magic == FrameHeader.magic {
                sawFrame = true
                try frame(plainMax, sink)
            } else if FrameHeader.isSkippable(magic) {
                try skippable()
            } else {
                break
            }
        }
        guard sawFrame else { throw ZstdError("no-frame") }
        if plainBytes >= plainMax || cost > costMax || summary.frames >= framesMax { return }
        let rest = Array(try input.peek(1 << 16))
        if !rest.isEmpty {
            guard rest.count < 1 << 16 else { throw ZstdError("trailing") }
            input.skip(rest.count)
            put(kept: rest)
        }
        summary.compressedBytes = input.offset
        summary.plainBytes = plainBytes
        summary.encoder = sets.map(\.name).joined(separator: "+")
        summary.exceptionBytes = exceptionBytes
    }

    /// The whole plan, after a run to the end.
    func plan() -> [UInt8] {
        endSeries()
        var head: [UInt8] = []
        PlanBytes.put(&head, input.offset)
        PlanBytes.put(&head, plainBytes)
        PlanBytes.put(&head, sets.count)
        for parameters in sets {
            PlanBytes.put(&head, parameters.raw.count)
            for value in parameters.raw { PlanBytes.put(&head, value) }
        }
        PlanBytes.put(&head, elements)
        return ZstdPlan.seal(head + body)
    }

    // MARK: elements

    private func put(kept bytes: [UInt8]) {
        endSeries()
        PlanBytes.put(&body, 0)
        PlanBytes.put(&body, bytes)
        elements += 1
    }

    private func put(_ record: ZstdPlan.Record) {
        guard record.isUsual, record.plainCount > 0 else {
            endSeries()
            record.put(&body)
            elements += 1
            return
        }
        series.count += 1
        series.compressed += record.compressedCount
        series.plain += record.plainCount
        PlanBytes.put(&series.bytes, record.plainCount)
        if series.count == ZstdPlan.seriesMax || series.plain >= ZstdPlan.seriesBytes { endSeries() }
    }

    private func endSeries() {
        guard series.count > 0 else { return }
        PlanBytes.put(&body, 2)
        PlanBytes.put(&body, set)
        PlanBytes.put(&body, series.count)
        PlanBytes.put(&body, series.compressed)
        body.append(contentsOf: series.bytes)
        elements += 1
        series = (0, 0, 0, [])
    }

    private func skippable() throws {
        let head = Array(try input.take(8))
        let count = head[4...].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard count <= 1 << 24 else { throw ZstdError("skippable") }
        var bytes = head
        while bytes.count < count + 8 {
            bytes.append(contentsOf: try input.take(min(count + 8 - bytes.count, 1 << 18)))
        }
        put(kept: bytes)
    }

    private func frame(_ plainMax: Int, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        let start = input.offset
        let plainStart = plainBytes
        let header = try FrameHeader(Array(input.peek(FrameHeader.bytesMax)))
        input.skip(header.bytes.count)
        history.begin(window: max(header.windowBytes, walk?.model.windowBytes ?? 0))
        reader.state.reset()
        walk?.begin(header)
        exceptions = []
        usualBlocks = 0
        cheapBytes = 0
        points.begin(spacing: spacing)
        var hash = XXHash()
        var isLast = false
        while !isLast {
            if isWhole, let walk {
                points.reach(
                    PointFinder.Place(
                        position: history.end, compressed: input.offset - start, exceptions: exceptions.count,
                        usualBlocks: usualBlocks), with: walk)
            }
            let position = history.end
            if exceptions.count <= Self.costMuch { cheapBytes = position }
            isLast = try block(header, sink)
            if history.end <= ZstdPlan.checksumMax {
                hash.take(UnsafeBufferPointer(start: history.text + position, count: history.end - position))
            }
            if plainBytes >= plainMax || cost > costMax { return }
            // A second look, at the frame's end, mends what is about as dear as a plan may be; more would only grow.
            if exceptions.count > frameCostMost,
                exceptions.count > (input.offset - start) / 100 * (2 * ZstdAnalyzer.planPercentMax)
            {
                throw ZstdError("cost")
            }
        }
        if let size = header.contentBytes, size != history.end { throw ZstdError.format }
        summary.frames += 1
        let checksum = header.hasChecksum ? Array(try input.take(4)) : []
        guard walk != nil else { return }
        var record = ZstdPlan.Record(parameters: set, header: header.bytes)
        record.compressedCount = input.offset - start
        record.plainCount = plainBytes - plainStart
        record.checksum = checksum
        record.hasUsualHeader = sets[set].usualHeader(plainCount: record.plainCount) == header.bytes
        record.points = points.end()
        summary.points += points.restarts
        record.hasUsualChecksum =
            record.points.isEmpty && record.plainCount <= ZstdPlan.checksumMax && hash.bytes == checksum
        record.exceptions = exceptions
        record = try secondLook(record, header, start)
        exceptions = []
        put(record)
        self.record = record
        exceptionBytes += record.exceptions.count
        if exceptionBytes > 1 << 20, exceptionBytes > input.offset / 100 * ZstdAnalyzer.planPercentMax {
            throw ZstdError("cost")
        }
    }

    /// Where a frame cost much, the encoder may be another one from there on.
    private func secondLook(
        _ record: ZstdPlan.Record, _ header: FrameHeader, _ start: Int
    ) throws -> ZstdPlan.Record {
        let cost = record.exceptions.count
        guard isWhole, secondLooks < Self.secondLooksMax, cost > Self.costMuch, cost > record.compressedCount / 50
        else {
            return record
        }
        secondLooks += 1
        let rest: ZstdSource = { [source] offset, room in
            guard offset < record.compressedCount else { return 0 }
            let count = min(room.count, record.compressedCount - offset)
            return try source(start + offset, UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
        }
        var candidates = ZstdParameters.candidates(header).filter { $0 != sets[set] }
        let kin = cheapBytes >= sets[set].kinBytes ? sets[set].kin(among: candidates) : []
        if !kin.isEmpty { candidates = kin }
        guard
            let found = try ZstdAnalyzer.identify(rest, candidates, prefix: ZstdParameters.tellingMax),
            sets.contains(found.parameters) || sets.count < Self.setsMax
        else { return record }
        let pass = ZstdPass(source: rest, parameters: found.parameters)
        pass.isWhole = true
        pass.framesMax = 1
        pass.costMax = cost
        pass.secondLooks = Self.secondLooksMax
        try pass.run(plainMax: .max) { _ in }
        guard var better = pass.record, better.exceptions.count < cost else { return record }
        endSeries()
        set = sets.firstIndex(of: found.parameters) ?? sets.count
        if set == sets.count { sets.append(found.parameters) }
        walk = FrameWalk(found.parameters)
        better.parameters = set
        summary.exceptions += pass.summary.exceptions
        summary.points += pass.summary.points
        return better
    }

    // MARK: blocks

    /// - Returns: Whether it is the frame's last one.
    private func block(_ header: FrameHeader, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Bool {
        // The next block's header is looked at too: whether it is empty says where the text ends.
        let head = try input.peek(3)
        guard head.count == 3 else { throw ZstdError.truncated }
        let word = Int(head[0]) | Int(head[1]) << 8 | Int(head[2]) << 16
        let isLast = word & 1 != 0
        guard let kind = BlockLayout.Kind(rawValue: UInt8(word >> 1 & 3)) else { throw ZstdError.format }
        let size = word >> 3
        let blockMax = min(ZstdTables.blockMax, max(header.windowBytes, 1 << 10))
        guard size <= ZstdTables.blockMax else { throw ZstdError.format }
        let stored = kind == .single ? 1 : size
        let all = try input.peek(3 + stored + 3)
        guard all.count >= 3 + stored else { throw ZstdError.truncated }
        let wanted = UnsafeBufferPointer(rebasing: all[..<(3 + stored)])
        let content = UnsafeBufferPointer(rebasing: wanted[3...])

        let count = try decode(kind, content, size, header)
        guard count <= ZstdTables.blockMax, count <= blockMax || kind == .single else { throw ZstdError.format }
        // Nothing but a raw block says by its header alone that it is empty.
        if count == 0 && (!isLast || kind == .compressed) { throw ZstdError("empty-block") }
        let start = history.end - count
        summary.blocks += 1
        if let walk {
            var endsHere = isLast
            if !isLast, all.count >= 3 + stored + 3 {
                let next = Int(all[3 + stored]) | Int(all[4 + stored]) << 8 | Int(all[5 + stored]) << 16
                endsHere = next & 1 != 0 && next >> 3 == 0
            }
            try describe(walk, start, count, isLast, endsHere, wanted, kind)
        }
        plainBytes += count
        input.skip(3 + stored)
        try sink(UnsafeRawBufferPointer(start: history.text + start, count: count))
        return isLast
    }

    private func decode(
        _ kind: BlockLayout.Kind, _ content: UnsafeBufferPointer<UInt8>, _ size: Int, _ header: FrameHeader
    ) throws -> Int {
        let room = history.room(ZstdTables.blockMax)
        switch kind {
        case .raw:
            if let base = content.baseAddress { room.update(from: base, count: size) }
            history.filled(size)
            return size
        case .single:
            room.update(repeating: content[0], count: size)
            history.filled(size)
            return size
        case .compressed:
            guard reader.read(content),
                reader.expand(into: room, behind: min(history.end, header.windowBytes))
            else { throw ZstdError.format }
            history.filled(reader.plainCount)
            return reader.plainCount
        }
    }

    private func describe(
        _ walk: FrameWalk, _ start: Int, _ count: Int, _ isLast: Bool, _ endsHere: Bool,
        _ wanted: UnsafeBufferPointer<UInt8>, _ kind: BlockLayout.Kind
    ) throws {
        let usual = walk.usual(at: start, left: endsHere ? count : Int.max)
        defer { if isWhole { points.note(walk.settling) } }
        let exception = try walk.describe(
            history.text, start, start + count, isLast: isLast, wanted: wanted, kind: kind, decoded: reader)
        if exception == .proposed, usual.count == count, usual.isLast == isLast {
            usualBlocks += 1
            return
        }
        summary.exceptions += 1
        let before = exceptions.count
        PlacedException(
            usualBlocks: usualBlocks, plainCount: usual.count == count ? nil : count,
            isLast: isLast, exception: exception
        ).put(&exceptions)
        if exception == .proposed { sizeBytes += exceptions.count - before }
        usualBlocks = 0
    }
}
