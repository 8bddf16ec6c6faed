// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The checksum of a frame's plain bytes: the low half of XXH64 with seed 0 (RFC 8878, section 3.1.1), taken piece by piece.
struct XXHash {
    private static let prime1: UInt64 = 0x9e37_79b1_85eb_ca87
    private static let prime2: UInt64 = 0xc2b2_ae3d_27d4_eb4f
    private static let prime3: UInt64 = 0x1656_67b1_9e37_79f9
    private static let prime4: UInt64 = 0x85eb_ca77_c2b2_ae63
    private static let prime5: UInt64 = 0x27d4_eb2f_1656_67c5

    private var lanes = SIMD4<UInt64>(prime1 &+ prime2, prime2, 0, 0 &- prime1)
    private var rest: [UInt8] = []
    private(set) var count = 0

    init() { rest.reserveCapacity(32) }

    @inline(__always)
    private static func turn(_ value: UInt64, _ by: UInt64) -> UInt64 { value &<< by | value &>> (64 &- by) }

    @inline(__always)
    private static func mix(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        turn(lane &+ word &* prime2, 31) &* prime1
    }

    mutating func take(_ bytes: UnsafeBufferPointer<UInt8>) {
        count += bytes.count
        var at = 0
        if !rest.isEmpty {
            at = min(32 - rest.count, bytes.count)
            rest.append(contentsOf: bytes[..<at])
            if rest.count < 32 { return }
            rest.withUnsafeBytes { lanes = Self.stripes(lanes, $0.baseAddress, 1) }
            rest.removeAll(keepingCapacity: true)
        }
        let whole = (bytes.count - at) / 32
        if whole > 0, let base = bytes.baseAddress {
            lanes = Self.stripes(lanes, UnsafeRawPointer(base + at), whole)
            at += 32 * whole
        }
        rest.append(contentsOf: bytes[at...])
    }

    private static func stripes(_ lanes: SIMD4<UInt64>, _ base: UnsafeRawPointer?, _ count: Int) -> SIMD4<UInt64> {
        guard var next = base else { return lanes }
        var (a, b, c, d) = (lanes[0], lanes[1], lanes[2], lanes[3])
        for _ in 0..<count {
            a = mix(a, next.loadUnaligned(as: UInt64.self).littleEndian)
            b = mix(b, next.loadUnaligned(fromByteOffset: 8, as: UInt64.self).littleEndian)
            c = mix(c, next.loadUnaligned(fromByteOffset: 16, as: UInt64.self).littleEndian)
            d = mix(d, next.loadUnaligned(fromByteOffset: 24, as: UInt64.self).littleEndian)
            next += 32
        }
        return SIMD4(a, b, c, d)
    }

    /// The checksum as a frame has it, of all that was taken.
    var bytes: [UInt8] {
        var value = Self.prime5
        if count >= 32 {
            value =
                Self.turn(lanes[0], 1) &+ Self.turn(lanes[1], 7) &+ Self.turn(lanes[2], 12) &+ Self.turn(lanes[3], 18)
            for index in 0..<4 { value = (value ^ Self.mix(0, lanes[index])) &* Self.prime1 &+ Self.prime4 }
        }
        value = value &+ UInt64(count)
        var at = 0
        func word(_ size: Int) -> UInt64 {
            var word: UInt64 = 0
            for index in 0..<size { word |= UInt64(rest[at + index]) << UInt64(8 * index) }
            at += size
            return word
        }
        while rest.count - at >= 8 {
            value = Self.turn(value ^ Self.mix(0, word(8)), 27) &* Self.prime1 &+ Self.prime4
        }
        if rest.count - at >= 4 {
            value = Self.turn(value ^ word(4) &* Self.prime1, 23) &* Self.prime2 &+ Self.prime3
        }
        while at < rest.count { value = Self.turn(value ^ word(1) &* Self.prime5, 11) &* Self.prime1 }
        value = (value ^ value >> 33) &* Self.prime2
        value = (value ^ value >> 29) &* Self.prime3
        value ^= value >> 32
        return [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
}
