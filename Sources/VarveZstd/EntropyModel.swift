// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What an encoder decides once it has its sequences: block type, codes, tables.
protocol EntropyModel: AnyObject {
    /// Forgets what earlier blocks taught: a frame begins, or an encoder's job.
    func begin()
    /// The layout that the encoder chooses.
    func layout(_ block: BlockFacts) -> BlockLayout
    /// Whether a compressed block of so many bytes (header aside) is thrown away for a raw one.
    func isTooLarge(_ size: Int, plainCount: Int) -> Bool
    /// Learns what was really written; `wasTooLarge` if a compressed block was thrown away.
    func settle(_ layout: BlockLayout, wasTooLarge: Bool)
    /// What earlier blocks taught, in two bits.
    var memory: Int { get set }
}

/// A block as an entropy model sees it.
struct BlockFacts {
    let plain: UnsafePointer<UInt8>
    let plainCount: Int
    let literals: UnsafePointer<UInt8>
    let literalCount: Int
    let sequences: SequenceList
    let wire: WireState
}

/// How often each literal occurs, in each of the four streams and in all.
final class LiteralCounts {
    private let counts: UnsafeMutablePointer<UInt32>
    private(set) var total: [UInt32] = []
    private(set) var largest = 0
    private var segments = 1

    init() {
        counts = .allocate(capacity: 4 * 256)
        counts.initialize(repeating: 0, count: 4 * 256)
    }

    deinit { counts.deallocate() }

    /// Counts `count` literals, in four streams or one.
    func take(_ literals: UnsafePointer<UInt8>, _ count: Int, inFour: Bool) {
        counts.update(repeating: 0, count: 4 * 256)
        segments = inFour ? 4 : 1
        let each = inFour ? (count + 3) / 4 : count
        for segment in 0..<segments {
            let target = counts + 256 * segment
            var at = min(each * segment, count)
            let end = segment == segments - 1 ? count : min(at + each, count)
            while at < end {
                target[Int(literals[at])] &+= 1
                at &+= 1
            }
        }
        total = (0..<256).map { counts[$0] &+ counts[256 + $0] &+ counts[512 + $0] &+ counts[768 + $0] }
        largest = Int(total.max() ?? 0)
        while total.count > 1 && total.last == 0 { total.removeLast() }
    }

    /// Bytes of the streams, jump table included; nil if one is too long for it.
    func size(_ table: HuffmanTable) -> Int? {
        var sum = segments == 4 ? 6 : 0
        for segment in 0..<segments {
            var bits = 1
            for symbol in 0..<256 { bits += Int(table.lengths[symbol]) * Int(counts[256 * segment + symbol]) }
            let bytes = (bits + 7) / 8
            if segments == 4 && bytes > 0xffff { return nil }
            sum += bytes
        }
        return sum
    }
}

/// How often each code occurs in a block's sequences.
struct CodeCounts {
    /// Literal lengths, offsets, match lengths; cut after the last code that occurs.
    private(set) var counts: [[UInt32]]
    let total: Int
    /// Codes of the last sequence.
    let last: [Int]

    init(_ sequences: SequenceList) {
        let codes = CodeTables.shared
        total = sequences.count
        var literal = [UInt32](repeating: 0, count: 64)
        var offset = literal
        var match = literal
        literal.withUnsafeMutableBufferPointer { literal in
            offset.withUnsafeMutableBufferPointer { offset in
                match.withUnsafeMutableBufferPointer { match in
                    for index in 0..<sequences.count {
                        let each = sequences.base[index]
                        literal[codes.literalCode(of: each.literals) & 63] &+= 1
                        offset[each.offset.highBit & 63] &+= 1
                        match[codes.matchCode(of: each.length &- 3) & 63] &+= 1
                    }
                }
            }
        }
        if sequences.count > 0 {
            let each = sequences.base[sequences.count - 1]
            last = [
                codes.literalCode(of: each.literals), each.offset.highBit, codes.matchCode(of: each.length &- 3),
            ]
        } else {
            last = [0, 0, 0]
        }
        counts = [literal, offset, match].map { counts in
            var counts = counts
            while counts.count > 1 && counts.last == 0 { counts.removeLast() }
            return counts
        }
    }
}
