// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// One copy of earlier text and the literals before it, as the format has them.
struct Sequence: Equatable {
    var literals: UInt32
    /// At least 3.
    var length: UInt32
    /// 1-3: one of the offsets used last; else the distance plus 3.
    var offset: UInt32
}

/// A list of sequences in memory that is allocated once: as many as a block can hold.
final class SequenceList: Equatable {
    static let capacity = ZstdTables.blockMax / 3 + 2

    let base: UnsafeMutablePointer<Sequence>
    var count = 0

    init() {
        base = .allocate(capacity: Self.capacity)
        base.initialize(repeating: Sequence(literals: 0, length: 0, offset: 0), count: Self.capacity)
    }

    deinit { base.deallocate() }

    @inline(__always)
    func append(_ literals: Int, _ length: Int, _ offset: Int) {
        base[count] = Sequence(
            literals: UInt32(truncatingIfNeeded: literals), length: UInt32(truncatingIfNeeded: length),
            offset: UInt32(truncatingIfNeeded: offset))
        count &+= 1
    }

    static func == (one: SequenceList, other: SequenceList) -> Bool {
        guard one.count == other.count else { return false }
        var differences: UInt32 = 0
        for index in 0..<one.count {
            let (each, wanted) = (one.base[index], other.base[index])
            differences |=
                (each.literals ^ wanted.literals) | (each.length ^ wanted.length) | (each.offset ^ wanted.offset)
        }
        return differences == 0
    }

    /// Whether the sequences are sound: lengths of matches, offsets, and no more text than the block has.
    func fits(_ plainCount: Int) -> Bool {
        var sum = 0
        for index in 0..<count {
            let each = base[index]
            guard each.length >= 3, each.offset >= 1, each.offset < 1 << 31, each.literals <= ZstdTables.blockMax,
                each.length <= ZstdTables.blockMax
            else { return false }
            sum += Int(each.literals) + Int(each.length)
            if sum > plainCount { return false }
        }
        return true
    }
}

/// How a block is written, all that is neither its sequences nor its literals.
struct BlockLayout: Equatable {
    enum Kind: UInt8 { case raw, single, compressed }
    enum LiteralKind: UInt8 { case raw, single, compressed, again }

    var kind = Kind.raw
    var literalKind = LiteralKind.raw
    /// The two bits of the literals' header that choose its size and the number of streams.
    var literalFormat: UInt8 = 0
    /// Description of the Huffman code, if the block brings one.
    var tree: [UInt8] = []
    /// Modes of the three tables, literal lengths in the high bits.
    var modes: UInt8 = 0
    /// Descriptions of the tables that the block brings: literal lengths, offsets, match lengths.
    var tables: [[UInt8]] = [[], [], []]
    /// Whether the block is literals only although sequences were found. Not part of what is written down.
    var dropsSequences = false
}

/// What lasts from block to block of a frame on the wire.
final class WireState {
    var huffman = HuffmanTable()
    var hasHuffman = false
    /// Literal lengths, offsets, match lengths; nil before the first, or what was used last.
    private(set) var tables: [FseTable?] = [nil, nil, nil]
    /// Where the tables came from, and their descriptions: enough to go back to them.
    private(set) var origins: [(mode: UInt8, bytes: [UInt8])?] = [nil, nil, nil]
    private var treeBytes: [UInt8] = []
    /// The offsets used last.
    var recent: (UInt32, UInt32, UInt32) = (1, 4, 8)

    private var spare = HuffmanTable()
    private let own = [FseTable(), FseTable(), FseTable()]
    let weights = FseTable()
    let predefined = [
        FseTable(ZstdTables.literalLengthNorm, log: 6), FseTable(ZstdTables.offsetNorm, log: 5),
        FseTable(ZstdTables.matchLengthNorm, log: 6),
    ]
    private static let logs = [9, 8, 9]
    private static let symbols = [36, 32, 53]

    /// Forgets everything, as at the start of a frame.
    func reset() {
        hasHuffman = false
        treeBytes = []
        tables = [nil, nil, nil]
        origins = [nil, nil, nil]
        recent = (1, 4, 8)
    }

