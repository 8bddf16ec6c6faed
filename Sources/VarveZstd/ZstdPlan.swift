// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The bytes that, with the plain bytes, make a zstd file again. The format is specified in `Documentation.docc/Zstd.md`.
struct ZstdPlan {
    static let magic: [UInt8] = [0x56, 0x5a, 0x50]  // "VZP"
    static let version: UInt8 = 9
    static let versionOldest: UInt8 = 1
    /// Plain bytes of a frame up to which its checksum is made and not kept.
    static let checksumMax = 256 << 10
    /// Frames of a series are counted up to here, and so are its plain bytes before the last one.
    static let seriesMax = 256
    static let seriesBytes = 256 << 10

    /// A stretch of the file that is made alone.
    struct Element {
        enum Content {
            /// Bytes kept as they are, in the plan.
            case kept(Range<Int>)
            case frame(Frame)
            /// Frames of which nothing is unusual: their plain sizes, in the plan.
            case series(parameters: Int, count: Int, sizes: Range<Int>)
        }
        var compressedStart = 0
        var compressedCount = 0
        var plainStart = 0
        var plainCount = 0
        var content: Content
    }

    /// What is known of a frame; places are in the plan.
    struct Frame {
        var parameters: Int
        /// Its header; nil for the usual one.
        var header: Range<Int>?
        /// Its checksum, empty if it has none; nil if it has to be made.
        var checksum: Range<Int>?
        var exceptions: Range<Int> = 0..<0
        var points = FramePoints()
    }

    var compressedCount = 0
    var plainCount = 0
    var parameters: [ZstdParameters] = []
    var elements: [Element] = []

    // MARK: reading

