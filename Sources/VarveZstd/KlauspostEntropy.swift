// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How klauspost/compress writes blocks, at all of its levels.
final class KlauspostEntropy: EntropyModel {
    /// Versions that write alike: 0 up to 1.16.3, 1 up to 1.16.7, 2 up to 1.17.7, 3 after.
    private let era: Int
    /// Whether blocks without a match are compressed.
    private let packsLiterals: Bool
    private let blockSize: Int
    /// Whether the last Huffman code may be used again.
    private var mayReuse = false
    private let counts = LiteralCounts()
    private let code = HuffmanTable()
    private let table = FseTable()
    private let weights = FseTable()

    init(era: Int, packsLiterals: Bool, blockSize: Int) {
        self.era = era
        self.packsLiterals = packsLiterals
        self.blockSize = blockSize
    }

    func begin() { mayReuse = false }

    var memory: Int {
        get { mayReuse ? 1 : 0 }
        set { mayReuse = newValue & 1 != 0 }
    }

    func isTooLarge(_ size: Int, plainCount: Int) -> Bool { size >= plainCount }

    func settle(_ layout: BlockLayout, wasTooLarge: Bool) {
        if wasTooLarge {
            mayReuse = false
        } else if layout.kind == .compressed, layout.literalKind == .compressed || layout.literalKind == .again {
            mayReuse = true
        }
    }

    func layout(_ block: BlockFacts) -> BlockLayout {
        let sequences = block.sequences
        if sequences.count == 0 {
            if era == 0 && block.plainCount == blockSize { return BlockLayout() }
            return literalsOnly(block, block.literals, block.literalCount)
        }
        let first = sequences.base[0]
        if era >= 3 && sequences.count == 1 && block.literalCount <= 1 && Int(first.literals) == block.literalCount
            && first.offset == 4
        {
            var layout = BlockLayout()
            layout.kind = .single
            return layout
        }
        let saved = block.plainCount - block.literalCount - block.plainCount >> (era == 0 ? 5 : 6)
        if saved < 16 { return literalsOnly(block, block.plain, block.plainCount) }

        var layout = BlockLayout()
        layout.kind = .compressed
        switch pack(block.literals, block.literalCount, block.wire, isBlock: false) {
        case .raw:
            layout.literalKind = .raw
            layout.literalFormat = Self.rawFormat(block.literalCount)
        case .single:
            layout.literalKind = .single
            layout.literalFormat = Self.rawFormat(block.literalCount)
        case .packed(let tree, let size):
            layout.literalKind = tree == nil ? .again : .compressed
            layout.tree = tree ?? []
            layout.literalFormat = Self.format(block.literalCount, size)
        }
        let codes = CodeCounts(sequences)
        for kind in 0..<3 {
            let (mode, bytes) = choose(kind, codes, block.wire)
            layout.modes |= mode << UInt8(6 - 2 * kind)
            layout.tables[kind] = bytes
        }
        return layout
    }

    private static func rawFormat(_ count: Int) -> UInt8 { count < 16 ? 0 : count < 2048 ? 1 : 3 }

    private static func format(_ count: Int, _ size: Int) -> UInt8 {
        if count < 1024 && size < 1024 { return 0 }
        return count < 1 << 14 && size < 1 << 14 ? 2 : 3
    }

    private func literalsOnly(_ block: BlockFacts, _ literals: UnsafePointer<UInt8>, _ count: Int) -> BlockLayout {
        var layout = BlockLayout()
        layout.dropsSequences = true
        if count < 32 || !packsLiterals { return layout }
        switch pack(literals, count, block.wire, isBlock: true) {
        case .raw: break
        case .single: layout.kind = .single
        case .packed(let tree, let size):
            layout.kind = .compressed
            layout.literalKind = tree == nil ? .again : .compressed
            layout.tree = tree ?? []
            layout.literalFormat = Self.format(count, size)
        }
        return layout
    }

    private enum Packed {
        case raw, single
        /// With a new code or the last one; bytes, description included.
        case packed([UInt8]?, Int)
    }

    private func pack(_ literals: UnsafePointer<UInt8>, _ count: Int, _ wire: WireState, isBlock: Bool) -> Packed {
        guard count > (era < 2 ? 32 : 16) else { return .raw }
        let isFour = count >= 1024
        counts.take(literals, count, inFour: isFour)
        let wanted = count - count >> 4
        if counts.largest >= count { return .single }
        if counts.largest == 1 || counts.largest < count >> 7 { return .raw }
        let limit = HuffmanBuilder.limit(symbols: counts.total.count, total: count, most: 11)
        guard code.build(HuffmanBuilder.lengths(counts.total, limit: limit, isReference: false)) else { return .raw }
        if mayReuse, wire.hasHuffman, wire.huffman.covers(counts.total) {
            let old = wire.huffman.estimate(counts.total, plus: 7)
            if old <= code.estimate(counts.total, plus: 7) || 12 >= wanted {
                guard let size = counts.size(wire.huffman), size < wanted else { return .raw }
                return pays(size, count, isBlock) ? .packed(nil, size) : .raw
            }
        }
        guard
            let tree = HuffmanDescription.write(
                code, symbolCount: counts.total.count, isReference: false, using: weights),
            let streams = counts.size(code)
        else { return .raw }
        let size = tree.count + streams
        guard size < wanted, pays(size, count, isBlock) else { return .raw }
        return .packed(tree, size)
    }

    private func pays(_ size: Int, _ count: Int, _ isBlock: Bool) -> Bool {
        guard era >= 2, size + 5 > count else { return true }
        let header = size < 1024 && count < 1024 ? 3 : size < 1 << 14 && count < 1 << 14 ? 4 : 5
        let raw = isBlock ? 0 : count < 16 ? 1 : count < 2048 ? 2 : 3
        return size + header < count + raw
    }

    private func choose(_ kind: Int, _ codes: CodeCounts, _ wire: WireState) -> (UInt8, [UInt8]) {
        let counts = codes.counts[kind]
        let total = codes.total
        if Int(counts.max() ?? 0) == total { return (1, [UInt8(codes.last[kind])]) }
        let log = FseNorm.accuracy(
            most: 8, total: total, symbolMax: counts.count - 1, sourceBits: total.highBit + 1)
        guard log <= 9,
            let norm = FseNorm.scale(counts, total: total, log: min(log, 8), low: -1, poor: counts.count + 1),
            table.build(norm, log: min(log, 8))
        else { return (0, []) }
        var size = Self.size(table, counts) ?? .max / 4
        size += ((counts.count * table.log) >> 3 + 3) * 8
        size += (size + 256) >> 4
        let fixed = Self.size(wire.predefined[kind], counts) ?? .max
        var previous = Int.max
        if let last = wire.tables[kind], wire.origins[kind]?.mode == 2 { previous = Self.size(last, counts) ?? .max }
        if fixed <= previous && fixed <= size { return (0, []) }
        if previous <= size { return (3, []) }
        return (2, FseNorm.write(norm, log: table.log))
    }

    /// Bits that the codes take; nil if the table lacks one.
    private static func size(_ table: FseTable, _ counts: [UInt32]) -> Int? {
        guard table.symbolCount >= counts.count else { return nil }
        var sum = 0
        for (code, count) in counts.enumerated() where count > 0 {
            guard table.norm[code] != 0 else { return nil }
            let cost = table.cost(code)
            if cost > UInt32(table.log + 1) << 8 { return nil }
            sum += Int(count) * Int(cost)
        }
        return sum >> 8
    }
}
