// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The bytes that, with the plain bytes, make a gzip file again. The format is specified in `Documentation.docc/Deflate.md`.
struct DeflatePlan {
    static let magic: [UInt8] = [0x56, 0x44, 0x50]  // "VDP"
    static let version: UInt8 = 6
    /// The oldest version that is read.
    static let oldestVersion: UInt8 = 3
    /// No plan describes more plain bytes in one segment (a block cannot be divided).
    static let segmentPlainMax = 96 << 20
    static let segmentCompressedMax = 128 << 20

    struct Segment: Equatable {
        var plainStart = 0
        var plainCount = 0
        /// Whole bytes of output; the first holds `phase` bits of the segment before, given as `phaseBits`.
        var compressedStart = 0
        var compressedCount = 0
        var phase = 0
        var phaseBits = 0
        var lead = 0
        var history = 0
        var age = 0
        /// Which of the plan's parameter sets it follows.
        var parameters = 0
        /// Where the block stream and, after it, the token stream lie in the plan.
        var payloadStart = 0
        var blocksCount = 0
        var tokensCount = 0
    }

    /// Plain bytes after a segment that its models may look at.
    static let lookahead = 66_048

    /// What the segments refer to; at least one.
    var parameters = [StreamParameters()]
    var compressedCount = 0
    var plainCount = 0
    var segments: [Segment] = []

    // MARK: writing

    func encoded(payloads: [UInt8]) -> [UInt8] {
        var body: [UInt8] = []
        Self.put(&body, compressedCount)
        Self.put(&body, plainCount)
        Self.put(&body, parameters.count)
        for set in parameters {
            for value in set.model.raw { Self.put(&body, value) }
            for value in set.rule.raw { Self.put(&body, value) }
            Self.put(&body, set.tree.rawValue)
            Self.put(&body, set.unitSize)
            Self.put(&body, set.unitDictionary + 1)
            Self.put(&body, set.jobSize)
        }
        var coder = BinaryEncoder()
        var table = SegmentTable(severalSets: parameters.count > 1)
        for segment in segments { _ = table.code(&coder, segment) }
        let coded = coder.finish()
        Self.put(&body, segments.count)
        Self.put(&body, coded.count)
        body.append(contentsOf: coded)
        body.append(contentsOf: payloads)
        var result = Self.magic + [Self.version]
        let check = Checksum.crc32(body[...])
        for shift in [0, 8, 16, 24] { result.append(UInt8(truncatingIfNeeded: check >> UInt32(shift))) }
        result.append(contentsOf: body)
        return result
    }