    /// Reads and checks everything but the exceptions.
    init(decoding bytes: [UInt8]) throws(ZstdError) {
        guard bytes.count >= 8, Array(bytes[0..<3]) == Self.magic else { throw .planDamaged }
        let version = bytes[3]
        guard (Self.versionOldest...Self.version).contains(version) else { throw ZstdError("plan-version") }
        var check: UInt32 = 0
        for index in 0..<4 { check |= UInt32(bytes[4 + index]) << UInt32(8 * index) }
        guard Self.check(bytes[8...], version) == check else { throw .planDamaged }
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
            var element = version == 1 ? try Self.firstElement(&input) : try element(&input, version)
            switch element.content {
            case .kept: break
            case .frame(let frame): guard frame.parameters < parameters.count else { throw .planDamaged }
            case .series(let set, _, _): guard set < parameters.count else { throw .planDamaged }
            }
            element.compressedStart = compressedAt
            element.plainStart = plainAt
            compressedAt += element.compressedCount
            plainAt += element.plainCount
            guard compressedAt <= compressedCount, plainAt <= plainCount else { throw .planDamaged }
            elements.append(element)
        }
        guard compressedAt == compressedCount, plainAt == plainCount, input.isAtEnd else { throw .planDamaged }
    }

    /// An element as version 1 has it.
    private static func firstElement(_ input: inout PlanInput) throws(ZstdError) -> Element {
        let kind = try input.number()
        let bytes = try input.range(of: input.number())
        guard kind > 0 else { return Element(compressedCount: bytes.count, content: .kept(bytes)) }
        guard bytes.count <= FrameHeader.bytesMax else { throw .planDamaged }
        var element = Element(content: .kept(bytes))
        element.compressedCount = try input.number()
        element.plainCount = try input.number()
        let checksum = try input.range(of: input.number())
        let exceptions = try input.range(of: input.number())
        guard checksum.count <= 4 else { throw .planDamaged }
        element.content = .frame(
            Frame(parameters: kind - 1, header: bytes, checksum: checksum, exceptions: exceptions))
        return element
    }

    private func element(_ input: inout PlanInput, _ version: UInt8) throws(ZstdError) -> Element {
        let kind = try input.number()
        switch kind {
        case 0:
            let bytes = try input.range(of: input.number())
            return Element(compressedCount: bytes.count, content: .kept(bytes))
        case 1:
            return try frame(&input, version)
        case 2:
            let set = try input.number()
            let count = try input.number()
            guard set < parameters.count, (1...Self.seriesMax).contains(count) else { throw .planDamaged }
            var element = Element(content: .kept(0..<0))
            element.compressedCount = try input.number()
            let start = input.at
            for _ in 0..<count {
                let size = try input.number()
                guard size > 0, size <= Self.checksumMax, parameters[set].usualHeader(plainCount: size) != nil else {
                    throw .planDamaged
                }
                element.plainCount += size
            }
            element.content = .series(parameters: set, count: count, sizes: start..<input.at)
            return element
        default: throw .planDamaged
        }
    }

    private func frame(_ input: inout PlanInput, _ version: UInt8) throws(ZstdError) -> Element {
        var element = Element(content: .kept(0..<0))
        var frame = Frame(parameters: try input.number())
        guard frame.parameters < parameters.count else { throw .planDamaged }
        let flags = try input.byte()
        guard flags < 16 else { throw .planDamaged }
        if flags & 1 != 0 {
            let header = try input.range(of: input.number())
            guard header.count <= FrameHeader.bytesMax else { throw .planDamaged }
            frame.header = header
        }
        element.compressedCount = try input.number()
        element.plainCount = try input.number()
        if frame.header == nil, parameters[frame.parameters].usualHeader(plainCount: element.plainCount) == nil {
            throw .planDamaged
        }
        if flags & 2 != 0 {
            let checksum = try input.range(of: input.number())
            guard checksum.count <= 4 else { throw .planDamaged }
            frame.checksum = checksum
        } else {
            guard element.plainCount <= Self.checksumMax else { throw .planDamaged }
        }
        if flags & 4 != 0 { frame.exceptions = try input.range(of: input.number()) }
        if flags & 8 != 0 {
            // A frame that is not made from its beginning has no checksum made.
            guard frame.checksum != nil else { throw .planDamaged }
            var points = PlanInput(bytes: input.bytes, range: try input.range(of: input.number()))
            frame.points = try FramePoints(&points, version: version)
            for mark in frame.points.restarts.map(\.mark) + frame.points.wires.map(\.mark) {
                guard mark.plain <= element.plainCount, mark.compressed < element.compressedCount else {
                    throw .planDamaged
                }
            }
            for point in frame.points.restarts {
                guard point.exceptions <= frame.exceptions.count else { throw .planDamaged }
            }
        }
        element.content = .frame(frame)
        return element
    }

    // MARK: writing

    /// What is known of a frame that was read.
    struct Record {
        var parameters: Int
        var header: [UInt8]
        var compressedCount = 0
        var plainCount = 0
        var checksum: [UInt8] = []
        var hasUsualHeader = false
        var hasUsualChecksum = false
        var exceptions: [UInt8] = []
        var points: [UInt8] = []

        /// Whether its size says everything.
        var isUsual: Bool { hasUsualHeader && hasUsualChecksum && exceptions.isEmpty && points.isEmpty }

        /// Appends it as an element.
        func put(_ bytes: inout [UInt8]) {
            PlanBytes.put(&bytes, 1)
            PlanBytes.put(&bytes, parameters)
            bytes.append(
                (hasUsualHeader ? 0 : 1) | (hasUsualChecksum ? 0 : 2) | (exceptions.isEmpty ? 0 : 4)
                    | (points.isEmpty ? 0 : 8))
            if !hasUsualHeader { PlanBytes.put(&bytes, header) }
            PlanBytes.put(&bytes, compressedCount)
            PlanBytes.put(&bytes, plainCount)
            if !hasUsualChecksum { PlanBytes.put(&bytes, checksum) }
            if !exceptions.isEmpty { PlanBytes.put(&bytes, exceptions) }
            if !points.isEmpty { PlanBytes.put(&bytes, points) }
        }
    }

    /// The checksum of the rest; from version 3 on of the version, too.
    private static func check(_ body: ArraySlice<UInt8>, _ version: UInt8) -> UInt32 {
        if version < 3 { return PlanBytes.crc32(body) }
        if version < 8 { return PlanBytes.crc32(body, after: [version]) }
        var hash = XXHash()
        [version].withUnsafeBufferPointer { hash.take($0) }
        body.withUnsafeBufferPointer { hash.take($0) }
        return hash.bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Puts magic number, version and checksum before the rest.
    static func seal(_ body: [UInt8], version: UInt8 = version) -> [UInt8] {
        var result = magic + [version]
        let check = check(body[...], version)
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
    static func crc32(_ bytes: ArraySlice<UInt8>, after first: [UInt8] = []) -> UInt32 {
        var value: UInt32 = 0xffff_ffff
        for byte in first { value = value >> 8 ^ table[Int((value ^ UInt32(byte)) & 255)] }
        for byte in bytes { value = value >> 8 ^ table[Int((value ^ UInt32(byte)) & 255)] }
        return ~value
    }
}

/// Reads a plan's numbers, and nothing beyond its end.
struct PlanInput {
    let bytes: [UInt8]
    private(set) var at: Int
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
