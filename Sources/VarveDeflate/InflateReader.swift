// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

#if canImport(Glibc)
    import Glibc
#endif

/// Reads `count` bytes at most from `offset` of the compressed file into the buffer; 0 at its end.
package typealias CompressedReader = (_ offset: Int, _ into: UnsafeMutableRawBufferPointer) throws -> Int

/// A deflate decoder that keeps the encoder's decisions: plain bytes, tokens and block descriptions.
///
/// Works block by block on input pulled in windows; every bound is checked, nothing traps on hostile input.
final class InflateReader {
    private static let tokensUsual = 1 << 20

    /// How long a block may be that does not go on in further parts.
    struct PartLimits {
        /// Plain bytes of a fixed block, and of all parts but the first.
        var plain = 350_000
        /// Tokens and plain bytes of the first part of a dynamic block: more than blocks have that codes were made for.
        var firstTokens = 1 << 20
        var firstPlain = 48 << 20
    }

    private static let inputCapacity = 256 << 10
    static let inputPadding = 64

    let plain: PlainBuffer
    let tokens: TokenBuffer
    private let limits: PartLimits
    private let source: CompressedReader
    let input: UnsafeMutablePointer<UInt8>
    private var inputOrigin = 0
    var position = 0
    var end = 0
    var atEnd = false
    var bits: UInt64 = 0
    /// A block that has parts to come: whether it is a final one, and the codes of a dynamic one.
    private var openBlock: (isFinal: Bool, header: DynamicHeader?)?
    var bitCount = 0

    private let literals = HuffmanDecodeTable(.literals)
    private let distances = HuffmanDecodeTable(.distances)
    private let codeLengthTable = HuffmanDecodeTable(.codeLengths)
    private let fixedLiterals = HuffmanDecodeTable(.literals)
    private let fixedDistances = HuffmanDecodeTable(.distances)
    /// Plain offset where the current member began: no match reaches before it.
    var memberStart = 0

    init(source: @escaping CompressedReader, plainCapacity: Int, limits: PartLimits = PartLimits()) throws {
        self.source = source
        self.limits = limits
        plain = PlainBuffer(capacity: plainCapacity)
        // As many as a look at a stream's beginning has: memory that is not used is not there.
        tokens = TokenBuffer(capacity: Self.tokensUsual)
        input = .allocate(capacity: Self.inputCapacity + Self.inputPadding)
        input.initialize(repeating: 0, count: Self.inputCapacity + Self.inputPadding)
        let fixed = FixedCodes.lengths
        try fixed.withUnsafeBufferPointer { (lengths) throws(DeflateError) in
            guard let base = lengths.baseAddress else { return }
            try fixedLiterals.build(base, count: 288)
            try fixedDistances.build(base + 288, count: 30)
        }
        try refillInput()
    }

    deinit { input.deallocate() }

    /// Bits read so far, from the start of the file.
    var bitPosition: Int { (inputOrigin + position) * 8 - bitCount }

    /// Whether every byte has been read.
    func isAtEnd() throws -> Bool {
        unreadBytes()
        if position < end { return false }
        try refillInput()
        return position >= end
    }

    // MARK: input

    /// Gives whole bytes in the bit buffer back to the input.
    private func unreadBytes() {
        position &-= bitCount &>> 3
        bitCount &= 7
        bits &= (1 &<< UInt64(bitCount)) &- 1
    }

    private func refillInput() throws {
        unreadBytes()
        if atEnd || position > end { return }
        let kept = end - position
        memmove(input, input + position, kept)
        inputOrigin += position
        position = 0
        end = kept
        while end < Self.inputCapacity {
            let room = UnsafeMutableRawBufferPointer(start: input + end, count: Self.inputCapacity - end)
            let got = try source(inputOrigin + end, room)
            if got <= 0 || got > room.count {
                atEnd = true
                break
            }
            end += got
        }
        memset(input + end, 0, Self.inputPadding)
    }

