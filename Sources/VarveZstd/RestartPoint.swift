// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A block in the middle of a frame from which on it can be made without what lies before it, but for a stretch of text.
///
/// What an encoder knows at a block has three parts. The state on the wire (codes, tables, offsets used last) is written down.
/// The search tables are filled by running the search over the text before, a window or more of it, from empty tables; as the
/// search falls into step after some kilobytes, few entries are not as they were, and those are written down too. The
/// analyzer goes on from the restarted models: whatever it then describes, a reader who restarts there makes again.
struct RestartPoint: Equatable {
    /// Plain bytes of the frame before it.
    var plain = 0
    /// Bytes of the frame before it.
    var compressed = 0
    /// Bytes of the frame's exceptions that are done with, and usual blocks since the last of those.
    var exceptions = 0
    var usualBlocks = 0
    /// Bytes over which the search is run beforehand.
    var runUp = 0
    /// The state on the wire.
    var wire = WireState.Mark()
    /// The entropy model's and the match model's own state.
    var entropy = 0
    var numbers: [Int] = []
    /// Table entries that the run-up gives wrongly: the slot, and how far before the point its place is, 0 for none.
    var entries: [Entry] = []

    struct Entry: Equatable {
        var slot: Int
        var distance: Int
    }

    /// Table entries that may be wrong.
    static let entriesMax = 1 << 16
    static let numbersMax = 8

    /// Appends it. Its places are written as steps from those of the point before.
    func put(_ bytes: inout [UInt8], after last: RestartPoint) {
        for value in [
            plain - last.plain, compressed - last.compressed, exceptions - last.exceptions, usualBlocks, runUp, entropy,
        ] {
            PlanBytes.put(&bytes, value)
        }
        wire.put(&bytes)
        PlanBytes.put(&bytes, numbers.count)
        for number in numbers { PlanBytes.put(&bytes, number) }
        PlanBytes.put(&bytes, entries.count)
        var slot = 0
        for entry in entries {
            PlanBytes.put(&bytes, entry.slot - slot)
            PlanBytes.put(&bytes, entry.distance)
            slot = entry.slot
        }
    }

    init() {}

    /// Reads the next one of a frame.
    init(_ input: inout PlanInput, after last: RestartPoint) throws(ZstdError) {
        plain = last.plain + (try input.number())
        compressed = last.compressed + (try input.number())
        exceptions = last.exceptions + (try input.number())
        usualBlocks = try input.number()
        runUp = try input.number()
        entropy = try input.number()
        guard plain > last.plain, plain < 1 << 56, compressed < 1 << 56, exceptions < 1 << 56, runUp <= plain,
            runUp <= 2 * FrameHeader.windowMax, entropy < 4
        else { throw .planDamaged }
        wire = try WireState.Mark(&input)
        let count = try input.number()
        guard count <= Self.numbersMax else { throw .planDamaged }
        for _ in 0..<count { numbers.append(try input.number()) }
        let total = try input.number()
        guard total <= Self.entriesMax else { throw .planDamaged }
        var slot = 0
        for _ in 0..<total {
            slot += try input.number()
            guard slot < 1 << 32 else { throw .planDamaged }
            entries.append(Entry(slot: slot, distance: try input.number()))
        }
    }

    /// All points of a frame.
    static func list(_ input: inout PlanInput) throws(ZstdError) -> [RestartPoint] {
        var all: [RestartPoint] = []
        while !input.isAtEnd { all.append(try RestartPoint(&input, after: all.last ?? RestartPoint())) }
        return all
    }
}

extension WireState.Mark {
    fileprivate static let none: UInt8 = 3

    fileprivate func put(_ bytes: inout [UInt8]) {
        PlanBytes.put(&bytes, hasHuffman ? tree : [])
        for origin in origins {
            bytes.append(origin?.mode ?? Self.none)
            if let origin, origin.mode > 0 { PlanBytes.put(&bytes, origin.bytes) }
        }
        for offset in [recent.0, recent.1, recent.2] { PlanBytes.put(&bytes, Int(offset)) }
    }

    fileprivate init(_ input: inout PlanInput) throws(ZstdError) {
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
        let (first, second, third) = (try input.number(), try input.number(), try input.number())
        guard first < 1 << 32, second < 1 << 32, third < 1 << 32 else { throw .planDamaged }
        recent = (UInt32(first), UInt32(second), UInt32(third))
    }

    static func == (one: Self, other: Self) -> Bool {
        one.hasHuffman == other.hasHuffman && (!one.hasHuffman || one.tree == other.tree) && one.recent == other.recent
            && zip(one.origins, other.origins).allSatisfy { $0?.mode == $1?.mode && $0?.bytes == $1?.bytes }
    }
}
