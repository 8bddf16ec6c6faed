// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Reads a bit stream from its end to its start, as zstd's entropy coded streams are.
struct BackwardBits {
    private let base: UnsafePointer<UInt8>
    private let size: Int
    /// Bits before the place reached; negative after reading past the start.
    private(set) var left: Int

    /// - Returns: nil if the end mark is missing.
    init?(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = bytes.baseAddress, let last = bytes.last, last != 0 else { return nil }
        base = start
        size = bytes.count
        left = (bytes.count - 1) * 8 + last.highBit
    }

    /// The next `count` bits (at most 32) without taking them; zeros past the start.
    @inline(__always)
    func peek(_ count: Int) -> UInt32 {
        let from = left &- count
        if from >= 0 {
            let byte = from &>> 3
            // The last bytes are put together one by one: nothing beyond the stream is read.
            if byte &+ 8 > size { return slow(byte, from & 7, count) }
            let word = UnsafeRawPointer(base + byte).loadUnaligned(as: UInt64.self).littleEndian
            return UInt32(truncatingIfNeeded: word &>> UInt64(from & 7) & (1 &<< UInt64(count) &- 1))
        }
        if left <= 0 { return 0 }
        return slow(0, 0, left) &<< UInt32(truncatingIfNeeded: count &- left)
    }

    @inline(never)
    private func slow(_ byte: Int, _ shift: Int, _ count: Int) -> UInt32 {
        var word: UInt64 = 0
        var at = byte
        var place: UInt64 = 0
        while at < size && place < 64 {
            word |= UInt64(base[at]) &<< place
            at &+= 1
            place &+= 8
        }
        return UInt32(truncatingIfNeeded: word &>> UInt64(shift) & (1 &<< UInt64(count) &- 1))
    }

    /// Bits that must be left for `word`.
    static let wordBits = 64

    /// The bits that come next, the first one highest: 57 of them at least, what is below is anything. `wordBits` must be left.
    @inline(__always)
    func word() -> UInt64 {
        let end = (left &+ 7) &>> 3
        let word = UnsafeRawPointer(base + end - 8).loadUnaligned(as: UInt64.self).littleEndian
        return word &<< UInt64(end &* 8 &- left)
    }

    @inline(__always)
    mutating func skip(_ count: Int) { left &-= count }

    /// Takes `count` bits, at most 32.
    @inline(__always)
    mutating func take(_ count: Int) -> UInt32 {
        let value = peek(count)
        left &-= count
        return value
    }
}

/// Appends bits, low ones first, to memory that is large enough.
struct ForwardBits {
    private var next: UnsafeMutablePointer<UInt8>
    private let start: UnsafeMutablePointer<UInt8>
    private var word: UInt64 = 0
    private var count: UInt64 = 0

    init(_ start: UnsafeMutablePointer<UInt8>) {
        self.start = start
        next = start
    }

    /// Adds bits; at most 56 between two calls of `flush`. `value` has no bits above `bits`.
    @inline(__always)
    mutating func put(_ value: UInt64, _ bits: Int) {
        word |= value &<< count
        count &+= UInt64(bits)
    }

    /// Writes whole bytes out. Touches up to eight bytes.
    @inline(__always)
    mutating func flush() {
        UnsafeMutableRawPointer(next).storeBytes(of: word.littleEndian, as: UInt64.self)
        next += Int(count &>> 3)
        word &>>= count & ~7
        count &= 7
    }

    /// Writes the end mark and what is left.
    /// - Returns: Bytes written in all.
    mutating func close() -> Int {
        put(1, 1)
        return closeWithoutMark()
    }

    mutating func closeWithoutMark() -> Int {
        flush()
        if count > 0 { next += 1 }
        return next - start
    }
}
