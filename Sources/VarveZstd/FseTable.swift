// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What a state of a table stands for: its symbol, the bits that come with it, and the first of the states that these choose from.
struct FseStep {
    private let word: UInt32

    init(symbol: Int, bits: Int, next: Int) {
        word = UInt32(truncatingIfNeeded: symbol | bits << 8 | next << 16)
    }

    @inline(__always)
    var symbol: Int { Int(word & 0xff) }
    @inline(__always)
    var bits: Int { Int(word &>> 8 & 0xff) }
    @inline(__always)
    var next: Int { Int(word &>> 16) }
}

/// A finite state entropy table, for both directions: the distribution decides everything.
final class FseTable {
    static let symbolsMax = 64
    private static let sizeMax = 512

    private(set) var log = 0
    private(set) var symbolCount = 0
    /// A table of one symbol that costs no bits.
    private(set) var isSingle = false
    let norm: UnsafeMutablePointer<Int16>
    /// What each state stands for.
    private let symbol: UnsafeMutablePointer<UInt8>
    /// Decoding: the same, and how it goes on.
    let steps: UnsafeMutablePointer<FseStep>
    // Encoding: how each symbol moves the state.
    let deltaBits: UnsafeMutablePointer<UInt32>
    let deltaState: UnsafeMutablePointer<Int32>
    let states: UnsafeMutablePointer<UInt16>

    init() {
        norm = .allocate(capacity: Self.symbolsMax)
        norm.initialize(repeating: 0, count: Self.symbolsMax)
        symbol = .allocate(capacity: Self.sizeMax)
        symbol.initialize(repeating: 0, count: Self.sizeMax)
        steps = .allocate(capacity: Self.sizeMax)
        steps.initialize(repeating: FseStep(symbol: 0, bits: 0, next: 0), count: Self.sizeMax)
        deltaBits = .allocate(capacity: Self.symbolsMax)
        deltaBits.initialize(repeating: 0, count: Self.symbolsMax)
        deltaState = .allocate(capacity: Self.symbolsMax)
        deltaState.initialize(repeating: 0, count: Self.symbolsMax)
        states = .allocate(capacity: Self.sizeMax)
        states.initialize(repeating: 0, count: Self.sizeMax)
    }

    convenience init(_ norm: [Int16], log: Int) {
        self.init()
        _ = build(norm, log: log)
    }

    deinit {
        norm.deallocate()
        symbol.deallocate()
        steps.deallocate()
        deltaBits.deallocate()
        deltaState.deallocate()
        states.deallocate()
    }

    /// Makes it a table of that one symbol.
    func setSingle(_ value: UInt8) {
        log = 0
        isSingle = true
        symbolCount = Int(value) + 1
        symbol[0] = value
        steps[0] = FseStep(symbol: Int(value), bits: 0, next: 0)
        states[0] = 0
        for index in 0..<Self.symbolsMax {
            deltaBits[index] = 0
            deltaState[index] = 0
            norm[index] = 0
        }
    }

    /// Makes it the table of a distribution.
    /// - Returns: Whether the distribution adds up.
    func build(_ distribution: [Int16], log: Int) -> Bool {
        guard distribution.count <= Self.symbolsMax, log <= 9 else { return false }
        let size = 1 << log
        var sum = 0
        for value in distribution { sum += value < 0 ? 1 : Int(value) }
        guard sum == size else { return false }
        self.log = log
        isSingle = false
        symbolCount = distribution.count
        for index in 0..<Self.symbolsMax { norm[index] = index < symbolCount ? distribution[index] : 0 }
        spread(size)
        fillDecoding(size)
        fillEncoding(size)
        return true
    }

    private func spread(_ size: Int) {
        var high = size - 1
        for index in 0..<symbolCount where norm[index] == -1 {
            symbol[high] = UInt8(index)
            high -= 1
        }
        let step = size >> 1 + size >> 3 + 3
        var place = 0
        for index in 0..<symbolCount where norm[index] > 0 {
            for _ in 0..<Int(norm[index]) {
                symbol[place] = UInt8(index)
                repeat { place = (place + step) & (size - 1) } while place > high
            }
        }
    }

    private func fillDecoding(_ size: Int) {
        var counts = [Int](repeating: 0, count: Self.symbolsMax)
        for index in 0..<symbolCount { counts[index] = norm[index] == -1 ? 1 : Int(norm[index]) }
        for state in 0..<size {
            let value = Int(symbol[state])
            let count = counts[value]
            counts[value] += 1
            let width = log - count.highBit
            steps[state] = FseStep(symbol: value, bits: width, next: count << width - size)
        }
    }

