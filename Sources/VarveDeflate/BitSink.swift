// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Turns tokens, code lengths and raw bits into the bytes of a deflate stream.
final class BitSink {
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var count = 0
    private var accumulator: UInt64 = 0
    private var held = 0

    /// Codes ready to be written, bits reversed: value in the low 24 bits, bit count above. By ``Token/slot(_:)``, end of
    /// block behind them.
    private let literalCodes: UnsafeMutablePointer<UInt32>
    private static let endOfBlock = Token.slots
    /// By ``Token/distanceSlot(_:)``: bits 0-15 code, 16-21 its bit count, 32-37 that of code and extra bits, 48-63 the least
    /// distance of the code.
    private let distanceCodes: UnsafeMutablePointer<UInt64>

    /// Starts with `phase` bits already there (a segment may begin in the middle of a byte).
    init(capacity: Int, phase: Int, phaseBits: Int) {
        self.capacity = max(capacity, 1 << 16)
        base = .allocate(capacity: self.capacity + 64)
        literalCodes = .allocate(capacity: Token.slots + 1)
        distanceCodes = .allocate(capacity: Token.distanceSlots)
        literalCodes.initialize(repeating: 0, count: Token.slots + 1)
        distanceCodes.initialize(repeating: 0, count: Token.distanceSlots)
        held = phase & 7
        accumulator = UInt64(truncatingIfNeeded: phaseBits) & ((1 &<< UInt64(held)) &- 1)
    }

    deinit {
        base.deallocate()
        literalCodes.deallocate()
        distanceCodes.deallocate()
    }

    /// Whole bytes written.
    var byteCount: Int { count }
    /// Bits of the byte in progress.
    var phase: Int { held }
    var phaseBits: Int { Int(accumulator) }

