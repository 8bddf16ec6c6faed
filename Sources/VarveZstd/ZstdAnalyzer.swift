// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes a reconstruction plan out of a zstd file, handing out its plain bytes on the way.
///
/// Memory is bounded: two windows of text and some megabytes.
package struct ZstdAnalyzer {
    /// What came of it.
    package enum Result {
        /// The plan, and what it says in short.
        case plan([UInt8], Summary)
        /// The file cannot or should not be taken apart; the word is stable, for counting.
        case unsupported(reason: String)
    }

    /// Facts about a plan, for tables and counters.
    package struct Summary: Sendable {
        /// The encoder's name.
        package var encoder = ""
        package var frames = 0
        package var blocks = 0
        /// Blocks that the models do not give.
        package var exceptions = 0
        package var exceptionBytes = 0
        package var compressedBytes = 0
        package var plainBytes = 0
    }

    /// Plain bytes looked at to find the encoder.
    package static let prefixBytes = 1_600_000
    /// Bytes of exceptions at which a look at the prefix ends.
    private static let costMax = 128 << 10
    /// A plan may cost so much of the file, in percent.
    package static let planPercentMax = 10

    private let source: ZstdSource

    /// - Parameter source: Reads the compressed file at any offset; called again for a prefix that was already read.
    package init(source: @escaping ZstdSource) {
        self.source = source
    }

    /// Runs over the whole file.
    /// - Parameter sink: Gets the plain bytes in order, in pieces. After an `unsupported` it may have had some or none.
    /// - Throws: Only what `source` and `sink` throw.
    package func analyze(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Result {
        do {
            guard let parameters = try identify() else { return .unsupported(reason: "unknown") }
            return try analyze(with: parameters, sink: sink)
        } catch let error as ZstdError {
            return .unsupported(reason: error.reason)
        }
    }

    /// The main pass, with the encoder known.
    func analyze(with parameters: ZstdParameters, sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Result {
        let pass = ZstdPass(source: source, parameters: parameters)
        try pass.run(plainMax: .max, sink: sink)
        let plan = pass.plan()
        if plan.count > 4096, plan.count > pass.input.offset / 100 * Self.planPercentMax {
            return .unsupported(reason: "cost")
        }
        return .plan(plan, pass.summary)
    }

    /// Only decodes, which is what a first look at a file costs.
    /// - Parameter sink: Gets the plain bytes in order, in pieces.
    /// - Returns: The number of blocks.
    /// - Throws: ``ZstdError``, or what `source` and `sink` throw.
    package func decode(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        let pass = ZstdPass(source: source, parameters: nil)
        try pass.run(plainMax: .max, sink: sink)
        return pass.summary.blocks
    }

    /// The parameters that give the file's beginning at the least cost; nil if all cost too much.
    func identify() throws -> ZstdParameters? {
        guard let header = try firstHeader() else { throw ZstdError("no-frame") }
        var best: (parameters: ZstdParameters, cost: Int)?
        for parameters in ZstdParameters.candidates(header) {
            let pass = ZstdPass(source: source, parameters: parameters)
            pass.costMax = best?.cost ?? Self.costMax
            try pass.run(plainMax: Self.prefixBytes) { _ in }
            let cost = pass.cost
            if cost < best?.cost ?? max(pass.input.offset / 5, 4096) { best = (parameters, cost) }
            // Blocks of an unusual size cost some bytes whatever the encoder.
            if cost <= 16 { break }
        }
        return best?.parameters
    }

    private func firstHeader() throws -> FrameHeader? {
        let input = CompressedInput(source: source)
        while let magic = try input.word() {
            if magic == FrameHeader.magic { return try FrameHeader(Array(input.peek(FrameHeader.bytesMax))) }
            guard FrameHeader.isSkippable(magic) else { return nil }
            _ = try input.take(4)
            var left = Int(try input.word() ?? 0)
            _ = try input.take(4)
            while left > 0 {
                let part = try input.take(min(left, 1 << 18))
                left -= part.count
            }
        }
        return nil
    }
}

/// One run over a file: decodes it and takes down what the models do not give.
final class ZstdPass {
    let input: CompressedInput
    private(set) var summary = ZstdAnalyzer.Summary()
    /// The run ends when exceptions cost more.
    var costMax = Int.max

    private let parameters: ZstdParameters?
    private let walk: FrameWalk?
    private let reader = BlockReader()
    private let history = History()
    private var body: [UInt8] = []
    private var elements = 0
    private var plainBytes = 0
    private var exceptions: [UInt8] = []
    private var usualBlocks = 0
    private var exceptionBytes = 0

    init(source: @escaping ZstdSource, parameters: ZstdParameters?) {
        input = CompressedInput(source: source)
        self.parameters = parameters
        walk = parameters.map { FrameWalk($0) }
    }

    /// Bytes that exceptions cost so far, but for those that only give a block's size.
    var cost: Int { exceptionBytes + exceptions.count }

    /// Runs over the frames until `plainMax` plain bytes are seen.
    func run(plainMax: Int, sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        var sawFrame = false
        while plainBytes < plainMax, cost <= costMax, let magic = try input.word() {
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
        if plainBytes >= plainMax || cost > costMax { return }
        let rest = Array(try input.peek(1 << 16))
        if !rest.isEmpty {
            guard rest.count < 1 << 16 else { throw ZstdError("trailing") }
            input.skip(rest.count)
            put(kept: rest)
        }
        summary.compressedBytes = input.offset
        summary.plainBytes = plainBytes
        summary.encoder = parameters?.name ?? ""
        summary.exceptionBytes = exceptionBytes
    }

    /// The whole plan, after a run to the end.
    func plan() -> [UInt8] {
        var head: [UInt8] = []
        PlanBytes.put(&head, input.offset)
        PlanBytes.put(&head, plainBytes)
        PlanBytes.put(&head, parameters == nil ? 0 : 1)
        if let parameters {
            PlanBytes.put(&head, parameters.raw.count)
            for value in parameters.raw { PlanBytes.put(&head, value) }
        }
        PlanBytes.put(&head, elements)
        return ZstdPlan.seal(head + body)
    }

    private func put(kept bytes: [UInt8]) {
        PlanBytes.put(&body, 0)
        PlanBytes.put(&body, bytes)
        elements += 1
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
        var isLast = false
        while !isLast {
            isLast = try block(header, sink)
            if plainBytes >= plainMax || cost > costMax { return }
        }
        if let size = header.contentBytes, size != history.end { throw ZstdError.format }
        let checksum = header.hasChecksum ? Array(try input.take(4)) : []
        summary.frames += 1
        elements += 1
        PlanBytes.put(&body, 1)
        PlanBytes.put(&body, header.bytes)
        PlanBytes.put(&body, input.offset - start)
        PlanBytes.put(&body, plainBytes - plainStart)
        PlanBytes.put(&body, checksum)
        PlanBytes.put(&body, exceptions)
        exceptionBytes += exceptions.count
        exceptions = []
        if exceptionBytes > 1 << 20, exceptionBytes > input.offset / 100 * ZstdAnalyzer.planPercentMax {
            throw ZstdError("cost")
        }
    }

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
        let exception = try walk.describe(
            history.text, start, start + count, isLast: isLast, wanted: wanted, kind: kind, decoded: reader)
        if exception == .proposed, usual.count == count, usual.isLast == isLast {
            usualBlocks += 1
            return
        }
        summary.exceptions += 1
        PlacedException(
            usualBlocks: usualBlocks, plainCount: usual.count == count ? nil : count,
            isLast: isLast, exception: exception
        ).put(&exceptions)
        usualBlocks = 0
    }
}
