// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A Huffman code of literals, for both directions: the lengths decide everything.
final class HuffmanTable {
    static let logMax = 11

    private(set) var log = 0
    /// One more than the last symbol with a code.
    private(set) var symbolCount = 0
    let lengths: UnsafeMutablePointer<UInt8>
    let codes: UnsafeMutablePointer<UInt16>
    /// Symbol in the low byte, length above, for each value of the next `log` bits.
    let decode: UnsafeMutablePointer<UInt16>

    init() {
        lengths = .allocate(capacity: 256)
        lengths.initialize(repeating: 0, count: 256)
        codes = .allocate(capacity: 256)
        codes.initialize(repeating: 0, count: 256)
        decode = .allocate(capacity: 1 << Self.logMax)
        decode.initialize(repeating: 0, count: 1 << Self.logMax)
    }

    deinit {
        lengths.deallocate()
        codes.deallocate()
        decode.deallocate()
    }

    /// Makes it the code with these lengths.
    /// - Returns: Whether they are a full code of at most `logMax` bits.
    func build(_ wanted: [UInt8]) -> Bool {
        guard wanted.count <= 256, wanted.count >= 2 else { return false }
        let longest = Int(wanted.max() ?? 0)
        guard longest >= 1, longest <= Self.logMax else { return false }
        var counts = [Int](repeating: 0, count: Self.logMax + 2)
        var sum = 0
        for length in wanted where length > 0 {
            counts[Int(length)] += 1
            sum += 1 << (longest - Int(length))
        }
        guard sum == 1 << longest else { return false }
        log = longest
        symbolCount = wanted.count
        var starts = [Int](repeating: 0, count: Self.logMax + 2)
        var start = 0
        for length in stride(from: longest, to: 0, by: -1) {
            starts[length] = start
            start = (start + counts[length]) >> 1
        }
        for symbol in 0..<256 {
            let length = symbol < wanted.count ? Int(wanted[symbol]) : 0
            lengths[symbol] = UInt8(length)
            codes[symbol] = 0
            guard length > 0 else { continue }
            let code = starts[length]
            starts[length] += 1
            codes[symbol] = UInt16(truncatingIfNeeded: code)
            let entry = UInt16(symbol) | UInt16(length) << 8
            let from = code << (longest - length)
            for place in from..<(from + 1 << (longest - length)) { decode[place] = entry }
        }
        return true
    }

    /// Whether every symbol that occurs has a code.
    func covers(_ counts: [UInt32]) -> Bool {
        for (symbol, count) in counts.enumerated() where count > 0 && lengths[symbol] == 0 { return false }
        return true
    }

    /// Whole bytes that the symbols take (rounded down, as encoders estimate).
    func estimate(_ counts: [UInt32], plus bits: Int) -> Int {
        var sum = bits
        for (symbol, count) in counts.enumerated() { sum += Int(lengths[symbol]) * Int(count) }
        return sum >> 3
    }

    /// Reads a table description.
    /// - Returns: The bytes it takes; nil if it is damaged.
    func read(_ bytes: UnsafeBufferPointer<UInt8>, using table: FseTable) -> Int? {
        guard let first = bytes.first.map(Int.init) else { return nil }
        var weights: [UInt8] = []
        let end: Int
        if first >= 128 {
            let count = first - 127
            end = 1 + (count + 1) / 2
            guard end <= bytes.count else { return nil }
            for index in 0..<count {
                let byte = bytes[1 + index / 2]
                weights.append(index & 1 == 0 ? byte >> 4 : byte & 15)
            }
        } else {
            end = 1 + first
            guard first > 0, end <= bytes.count else { return nil }
            let part = UnsafeBufferPointer(rebasing: bytes[1..<end])
            guard let found = Self.readWeights(part, using: table) else { return nil }
            weights = found
        }
        var sum = 0
        for weight in weights where weight > 0 {
            guard weight <= Self.logMax + 1 else { return nil }
            sum += 1 << Int(weight - 1)
        }
        guard sum > 0 else { return nil }
        let log = sum.highBit + 1
        let rest = 1 << log - sum
        guard log <= Self.logMax, rest & (rest - 1) == 0 else { return nil }
        weights.append(UInt8(rest.highBit + 1))
        let lengths = weights.map { $0 == 0 ? 0 : UInt8(log + 1) - $0 }
        return build(lengths) ? end : nil
    }

