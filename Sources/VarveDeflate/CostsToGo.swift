// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What tokens cost under a block's codes, in bits.
final class TokenCosts {
    /// More than any way through a window costs: for what has no code.
    static let never: Int32 = 1 << 24

    /// By byte.
    let literal: UnsafeMutablePointer<Int32>
    /// By length, 3-258, with the extra bits.
    let length: UnsafeMutablePointer<Int32>
    /// By distance code, with the extra bits.
    let distance: UnsafeMutablePointer<Int32>

    init() {
        literal = .allocate(capacity: 256)
        literal.initialize(repeating: 8, count: 256)
        length = .allocate(capacity: 260)
        length.initialize(repeating: 8, count: 260)
        distance = .allocate(capacity: 32)
        distance.initialize(repeating: 8, count: 32)
    }

    deinit {
        literal.deallocate()
        length.deallocate()
        distance.deallocate()
    }

    /// Takes code lengths: 286 of literals and lengths, 30 of distances.
    /// - Parameters:
    ///   - missing: What stands for a literal or length that has no code.
    ///   - missingDistance: The same for a distance.
    func set(
        _ literals: UnsafePointer<UInt8>, _ distances: UnsafePointer<UInt8>, missing: Int32, missingDistance: Int32
    ) {
        for symbol in 0..<256 { literal[symbol] = literals[symbol] == 0 ? missing : Int32(literals[symbol]) }
        for value in 3...MatchTrees.lengthMax {
            let code = Int(DeflateTables.shared.lengthCode[value])
            let bits = literals[257 + code]
            length[value] = (bits == 0 ? missing : Int32(bits)) + Int32(DeflateTables.lengthExtra[code])
        }
        for code in 0..<30 {
            let bits = distances[code]
            distance[code] = (bits == 0 ? missingDistance : Int32(bits)) + Int32(DeflateTables.distanceExtra[code])
        }
    }
}

/// A stretch of a block, all matches in it, and what the rest of the stretch costs from each position of it at least.
///
/// Memory is bounded: a long block comes in several stretches, and so does one with very many matches. So is time: of long
/// matches only some shorter lengths are considered (``nextLong(_:_:)``), without which runs of one byte would take five times
/// as long.
final class CostsToGo {
    static let positionsMax = 1 << 17
    private static let matchesMax = 5 << 18

    /// The stretch.
    private(set) var start = 0
    private(set) var end = 0
    private let firstMatch: UnsafeMutablePointer<Int32>
    private let matches: UnsafeMutablePointer<UInt32>
    private let toGo: UnsafeMutablePointer<Int32>
    private let table = DeflateTables.shared
    /// The shortest length of each length code.
    private let longBase: UnsafeMutablePointer<Int>
    private(set) var steps = 0

    init() {
        firstMatch = .allocate(capacity: Self.positionsMax + 1)
        matches = .allocate(capacity: Self.matchesMax)
        toGo = .allocate(capacity: Self.positionsMax + 1)
        firstMatch.initialize(repeating: 0, count: Self.positionsMax + 1)
        matches.initialize(repeating: 0, count: Self.matchesMax)
        toGo.initialize(repeating: 0, count: Self.positionsMax + 1)
        longBase = .allocate(capacity: 29)
        longBase.initialize(repeating: 0, count: 29)
        for code in 0..<29 { longBase[code] = Int(DeflateTables.lengthBase[code]) }
    }

    deinit {
        firstMatch.deallocate()
        matches.deallocate()
        toGo.deallocate()
        longBase.deallocate()
    }

    /// An empty stretch at a position.
    func restart(at position: Int) {
        start = position
        end = position
        firstMatch[0] = 0
    }

    /// Room for the matches of the next position, and whether there is any.
    var room: UnsafeMutablePointer<UInt32>? {
        let count = Int(firstMatch[end &- start])
        let isFull = end &- start >= Self.positionsMax || count > Self.matchesMax &- MatchTrees.lengthMax
        return isFull ? nil : matches + count
    }

    /// Takes the next position with so many matches, written to ``room``.
    @inline(__always)
    func append(_ count: Int) {
        firstMatch[end &- start &+ 1] = firstMatch[end &- start] &+ Int32(truncatingIfNeeded: count)
        end &+= 1
    }