    /// The whole bytes written so far.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    private func reserve(_ more: Int) {
        if count + more <= capacity { return }
        let size = max(count + more, capacity * 2)
        let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: size + 64)
        grown.update(from: base, count: count)
        base.deallocate()
        base = grown
        capacity = size
    }

    private func flushBytes() {
        while held >= 8 {
            base[count] = UInt8(truncatingIfNeeded: accumulator)
            count &+= 1
            accumulator &>>= 8
            held &-= 8
        }
    }

    /// Appends the low `bitCount` (at most 32) bits of `value`.
    func put(_ value: Int, _ bitCount: Int) {
        reserve(16)
        accumulator |= (UInt64(truncatingIfNeeded: value) & ((1 &<< UInt64(bitCount)) &- 1)) &<< UInt64(held)
        held &+= bitCount
        flushBytes()
    }

    /// Fills the byte in progress with the low bits of `padding`.
    func align(_ padding: Int) {
        if held > 0 { put(padding, 8 - held) }
    }

    /// Appends bytes; only at a byte boundary.
    func append(_ from: UnsafePointer<UInt8>, _ n: Int) {
        reserve(n + 16)
        (base + count).update(from: from, count: n)
        count += n
    }

    // MARK: Huffman blocks

    private func setCodes(_ lengths: UnsafePointer<UInt8>, literals: Int, distances: Int) {
        let table = DeflateTables.shared
        var codes = (0..<320).map { _ in UInt32(0) }
        Self.assign(lengths, literals, &codes)
        literalCodes.update(repeating: 0, count: Token.slots + 1)
        for symbol in 0..<256 { literalCodes[symbol] = codes[symbol] }
        literalCodes[Self.endOfBlock] = codes[256]
        for length in 3...258 {
            let code = Int(table.lengthCode[length])
            if 257 + code >= literals { continue }
            let entry = codes[257 + code]
            let size = entry >> 24
            let extra = UInt32(length) - UInt32(DeflateTables.lengthBase[code])
            literalCodes[Token.lengthBias + length] =
                (entry & 0xff_ffff | extra << size) | (size + UInt32(DeflateTables.lengthExtra[code])) << 24
        }
        Self.assign(lengths + literals, distances, &codes)
        for slot in 1..<Token.distanceSlots {
            let symbol = Int(table.distanceCodes[slot])
            // Not every place stands for a distance.
            if symbol == DeflateTables.noDistance { continue }
            let entry = symbol < distances ? codes[symbol] : 0
            let size = UInt64(entry >> 24)
            distanceCodes[slot] =
                UInt64(entry & 0xffff) | size << 16 | (size + UInt64(DeflateTables.distanceExtra[symbol])) << 32
                | UInt64(DeflateTables.distanceBase[symbol]) << 48
        }
    }

    /// Canonical codes of `n` lengths, reversed for writing. Lengths must not be over-subscribed.
    private static func assign(_ lengths: UnsafePointer<UInt8>, _ n: Int, _ codes: inout [UInt32]) {
        var counts = (0..<17).map { _ in 0 }
        for symbol in 0..<n { counts[Int(lengths[symbol] & 15)] += 1 }
        counts[0] = 0
        var next = (0..<17).map { _ in 0 }
        for length in 1..<16 { next[length + 1] = (next[length] + counts[length]) << 1 }
        for symbol in 0..<n {
            let length = Int(lengths[symbol] & 15)
            codes[symbol] = 0
            if length == 0 { continue }
            var reversed: UInt32 = 0
            let value = next[length]
            next[length] += 1
            for bit in 0..<length where value >> bit & 1 != 0 { reversed |= 1 << UInt32(length - 1 - bit) }
            codes[symbol] = reversed | UInt32(length) << 24
        }
    }

    /// Writes block type 2's description of its codes.
    private func putHeader(_ header: DynamicHeader) {
        put(header.literalCount - 257, 5)
        put(header.distanceCount - 1, 5)
        put(header.codeLengthCount - 4, 4)
        for index in 0..<min(header.codeLengthCount, 19) {
            put(Int(header.codeLengths[Int(DeflateTables.codeLengthOrder[index])]), 3)
        }
        var codes = (0..<320).map { _ in UInt32(0) }
        header.codeLengths.withUnsafeBufferPointer { lengths in
            if let base = lengths.baseAddress { Self.assign(base, 19, &codes) }
        }
        for operation in header.operations {
            let symbol = Int(operation & 255)
            let entry = codes[symbol]
            put(Int(entry & 0xff_ffff), Int(entry >> 24))
            switch symbol {
            case 16: put(Int(operation >> 8), 2)
            case 17: put(Int(operation >> 8), 3)
            case 18: put(Int(operation >> 8), 7)
            default: break
            }
        }
    }

    /// Writes tokens and the end-of-block symbol, or those of a part of a block, under a dynamic block's codes or the fixed
    /// ones (nil); before them the codes of a dynamic block that begins.
    func putTokens(
        _ tokens: UnsafePointer<UInt32>, count: Int, _ header: DynamicHeader?, _ part: BlockPart = BlockPart()
    ) {
        if let header, part.begins { putHeader(header) }
        let lengths = header?.lengths ?? FixedCodes.lengths
        lengths.withUnsafeBufferPointer {
            if let base = $0.baseAddress {
                putTokens(
                    tokens, count: count, lengths: base, literals: header?.literalCount ?? 288,
                    distances: header?.distanceCount ?? 32, ends: part.ends)
            }
        }
    }

    private func putTokens(
        _ tokens: UnsafePointer<UInt32>, count tokenCount: Int, lengths: UnsafePointer<UInt8>, literals: Int,
        distances: Int, ends: Bool
    ) {
        setCodes(lengths, literals: literals, distances: distances)
        reserve(tokenCount * 6 + 32)
        let literalCodes = self.literalCodes
        let distanceCodes = self.distanceCodes
        var accumulator = self.accumulator
        var held = UInt64(self.held)
        var out = UnsafeMutableRawPointer(base + count)
        // Literals have a distance of no bits: a branch would be wrong too often.
        for index in 0..<tokenCount {
            let token = tokens[index]
            let entry = literalCodes[Token.slot(token)]
            let far = distanceCodes[Token.distanceSlot(token)]
            let size = UInt64(entry &>> 24)
            let extra = UInt64(token &>> 9) &- far &>> 48
            let value = UInt64(entry & 0xff_ffff) | (far & 0xffff | extra &<< (far &>> 16)) &<< size
            accumulator |= value &<< held
            held &+= size &+ far &>> 32 & 63
            out.storeBytes(of: accumulator, as: UInt64.self)
            out += Int(held &>> 3)
            accumulator &>>= held & 0x38
            held &= 7
        }
        count = out - UnsafeMutableRawPointer(base)
        self.accumulator = accumulator
        self.held = Int(held)
        if !ends { return }
        let entry = literalCodes[Self.endOfBlock]
        put(Int(entry & 0xff_ffff), Int(entry >> 24))
    }
}
