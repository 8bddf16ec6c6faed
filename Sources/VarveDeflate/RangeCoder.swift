// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A coder of single decisions, each with a probability that learns.
///
/// The writing and the reading side have the same face: the caller passes the value it knows (the reader's caller passes
/// anything) and goes on with the value that comes back. So every description is written down once and serves both ways.
protocol BinaryCoder {
    /// Whether the values passed in are the truth (true) or are ignored (false).
    static var isWriting: Bool { get }
    /// Bytes written so far, about; 0 when reading.
    var size: Int { get }

    /// Codes one decision under the adaptive probability at `probability` (of a zero, in 1/65536).
    /// - Parameter shift: How fast it learns: the probability moves by one part in `1 << shift`.
    mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int
}

extension BinaryCoder {
    /// Codes one decision at the usual rate of learning.
    @inline(__always)
    mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int) -> Int {
        bit(probability, value, shift: 5)
    }

    /// Codes `count` bits (at most 32), each with probability one half, highest first.
    @inline(never)
    mutating func raw(_ count: Int, _ value: Int) -> Int {
        var result = 0
        var half: UInt16 = 32768
        var shift = count
        while shift > 0 {
            shift &-= 1
            half = 32768
            result = result &<< 1 | bit(&half, value &>> shift & 1)
        }
        return result
    }

    /// Codes a value of `bits` bits through a binary tree of `1 << bits` probabilities.
    mutating func tree(_ probabilities: UnsafeMutablePointer<UInt16>, bits: Int, _ value: Int) -> Int {
        var node = 1
        var shift = bits
        while shift > 0 {
            shift &-= 1
            node = node &<< 1 | bit(probabilities + node, value &>> shift & 1)
        }
        return node &- (1 &<< bits)
    }

    /// Codes a number of up to 40 bits, small ones cheaply: its size through a tree of 64 probabilities, then its bits.
    mutating func number(_ probabilities: UnsafeMutablePointer<UInt16>, _ value: Int) -> Int {
        let wanted = Int(UInt64(truncatingIfNeeded: Swift.max(value, 0)) &+ 1)
        let size = Swift.min(tree(probabilities, bits: 6, 63 &- wanted.leadingZeroBitCount), 40)
        if size == 0 { return 0 }
        var result = 1
        if size > 30 { result = result &<< (size &- 30) | raw(size &- 30, wanted &>> 30 & ((1 &<< (size &- 30)) &- 1)) }
        let low = Swift.min(size, 30)
        result = result &<< low | raw(low, wanted & ((1 &<< low) &- 1))
        return result &- 1
    }
}

/// Adaptive probabilities in one allocation; freed with the object.
final class Probabilities {
    let base: UnsafeMutablePointer<UInt16>
    private let count: Int

    init(count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: 32768, count: count)
    }

    /// Everything back to one half.
    func reset() {
        base.update(repeating: 32768, count: count)
    }

    deinit { base.deallocate() }
}

/// Writes decisions as a byte string (a carry-propagating binary range coder, 32-bit range, 16-bit probabilities).
struct BinaryEncoder: BinaryCoder {
    static var isWriting: Bool { true }

    private(set) var bytes: [UInt8] = []
    private var low: UInt64 = 0
    private var range: UInt32 = 0xffff_ffff
    private var cache: UInt8 = 0
    private var pending = 0
    private var started = false

    init() {}

    /// Bytes written so far, a lower bound of the final size.
    var size: Int { bytes.count &+ pending }

    @inline(__always)
    mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int {
        let p = UInt32(probability.pointee)
        let bound = (range &>> 16) &* p
        if value == 0 {
            range = bound
            probability.pointee = UInt16(truncatingIfNeeded: p &+ ((65536 &- p) &>> shift) &- (p > 65500 ? 1 : 0))
        } else {
            low &+= UInt64(bound)
            range &-= bound
            probability.pointee = UInt16(truncatingIfNeeded: p &- (p &>> shift) &+ (p < 36 ? 1 : 0))
        }
        while range < 1 &<< 24 {
            range &<<= 8
            shiftLow()
        }
        return value
    }

    private mutating func shiftLow() {
        if low < 0xff00_0000 || low >= 1 &<< 32 {
            let carry = UInt8(truncatingIfNeeded: low &>> 32)
            if started { bytes.append(cache &+ carry) }
            started = true
            while pending > 0 {
                bytes.append(0xff &+ carry)
                pending &-= 1
            }
            cache = UInt8(truncatingIfNeeded: low &>> 24)
        } else {
            pending &+= 1
        }
        low = (low & 0x00ff_ffff) &<< 8
    }

    /// The finished byte string; zero bytes at its end are left off, the reader supplies them.
    consuming func finish() -> [UInt8] {
        for _ in 0..<5 { shiftLow() }
        while bytes.last == 0 { bytes.removeLast() }
        return bytes
    }
}

/// Reads what ``BinaryEncoder`` wrote. Past the end it reads zeros; it cannot fail, only produce other values.
struct BinaryDecoder: BinaryCoder {
    static var isWriting: Bool { false }

    var size: Int { 0 }
    private var next: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>
    private var range: UInt32 = 0xffff_ffff
    private var code: UInt32 = 0

    /// Reads `count` bytes at `base`, which must stay valid while the decoder is used.
    init(base: UnsafePointer<UInt8>, count: Int) {
        next = base
        end = base + count
        for _ in 0..<4 { code = code &<< 8 | byte() }
    }

    @inline(__always)
    private mutating func byte() -> UInt32 {
        if next == end { return 0 }
        let value = UInt32(next.pointee)
        next += 1
        return value
    }

    @inline(__always)
    mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int {
        let p = UInt32(probability.pointee)
        let bound = (range &>> 16) &* p
        let result: Int
        if code < bound {
            range = bound
            probability.pointee = UInt16(truncatingIfNeeded: p &+ ((65536 &- p) &>> shift) &- (p > 65500 ? 1 : 0))
            result = 0
        } else {
            code &-= bound
            range &-= bound
            probability.pointee = UInt16(truncatingIfNeeded: p &- (p &>> shift) &+ (p < 36 ? 1 : 0))
            result = 1
        }
        while range < 1 &<< 24 {
            range &<<= 8
            code = code &<< 8 | byte()
        }
        return result
    }
}
