// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Takes a compressed block apart into layout, literals and sequences, keeping every decision its encoder made.
final class BlockReader {
    let state: WireState
    let literals: UnsafeMutablePointer<UInt8>
    private(set) var literalCount = 0
    let sequences = SequenceList()
    private(set) var layout = BlockLayout()
    /// Bytes that the sequences and literals stand for.
    private(set) var plainCount = 0

    init(state: WireState = WireState()) {
        self.state = state
        literals = .allocate(capacity: ZstdTables.blockMax + 32)
        literals.initialize(repeating: 0, count: ZstdTables.blockMax + 32)
    }

    deinit { literals.deallocate() }

    /// Reads the content of a compressed block.
    /// - Returns: Whether it is sound, offsets aside.
    func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        layout = BlockLayout()
        layout.kind = .compressed
        sequences.count = 0
        literalCount = 0
        guard let at = readLiterals(bytes) else { return false }
        return readSequences(UnsafeBufferPointer(rebasing: bytes[at...]))
    }

    private func readLiterals(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let first = bytes.first, let kind = BlockLayout.LiteralKind(rawValue: first & 3) else { return nil }
        let format = first >> 2 & 3
        layout.literalKind = kind
        layout.literalFormat = format
        var word: UInt64 = 0
        for index in 0..<min(5, bytes.count) { word |= UInt64(bytes[index]) << UInt64(8 * index) }
        if kind == .raw || kind == .single {
            let header = format & 1 == 0 ? 1 : format == 1 ? 2 : 3
            let count = format & 1 == 0 ? Int(first >> 3) : Int(word >> 4 & (format == 1 ? 0xfff : 0xfffff))
            if format & 1 == 0 { layout.literalFormat = 0 }
            guard count <= ZstdTables.blockMax else { return nil }
            let taken = kind == .raw ? count : 1
            guard header + taken <= bytes.count, let base = bytes.baseAddress else { return nil }
            literalCount = count
            if kind == .raw {
                literals.update(from: base + header, count: count)
            } else {
                literals.update(repeating: bytes[header], count: count)
            }
            return header + taken
        }
        let header = format < 2 ? 3 : format == 2 ? 4 : 5
        let width = UInt64(format < 2 ? 10 : format == 2 ? 14 : 18)
        let count = Int(word >> 4 & (1 << width - 1))
        let size = Int(word >> (4 + width) & (1 << width - 1))
        guard count <= ZstdTables.blockMax, count > 0, header + size <= bytes.count else { return nil }
        var stream = UnsafeBufferPointer(rebasing: bytes[header..<(header + size)])
        if kind == .compressed {
            guard let taken = state.takeTree(stream) else { return nil }
            layout.tree = Array(stream[..<taken])
            stream = UnsafeBufferPointer(rebasing: stream[taken...])
        }
        guard state.hasHuffman else { return nil }
        literalCount = count
        if format == 0 {
            guard decode(stream, literals, count) else { return nil }
        } else {
            guard decodeFour(stream, count) else { return nil }
        }
        return header + size
    }

    private func decodeFour(_ stream: UnsafeBufferPointer<UInt8>, _ count: Int) -> Bool {
        guard stream.count >= 6 else { return false }
        let each = (count + 3) / 4
        guard each * 3 <= count else { return false }
        var at = 6
        for index in 0..<4 {
            let size =
                index < 3 ? Int(stream[2 * index]) | Int(stream[2 * index + 1]) << 8 : stream.count - at
            guard size >= 1, at + size <= stream.count else { return false }
            let part = UnsafeBufferPointer(rebasing: stream[at..<(at + size)])
            guard decode(part, literals + each * index, index < 3 ? each : count - 3 * each) else { return false }
            at += size
        }
        return true
    }

    private func decode(
        _ stream: UnsafeBufferPointer<UInt8>, _ target: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Bool {
        guard var bits = BackwardBits(stream) else { return false }
        let table = state.huffman.decode
        let log = state.huffman.log
        var at = 0
        let pairs = count & ~1
        while at < pairs {
            let word = bits.peek(2 &* log)
            let first = table[Int(word &>> UInt32(log))]
            let used = Int(first &>> 8)
            let rest = Int(word &>> UInt32(log &- used)) & (1 &<< log &- 1)
            let second = table[rest]
            target[at] = UInt8(truncatingIfNeeded: first)
            target[at &+ 1] = UInt8(truncatingIfNeeded: second)
            bits.skip(used &+ Int(second &>> 8))
            at &+= 2
        }
        if at < count {
            let entry = table[Int(bits.peek(log))]
            target[at] = UInt8(truncatingIfNeeded: entry)
            bits.skip(Int(entry &>> 8))
        }
        return bits.left == 0
    }

    private func readSequences(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = bytes.first.map(Int.init) else { return false }
        if first == 0 {
            plainCount = literalCount
            return bytes.count == 1
        }
        var at: Int
        let count: Int
        if first < 128 {
            (at, count) = (1, first)
        } else if first < 255 {
            guard bytes.count >= 2 else { return false }
            (at, count) = (2, (first - 128) << 8 + Int(bytes[1]))
        } else {
            guard bytes.count >= 3 else { return false }
            (at, count) = (3, Int(bytes[1]) + Int(bytes[2]) << 8 + 0x7f00)
        }
        guard count > 0, count < SequenceList.capacity, at < bytes.count else { return false }
        let modes = bytes[at]
        guard modes & 3 == 0 else { return false }
        layout.modes = modes
        at += 1
        for kind in 0..<3 {
            let rest = UnsafeBufferPointer(rebasing: bytes[at...])
            guard let taken = state.takeTable(kind, mode: modes >> UInt8(6 - 2 * kind) & 3, rest),
                at + taken <= bytes.count
            else { return false }
            layout.tables[kind] = Array(rest[..<taken])
            at += taken
        }
        return decodeSequences(UnsafeBufferPointer(rebasing: bytes[at...]), count)
    }

    private func decodeSequences(_ stream: UnsafeBufferPointer<UInt8>, _ count: Int) -> Bool {
        guard var bits = BackwardBits(stream), let literal = state.tables[0], let offset = state.tables[1],
            let match = state.tables[2]
        else { return false }
        let codes = CodeTables.shared
        var literalState = Int(bits.take(literal.log))
        var offsetState = Int(bits.take(offset.log))
        var matchState = Int(bits.take(match.log))
        var sum = 0
        var literalSum = 0
        for index in 0..<count {
            let offsetCode = Int(offset.symbol[offsetState])
            let matchCode = Int(match.symbol[matchState])
            let literalCode = Int(literal.symbol[literalState])
            guard offsetCode < 31 else { return false }
            let value = UInt32(1) &<< UInt32(offsetCode) | bits.take(offsetCode)
            let length = codes.matchBase[matchCode] &+ bits.take(Int(codes.matchBits[matchCode])) &+ 3
            let before = codes.literalBase[literalCode] &+ bits.take(Int(codes.literalBits[literalCode]))
            sequences.append(Int(before), Int(length), Int(value))
            sum &+= Int(length)
            literalSum &+= Int(before)
            if index &+ 1 < count {
                literalState =
                    Int(literal.next[literalState]) &+ Int(bits.take(Int(literal.bits[literalState])))
                matchState = Int(match.next[matchState]) &+ Int(bits.take(Int(match.bits[matchState])))
                offsetState = Int(offset.next[offsetState]) &+ Int(bits.take(Int(offset.bits[offsetState])))
            }
            if bits.left < 0 || literalSum > literalCount || sum > ZstdTables.blockMax { return false }
        }
        plainCount = sum + literalCount
        return bits.left == 0 && plainCount <= ZstdTables.blockMax
    }

    /// Makes the plain bytes of the block that was read.
    /// - Parameters:
    ///   - target: Where they go; `plainCount` bytes fit, and `behind` bytes before it are the frame's text.
    ///   - behind: Bytes that may be copied from.
    /// - Returns: Whether all offsets stay within.
    func expand(into target: UnsafeMutablePointer<UInt8>, behind: Int) -> Bool {
        var at = 0
        var literal = 0
        for index in 0..<sequences.count {
            let each = sequences.base[index]
            let count = Int(each.literals)
            (target + at).update(from: literals + literal, count: count)
            at += count
            literal += count
            let distance = Int(state.distance(each.offset, hasLiterals: count > 0))
            let length = Int(each.length)
            guard distance > 0, distance <= behind + at else { return false }
            let from = target + at - distance
            if distance >= length {
                (target + at).update(from: from, count: length)
            } else {
                var done = 0
                while done < length {
                    target[at &+ done] = from[done]
                    done &+= 1
                }
            }
            at += length
        }
        (target + at).update(from: literals + literal, count: literalCount - literal)
        return true
    }
}
