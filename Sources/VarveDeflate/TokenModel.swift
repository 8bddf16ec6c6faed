// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// An encoder's match search, made to go on from whatever really happened.
///
/// Positions are offsets from the plain buffer's base that was lent with ``begin(_:at:history:origin:)``. A model reads no byte at
/// or past the `inputEnd` it is given: what lies there may differ between analysis and rebuild.
protocol TokenModel: AnyObject {
    /// Forgets everything, then takes the `history` bytes before `at` as text already seen. `origin` is where the encoder's
    /// window began, at most `at - history`, perhaps far before the buffer.
    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int)

    /// Begins anew in the text being looked at, knowing the `history` bytes before `at` and nothing before them.
    func beginAgain(_ plain: UnsafePointer<UInt8>, at: Int, history: Int)

    /// Told, after it has begun, that it runs up to a place where a block begins, and that none does before.
    func runsUp(to place: Int)

    /// Where the next token starts.
    var position: Int { get }

    /// Search steps since the model was made: chain entries looked at and the like, each some nanoseconds. A measure of
    /// time that is the same on every machine.
    var steps: Int { get }

    /// Proposes tokens to the oracle until `maxTokens` are made or the next token would start at `stopAt` or later; no token
    /// reaches past `stopAt`. Text ends for the search at `inputEnd` (at least `stopAt`), where pending output is flushed.
    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int)

    /// Whether a block ended with the last token, for models that say so (``BlockRule/model``); such a model makes no token
    /// of the next block in the same run.
    var isBetweenBlocks: Bool { get }

    /// Told where a block really ends, before the next one's first token.
    func endBlock()

    /// The last place at or before `limit` from which the model can start so that it is in step, of those that it has passed;
    /// nil if it knows none, as most models do: where they start does not matter.
    func restart(before limit: Int) -> Int?

    /// Whether the model describes every token itself; else departures from its proposals are described.
    static var describesTokens: Bool { get }

    /// Forgets what it learned of its descriptions: at the start of each segment.
    func resetProbabilities()

    /// Whether the model wants to know a block's end and codes before its tokens.
    static var plansAhead: Bool { get }

    /// Told where the block ends that begins at ``position``, and where text ends for the search, at least there.
    func beginBlock(end: Int, inputEnd: Int)

    /// Guesses the symbol counts of the block begun: 288 of literals and lengths, 32 of distances.
    func guessCounts(literals: UnsafeMutablePointer<Int32>, distances: UnsafeMutablePointer<Int32>)

    /// Told the code lengths of the block begun: those of literals and lengths, then those of distances.
    func useCodes(_ all: UnsafePointer<UInt8>, literals: Int, distances: Int)

    /// Whether the codes of the block begun come after its tokens all the same.
    var codesComeLast: Bool { get }

    /// Told that they do.
    func goWithoutCodes()

    /// Told the code lengths after the tokens.
    func learnCodes(_ all: UnsafePointer<UInt8>, literals: Int, distances: Int)

    /// Whether codes are described by how near they are to what the counts give.
    var headersAreNear: Bool { get }
}

extension TokenModel {
    func beginAgain(_ plain: UnsafePointer<UInt8>, at: Int, history: Int) {
        begin(plain, at: at, history: history, origin: at - history)
    }
    func runsUp(to place: Int) {}
    var isBetweenBlocks: Bool { false }
    func endBlock() {}
    func restart(before limit: Int) -> Int? { nil }
    static var describesTokens: Bool { false }
    func resetProbabilities() {}
    static var plansAhead: Bool { false }
    func beginBlock(end: Int, inputEnd: Int) {}
    func guessCounts(literals: UnsafeMutablePointer<Int32>, distances: UnsafeMutablePointer<Int32>) {}
    func useCodes(_ all: UnsafePointer<UInt8>, literals: Int, distances: Int) {}
    var codesComeLast: Bool { false }
    func goWithoutCodes() {}
    func learnCodes(_ all: UnsafePointer<UInt8>, literals: Int, distances: Int) {}
    var headersAreNear: Bool { false }
}

/// Where an encoder ends blocks. Raw values are part of the plan format.
enum BlockRule: Equatable {
    /// No rule known: every length is written down.
    case none
    /// After so many tokens, or where the input ends.
    case tokens(Int)
    /// After so many plain bytes (a piece), or where the input ends; a Huffman block may go on over several pieces. The
    /// first piece where the encoder begins, knowing nothing, may have another size (0: it does not).
    case plain(Int, first: Int = 0)
    /// GNU gzip's: at most so many tokens, and a look every 4096 tokens at whether ending now would pay. The second value
    /// says whether it looks at all (levels above 2), the third how far the look is past the start of the last token.
    case gnu(Int, looks: Bool, ahead: Int)
    /// After so many tokens (a piece), or where the input ends; a Huffman block may go on over several pieces.
    case pieces(Int)
    /// Where the model says so. What it would store in one go comes in blocks of 65535 bytes.
    case model

    var raw: [Int] {
        switch self {
        case .none: return [0, 0, 0, 0]
        case .tokens(let n): return [1, n, 0, 0]
        case .plain(let n, let first): return [2, n, first, 0]
        case .pieces(let n): return [4, n, 0, 0]
        case .model: return [5, 0, 0, 0]
        case .gnu(let n, let looks, let ahead): return [3, n, looks ? 1 : 0, ahead]
        }
    }

    init?(raw: [Int]) {
        guard raw.count == 4, raw[1] >= 0, raw[1] <= 1 << 24 else { return nil }
        switch raw[0] {
        case 0: self = .none
        case 1 where raw[1] > 0: self = .tokens(raw[1])
        case 2 where raw[1] > 0 && (0...1 << 24).contains(raw[2]): self = .plain(raw[1], first: raw[2])
        case 3 where raw[1] > 0: self = .gnu(raw[1], looks: raw[2] != 0, ahead: raw[3] == 0 ? 0 : 1)
        case 4 where raw[1] > 0: self = .pieces(raw[1])
        case 5: self = .model
        default: return nil
        }
    }

    var countsPlain: Bool {
        if case .plain = self { return true }
        return false
    }

    /// Whether a Huffman block may go on over several pieces.
    var continues: Bool {
        switch self {
        case .plain, .pieces: return true
        default: return false
        }
    }
}