    private func fillEncoding(_ size: Int) {
        var starts = [Int](repeating: 0, count: Self.symbolsMax)
        var total = 0
        for index in 0..<Self.symbolsMax {
            starts[index] = total
            let count = Int(norm[index])
            switch count {
            case 0:
                // Never used by a sound stream; in a damaged one it must only stay within the table.
                deltaBits[index] = UInt32((log + 1) << 16 - size)
                deltaState[index] = 0
            case -1, 1:
                deltaBits[index] = UInt32(log << 16 - size)
                deltaState[index] = Int32(total - 1)
                total += 1
            default:
                let most = log - (count - 1).highBit
                deltaBits[index] = UInt32(most << 16 - count << most)
                deltaState[index] = Int32(total - count)
                total += count
            }
        }
        for state in 0..<size {
            let value = Int(symbol[state])
            states[starts[value]] = UInt16(size + state)
            starts[value] += 1
        }
    }

    /// The state before the last symbol of a stream.
    @inline(__always)
    func firstState(_ value: Int) -> UInt32 {
        if isSingle { return 0 }
        let width = (deltaBits[value] &+ 1 &<< 15) &>> 16
        let start = Int32(bitPattern: (width &<< 16) &- deltaBits[value])
        return UInt32(states[Int(start &>> Int32(bitPattern: width) &+ deltaState[value])])
    }

    /// Bits that one symbol costs, in 1/256.
    func cost(_ value: Int) -> UInt32 {
        let least = deltaBits[value] &>> 16
        let threshold = (least &+ 1) &<< 16
        let delta = threshold &- (deltaBits[value] &+ 1 &<< UInt32(log))
        return (least &+ 1) &* 256 &- (delta &<< 8) &>> UInt32(log)
    }
}

/// Distributions as they are written and made.
enum FseNorm {
    /// Reads a distribution.
    /// - Returns: It, its accuracy and the bytes it takes; nil if it is damaged.
    static func read(
        _ bytes: UnsafeBufferPointer<UInt8>, symbolsMax: Int, logMax: Int
    ) -> (norm: [Int16], log: Int, count: Int)? {
        var at = 0
        func peek(_ count: Int) -> Int {
            var value = 0
            for index in 0..<4 where at >> 3 + index < bytes.count {
                value |= Int(bytes[at >> 3 + index]) << (8 * index)
            }
            return value >> (at & 7) & (1 << count - 1)
        }
        let log = peek(4) + 5
        at = 4
        guard !bytes.isEmpty, log <= logMax else { return nil }
        var left = 1 << log + 1
        var threshold = 1 << log
        var width = log + 1
        var norm: [Int16] = []
        var afterZero = false
        while left > 1 {
            if afterZero {
                while true {
                    let more = peek(2)
                    at += 2
                    norm.append(contentsOf: repeatElement(0, count: more))
                    guard norm.count < symbolsMax else { return nil }
                    if more < 3 { break }
                }
            }
            guard norm.count < symbolsMax, at <= bytes.count * 8 else { return nil }
            let most = 2 * threshold - 1 - left
            var value = peek(width - 1)
            if value < most {
                at += width - 1
            } else {
                value = peek(width)
                if value >= threshold { value -= most }
                at += width
            }
            value -= 1
            left -= abs(value)
            guard left >= 1 else { return nil }
            norm.append(Int16(value))
            afterZero = value == 0
            while left < threshold {
                width -= 1
                threshold >>= 1
            }
        }
        guard at <= bytes.count * 8 else { return nil }
        return (norm, log, (at + 7) / 8)
    }

    /// Writes a distribution that adds up.
    static func write(_ norm: [Int16], log: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var word = UInt64(log - 5)
        var count = 4
        func put(_ value: Int, _ bits: Int) {
            word |= UInt64(value) << UInt64(count)
            count += bits
            while count >= 8 {
                bytes.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
                count -= 8
            }
        }
        var left = 1 << log + 1
        var threshold = 1 << log
        var width = log + 1
        var index = 0
        var afterZero = false
        while left > 1 && index < norm.count {
            if afterZero {
                var zeros = 0
                while index + zeros < norm.count && norm[index + zeros] == 0 { zeros += 1 }
                index += zeros
                if index == norm.count { break }
                while zeros >= 3 {
                    put(3, 2)
                    zeros -= 3
                }
                put(zeros, 2)
            }
            var value = Int(norm[index])
            index += 1
            let most = 2 * threshold - 1 - left
            left -= abs(value)
            value += 1
            afterZero = value == 1
            if value >= threshold { value += most }
            put(value, value < most ? width - 1 : width)
            while left < threshold && threshold > 1 {
                width -= 1
                threshold >>= 1
            }
        }
        if count > 0 { bytes.append(UInt8(truncatingIfNeeded: word)) }
        return bytes
    }