    private static func put(_ bytes: inout [UInt8], _ value: Int) {
        var left = UInt64(truncatingIfNeeded: value)
        while left >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: left | 128))
            left >>= 7
        }
        bytes.append(UInt8(left))
    }

    // MARK: reading

    init() {}

    /// Reads and checks everything but the coded payloads.
    init(decoding bytes: [UInt8]) throws(DeflateError) {
        guard bytes.count >= 8, Array(bytes[0..<3]) == Self.magic else { throw .planDamaged }
        guard (Self.oldestVersion...Self.version).contains(bytes[3]) else { throw DeflateError("plan-version") }
        var check: UInt32 = 0
        for index in 0..<4 { check |= UInt32(bytes[4 + index]) << UInt32(8 * index) }
        guard Checksum.crc32(bytes[8...]) == check else { throw .planDamaged }
        var input = Input(bytes: bytes, at: 8)
        compressedCount = try input.number()
        plainCount = try input.number()
        let sets = try input.number()
        guard sets > 0, sets <= bytes.count / 10 else { throw .planDamaged }
        parameters = []
        for _ in 0..<sets { parameters.append(try Self.readParameters(&input, version: bytes[3])) }
        let count = try input.number()
        // No segment has ever taken less, with its payload.
        guard count <= bytes.count / 4 else { throw .planDamaged }
        segments.reserveCapacity(count)
        if bytes[3] == 3 { try readNumbers(&input, count) } else { try readTable(&input, count) }
        guard compressedEnd == compressedCount, plainEnd == plainCount else { throw .planDamaged }
        try placePayloads(from: input.at, to: bytes.count)
    }

    private static func readParameters(
        _ input: inout Input, version: UInt8
    ) throws(DeflateError) -> StreamParameters {
        var model: [Int] = []
        for _ in 0..<3 { model.append(try input.number()) }
        var rule: [Int] = []
        for _ in 0..<4 { rule.append(try input.number()) }
        guard var model = ModelChoice(raw: model), let rule = BlockRule(raw: rule),
            let tree = TreeKind(rawValue: try input.number())
        else { throw DeflateError("plan-version") }
        if version < 5, case .chain(var settings) = model {
            settings.hashesPastMatches = true
            model = .chain(settings)
        }
        var set = StreamParameters(model: model, rule: rule, tree: tree)
        set.startsAtHalf = version == 3
        set.unitSize = try input.number()
        set.unitDictionary = try input.number() - 1
        if version > 4 { set.jobSize = try input.number() }
        guard set.unitSize <= 1 << 40, set.unitDictionary <= 32768, set.jobSize <= 1 << 40 else { throw .planDamaged }
        return set
    }

    /// The table as version 3 had it.
    private mutating func readNumbers(_ input: inout Input, _ count: Int) throws(DeflateError) {
        for _ in 0..<count {
            var segment = Segment()
            segment.plainCount = try input.number()
            segment.compressedCount = try input.number()
            segment.phase = Int(try input.byte())
            segment.phaseBits = Int(try input.byte())
            segment.lead = try input.number()
            segment.history = try input.number()
            segment.age = try input.number()
            if parameters.count > 1 { segment.parameters = try input.number() }
            segment.blocksCount = try input.number()
            segment.tokensCount = try input.number()
            try append(segment, planBytes: input.bytes.count)
        }
    }

    private mutating func readTable(_ input: inout Input, _ count: Int) throws(DeflateError) {
        let size = try input.number()
        guard size <= input.bytes.count - input.at else { throw .planDamaged }
        let coded = Array(input.bytes[input.at..<(input.at + size)])
        input.at += size
        let read = coded.withUnsafeBufferPointer { buffer in
            // An empty table of no segments has no base.
            guard let base = buffer.baseAddress else { return [Segment](repeating: Segment(), count: count) }
            var coder = BinaryDecoder(base: base, count: buffer.count)
            var table = SegmentTable(severalSets: parameters.count > 1)
            return (0..<count).map { _ in table.code(&coder, Segment()) }
        }
        for segment in read { try append(segment, planBytes: input.bytes.count) }
    }

    private var plainEnd: Int { segments.last.map { $0.plainStart + $0.plainCount } ?? 0 }
    private var compressedEnd: Int { segments.last.map { $0.compressedStart + $0.compressedCount } ?? 0 }

    /// Adds a segment behind the others, if it can be one.
    private mutating func append(_ read: Segment, planBytes: Int) throws(DeflateError) {
        var segment = read
        segment.plainStart = plainEnd
        segment.compressedStart = compressedEnd
        guard segment.plainCount <= Self.segmentPlainMax, segment.compressedCount <= Self.segmentCompressedMax,
            segment.phase < 8, segment.phaseBits < 1 << segment.phase, segment.age <= segment.plainStart,
            segment.parameters < parameters.count,
            segment.history <= 1 << 20, segment.lead <= 1 << 20, segment.lead + segment.history <= segment.age,
            segment.blocksCount <= planBytes, segment.tokensCount <= planBytes,
            segment.plainStart + segment.plainCount <= plainCount,
            segment.compressedStart + segment.compressedCount <= compressedCount
        else { throw .planDamaged }
        segments.append(segment)
    }

    private mutating func placePayloads(from start: Int, to end: Int) throws(DeflateError) {
        var at = start
        for index in segments.indices {
            segments[index].payloadStart = at
            at += segments[index].blocksCount + segments[index].tokensCount
            guard at <= end else { throw .planDamaged }
        }
        guard at == end else { throw .planDamaged }
    }

    private struct Input {
        let bytes: [UInt8]
        var at: Int

        mutating func byte() throws(DeflateError) -> UInt8 {
            guard at < bytes.count else { throw .planDamaged }
            at += 1
            return bytes[at - 1]
        }

        mutating func number() throws(DeflateError) -> Int {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                let next = try byte()
                value |= UInt64(next & 127) << shift
                if next < 128 { break }
                shift += 7
                if shift > 49 { throw .planDamaged }
            }
            return Int(value)
        }
    }
}

/// CRC-32 as gzip has it, over the few bytes of a plan.
enum Checksum {
    private static let table: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 != 0 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
        return value
    }

    /// What one byte comes to.
    static func entry(_ byte: Int) -> UInt32 { table[byte & 255] }

    static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var value: UInt32 = 0xffff_ffff
        for byte in bytes { value = value >> 8 ^ table[Int((value ^ UInt32(byte)) & 255)] }
        return ~value
    }
}