    /// A state to come back to.
    struct Mark: Equatable {
        var tree: [UInt8] = []
        var hasHuffman = false
        var origins: [(mode: UInt8, bytes: [UInt8])?] = [nil, nil, nil]
        var recent: (UInt32, UInt32, UInt32) = (1, 4, 8)
    }

    func mark() -> Mark { Mark(tree: treeBytes, hasHuffman: hasHuffman, origins: origins, recent: recent) }

    /// - Returns: Whether it is one that there can be; those that were taken here are.
    @discardableResult
    func restore(_ mark: Mark) -> Bool {
        recent = mark.recent
        hasHuffman = mark.hasHuffman
        var isSound = true
        if hasHuffman, treeBytes != mark.tree {
            isSound = mark.tree.withUnsafeBufferPointer { takeTree($0) } == mark.tree.count
            hasHuffman = isSound
        }
        for kind in 0..<3 {
            if let origin = mark.origins[kind], let now = origins[kind], now == origin { continue }
            tables[kind] = nil
            guard let origin = mark.origins[kind] else {
                origins[kind] = nil
                continue
            }
            let taken = origin.bytes.withUnsafeBufferPointer { takeTable(kind, mode: origin.mode, $0) }
            if taken != origin.bytes.count { isSound = false }
        }
        return isSound
    }

    /// Takes what a block with that layout brings.
    /// - Returns: Whether it makes sense.
    func take(_ layout: BlockLayout, hasSequences: Bool) -> Bool {
        if layout.literalKind == .compressed {
            guard layout.tree.withUnsafeBufferPointer({ takeTree($0) }) == layout.tree.count else { return false }
        }
        // Without sequences a block has no tables.
        for kind in 0..<3 where hasSequences {
            let bytes = layout.tables[kind]
            let taken = bytes.withUnsafeBufferPointer {
                takeTable(kind, mode: layout.modes >> UInt8(6 - 2 * kind) & 3, $0)
            }
            guard taken == bytes.count else { return false }
        }
        return true
    }

    /// Takes a new Huffman code.
    /// - Returns: The bytes of its description; nil if it is damaged.
    func takeTree(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let count = spare.read(bytes, using: weights) else { return nil }
        swap(&spare, &huffman)
        hasHuffman = true
        treeBytes = Array(bytes[..<count])
        return count
    }

    /// Takes the table of one kind of code by its mode.
    /// - Returns: The bytes of its description; nil if it is damaged.
    func takeTable(_ kind: Int, mode: UInt8, _ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        switch mode {
        case 0:
            tables[kind] = predefined[kind]
            origins[kind] = (0, [])
            return 0
        case 1:
            guard let symbol = bytes.first, symbol < Self.symbols[kind] else { return nil }
            own[kind].setSingle(symbol)
            tables[kind] = own[kind]
            origins[kind] = (1, [symbol])
            return 1
        case 2:
            guard let norm = FseNorm.read(bytes, symbolsMax: Self.symbols[kind], logMax: Self.logs[kind]),
                own[kind].build(norm.norm, log: norm.log)
            else { return nil }
            tables[kind] = own[kind]
            origins[kind] = (2, Array(bytes[..<norm.count]))
            return norm.count
        default:
            return tables[kind] == nil ? nil : 0
        }
    }

    /// Goes over sequences that were written.
    func follow(_ sequences: SequenceList) {
        var last = recent
        for index in 0..<sequences.count {
            let each = sequences.base[index]
            _ = Self.distance(each.offset, hasLiterals: each.literals > 0, &last)
        }
        recent = last
    }

    /// The distance that an offset value stands for, and the distances used last after it. 0 if there is none.
    @inline(__always)
    static func distance(
        _ value: UInt32, hasLiterals: Bool, _ recent: inout (UInt32, UInt32, UInt32)
    ) -> UInt32 {
        if value > 3 {
            recent = (value &- 3, recent.0, recent.1)
            return value &- 3
        }
        switch hasLiterals ? value : value &+ 1 {
        case 1: return recent.0
        case 2:
            recent = (recent.1, recent.0, recent.2)
        case 3:
            recent = (recent.2, recent.0, recent.1)
        default:
            recent = (recent.0 &- 1, recent.0, recent.1)
        }
        return recent.0
    }
}
