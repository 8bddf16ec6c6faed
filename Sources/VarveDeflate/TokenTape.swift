// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Tells a model what really happened after each of its proposals.
protocol TokenOracle {
    /// Nothing is coded and the proposal is always right: the model runs on its own, because the stream does not show the
    /// tokens (stored blocks, blocks of literals only) or nobody asks for them (run-up to a restart point).
    static var isVirtual: Bool { get }
    /// Whether ``known`` is the truth.
    static var isWriting: Bool { get }

    /// The real token where the model proposes `predicted`. It spans at most `limit` (at least 1) plain bytes.
    mutating func next(_ predicted: UInt32, literal: UInt8, limit: Int) -> UInt32

    /// When writing, the token that comes next.
    var known: UInt32 { get }
    /// Takes or stores the token that comes next, when the model itself coded what it is.
    mutating func push(_ token: UInt32)
    /// Codes one decision of the model's own description of a token.
    mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int
    /// Tokens so far.
    var index: Int { get }

    /// Where a model may go on that can tell by itself that no proposal of its is longer than its `limit`: to ask about each
    /// takes time.
    var stretch: TokenStretch? { get }
    /// Told how many tokens of it are done.
    mutating func take(_ count: Int)
}

extension TokenOracle {
    var stretch: TokenStretch? { nil }
    mutating func take(_ count: Int) {}
}

/// Tokens that can be done in one go.
struct TokenStretch {
    /// When writing, what the proposals are to be compared with, up to the first that is wrong. Else where they are put, all
    /// being right.
    let tokens: UnsafeMutablePointer<UInt32>
    /// How many at most.
    let count: Int
}

/// Proposals come true, except that nothing reaches past the end.
struct VirtualTape: TokenOracle {
    static var isVirtual: Bool { true }
    static var isWriting: Bool { false }

    /// At least as much room as a run can make tokens.
    let tokens: UnsafeMutablePointer<UInt32>
    let capacity: Int
    var index = 0
    /// Whether a proposal had to be cut short.
    private(set) var clipped = false
    var known: UInt32 { 0 }

    init(_ tokens: UnsafeMutablePointer<UInt32>, capacity: Int) {
        self.tokens = tokens
        self.capacity = capacity
    }

    @inline(__always)
    mutating func next(_ predicted: UInt32, literal: UInt8, limit: Int) -> UInt32 {
        var token = predicted
        if Token.span(predicted) > limit {
            clipped = true
            token = limit >= 3 ? Token.match(length: limit, distance: Token.distance(predicted)) : UInt32(literal)
        }
        push(token)
        return token
    }

    @inline(__always)
    mutating func push(_ token: UInt32) {
        if index < capacity { tokens[index] = token }
        index &+= 1
    }

    @inline(__always)
    mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int { value }

    var stretch: TokenStretch? {
        index < capacity ? TokenStretch(tokens: tokens + index, count: capacity &- index) : nil
    }
    mutating func take(_ count: Int) { index &+= count }
}

/// The real tokens: known and compared when writing, restored when reading. Departures from the proposals are coded as the
/// number of good proposals before them and the token itself.
struct TokenTape<C: BinaryCoder>: TokenOracle {
    static var isVirtual: Bool { false }
    static var isWriting: Bool { C.isWriting }

    var coder: C
    /// Writing: all known tokens. Reading: room for what is asked for.
    var tokens: UnsafeMutablePointer<UInt32>
    var index = 0
    /// Writing: good proposals since the last departure. Reading: good proposals until the next.
    private var gap = 0
    private let p: UnsafeMutablePointer<UInt16>
    private(set) var corrections = 0
    /// Good proposals before the first departure.
    private(set) var goodBefore = Int.max

    static var probabilityCount: Int { 1024 }