    /// Forgets what lies before a position of the stretch.
    func drop(before position: Int) {
        let count = min(max(position, start), end) &- start
        if count == 0 { return }
        let kept = end &- start &- count
        let gone = firstMatch[count]
        let left = Int(firstMatch[end &- start] &- gone)
        matches.update(from: matches + Int(gone), count: left)
        for index in 0...kept { firstMatch[index] = firstMatch[index &+ count] &- gone }
        start &+= count
    }

    /// The least cost of the stretch from a position on.
    @inline(__always)
    func cost(from position: Int) -> UnsafePointer<Int32> { UnsafePointer(toGo + (position &- start)) }

    /// The matches at a position.
    @inline(__always)
    func matches(at position: Int) -> UnsafeBufferPointer<UInt32> {
        let first = Int(firstMatch[position &- start])
        return UnsafeBufferPointer(
            start: matches + first, count: Int(firstMatch[position &- start &+ 1]) &- first)
    }

    /// Up to here all lengths of a match are considered.
    private static let shortMost = 34

    /// Of longer ones only the longest of each length code, and the match's own.
    @inline(__always)
    private func nextLong(_ length: Int, _ top: Int) -> Int {
        let code = Int(table.lengthCode[length])
        return code >= 27 ? top : min(longBase[code &+ 1] &- 1, top)
    }

    /// Finds the cheapest way from each position to the stretch's end, from behind.
    func solve(_ plain: UnsafePointer<UInt8>, _ costs: TokenCosts) {
        let literal = costs.literal
        let lengths = costs.length
        let distances = costs.distance
        let count = end &- start
        toGo[count] = 0
        var index = count &- 1
        var match = Int(firstMatch[count])
        let text = plain + start
        var relaxed = 0
        while index >= 0 {
            let here = toGo + index
            var best = literal[Int(text[index])] &+ here[1]
            let first = Int(firstMatch[index])
            if first < match {
                let room = count &- index
                var length = 3
                var next = first
                while next < match {
                    let token = matches[next]
                    let distance = distances[table.distanceCode(of: Token.distance(token))]
                    let top = min(Token.length(token), room)
                    var least = Int32.max
                    let short = min(top, Self.shortMost)
                    while length <= short {
                        least = min(least, lengths[length] &+ here[length])
                        length &+= 1
                    }
                    while length <= top {
                        let long = nextLong(length, top)
                        least = min(least, lengths[long] &+ here[long])
                        length = long &+ 1
                        relaxed &+= 2
                    }
                    if least != Int32.max { best = min(best, least &+ distance) }
                    next &+= 1
                }
                relaxed &+= min(length, Self.shortMost)
                match = first
            }
            here[0] = min(best, TokenCosts.never)
            index &-= 1
        }
        steps &+= count &>> 2 &+ relaxed &>> 3
    }

    /// Counts the symbols of the cheapest way through the stretch, the end-of-block symbol once.
    /// - Parameters:
    ///   - literals: 288 counts.
    ///   - distances: 32 counts.
    func count(
        _ plain: UnsafePointer<UInt8>, _ costs: TokenCosts, literals: UnsafeMutablePointer<Int32>,
        distances: UnsafeMutablePointer<Int32>
    ) {
        literals.update(repeating: 0, count: 288)
        distances.update(repeating: 0, count: 32)
        literals[256] = 1
        var at = start
        while at < end {
            let here = cost(from: at)
            var best = costs.literal[Int(plain[at])] &+ here[1]
            var taken = 1
            var code = 0
            var length = 3
            for token in matches(at: at) {
                let distanceCode = table.distanceCode(of: Token.distance(token))
                let distance = costs.distance[distanceCode]
                let top = min(Token.length(token), end &- at)
                while length <= top {
                    if length > Self.shortMost { length = nextLong(length, top) }
                    let cost = costs.length[length] &+ here[length] &+ distance
                    if cost < best {
                        best = cost
                        taken = length
                        code = distanceCode
                    }
                    length &+= 1
                }
            }
            if taken == 1 {
                literals[Int(plain[at])] &+= 1
            } else {
                literals[257 &+ Int(table.lengthCode[taken])] &+= 1
                distances[code] &+= 1
            }
            at &+= taken
        }
    }
}
