// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The description of a dynamic Huffman block's codes exactly as written: both the lengths and the way they were run-length
/// coded, which another encoder would have done differently.
struct DynamicHeader: Equatable {
    /// Literal/length codes described, 257-286 (288 tolerated).
    var literalCount = 257
    /// Distance codes described, 1-32.
    var distanceCount = 1
    /// Code-length codes described, 4-19.
    var codeLengthCount = 4
    /// Lengths of the code-length code, by symbol 0-18.
    var codeLengths = [UInt8](repeating: 0, count: 19)
    /// Run-length operations: symbol in the low byte, repeat count's extra value in the high byte.
    var operations: [UInt16] = []
    /// Literal/length code lengths, then distance code lengths.
    var lengths: [UInt8] = []
}

/// One block as the decoder found it. Tokens and plain bytes lie in the decoder's buffers.
struct DeflateBlock {
    enum Kind: Int { case stored = 0, fixed = 1, dynamic = 2 }

    var kind: Kind
    var isFinal: Bool
    /// A long block comes in parts: whether this one has no header, and what the header said; whether it has no end. Of a
    /// dynamic block each part has ``header``.
    var isContinued = false
    var headerFinal = false
    var isOpen = false
    /// Where the block's header starts, in bits from the start of the file.
    var bitStart: Int
    /// Stored only: the bits between the header and the next byte boundary, lowest first.
    var padding = 0
    var header: DynamicHeader?
    /// The first token's index in the token buffer.
    var tokenStart = 0
    var tokenCount = 0
    var matchCount = 0
    /// The first plain byte's offset from the start of all plain bytes.
    var plainStart = 0
    var plainCount = 0

    /// A flush marker: a block without content that is not the last one.
    var isMarker: Bool { plainCount == 0 && tokenCount == 0 && !isFinal && !isContinued }
    var isPart: Bool { isContinued || isOpen }

    /// The block's beginning as a block of its own, of fixed codes.
    /// - Parameters:
    ///   - tokens: Where the decoder put its tokens.
    ///   - count: So many of them at most.
    ///   - plainMost: No more of them once they stand for so many plain bytes.
    func shortened(_ tokens: TokenBuffer, count: Int, plainMost: Int) -> Self {
        var result = self
        result.kind = .fixed
        result.isFinal = false
        result.header = nil
        result.plainCount = 0
        result.tokenCount = 0
        result.matchCount = 0
        while result.tokenCount < min(count, tokenCount) && result.plainCount < plainMost {
            let token = tokens.base[tokenStart + result.tokenCount]
            result.plainCount += Token.span(token)
            if Token.isMatch(token) { result.matchCount += 1 }
            result.tokenCount += 1
        }
        return result
    }
}

/// What a part of a long block has of it.
struct BlockPart {
    var begins = true
    var ends = true
}

/// A growing buffer of `UInt32` tokens, at least 16 more than its count writable.
final class TokenBuffer {
    private(set) var base: UnsafeMutablePointer<UInt32>
    private(set) var capacity: Int
    var count = 0

    init(capacity: Int = 1 << 16) {
        self.capacity = capacity
        base = .allocate(capacity: capacity + 16)
    }

    deinit { base.deallocate() }

    func reserve(_ wanted: Int) {
        if wanted <= capacity { return }
        let size = max(wanted, capacity * 2)
        let grown = UnsafeMutablePointer<UInt32>.allocate(capacity: size + 16)
        grown.initialize(from: base, count: count)
        base.deallocate()
        base = grown
        capacity = size
    }

    func dropFirst(_ n: Int) {
        if n == 0 { return }
        count -= n
        base.update(from: base + n, count: count)
    }
}

/// A contiguous stretch of plain bytes, `origin` being the offset of its first one. ``slack`` more bytes, of any value, may be
/// read and written behind it.
final class PlainBuffer {
    static let slack = 320

    private(set) var base: UnsafeMutablePointer<UInt8>
    private(set) var capacity: Int
    var origin = 0
    var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        base = .allocate(capacity: capacity + Self.slack)
    }

    deinit { base.deallocate() }

    var end: Int { origin + count }

    func reserve(_ wanted: Int) {
        if wanted <= capacity { return }
        let size = max(wanted, capacity + capacity / 2)
        let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: size + Self.slack)
        grown.initialize(from: base, count: count)
        base.deallocate()
        base = grown
        capacity = size
    }

    /// Forgets what lies before `offset`.
    func drop(before offset: Int) {
        let n = min(max(offset - origin, 0), count)
        if n == 0 { return }
        count -= n
        base.update(from: base + n, count: count)
        origin += n
    }
}
