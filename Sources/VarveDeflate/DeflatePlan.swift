// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The bytes that, with the plain bytes, make a gzip file again. The format is specified in `Documentation.docc/Deflate.md`.
struct DeflatePlan {
    static let magic: [UInt8] = [0x56, 0x44, 0x50]  // "VDP"
    static let version: UInt8 = 3
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
        }
        Self.put(&body, segments.count)
        for segment in segments {
            Self.put(&body, segment.plainCount)
            Self.put(&body, segment.compressedCount)
            body.append(UInt8(segment.phase))
            body.append(UInt8(segment.phaseBits))
            Self.put(&body, segment.lead)
            Self.put(&body, segment.history)
            Self.put(&body, segment.age)
            if parameters.count > 1 { Self.put(&body, segment.parameters) }
            Self.put(&body, segment.blocksCount)
            Self.put(&body, segment.tokensCount)
        }
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
        guard bytes[3] == Self.version else { throw DeflateError("plan-version") }
        var check: UInt32 = 0
        for index in 0..<4 { check |= UInt32(bytes[4 + index]) << UInt32(8 * index) }
        guard Checksum.crc32(bytes[8...]) == check else { throw .planDamaged }
        var input = Input(bytes: bytes, at: 8)
        compressedCount = try input.number()
        plainCount = try input.number()
        let sets = try input.number()
        guard sets > 0, sets <= bytes.count / 10 else { throw .planDamaged }
        parameters = []
        for _ in 0..<sets { parameters.append(try Self.readParameters(&input)) }
        try readSegments(&input)
    }

    private static func readParameters(_ input: inout Input) throws(DeflateError) -> StreamParameters {
        var model: [Int] = []
        for _ in 0..<3 { model.append(try input.number()) }
        var rule: [Int] = []
        for _ in 0..<4 { rule.append(try input.number()) }
        guard let model = ModelChoice(raw: model), let rule = BlockRule(raw: rule),
            let tree = TreeKind(rawValue: try input.number())
        else { throw DeflateError("plan-version") }
        var set = StreamParameters(model: model, rule: rule, tree: tree)
        set.unitSize = try input.number()
        set.unitDictionary = try input.number() - 1
        guard set.unitSize <= 1 << 40, set.unitDictionary <= 32768 else { throw .planDamaged }
        return set
    }

    private mutating func readSegments(_ input: inout Input) throws(DeflateError) {
        let count = try input.number()
        guard count <= input.bytes.count / 9 else { throw .planDamaged }
        segments.reserveCapacity(count)
        var plainAt = 0
        var compressedAt = 0
        for _ in 0..<count {
            var segment = Segment()
            segment.plainStart = plainAt
            segment.compressedStart = compressedAt
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
            guard segment.plainCount <= Self.segmentPlainMax, segment.compressedCount <= Self.segmentCompressedMax,
                segment.phase < 8, segment.phaseBits < 1 << segment.phase, segment.age <= plainAt,
                segment.parameters < parameters.count,
                segment.history <= 1 << 20, segment.lead <= 1 << 20, segment.lead + segment.history <= segment.age,
                segment.blocksCount <= input.bytes.count, segment.tokensCount <= input.bytes.count
            else { throw .planDamaged }
            plainAt += segment.plainCount
            compressedAt += segment.compressedCount
            guard plainAt <= plainCount, compressedAt <= compressedCount else { throw .planDamaged }
            segments.append(segment)
        }
        guard plainAt == plainCount, compressedAt == compressedCount else { throw .planDamaged }
        var at = input.at
        for index in segments.indices {
            segments[index].payloadStart = at
            at += segments[index].blocksCount + segments[index].tokensCount
            guard at <= input.bytes.count else { throw .planDamaged }
        }
        guard at == input.bytes.count else { throw .planDamaged }
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

    static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var value: UInt32 = 0xffff_ffff
        for byte in bytes { value = value >> 8 ^ table[Int((value ^ UInt32(byte)) & 255)] }
        return ~value
    }
}