    /// - Parameters:
    ///   - probabilities: ``probabilityCount`` of them.
    ///   - sparse: Whether ``next(_:literal:limit:)`` is going to be used (and so the first gap is to be read).
    ///   - isEmpty: Reading: nothing was written, every proposal is right.
    init(
        coder: C, tokens: UnsafeMutablePointer<UInt32>, probabilities: UnsafeMutablePointer<UInt16>, sparse: Bool,
        isEmpty: Bool
    ) {
        self.coder = coder
        self.tokens = tokens
        p = probabilities
        if !C.isWriting && sparse { gap = isEmpty ? Int.max : self.coder.number(p + 64, 0) }
    }

    var known: UInt32 { C.isWriting ? tokens[index] : 0 }

    var stretch: TokenStretch? { TokenStretch(tokens: tokens + index, count: C.isWriting ? Int.max : gap) }
    mutating func take(_ count: Int) {
        gap &+= C.isWriting ? count : -count
        index &+= count
    }

    @inline(__always)
    mutating func push(_ token: UInt32) {
        if !C.isWriting { tokens[index] = token }
        index &+= 1
    }

    @inline(__always)
    mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int {
        coder.bit(probability, value, shift: shift)
    }

    @inline(__always)
    mutating func next(_ predicted: UInt32, literal: UInt8, limit: Int) -> UInt32 {
        if C.isWriting {
            let token = tokens[index]
            index &+= 1
            if token == predicted {
                gap &+= 1
                return token
            }
            return departure(token, predicted, literal: literal, limit: limit)
        }
        if gap > 0 && Token.span(predicted) <= limit {
            gap &-= 1
            tokens[index] = predicted
            index &+= 1
            return predicted
        }
        let token = departure(0, predicted, literal: literal, limit: limit)
        tokens[index] = token
        index &+= 1
        return token
    }

    @inline(never)
    private mutating func departure(_ known: UInt32, _ predicted: UInt32, literal: UInt8, limit: Int) -> UInt32 {
        corrections &+= 1
        if corrections == 1 { goodBefore = gap }
        if C.isWriting { _ = coder.number(p + 64, gap) }
        gap = 0
        let wasMatch = Token.isMatch(predicted)
        let isMatch = coder.bit(p + (wasMatch ? 1 : 0), Token.isMatch(known) ? 1 : 0)
        var token = UInt32(literal)
        if isMatch == 1 {
            var length = Token.length(predicted)
            var distance = Token.distance(predicted)
            var sameLength = 0
            if wasMatch { sameLength = coder.bit(p + 2, Token.length(known) == length ? 1 : 0) }
            if sameLength == 0 { length = 3 + coder.tree(p + 256, bits: 8, Token.length(known) &- 3) }
            var sameDistance = 0
            if wasMatch && sameLength == 0 {
                sameDistance = coder.bit(p + 3, Token.distance(known) == distance ? 1 : 0)
            }
            if sameDistance == 0 { distance = Self.codeDistance(&coder, p + 512, Token.distance(known)) }
            // Only a damaged plan can fail here; what comes out is caught by the digest, never by a trap.
            if length <= limit { token = Token.match(length: length, distance: distance) }
        }
        if !C.isWriting { gap = coder.number(p + 64, 0) }
        return token
    }

    /// Codes a distance of 1-32768: its deflate code through a tree, its extra bits plainly.
    static func codeDistance(_ coder: inout C, _ p: UnsafeMutablePointer<UInt16>, _ known: Int) -> Int {
        let knownCode = C.isWriting ? DeflateTables.shared.distanceCode(of: known) : 0
        let code = min(coder.tree(p, bits: 5, knownCode), 29)
        let base = Int(DeflateTables.distanceBase[code])
        let extra = Int(DeflateTables.distanceExtra[code])
        if extra == 0 { return base }
        return base + coder.raw(extra, known - base)
    }

    /// Ends the description: when writing, a last gap that no proposal reaches, if there was any departure.
    mutating func close() {
        if C.isWriting && corrections > 0 { _ = coder.number(p + 64, gap &+ 1 &<< 20) }
    }
}
