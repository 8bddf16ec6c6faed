// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The hash by which an encoder puts positions into chains.
protocol ChainHash {
    /// The bytes it is over: three or four.
    static var length: Int { get }
    var slots: Int { get }
    func slot(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int
}

/// zlib's and GNU gzip's: three bytes, shifted over each other.
struct ShiftedHash: ChainHash {
    private let shift: UInt32
    private let mask: UInt32

    /// - Parameter bits: 8-16.
    init(bits: UInt32) {
        shift = (bits + 2) / 3
        mask = 1 << bits - 1
    }

    static var length: Int { 3 }
    var slots: Int { Int(mask) + 1 }

    @inline(__always)
    func slot(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int {
        let a = UInt32(text[position]) &<< (shift &* 2)
        let b = UInt32(text[position &+ 1]) &<< shift
        return Int((a ^ b ^ UInt32(text[position &+ 2])) & mask)
    }
}

/// That of Go's compress/flate up to Go 1.26: the product of a big-endian word.
struct GoHash: ChainHash {
    private static var bits: UInt32 { 17 }

    static var length: Int { 4 }
    var slots: Int { 1 << Int(Self.bits) }

    @inline(__always)
    func slot(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int {
        let word = UnsafeRawPointer(text + position).loadUnaligned(as: UInt32.self).byteSwapped
        return Int((word &* 0x1e35_a7bd) &>> (32 &- Self.bits))
    }
}

/// That of klauspost/compress at levels 7-9, and of Go from 1.27 on: the product of a little-endian word.
struct KlauspostHash: ChainHash {
    private static var bits: UInt32 { 17 }

    static var length: Int { 4 }
    var slots: Int { 1 << Int(Self.bits) }

    @inline(__always)
    func slot(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int {
        let word = UnsafeRawPointer(text + position).loadUnaligned(as: UInt32.self)
        return Int((word &* 2_654_435_761) &>> (32 &- Self.bits))
    }
}