    private static func readWeights(_ bytes: UnsafeBufferPointer<UInt8>, using table: FseTable) -> [UInt8]? {
        guard let norm = FseNorm.read(bytes, symbolsMax: 13, logMax: 6), norm.count < bytes.count,
            table.build(norm.norm, log: norm.log),
            var bits = BackwardBits(UnsafeBufferPointer(rebasing: bytes[norm.count...]))
        else { return nil }
        var states = (Int(bits.take(norm.log)), Int(bits.take(norm.log)))
        guard bits.left >= 0 else { return nil }
        var weights: [UInt8] = []
        while weights.count < 255 {
            weights.append(UInt8(table.steps[states.0].symbol))
            let width = table.steps[states.0].bits
            if bits.left < width {
                weights.append(UInt8(table.steps[states.1].symbol))
                return weights.count <= 255 ? weights : nil
            }
            let next = table.steps[states.0].next + Int(bits.take(width))
            states = (states.1, next)
        }
        return nil
    }
}

/// Writes descriptions of Huffman codes as the encoders do.
enum HuffmanDescription {
    /// - Parameters:
    ///   - low: What a rare weight gets in the distribution: -1 (klauspost), 1 (libzstd).
    ///   - roomy: Whether a compressed description of half the alphabet's size is still taken (klauspost).
    /// - Returns: The description; nil if it can not be written.
    static func write(_ code: HuffmanTable, symbolCount: Int, isReference: Bool, using table: FseTable) -> [UInt8]? {
        let count = symbolCount - 1
        var weights = [UInt8](repeating: 0, count: count + 1)
        for symbol in 0..<count where code.lengths[symbol] > 0 {
            weights[symbol] = UInt8(code.log + 1) - code.lengths[symbol]
        }
        let most = isReference ? count / 2 : symbolCount / 2
        if count >= 2, let packed = pack(weights, count, isReference, table), packed.count < most, packed.count > 1 {
            return [UInt8(packed.count)] + packed
        }
        guard count <= 128 else { return nil }
        var bytes = [UInt8(128 + count - 1)]
        for index in stride(from: 0, to: count, by: 2) { bytes.append(weights[index] << 4 | weights[index + 1]) }
        return bytes
    }

    private static func pack(_ weights: [UInt8], _ count: Int, _ isReference: Bool, _ table: FseTable) -> [UInt8]? {
        var counts = [UInt32](repeating: 0, count: 13)
        for index in 0..<count { counts[Int(weights[index])] += 1 }
        while counts.last == 0 { counts.removeLast() }
        let largest = Int(counts.max() ?? 0)
        if largest == count || largest == 1 { return nil }
        let source = isReference ? count.highBit + 1 : (count - 1).highBit + 1
        let log = FseNorm.accuracy(most: 6, total: count, symbolMax: counts.count - 1, sourceBits: source)
        let poor = isReference ? counts.count : counts.count + 1
        guard
            let norm = FseNorm.scale(counts, total: count, log: log, low: isReference ? 1 : -1, poor: poor),
            table.build(norm, log: log)
        else { return nil }
        var bytes = FseNorm.write(norm, log: log)
        let room = UnsafeMutablePointer<UInt8>.allocate(capacity: 512)
        defer { room.deallocate() }
        var out = ForwardBits(room)
        var index = count - 1
        // The state that is read first belongs to the weights at even places.
        var states: (UInt32, UInt32)
        let lastIsEven = index & 1 == 0
        let a = table.firstState(Int(weights[index]))
        let b = table.firstState(Int(weights[index - 1]))
        states = lastIsEven ? (a, b) : (b, a)
        index -= 2
        while index >= 0 {
            let symbol = Int(weights[index])
            var state = index & 1 == 0 ? states.0 : states.1
            let width = (state &+ table.deltaBits[symbol]) >> 16
            out.put(UInt64(state & (1 << width - 1)), Int(width))
            out.flush()
            state = UInt32(table.states[Int(Int32(state >> width) + table.deltaState[symbol])])
            if index & 1 == 0 { states.0 = state } else { states.1 = state }
            index -= 1
        }
        let mask = UInt32(1 << log - 1)
        out.put(UInt64(states.1 & mask), log)
        out.flush()
        out.put(UInt64(states.0 & mask), log)
        let packed = out.close()
        bytes.append(contentsOf: UnsafeBufferPointer(start: room, count: packed))
        if !isReference && bytes.count >= count { return nil }
        return bytes
    }
}
