// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The symbols of Huffman blocks: the decoder's hot loop.
extension InflateReader {
    /// Decodes until the end of the block (true), or until a buffer needs looking after or there is enough (false).
    func run(
        _ block: inout DeflateBlock, _ literalTable: HuffmanDecodeTable, _ distanceTable: HuffmanDecodeTable, room: Int,
        tokensMost: Int
    ) throws -> Bool {
        let literalEntries = literalTable.entries
        let distanceEntries = distanceTable.entries
        var out = plain.base + plain.count
        let outStart = plain.base + max(memberStart - plain.origin, 0)
        let outLimit = plain.base + min(plain.capacity - 300, plain.count + min(room, 1 << 30))
        var token = tokens.base + tokens.count
        let tokenLimit = tokens.base + min(tokens.capacity, tokensMost)
        var next = input + position
        let inputLimit = input + (atEnd ? end + Self.inputPadding - 32 : end - 16)
        var bits = self.bits
        var bitCount = self.bitCount
        var matches = 0
        var finished = false
        var failure: DeflateError?

        while out < outLimit && next < inputLimit && token < tokenLimit {
            // What is above the last bits that count is the same as what is read there next.
            bits |= UnsafeRawPointer(next).loadUnaligned(as: UInt64.self) &<< UInt64(truncatingIfNeeded: bitCount)
            next += (63 &- bitCount) &>> 3
            bitCount |= 56
            var entry = literalEntries[Int(truncatingIfNeeded: bits & 2047)]
            if entry & HuffmanDecodeTable.literal != 0 {
                // Three literals of 11 bits, and the next entry, are in what was read.
                bits &>>= UInt64(entry & 63)
                bitCount &-= Int(entry & 63)
                out[0] = UInt8(truncatingIfNeeded: entry &>> 16)
                token[0] = entry &>> 16
                entry = literalEntries[Int(truncatingIfNeeded: bits & 2047)]
                if entry & HuffmanDecodeTable.literal != 0 {
                    bits &>>= UInt64(entry & 63)
                    bitCount &-= Int(entry & 63)
                    out[1] = UInt8(truncatingIfNeeded: entry &>> 16)
                    token[1] = entry &>> 16
                    entry = literalEntries[Int(truncatingIfNeeded: bits & 2047)]
                    if entry & HuffmanDecodeTable.literal != 0 {
                        bits &>>= UInt64(entry & 63)
                        bitCount &-= Int(entry & 63)
                        out[2] = UInt8(truncatingIfNeeded: entry &>> 16)
                        token[2] = entry &>> 16
                        out += 3
                        token += 3
                        continue
                    }
                    out += 2
                    token += 2
                } else {
                    out += 1
                    token += 1
                }
                bits |= UnsafeRawPointer(next).loadUnaligned(as: UInt64.self) &<< UInt64(truncatingIfNeeded: bitCount)
                next += (63 &- bitCount) &>> 3
                bitCount |= 56
            }
            if entry & HuffmanDecodeTable.exceptional != 0 {
                if entry & HuffmanDecodeTable.subtable != 0 {
                    bits &>>= 11
                    bitCount &-= 11
                    entry = literalEntries[Int(entry &>> 16) &+ Int(truncatingIfNeeded: bits & 15)]
                }
                if entry & HuffmanDecodeTable.exceptional != 0 {
                    if entry & HuffmanDecodeTable.endOfBlock == 0 {
                        failure = DeflateError("bad-symbol")
                    } else {
                        bits &>>= UInt64(entry & 63)
                        bitCount &-= Int(entry & 63)
                        finished = true
                    }
                    break
                }
                if entry & HuffmanDecodeTable.literal != 0 {
                    bits &>>= UInt64(entry & 63)
                    bitCount &-= Int(entry & 63)
                    out.pointee = UInt8(truncatingIfNeeded: entry &>> 16)
                    token.pointee = entry &>> 16
                    out += 1
                    token += 1
                    continue
                }
            }
            let length = HuffmanDecodeTable.value(entry, bits)
            if length == 258 && entry &>> 16 != 258 {
                failure = DeflateError("odd-length-258")
                break
            }
            bits &>>= UInt64(entry & 63)
            bitCount &-= Int(entry & 63)
            entry = distanceEntries[Int(truncatingIfNeeded: bits & 511)]
            if entry & HuffmanDecodeTable.exceptional != 0 {
                if entry & HuffmanDecodeTable.subtable != 0 {
                    bits &>>= 9
                    bitCount &-= 9
                    entry = distanceEntries[Int(entry &>> 16) &+ Int(truncatingIfNeeded: bits & 63)]
                }
                if entry & HuffmanDecodeTable.exceptional != 0 {
                    failure = DeflateError("bad-symbol")
                    break
                }
            }
            let distance = HuffmanDecodeTable.value(entry, bits)
            bits &>>= UInt64(entry & 63)
            bitCount &-= Int(entry & 63)
            if distance > out - outStart {
                failure = DeflateError("bad-distance")
                break
            }
            token.pointee = Token.match(length: length, distance: distance)
            token += 1
            matches &+= 1
            Self.copyMatch(out, distance: distance, length: length)
            out += length
        }
        self.bits = bits
        self.bitCount = bitCount
        position = next - input
        plain.count = out - plain.base
        tokens.count = token - tokens.base
        block.matchCount += matches
        if let failure { throw failure }
        return finished
    }

    /// Copies `length` bytes from `distance` before; may write up to 31 bytes more.
    @inline(__always)
    private static func copyMatch(_ to: UnsafeMutablePointer<UInt8>, distance: Int, length: Int) {
        typealias Word = SIMD16<UInt8>
        let from = UnsafeRawPointer(to - distance)
        let target = UnsafeMutableRawPointer(to)
        if distance >= 16 {
            target.storeBytes(of: from.loadUnaligned(as: Word.self), as: Word.self)
            target.storeBytes(
                of: from.loadUnaligned(fromByteOffset: 16, as: Word.self), toByteOffset: 16, as: Word.self)
            var done = 32
            while done < length {
                target.storeBytes(
                    of: from.loadUnaligned(fromByteOffset: done, as: Word.self), toByteOffset: done, as: Word.self)
                done &+= 16
            }
        } else if distance == 1 {
            let word = Word(repeating: from.load(as: UInt8.self))
            var done = 0
            repeat {
                target.storeBytes(of: word, toByteOffset: done, as: Word.self)
                done &+= 16
            } while done < length
        } else {
            // As many bytes of a word are right as the distance is long.
            let step = min(distance, 8)
            var done = 0
            repeat {
                target.storeBytes(
                    of: from.loadUnaligned(fromByteOffset: done, as: UInt64.self), toByteOffset: done, as: UInt64.self)
                done &+= step
            } while done < length
        }
    }
}