    @inline(__always)
    private func refillBits() {
        let word = UnsafeRawPointer(input + position).loadUnaligned(as: UInt64.self)
        bits |= word &<< UInt64(bitCount)
        position &+= (63 &- bitCount) &>> 3
        bitCount |= 56
    }

    private func readBits(_ count: Int) throws -> Int {
        if bitCount < count {
            if end - position < 16 { try refillInput() }
            if position > end + 16 { throw DeflateError.truncated }
            refillBits()
        }
        let value = Int(bits & ((1 &<< UInt64(count)) &- 1))
        bits &>>= UInt64(count)
        bitCount &-= count
        return value
    }

    private func checkNotPastEnd() throws(DeflateError) {
        if atEnd && position - bitCount >> 3 > end { throw DeflateError.truncated }
        if atEnd && position * 8 - bitCount > end * 8 { throw DeflateError.truncated }
    }

    /// The unused bits up to the next byte boundary.
    func alignToByte() -> Int {
        let count = bitCount & 7
        let value = Int(bits & ((1 &<< UInt64(count)) &- 1))
        bits &>>= UInt64(count)
        bitCount &-= count
        return value
    }

    /// The next `count` bytes without taking them; fewer at the end. Only at a byte boundary.
    func peek(_ count: Int) throws -> [UInt8] {
        unreadBytes()
        if end - position < count { try refillInput() }
        let got = min(max(end - position, 0), count)
        return Array(UnsafeBufferPointer(start: input + position, count: got))
    }

    /// Takes `count` bytes that ``peek(_:)`` showed.
    func skip(_ count: Int) {
        unreadBytes()
        position += min(count, max(end - position, 0))
    }

    // MARK: blocks

    /// Decodes the next block; its plain bytes and tokens are appended to ``plain`` and ``tokens``.
    ///
    /// A block may be as long as the file: long ones come in parts.
    func readBlock() throws -> DeflateBlock {
        let start = bitPosition
        if let open = openBlock {
            var block = DeflateBlock(kind: open.header == nil ? .fixed : .dynamic, isFinal: false, bitStart: start)
            block.isContinued = true
            block.header = open.header
            block.plainStart = plain.end
            block.tokenStart = tokens.count
            try readPart(&block, isFinal: open.isFinal, plainMost: limits.plain)
            return block
        }
        let isFinal = try readBits(1) == 1
        let kindValue = try readBits(2)
        guard let kind = DeflateBlock.Kind(rawValue: kindValue) else { throw DeflateError("bad-block-type") }
        var block = DeflateBlock(kind: kind, isFinal: isFinal, bitStart: start)
        block.plainStart = plain.end
        block.tokenStart = tokens.count
        switch kind {
        case .stored:
            try readStored(&block)
            try checkNotPastEnd()
        case .fixed: try readPart(&block, isFinal: isFinal, plainMost: limits.plain)
        case .dynamic:
            block.header = try readHeader()
            try readPart(&block, isFinal: isFinal, plainMost: limits.firstPlain)
        }
        return block
    }

    private func readPart(_ block: inout DeflateBlock, isFinal: Bool, plainMost: Int) throws {
        let tables = block.kind == .fixed ? (fixedLiterals, fixedDistances) : (literals, distances)
        block.headerFinal = isFinal
        block.isOpen = try !readHuffman(&block, tables.0, tables.1, plainMost: plainMost)
        block.isFinal = isFinal && !block.isOpen
        openBlock = block.isOpen ? (isFinal, block.header) : nil
        if !block.isOpen { try checkNotPastEnd() }
    }

    private func readStored(_ block: inout DeflateBlock) throws {
        if bitCount == 0 { block.padding = 0 } else { block.padding = alignToByte() }
        let length = try readBits(16)
        let check = try readBits(16)
        if length ^ check != 0xffff { throw DeflateError("bad-stored-length") }
        unreadBytes()
        plain.reserve(plain.count + length)
        var left = length
        while left > 0 {
            if position >= end { try refillInput() }
            let part = min(left, end - position)
            if part <= 0 { throw DeflateError.truncated }
            memcpy(plain.base + plain.count, input + position, part)
            plain.count += part
            position += part
            left -= part
        }
        block.plainCount = length
    }