    /// The accuracy that both encoders choose for `total` symbols.
    static func accuracy(most: Int, total: Int, symbolMax: Int, sourceBits: Int) -> Int {
        var log = most
        let reduced = (total - 1).highBit - 2
        if reduced >= 0 && reduced < log { log = reduced }
        log = max(log, min(sourceBits, symbolMax.highBit + 2))
        return min(max(log, 5), 12)
    }

    private static let roundUp: [UInt64] = [0, 473_195, 504_333, 520_860, 550_000, 700_000, 750_000, 830_000]

    /// Scales counts to a distribution, as the reference encoder does.
    /// - Parameters:
    ///   - counts: At least two are not zero; their sum is `total`.
    ///   - low: What a rare symbol gets, -1 or 1.
    ///   - poor: The number of rare symbols at which everything left goes to the most frequent one.
    static func scale(_ counts: [UInt32], total: Int, log: Int, low: Int16, poor: Int) -> [Int16]? {
        var norm = [Int16](repeating: 0, count: counts.count)
        let shift = UInt64(62 - log)
        let step = (1 << 62) / UInt64(total)
        let unit = UInt64(1) << (shift - 20)
        var left = 1 << log
        var largest = 0
        var largestValue = 0
        let threshold = total >> log
        for (index, count) in counts.enumerated() where count > 0 {
            if Int(count) <= threshold {
                norm[index] = low
                left -= 1
                continue
            }
            var value = (UInt64(count) &* step) >> shift
            if value < 8, UInt64(count) &* step &- value << shift > unit * roundUp[Int(value)] { value += 1 }
            if Int(value) > largestValue {
                largestValue = Int(value)
                largest = index
            }
            norm[index] = Int16(truncatingIfNeeded: value)
            left -= Int(value)
        }
        if -left >= Int(norm[largest]) >> 1 {
            return scaleAgain(counts, total: total, log: log, low: low, poor: poor)
        }
        norm[largest] += Int16(left)
        return norm
    }

    private static func scaleAgain(_ counts: [UInt32], total all: Int, log: Int, low: Int16, poor: Int) -> [Int16]? {
        let open: Int16 = -2
        var norm = [Int16](repeating: 0, count: counts.count)
        var total = all
        var given = 0
        let threshold = total >> log
        var one = (total * 3) >> (log + 1)
        for (index, count) in counts.enumerated() where count > 0 {
            if Int(count) <= threshold {
                norm[index] = low
            } else if Int(count) <= one {
                norm[index] = 1
            } else {
                norm[index] = open
                continue
            }
            given += 1
            total -= Int(count)
        }
        var left = 1 << log - given
        if left == 0 { return norm }
        guard left > 0 else { return nil }
        if total / left > one {
            one = total * 3 / (left * 2)
            for (index, count) in counts.enumerated() where norm[index] == open && Int(count) <= one {
                norm[index] = 1
                given += 1
                total -= Int(count)
            }
            left = 1 << log - given
        }
        if given == poor {
            var most = 0
            for (index, count) in counts.enumerated() where count > counts[most] { most = index }
            norm[most] += Int16(left)
            return norm
        }
        if total == 0 {
            guard norm.contains(where: { $0 > 0 }) else { return nil }
            var index = 0
            while left > 0 {
                if norm[index] > 0 {
                    left -= 1
                    norm[index] += 1
                }
                index = (index + 1) % counts.count
            }
            return norm
        }
        let shift = UInt64(62 - log)
        let middle = UInt64(1) << (shift - 1) - 1
        let step = (UInt64(1) << shift * UInt64(left) + middle) / UInt64(total)
        var sum = middle
        for (index, count) in counts.enumerated() where norm[index] == open {
            let end = sum &+ UInt64(count) &* step
            let weight = end >> shift - sum >> shift
            if weight < 1 { return nil }
            norm[index] = Int16(truncatingIfNeeded: weight)
            sum = end
        }
        return norm
    }
}
