// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The match search of zlib-ng's levels that zlib does not have: 1 (one look at the last place with the same four bytes),
/// 2 (chains, greedy), and 3-6 (chains; from 5 on each match is chosen together with the one after it). Its levels 7-9 are
/// a ``ChainModel``.
///
/// Not all positions enter the tables, and it can be seen in the output where the encoder took in more text: it then puts
/// the last byte's position into the tables, and forgets what it had found ahead. So the model follows the encoder's window
/// (of two times 32 KiB, as a rule), which takes all that fits whenever fewer than 262 bytes are ahead, in pieces as the program hands them.
final class ZlibNGModel: TokenModel {
    struct Parameters: Equatable {
        /// 1-6.
        var level = 6
        var hash = FourByteHash.multiplied
        /// The levels as they were up to 2.0: 3 greedy, 4 looking ahead too.
        var before2_1 = false
        /// zlib's windowBits, 9-15. Level 1 up to 2.0.6 always has 13.
        var windowBits = 15
        /// Bytes of text handed over at a time; 0 for all at once.
        var chunk = 0
    }

    /// No chunk is longer.
    static let chunkMost = 1 << 24

    enum Way { case quick, greedy, ahead }

    /// A match or a literal (length 1) under consideration.
    struct Found {
        var start = 0
        var length = 0
        var from = 0
        /// No position before this one still has to enter the tables.
        var fresh = 0
    }

    /// Text that must lie ahead for the encoder to go on without taking in more.
    static let wanted = 262
    /// Stands for no position: farther back than any match reaches, wherever the text begins.
    private static let never = Int32(-1 << 30)

    private let parameters: Parameters
    let way: Way
    /// Whether the next position is looked at before a match is taken.
    let looksAhead: Bool
    /// A search ends at the first place that promised more than it held.
    private let endsEarly: Bool
    let nice: Int
    private let chain: Int
    /// The longest match whose positions all enter the tables.
    let insertMost: Int
    let window: Int
    let farthest: Int
    private let mask: Int
    private let head: UnsafeMutablePointer<Int32>
    private let previous: UnsafeMutablePointer<Int32>
    private let nothing: UnsafeMutablePointer<UInt8>

    private(set) var plain: UnsafePointer<UInt8>
    /// The next token's start.
    var position = 0
    var steps = 0
    /// No text before this is known.
    private(set) var floor = 0
    /// Where the encoder's input began, where its window in memory begins now, and how far it is filled.
    private var origin = 0
    private(set) var base = 0
    private(set) var filled = 0
    private var begun = 0
    /// Positions before the last flush that enter the tables when there is more text.
    private var held = 0
    /// History that has yet to enter the tables.
    private var pending = 0
    private var pendingEnd = 0
    /// What was found ahead; length 0 for nothing.
    var next = Found()
    /// Positions up to here were put into the tables for a proposal that was wrong.
    private var redo = Int.min
    private var top = Int.min

