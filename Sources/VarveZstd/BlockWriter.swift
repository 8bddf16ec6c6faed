// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Writes a block from layout, plain text and sequences: with the tables given, every bit is decided.
final class BlockWriter {
    /// What any block comes to at most, header included, with room for whole words.
    static let capacity = 1 << 20

    let state = WireState()
    let output: UnsafeMutablePointer<UInt8>
    /// The block's bytes, header included.
    private(set) var count = 0
    let literals: UnsafeMutablePointer<UInt8>
    private(set) var literalCount = 0

    init() {
        output = .allocate(capacity: Self.capacity)
        output.initialize(repeating: 0, count: Self.capacity)
        literals = .allocate(capacity: ZstdTables.blockMax + 32)
        literals.initialize(repeating: 0, count: ZstdTables.blockMax + 32)
    }

    deinit {
        output.deallocate()
        literals.deallocate()
    }

    var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: output, count: count) }

    /// Gathers the literals of a block: what no sequence covers. The sequences fit the text.
    func gather(_ plain: UnsafePointer<UInt8>, _ plainCount: Int, _ sequences: SequenceList) {
        var at = 0
        literalCount = 0
        for index in 0..<sequences.count {
            let each = sequences.base[index]
            let count = Int(each.literals)
            if count <= 16 && at + 16 <= plainCount {
                let words = UnsafeRawPointer(plain + at).loadUnaligned(as: SIMD16<UInt8>.self)
                UnsafeMutableRawPointer(literals + literalCount).storeBytes(of: words, as: SIMD16<UInt8>.self)
            } else {
                (literals + literalCount).update(from: plain + at, count: count)
            }
            literalCount += count
            at += count + Int(each.length)
        }
        (literals + literalCount).update(from: plain + at, count: plainCount - at)
        literalCount += plainCount - at
    }

    /// Writes the block whose literals were gathered.
    /// - Returns: Whether the layout makes sense.
    func write(
        _ layout: BlockLayout, isLast: Bool, _ plain: UnsafePointer<UInt8>, _ plainCount: Int,
        _ sequences: SequenceList
    ) -> Bool {
        count = 3
        switch layout.kind {
        case .raw:
            (output + 3).update(from: plain, count: plainCount)
            count += plainCount
            putHeader(isLast, 0, plainCount)
            return true
        case .single:
            guard plainCount > 0 else { return false }
            output[3] = plain[0]
            count = 4
            putHeader(isLast, 1, plainCount)
            return true
        case .compressed:
            guard writeLiterals(layout), writeSequences(layout, sequences) else { return false }
            let size = count - 3
            guard size < 1 << 21 else { return false }
            putHeader(isLast, 2, size)
            return true
        }
    }

    /// Writes a compressed block whose content is given.
    func writeVerbatim(_ content: [UInt8], isLast: Bool) -> Bool {
        guard content.count + 3 < Self.capacity, content.count < 1 << 21 else { return false }
        count = 3
        append(content)
        putHeader(isLast, 2, content.count)
        return true
    }

    private func putHeader(_ isLast: Bool, _ kind: Int, _ size: Int) {
        let word = (isLast ? 1 : 0) | kind << 1 | size << 3
        output[0] = UInt8(truncatingIfNeeded: word)
        output[1] = UInt8(truncatingIfNeeded: word >> 8)
        output[2] = UInt8(truncatingIfNeeded: word >> 16)
    }

    private func append(_ bytes: [UInt8]) {
        for byte in bytes {
            output[count] = byte
            count += 1
        }
    }

    private func writeLiterals(_ layout: BlockLayout) -> Bool {
        let format = layout.literalFormat & 3
        let kind = UInt64(layout.literalKind.rawValue)
        let total = literalCount
        switch layout.literalKind {
        case .raw, .single:
            let word: UInt64
            let size: Int
            if format & 1 == 0 {
                guard total < 32 else { return false }
                (word, size) = (kind | UInt64(total) << 3, 1)
            } else {
                guard format == 3 || total < 4096 else { return false }
                (word, size) = (kind | UInt64(format) << 2 | UInt64(total) << 4, format == 1 ? 2 : 3)
            }
            putWord(word, size)
            if layout.literalKind == .raw {
                (output + count).update(from: literals, count: total)
                count += total
            } else {
                guard total > 0 else { return false }
                output[count] = literals[0]
                count += 1
            }
            return true
        case .compressed, .again:
            let width = format < 2 ? 10 : format == 2 ? 14 : 18
            let size = format < 2 ? 3 : format == 2 ? 4 : 5
            let start = count
            count += size
            let from = count
            if layout.literalKind == .compressed {
                let taken = layout.tree.withUnsafeBufferPointer { state.takeTree($0) }
                guard taken == layout.tree.count else { return false }
                append(layout.tree)
            }
            guard state.hasHuffman, total > 0, total < 1 << width else { return false }
            if format == 0 {
                encode(0..<total)
            } else {
                guard encodeFour(total) else { return false }
            }
            let packed = count - from
            guard packed < 1 << width else { return false }
            let end = count
            count = start
            putWord(kind | UInt64(format) << 2 | UInt64(total) << 4 | UInt64(packed) << UInt64(4 + width), size)
            count = end
            return true
        }
    }

    private func putWord(_ word: UInt64, _ size: Int) {
        for index in 0..<size { output[count + index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * index)) }
        count += size
    }

    private func encodeFour(_ total: Int) -> Bool {
        let each = (total + 3) / 4
        guard each * 3 <= total else { return false }
        let jump = count
        count += 6
        for index in 0..<4 {
            let from = count
            encode((each * index)..<(index < 3 ? each * (index + 1) : total))
            let size = count - from
            guard size <= 0xffff else { return false }
            if index < 3 {
                output[jump + 2 * index] = UInt8(truncatingIfNeeded: size)
                output[jump + 2 * index + 1] = UInt8(truncatingIfNeeded: size >> 8)
            }
        }
        return true
    }

    private func encode(_ range: Range<Int>) {
        var out = ForwardBits(output + count)
        let lengths = state.huffman.lengths
        let codes = state.huffman.codes
        var at = range.upperBound
        let low = range.lowerBound
        while at &- low >= 4 {
            var place = 0
            while place < 4 {
                at &-= 1
                let symbol = Int(literals[at])
                out.put(UInt64(codes[symbol]), Int(lengths[symbol]))
                place &+= 1
            }
            out.flush()
        }
        while at > low {
            at &-= 1
            let symbol = Int(literals[at])
            out.put(UInt64(codes[symbol]), Int(lengths[symbol]))
        }
        out.flush()
        count += out.close()
    }

    private func writeSequences(_ layout: BlockLayout, _ sequences: SequenceList) -> Bool {
        let total = sequences.count
        if total == 0 {
            output[count] = 0
            count += 1
            return true
        }
        if total < 128 {
            putWord(UInt64(total), 1)
        } else if total < 0x7f00 {
            putWord(UInt64(total >> 8 + 128) | UInt64(total & 255) << 8, 2)
        } else {
            putWord(255 | UInt64(total - 0x7f00) << 8, 3)
        }
        output[count] = layout.modes
        count += 1
        guard layout.modes & 3 == 0, layout.tables.count == 3 else { return false }
        for kind in 0..<3 {
            let bytes = layout.tables[kind]
            let taken = bytes.withUnsafeBufferPointer {
                state.takeTable(kind, mode: layout.modes >> UInt8(6 - 2 * kind) & 3, $0)
            }
            guard taken == bytes.count else { return false }
            append(bytes)
        }
        guard let literal = state.tables[0], let offset = state.tables[1], let match = state.tables[2] else {
            return false
        }
        return pack(sequences, literal, offset, match)
    }

    private func pack(_ sequences: SequenceList, _ literal: FseTable, _ offset: FseTable, _ match: FseTable) -> Bool {
        let tables = CodeTables.shared
        var out = ForwardBits(output + count)
        var index = sequences.count - 1
        var literalState: UInt32 = 0
        var offsetState: UInt32 = 0
        var matchState: UInt32 = 0
        var isFirst = true
        while index >= 0 {
            let each = sequences.base[index]
            let literalCode = tables.literalCode(of: each.literals)
            let matchCode = tables.matchCode(of: each.length &- 3)
            let offsetCode = each.offset.highBit
            if isFirst {
                isFirst = false
                literalState = literal.firstState(literalCode)
                offsetState = offset.firstState(offsetCode)
                matchState = match.firstState(matchCode)
            } else {
                Self.step(offset, &offsetState, offsetCode, &out)
                Self.step(match, &matchState, matchCode, &out)
                Self.step(literal, &literalState, literalCode, &out)
                out.flush()
            }
            out.put(
                UInt64(each.literals &- tables.literalBase[literalCode]), Int(tables.literalBits[literalCode]))
            out.put(
                UInt64(each.length &- 3 &- tables.matchBase[matchCode]), Int(tables.matchBits[matchCode]))
            out.flush()
            out.put(UInt64(each.offset & (1 &<< UInt32(offsetCode) &- 1)), offsetCode)
            out.flush()
            index &-= 1
        }
        out.put(UInt64(matchState & (1 &<< UInt32(match.log) &- 1)), match.log)
        out.put(UInt64(offsetState & (1 &<< UInt32(offset.log) &- 1)), offset.log)
        out.put(UInt64(literalState & (1 &<< UInt32(literal.log) &- 1)), literal.log)
        out.flush()
        count += out.close()
        return true
    }

    @inline(__always)
    private static func step(_ table: FseTable, _ state: inout UInt32, _ symbol: Int, _ out: inout ForwardBits) {
        let width = (state &+ table.deltaBits[symbol]) &>> 16
        out.put(UInt64(state & (1 &<< width &- 1)), Int(width))
        let place = Int32(truncatingIfNeeded: state &>> width) &+ table.deltaState[symbol]
        state = UInt32(table.states[Int(place)])
    }
}
