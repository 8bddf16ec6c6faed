// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How libzstd (1.5.x) writes blocks at its levels 1 to 4, strategies "fast" (1) and "dfast" (2).
final class ReferenceEntropy: EntropyModel {
    private let strategy: Int
    private let hasRawLiterals: Bool
    /// Whether the last Huffman code may be used again, and whether a block was written since the job began.
    private var mayReuse = false
    private var isFirst = true
    private let counts = LiteralCounts()
    private let code = HuffmanTable()
    private let table = FseTable()
    private let weights = FseTable()

    /// - Parameter hasRawLiterals: Whether literals are never compressed (negative levels).
    init(strategy: Int, hasRawLiterals: Bool) {
        self.strategy = strategy
        self.hasRawLiterals = hasRawLiterals
    }

    func begin() {
        mayReuse = false
        isFirst = true
    }

    var memory: Int {
        get { (mayReuse ? 1 : 0) | (isFirst ? 2 : 0) }
        set {
            mayReuse = newValue & 1 != 0
            isFirst = newValue & 2 != 0
        }
    }

    private static func gain(_ count: Int) -> Int { count >> 6 + 2 }

    func isTooLarge(_ size: Int, plainCount: Int) -> Bool { size >= plainCount - Self.gain(plainCount) }

    func settle(_ layout: BlockLayout, wasTooLarge: Bool) {
        isFirst = false
        if layout.kind == .compressed, layout.literalKind == .compressed { mayReuse = true }
    }

    func layout(_ block: BlockFacts) -> BlockLayout {
        var layout = BlockLayout()
        if block.plainCount < 7 {
            // Too short to be looked at, but for a run.
            layout.dropsSequences = true
            return layout
        }
        if !isFirst, block.sequences.count < 4, block.literalCount < 10, Self.isRun(block) {
            layout.kind = .single
            layout.dropsSequences = true
            return layout
        }
        layout.kind = .compressed
        putLiterals(&layout, block)
        if block.sequences.count > 0 {
            let codes = CodeCounts(block.sequences)
            for kind in 0..<3 {
                let (mode, bytes) = choose(kind, codes)
                layout.modes |= mode << UInt8(6 - 2 * kind)
                layout.tables[kind] = bytes
            }
        }
        return layout
    }

    private static func isRun(_ block: BlockFacts) -> Bool {
        for index in 1..<block.plainCount where block.plain[index] != block.plain[0] { return false }
        return true
    }

    private func putLiterals(_ layout: inout BlockLayout, _ block: BlockFacts) {
        let count = block.literalCount
        layout.literalFormat = count < 32 ? 0 : count < 4096 ? 1 : 3
        layout.literalKind = .raw
        if hasRawLiterals || count < 64 { return }
        let sequences = block.sequences.count
        let isDoubtful = sequences == 0 || count / sequences >= 20
        switch pack(block.literals, count, block.wire, isDoubtful: isDoubtful) {
        case nil: break
        case .single?: layout.literalKind = .single
        case .packed(let tree)?:
            layout.literalKind = tree == nil ? .again : .compressed
            layout.tree = tree ?? []
            layout.literalFormat = count < 256 ? 0 : count < 1024 ? 1 : count < 1 << 14 ? 2 : 3
        }
    }

    private enum Packed {
        case single
        /// With a new code, or the last one.
        case packed([UInt8]?)
    }

    private func pack(
        _ literals: UnsafePointer<UInt8>, _ count: Int, _ wire: WireState, isDoubtful: Bool
    ) -> Packed? {
        if isDoubtful && count >= 40_960 && isNoise(literals, count) { return nil }
        counts.take(literals, count, inFour: count >= 256)
        if counts.largest == count { return .single }
        if counts.largest <= count >> 7 + 4 { return nil }
        let mayReuse = mayReuse && wire.hasHuffman && wire.huffman.covers(counts.total)
        if mayReuse && count <= 1024 { return pays(wire.huffman, 0, count) ? .packed(nil) : nil }
        let limit = HuffmanBuilder.limit(symbols: counts.total.count, total: count, most: 11)
        guard code.build(HuffmanBuilder.lengths(counts.total, limit: limit, isReference: true)),
            let tree = HuffmanDescription.write(
                code, symbolCount: counts.total.count, isReference: true, using: weights)
        else { return nil }
        if mayReuse {
            let old = wire.huffman.estimate(counts.total, plus: 0)
            if old <= tree.count + code.estimate(counts.total, plus: 0) || tree.count + 12 >= count {
                return pays(wire.huffman, 0, count) ? .packed(nil) : nil
            }
        }
        if tree.count + 12 >= count { return nil }
        return pays(code, tree.count, count) ? .packed(tree) : nil
    }

    private func pays(_ table: HuffmanTable, _ treeSize: Int, _ count: Int) -> Bool {
        guard let streams = counts.size(table) else { return false }
        let size = treeSize + streams
        return size < count - 1 && size < count - Self.gain(count)
    }

    /// A look at both ends of the literals, before they are all counted.
    private func isNoise(_ literals: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let sample = 4096
        counts.take(literals, sample, inFour: false)
        let first = counts.largest
        counts.take(literals + (count - sample), sample, inFour: false)
        return first + counts.largest <= (2 * sample) >> 7 + 4
    }

    private func choose(_ kind: Int, _ codes: CodeCounts) -> (UInt8, [UInt8]) {
        var counts = codes.counts[kind]
        let total = codes.total
        let largest = Int(counts.max() ?? 0)
        let mayBeFixed = kind != 1 || counts.count <= 29
        if largest == total {
            return mayBeFixed && total <= 2 ? (0, []) : (1, [UInt8(codes.last[kind])])
        }
        let fixedLog = kind == 1 ? 5 : 6
        if mayBeFixed, total < (1 << fixedLog * (10 - strategy)) >> 3 || largest < total >> (fixedLog - 1) {
            return (0, [])
        }
        let log = FseNorm.accuracy(
            most: kind == 1 ? 8 : 9, total: total, symbolMax: counts.count - 1, sourceBits: total.highBit + 1)
        var rest = total
        if counts[codes.last[kind]] > 1 {
            counts[codes.last[kind]] -= 1
            rest -= 1
        }
        guard
            let norm = FseNorm.scale(counts, total: rest, log: log, low: rest >= 2048 ? -1 : 1, poor: counts.count)
        else { return (0, []) }
        return (2, FseNorm.write(norm, log: log))
    }
}