    init(_ parameters: Parameters) {
        self.parameters = parameters
        let level = min(max(parameters.level, 1), 6)
        let rows: [(lazy: Int, nice: Int, chain: Int)] =
            parameters.before2_1
            ? [(4, 8, 4), (4, 8, 4), (6, 32, 32), (4, 16, 16), (16, 32, 32), (16, 128, 128)]
            : [(4, 8, 4), (4, 8, 4), (6, 16, 6), (12, 32, 24), (16, 32, 32), (16, 128, 128)]
        let row = rows[level - 1]
        nice = row.nice
        chain = row.chain
        switch level {
        case 1: way = .quick
        case 2: way = .greedy
        case 3: way = parameters.before2_1 ? .greedy : .ahead
        default: way = .ahead
        }
        looksAhead = level > 4 || parameters.before2_1
        endsEarly = level < 5
        insertMost = way == .ahead ? 16 * row.lazy : row.lazy
        window = 1 << min(max(parameters.windowBits, 9), 15)
        farthest = window - Self.wanted
        mask = window - 1
        head = .allocate(capacity: 1 << 16)
        head.initialize(repeating: Self.never, count: 1 << 16)
        previous = .allocate(capacity: window)
        previous.initialize(repeating: Self.never, count: window)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        head.deallocate()
        previous.deallocate()
        nothing.deallocate()
    }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        head.update(repeating: Self.never, count: 1 << 16)
        position = at
        floor = at - history
        self.origin = origin
        next = Found()
        redo = Int.min
        top = at - 1
        held = 0
        begun = at
        pending = floor
        pendingEnd = at
        if floor == origin {
            base = origin
            filled = at
            return
        }
        // Slides and takings-in before this place; those that may be due here are left to the run.
        let into = at - origin
        base = origin + max((into - 2 * window + Self.wanted - 1) / window, 0) * window
        filled = base + 2 * window
        if parameters.chunk > 0 {
            filled = min(filled, origin + (into + Self.wanted - 1) / parameters.chunk * parameters.chunk)
        }
    }

    // MARK: the window

    /// Takes in more text where less than wanted lies ahead.
    /// - Returns: Whether any lies ahead.
    func refill(_ inputEnd: Int) -> Bool {
        if filled == position && position > begun { held = min(position &- base, 2) }
        repeat {
            if position &- base >= window &+ farthest { base &+= window }
            if filled >= inputEnd { break }
            var end = base &+ 2 &* window
            let chunk = parameters.chunk
            if chunk > 0 { end = min(end, origin &+ ((filled &- origin) / chunk &+ 1) &* chunk) }
            end = min(end, inputEnd)
            if end <= filled { break }
            filled = end
            steps &+= 1
            takeHeld()
        } while filled &- position < Self.wanted
        return filled > position
    }

    /// The last position, and those that a flush left out, enter the tables.
    private func takeHeld() {
        let ahead = filled &- position
        if ahead &+ held < 3 { return }
        let from = position &- held
        if from &- base >= 1 { put(from &- 1) }
        let count = ahead == 1 ? held &- 1 : held
        if count <= 0 { return }
        for place in from..<(from &+ count) { put(place) }
        held &-= count
    }

    /// Whatever a new call needs: history in the tables, the input's end.
    func prepare(_ inputEnd: Int) {
        if filled > inputEnd { filled = inputEnd }
        let end = min(pendingEnd, inputEnd &- 3)
        while pending < end {
            link(pending)
            pending &+= 1
        }
    }

    // MARK: the tables

    @inline(__always)
    private func slot(_ place: Int) -> Int {
        let word = UnsafeRawPointer(plain + place).loadUnaligned(as: UInt32.self)
        return parameters.hash.slot(word, shift: 16)
    }

    @inline(__always)
    private func link(_ place: Int) {
        let slot = slot(place)
        let last = head[slot]
        if last != Int32(truncatingIfNeeded: place) {
            previous[place & mask] = last
            head[slot] = Int32(truncatingIfNeeded: place)
        }
    }

    /// Puts one position into the tables, if all of its bytes are there.
    @inline(__always)
    func put(_ place: Int) {
        if place < floor || place &+ 4 > filled { return }
        link(place)
    }

    /// Puts positions into the tables, those left out that already are because of a wrong proposal.
    @inline(__always)
    func put(_ from: Int, before end: Int) {
        var place = from > redo ? from : redo &+ 1
        let last = min(end, filled &- 3)
        while place < last {
            link(place)
            place &+= 1
        }
        if end &- 1 > top { top = end &- 1 }
    }

    /// Puts the position into the tables.
    /// - Returns: The last position before with the same hash; the position itself where it was there already.
    @inline(__always)
    func look(_ place: Int) -> Int {
        if place <= redo { return Int(previous[place & mask]) }
        let slot = slot(place)
        let last = head[slot]
        if last != Int32(truncatingIfNeeded: place) {
            previous[place & mask] = last
            head[slot] = Int32(truncatingIfNeeded: place)
        }
        if place > top { top = place }
        return Int(last)
    }

    /// Whether a place so found can be searched from.
    @inline(__always)
    func isReachable(_ first: Int, _ place: Int) -> Bool {
        first < place && place &- first <= farthest && first > base && first >= floor
    }

    /// A proposal was wrong: what it put into the tables is not to be put there again.
    func departed() {
        next.length = 0
        redo = max(redo, top)
    }

    /// The best match at `place`: its length (2 for none) and where it is.
    @inline(__always)
    func longest(_ place: Int, _ first: Int, _ lookahead: Int, _ from: inout Int) -> Int {
        let most = min(lookahead, 258)
        let limit = max(place &- farthest, base)
        let scan = plain + place
        var best = 2
        var tries = chain
        var candidate = first
        var work = 0
        let opening = UnsafeRawPointer(scan).loadUnaligned(as: UInt64.self)
        while candidate < place && candidate >= floor {
            work &+= 1
            if promises(scan, plain + candidate, best, opening) {
                let length = Matching.length(scan, plain + candidate, most)
                work &+= length &>> 4
                if length > best {
                    from = candidate
                    best = length
                    if length >= lookahead || length >= nice { break }
                } else if endsEarly {
                    break
                }
            }
            tries &-= 1
            if tries <= 0 { break }
            candidate = Int(previous[candidate & mask])
            if candidate <= limit { break }
        }
        steps &+= work
        return best
    }

    /// The encoder's look at a candidate's first bytes and at those that would make it better than `best`.
    @inline(__always)
    private func promises(
        _ scan: UnsafePointer<UInt8>, _ text: UnsafePointer<UInt8>, _ best: Int, _ opening: UInt64
    ) -> Bool {
        if best < 4 {
            return UnsafeRawPointer(text + (best &- 1)).loadUnaligned(as: UInt16.self)
                == UnsafeRawPointer(scan + (best &- 1)).loadUnaligned(as: UInt16.self)
                && UnsafeRawPointer(text).loadUnaligned(as: UInt16.self) == UInt16(truncatingIfNeeded: opening)
        }
        if best < 8 {
            return UnsafeRawPointer(text + (best &- 3)).loadUnaligned(as: UInt32.self)
                == UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
                && UnsafeRawPointer(text).loadUnaligned(as: UInt32.self) == UInt32(truncatingIfNeeded: opening)
        }
        return UnsafeRawPointer(text + (best &- 7)).loadUnaligned(as: UInt64.self)
            == UnsafeRawPointer(scan + (best &- 7)).loadUnaligned(as: UInt64.self)
            && UnsafeRawPointer(text).loadUnaligned(as: UInt64.self) == opening
    }
}
