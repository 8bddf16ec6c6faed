// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Takes a compressed block apart into layout, literals and sequences, keeping every decision its encoder made.
final class BlockReader {
    let state: WireState
    let literals: UnsafeMutablePointer<UInt8>
    private(set) var literalCount = 0
    let sequences = SequenceList()
    private(set) var layout = BlockLayout()
    /// Whether layout, literals and sequences say all: nothing was written in another way than ``BlockWriter`` does.
    private(set) var isCanonical = false
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
        isCanonical = true
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
            guard let bits = BackwardBits(stream), decode(bits, literals, 0, count) else { return nil }
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
        func part(_ index: Int) -> BackwardBits? {
            let size =
                index < 3 ? Int(stream[2 * index]) | Int(stream[2 * index + 1]) << 8 : stream.count - at
            guard size >= 1, at + size <= stream.count else { return nil }
            defer { at += size }
            return BackwardBits(UnsafeBufferPointer(rebasing: stream[at..<(at + size)]))
        }
        guard var first = part(0), var second = part(1), var third = part(2), var fourth = part(3) else { return false }
        // All four at once, as far as the last one goes, while whole words are left.
        let table = state.huffman.decode
        let log = UInt64(state.huffman.log)
        let last = count - 3 * each
        let enough = BackwardBits.wordBits
        var done = 0
        while done &+ 5 <= last, first.left >= enough, second.left >= enough, third.left >= enough,
            fourth.left >= enough
        {
            var words = (first.word(), second.word(), third.word(), fourth.word())
            var used = (0, 0, 0, 0)
            var target = literals + done
            for _ in 0..<5 {
                Self.step(table, log, &words.0, &used.0, target)
                Self.step(table, log, &words.1, &used.1, target + each)
                Self.step(table, log, &words.2, &used.2, target + 2 &* each)
                Self.step(table, log, &words.3, &used.3, target + 3 &* each)
                target += 1
            }
            first.skip(used.0)
            second.skip(used.1)
            third.skip(used.2)
            fourth.skip(used.3)
            done &+= 5
        }
        return decode(first, literals, done, each) && decode(second, literals + each, done, each)
            && decode(third, literals + 2 * each, done, each) && decode(fourth, literals + 3 * each, done, last)
    }

    /// Decodes one literal out of the highest bits of a word.
    @inline(__always)
    private static func step(
        _ table: UnsafeMutablePointer<UInt16>, _ log: UInt64, _ word: inout UInt64, _ used: inout Int,
        _ target: UnsafeMutablePointer<UInt8>
    ) {
        let entry = table[Int(truncatingIfNeeded: word &>> (64 &- log))]
        target.pointee = UInt8(truncatingIfNeeded: entry)
        let length = UInt64(entry &>> 8)
        word &<<= length
        used &+= Int(truncatingIfNeeded: length)
    }

    /// Decodes the literals from number `start` on.
    private func decode(
        _ stream: BackwardBits, _ target: UnsafeMutablePointer<UInt8>, _ start: Int, _ count: Int
    ) -> Bool {
        var bits = stream
        let table = state.huffman.decode
        let log = state.huffman.log
        var at = start
        while at < count {
            let entry = table[Int(bits.peek(log))]
            target[at] = UInt8(truncatingIfNeeded: entry)
            bits.skip(Int(entry &>> 8))
            at &+= 1
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
            isCanonical = count >= 128
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
        let (literalSteps, offsetSteps, matchSteps) = (literal.steps, offset.steps, match.steps)
        var literalState = Int(bits.take(literal.log))
        var offsetState = Int(bits.take(offset.log))
        var matchState = Int(bits.take(match.log))
        var sum = 0
        var literalSum = 0
        var next = sequences.base
        for index in 0..<count {
            let offsetStep = offsetSteps[offsetState]
            let matchStep = matchSteps[matchState]
            let literalStep = literalSteps[literalState]
            let offsetBits = offsetStep.symbol
            guard offsetBits < 31 else { return false }
            let matchBits = Int(codes.matchBits[matchStep.symbol])
            let literalBits = Int(codes.literalBits[literalStep.symbol])
            var value = UInt32(truncatingIfNeeded: 1 &<< offsetBits)
            var length = codes.matchBase[matchStep.symbol] &+ 3
            var before = codes.literalBase[literalStep.symbol]
            let all =
                offsetBits &+ matchBits &+ literalBits &+ literalStep.bits &+ matchStep.bits &+ offsetStep.bits
            if all <= 56, bits.left >= BackwardBits.wordBits, index &+ 1 < count {
                var word = bits.word()
                bits.skip(all)
                value |= Self.take(offsetBits, of: &word)
                length &+= Self.take(matchBits, of: &word)
                before &+= Self.take(literalBits, of: &word)
                literalState = literalStep.next &+ Int(Self.take(literalStep.bits, of: &word))
                matchState = matchStep.next &+ Int(Self.take(matchStep.bits, of: &word))
                offsetState = offsetStep.next &+ Int(Self.take(offsetStep.bits, of: &word))
            } else {
                value |= bits.take(offsetBits)
                length &+= bits.take(matchBits)
                before &+= bits.take(literalBits)
                if index &+ 1 < count {
                    literalState = literalStep.next &+ Int(bits.take(literalStep.bits))
                    matchState = matchStep.next &+ Int(bits.take(matchStep.bits))
                    offsetState = offsetStep.next &+ Int(bits.take(offsetStep.bits))
                }
            }
            next.pointee = Sequence(literals: before, length: length, offset: value)
            next += 1
            sum &+= Int(length)
            literalSum &+= Int(before)
        }
        sequences.count = count
        plainCount = sum + literalCount
        // There are several states to begin with for most codes, of which encoders take a certain one.
        isCanonical =
            isCanonical && Self.isFirst(literalState, of: literal) && Self.isFirst(offsetState, of: offset)
            && Self.isFirst(matchState, of: match)
        return bits.left == 0 && literalSum <= literalCount && plainCount <= ZstdTables.blockMax
    }

    /// Takes the highest bits of a word, 31 at most.
    @inline(__always)
    private static func take(_ count: Int, of word: inout UInt64) -> UInt32 {
        let value = (word &>> 1) &>> UInt64(truncatingIfNeeded: 63 &- count)
        word &<<= UInt64(truncatingIfNeeded: count)
        return UInt32(truncatingIfNeeded: value)
    }

    private static func isFirst(_ state: Int, of table: FseTable) -> Bool {
        Int(table.firstState(table.steps[state].symbol)) & (1 << table.log - 1) == state
    }

    /// Makes the plain bytes of the block that was read.
    /// - Parameters:
    ///   - target: Where they go; `plainCount` bytes and ``slack`` more may be written, and `behind` bytes before it are the
    ///     frame's text.
    ///   - behind: Bytes that may be copied from.
    /// - Returns: Whether all offsets stay within.
    func expand(into target: UnsafeMutablePointer<UInt8>, behind: Int) -> Bool {
        var to = target
        var literal = UnsafePointer(literals)
        var recent = state.recent
        defer { state.recent = recent }
        for index in 0..<sequences.count {
            let each = sequences.base[index]
            let count = Int(each.literals)
            Self.copy(literal, to, count)
            to += count
            literal += count
            let distance = Int(WireState.distance(each.offset, hasLiterals: count > 0, &recent))
            let length = Int(each.length)
            guard distance > 0, distance <= behind + (to - target) else { return false }
            let from = UnsafePointer(to - distance)
            if distance >= Self.slack || distance >= length {
                Self.copy(from, to, length)
            } else {
                var done = 0
                while done < length {
                    to[done] = from[done]
                    done &+= 1
                }
            }
            to += length
        }
        to.update(from: literal, count: UnsafePointer(literals) + literalCount - literal)
        return true
    }

    /// Bytes that a copy may write more than was asked for.
    static let slack = 16

    /// Copies bytes from a place at least ``slack`` bytes before or as many as are copied.
    @inline(__always)
    private static func copy(_ from: UnsafePointer<UInt8>, _ to: UnsafeMutablePointer<UInt8>, _ count: Int) {
        let source = UnsafeRawPointer(from)
        let target = UnsafeMutableRawPointer(to)
        var at = 0
        repeat {
            target.storeBytes(
                of: source.loadUnaligned(fromByteOffset: at, as: SIMD16<UInt8>.self), toByteOffset: at,
                as: SIMD16<UInt8>.self)
            at &+= slack
        } while at < count
    }
}
