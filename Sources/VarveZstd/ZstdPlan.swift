// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The bytes that, with the plain bytes, make a zstd file again. The format is specified in `Documentation.docc/Zstd.md`.
struct ZstdPlan {
    static let magic: [UInt8] = [0x56, 0x5a, 0x50]  // "VZP"
    static let version: UInt8 = 1

    /// A stretch of the file that is made alone.
    struct Element: Equatable {
        var compressedStart = 0
        var compressedCount = 0
        var plainStart = 0
        var plainCount = 0
        /// Nil for bytes that are kept as they are.
        var parameters: Int?
        /// Kept bytes, or the frame's header, in the plan.
        var bytes: Range<Int> = 0..<0
        /// The frame's exceptions, in the plan.
        var exceptions: Range<Int> = 0..<0
        /// The frame's checksum, in the plan.
        var checksum: Range<Int> = 0..<0
    }

    var compressedCount = 0
    var plainCount = 0
    var parameters: [ZstdParameters] = []
    var elements: [Element] = []

    // MARK: reading

    /// Reads and checks everything but the exceptions.
    init(decoding bytes: [UInt8]) throws(ZstdError) {
        guard bytes.count >= 8, Array(bytes[0..<3]) == Self.magic else { throw .planDamaged }
        guard bytes[3] == Self.version else { throw ZstdError("plan-version") }
        var check: UInt32 = 0
        for index in 0..<4 { check |= UInt32(bytes[4 + index]) << UInt32(8 * index) }
        guard PlanBytes.crc32(bytes[8...]) == check else { throw .planDamaged }
        var input = PlanInput(bytes: bytes, range: 8..<bytes.count)
        compressedCount = try input.number()
        plainCount = try input.number()
        let sets = try input.number()
        guard sets <= 64 else { throw .planDamaged }
        for _ in 0..<sets {
            var raw: [Int] = []
            let count = try input.number()
            guard count <= 16 else { throw .planDamaged }
            for _ in 0..<count { raw.append(try input.number()) }
            guard let set = ZstdParameters(raw: raw) else { throw ZstdError("plan-version") }
            parameters.append(set)
        }
        let count = try input.number()
        guard count <= bytes.count else { throw .planDamaged }
        var compressedAt = 0
        var plainAt = 0
        for _ in 0..<count {
            var element = Element()
            element.compressedStart = compressedAt
            element.plainStart = plainAt
            let kind = try input.number()
            element.bytes = try input.range(of: input.number())
            if kind == 0 {
                element.compressedCount = element.bytes.count
            } else {
                guard kind <= parameters.count, element.bytes.count <= FrameHeader.bytesMax else { throw .planDamaged }
                element.parameters = kind - 1
                element.compressedCount = try input.number()
                element.plainCount = try input.number()
                element.checksum = try input.range(of: input.number())
                element.exceptions = try input.range(of: input.number())
                guard element.checksum.count <= 4 else { throw .planDamaged }
            }
            compressedAt += element.compressedCount
            plainAt += element.plainCount
            guard compressedAt <= compressedCount, plainAt <= plainCount else { throw .planDamaged }
            elements.append(element)
        }
        guard compressedAt == compressedCount, plainAt == plainCount, input.isAtEnd else { throw .planDamaged }
    }

    /// Puts magic number, version and checksum before the rest.
    static func seal(_ body: [UInt8]) -> [UInt8] {
        var result = magic + [version]
        let check = PlanBytes.crc32(body[...])
        for shift in [0, 8, 16, 24] { result.append(UInt8(truncatingIfNeeded: check >> UInt32(shift))) }
        return result + body
    }
}

/// Numbers and checksums as plans have them.
enum PlanBytes {
    /// Seven bits a byte, low ones first, the top bit set on all but the last.
    static func put(_ bytes: inout [UInt8], _ value: Int) {
        var left = UInt64(truncatingIfNeeded: value)
        while left >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: left | 128))
            left >>= 7
        }
        bytes.append(UInt8(left))
    }

    static func put(_ bytes: inout [UInt8], _ value: [UInt8]) {
        put(&bytes, value.count)
        bytes.append(contentsOf: value)
    }

    private static let table: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 != 0 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
        return value
    }

    /// CRC-32 as gzip has it.
    static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var value: UInt32 = 0xffff_ffff
        for byte in bytes { value = value >> 8 ^ table[Int((value ^ UInt32(byte)) & 255)] }
        return ~value
    }
}

/// Reads a plan's numbers, and nothing beyond its end.
struct PlanInput {
    let bytes: [UInt8]
    private var at: Int
    private let end: Int

    init(bytes: [UInt8], range: Range<Int>) {
        self.bytes = bytes
        at = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { at == end }

    mutating func byte() throws(ZstdError) -> UInt8 {
        guard at < end else { throw .planDamaged }
        at += 1
        return bytes[at - 1]
    }

    mutating func number() throws(ZstdError) -> Int {
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

    /// The place of the next `count` bytes, which are passed over.
    mutating func range(of count: Int) throws(ZstdError) -> Range<Int> {
        guard count <= end - at else { throw .planDamaged }
        at += count
        return (at - count)..<at
    }

    mutating func block() throws(ZstdError) -> [UInt8] {
        let place = try range(of: number())
        return Array(bytes[place])
    }
}