    private func readHeader() throws -> DynamicHeader {
        var header = DynamicHeader()
        header.literalCount = try readBits(5) + 257
        header.distanceCount = try readBits(5) + 1
        header.codeLengthCount = try readBits(4) + 4
        for index in 0..<header.codeLengthCount {
            header.codeLengths[Int(DeflateTables.codeLengthOrder[index])] = UInt8(try readBits(3))
        }
        try header.codeLengths.withUnsafeBufferPointer { (lengths) throws(DeflateError) in
            guard let base = lengths.baseAddress else { return }
            try codeLengthTable.build(base, count: 19)
        }
        let total = header.literalCount + header.distanceCount
        header.lengths.reserveCapacity(total)
        header.operations.reserveCapacity(total)
        while header.lengths.count < total {
            _ = try peekBits(7)
            let entry = codeLengthTable.entries[Int(bits & 127)]
            if entry & HuffmanDecodeTable.exceptional != 0 { throw DeflateError("bad-code") }
            _ = try readBits(Int(entry & 255))
            let symbol = Int(entry >> 16)
            var value: UInt8 = 0
            var times = 1
            var extra = 0
            switch symbol {
            case 16:
                guard let last = header.lengths.last else { throw DeflateError("bad-code") }
                extra = try readBits(2)
                value = last
                times = 3 + extra
            case 17:
                extra = try readBits(3)
                times = 3 + extra
            case 18:
                extra = try readBits(7)
                times = 11 + extra
            default: value = UInt8(symbol)
            }
            if header.lengths.count + times > total { throw DeflateError("bad-code") }
            for _ in 0..<times { header.lengths.append(value) }
            header.operations.append(UInt16(symbol | extra << 8))
        }
        try header.lengths.withUnsafeBufferPointer { (lengths) throws(DeflateError) in
            guard let base = lengths.baseAddress else { return }
            if base[256] == 0 { throw DeflateError("bad-code") }
            try literals.build(base, count: header.literalCount)
            try distances.build(base + header.literalCount, count: header.distanceCount)
        }
        return header
    }

    private func peekBits(_ count: Int) throws -> Int {
        if bitCount < count {
            if end - position < 16 { try refillInput() }
            if position > end + 16 { throw DeflateError.truncated }
            refillBits()
        }
        return Int(bits & ((1 &<< UInt64(count)) &- 1))
    }

    /// - Returns: Whether the block ended; not, if there were `plainMost` bytes or ``PartLimits/firstTokens`` before.
    private func readHuffman(
        _ block: inout DeflateBlock, _ literalTable: HuffmanDecodeTable, _ distanceTable: HuffmanDecodeTable,
        plainMost: Int
    ) throws -> Bool {
        var ends = false
        let tokensMost = block.tokenStart + limits.firstTokens
        while true {
            if end - position < 1024 && !atEnd { try refillInput() }
            if position > end + 16 { throw DeflateError.truncated }
            tokens.reserve(tokens.count + 1 << 13)
            plain.reserve(plain.count + 1 << 17)
            ends = try run(
                &block, literalTable, distanceTable, room: plainMost - (plain.end - block.plainStart),
                tokensMost: tokensMost)
            if ends || plain.end - block.plainStart >= plainMost || tokens.count >= tokensMost { break }
        }
        block.tokenCount = tokens.count - block.tokenStart
        block.plainCount = plain.end - block.plainStart
        return ends
    }
}

/// The code lengths of fixed Huffman blocks: 288 literal/length codes, then 32 distance codes.
enum FixedCodes {
    static let lengths: [UInt8] =
        [UInt8](repeating: 8, count: 144) + [UInt8](repeating: 9, count: 112) + [UInt8](repeating: 7, count: 24)
        + [UInt8](repeating: 8, count: 8) + [UInt8](repeating: 5, count: 32)
}
