// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A place between two blocks of a frame, and what is known there but for search tables.
struct BlockMark: Equatable {
    /// Plain bytes of the frame before it.
    var plain = 0
    /// Bytes of the frame before it.
    var compressed = 0
    /// The state on the wire.
    var wire = WireState.Mark()
    /// The entropy model's own state.
    var entropy = 0

    init() {}

    /// Appends it. Its places are written as steps from those of the mark before.
    func put(_ bytes: inout [UInt8], after last: BlockMark) {
        PlanBytes.put(&bytes, plain - last.plain)
        PlanBytes.put(&bytes, compressed - last.compressed)
        PlanBytes.put(&bytes, entropy)
        wire.put(&bytes)
    }

    /// Reads the one after `last`.
    init(_ input: inout PlanInput, after last: BlockMark) throws(ZstdError) {
        plain = last.plain + (try input.number())
        compressed = last.compressed + (try input.number())
        entropy = try input.number()
        try check(after: last)
        wire = try WireState.Mark(&input)
    }

    /// Whether its numbers are some that there can be.
    func check(after last: BlockMark) throws(ZstdError) {
        guard plain > last.plain, plain < 1 << 56, compressed < 1 << 56, entropy < 4 else { throw .planDamaged }
    }
}

/// How a block was written, as far as a search that goes on behind it has to know.
enum Settling: Equatable {
    /// Compressed, with the sequences that the search proposed.
    case proposed
    /// Not compressed.
    case stored
    /// Compressed otherwise; these are the offsets used last behind it.
    case other(UInt32, UInt32, UInt32)
}

/// A place up to which a frame's blocks need not be written by those who want what comes after it: the search goes over them,
/// which takes half the time, and the state on the wire is taken from here.
struct WirePoint: Equatable {
    var mark = BlockMark()
    /// The place of the restart point or wire point before it, or of the frame's beginning: its blocks count from there.
    var start = 0
    /// The blocks since `start` that were not settled as proposed, by number.
    var unusual: [Unusual] = []

    struct Unusual: Equatable {
        var block: Int
        var settling: Settling
    }

    init() {}

    /// Takes down how block number `block` since `start` was written.
    mutating func note(_ block: Int, _ settling: Settling) {
        if settling != .proposed { unusual.append(Unusual(block: block, settling: settling)) }
    }

    func put(_ bytes: inout [UInt8], after last: BlockMark) {
        mark.put(&bytes, after: last)
        PlanBytes.put(&bytes, unusual.count)
        var block = 0
        for each in unusual {
            var isOther = 0
            if case .other = each.settling { isOther = 1 }
            PlanBytes.put(&bytes, (each.block - block) << 1 | isOther)
            if case .other(let first, let second, let third) = each.settling {
                for offset in [first, second, third] { PlanBytes.put(&bytes, Int(offset)) }
            }
            block = each.block
        }
    }

    init(_ input: inout PlanInput, after last: BlockMark) throws(ZstdError) {
        mark = try BlockMark(&input, after: last)
        start = last.plain
        var block = 0
        for index in 0..<(try input.number()) {
            let word = try input.number()
            block += word >> 1
            guard block < 1 << 56, index == 0 || word >> 1 > 0 else { throw .planDamaged }
            guard word & 1 == 1 else {
                unusual.append(Unusual(block: block, settling: .stored))
                continue
            }
            let (first, second, third) = (try input.offset(), try input.offset(), try input.offset())
            unusual.append(Unusual(block: block, settling: .other(first, second, third)))
        }
    }
}

/// Goes along a frame's wire points with whoever goes along its blocks.
struct WireCursor {
    private let points: [WirePoint]
    private var index: Int
    private var block = 0
    private var unusual = 0

    /// - Parameter position: Where the first block begins.
    init(_ points: [WirePoint] = [], at position: Int = 0) {
        self.points = points
        index = points.firstIndex { $0.start >= position } ?? points.count
    }

    /// How the block at `position` is to be settled; nil where no point says so.
    mutating func settling(at position: Int) -> Settling? {
        guard index < points.count, position >= points[index].start else { return nil }
        let point = points[index]
        if position == point.start { (block, unusual) = (0, 0) }
        defer { block += 1 }
        guard unusual < point.unusual.count, point.unusual[unusual].block == block else { return .proposed }
        unusual += 1
        return point.unusual[unusual - 1].settling
    }

    /// The point at `position`, where blocks end; nil if there is none.
    /// - Throws: `plan-damaged` if there was one before it, or if it speaks of blocks that there are not.
    mutating func point(at position: Int) throws(ZstdError) -> BlockMark? {
        guard index < points.count, points[index].mark.plain <= position else { return nil }
        let point = points[index]
        guard point.mark.plain == position, unusual == point.unusual.count else { throw .planDamaged }
        index += 1
        return point.mark
    }
}

extension PlanInput {
    /// An offset used last.
    mutating func offset() throws(ZstdError) -> UInt32 {
        let value = try number()
        guard value < 1 << 32 else { throw .planDamaged }
        return UInt32(value)
    }
}

extension WireState.Mark {
    fileprivate static let none: UInt8 = 3

    func put(_ bytes: inout [UInt8]) {
        PlanBytes.put(&bytes, hasHuffman ? tree : [])
        for origin in origins {
            bytes.append(origin?.mode ?? Self.none)
            if let origin, origin.mode > 0 { PlanBytes.put(&bytes, origin.bytes) }
        }
        for offset in [recent.0, recent.1, recent.2] { PlanBytes.put(&bytes, Int(offset)) }
    }

    init(_ input: inout PlanInput) throws(ZstdError) {
        tree = try input.block()
        hasHuffman = !tree.isEmpty
        guard tree.count <= 129 else { throw .planDamaged }
        for kind in 0..<3 {
            let mode = try input.byte()
            guard mode <= Self.none else { throw .planDamaged }
            if mode == Self.none { continue }
            let bytes = mode > 0 ? try input.block() : []
            guard bytes.count <= 128 else { throw .planDamaged }
            origins[kind] = (mode, bytes)
        }
        recent = (try input.offset(), try input.offset(), try input.offset())
    }

    static func == (one: Self, other: Self) -> Bool {
        one.hasHuffman == other.hasHuffman && (!one.hasHuffman || one.tree == other.tree) && one.recent == other.recent
            && zip(one.origins, other.origins).allSatisfy { $0?.mode == $1?.mode && $0?.bytes == $1?.bytes }
    }
}
