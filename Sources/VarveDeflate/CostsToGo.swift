// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What tokens cost under a block's codes, in bits.
final class TokenCosts {
    /// How many bits of the costs are fractions of a bit.
    let scale: Int32
    /// More than any way through a window costs: for what has no code. Three of them can be added.
    let never: Int32

    /// By byte.
    let literal: UnsafeMutablePointer<Int32>
    /// By length, 3-258, with the extra bits.
    let length: UnsafeMutablePointer<Int32>
    /// By distance code, with the extra bits.
    let distance: UnsafeMutablePointer<Int32>

    /// - Parameter scale: How many bits of the costs are fractions: 0 or 8.
    init(scale: Int32 = 0) {
        self.scale = scale
        never = scale == 0 ? 1 << 24 : 1 << 29
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
        for symbol in 0..<256 {
            literal[symbol] = literals[symbol] == 0 ? missing : Int32(literals[symbol]) << scale
        }
        for value in 3...MatchTrees.lengthMax {
            let code = Int(DeflateTables.shared.lengthCode[value])
            let bits = literals[257 + code]
            length[value] =
                (bits == 0 ? missing : Int32(bits) << scale) + Int32(DeflateTables.lengthExtra[code]) << scale
        }
        for code in 0..<30 {
            let bits = distances[code]
            distance[code] =
                (bits == 0 ? missingDistance : Int32(bits) << scale)
                + Int32(DeflateTables.distanceExtra[code]) << scale
        }
    }
}

/// A stretch of a block, all matches in it, and what the rest of the stretch costs from each position of it at least.
///
/// Memory is bounded: a long block comes in several stretches, and so does one with very many matches. So is time: of long
/// matches only some shorter lengths are considered (``nextLong(_:_:)``), without which runs of one byte would take five times
/// as long.
final class CostsToGo {
    /// Positions of a stretch, and matches in it.
    struct Room {
        var positions: Int
        var matches: Int

        /// What every stretch has from the start.
        static let least = Room(positions: 1 << 17, matches: 5 << 18)
        /// For encoders whose costs are those of all the block.
        static let most = Room(positions: 1 << 19, matches: 1 << 21)
    }

    private let most: Room
    private var now = Room.least

    /// The stretch.
    private(set) var start = 0
    private(set) var end = 0
    private var firstMatch: UnsafeMutablePointer<Int32>
    private var matches: UnsafeMutablePointer<UInt32>
    private var toGo: UnsafeMutablePointer<Int32>
    /// Where ``follow(_:_:)`` went: how far from each position, 0 where it was not. Before, how far back it came from.
    private var steered: UnsafeMutablePointer<UInt16>
    /// Matches longer than this are taken, whatever they cost.
    private let longestFree: Int
    private let table = DeflateTables.shared
    /// The shortest length of each length code.
    private let longBase: UnsafeMutablePointer<Int>
    private(set) var steps = 0

    init(longestFree: Int = MatchTrees.lengthMax, most: Room = .least) {
        self.longestFree = longestFree
        self.most = most
        steered = .allocate(capacity: now.positions + 1)
        steered.initialize(repeating: 0, count: now.positions + 1)
        firstMatch = .allocate(capacity: now.positions + 1)
        matches = .allocate(capacity: now.matches)
        toGo = .allocate(capacity: now.positions + 1)
        firstMatch.initialize(repeating: 0, count: now.positions + 1)
        matches.initialize(repeating: 0, count: now.matches)
        toGo.initialize(repeating: 0, count: now.positions + 1)
        longBase = .allocate(capacity: 29)
        longBase.initialize(repeating: 0, count: 29)
        for code in 0..<29 { longBase[code] = Int(DeflateTables.lengthBase[code]) }
    }

    deinit {
        firstMatch.deallocate()
        matches.deallocate()
        toGo.deallocate()
        steered.deallocate()
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
        if end &- start >= now.positions || count > now.matches &- MatchTrees.lengthMax {
            if now.positions >= most.positions && now.matches >= most.matches { return nil }
            grow(count)
            return self.room
        }
        return matches + count
    }

    /// Takes more memory, at most twice as much.
    private func grow(_ matchCount: Int) {
        let next = Room(
            positions: min(now.positions * 2, most.positions), matches: min(now.matches * 2, most.matches))
        func move<T: BinaryInteger>(_ old: inout UnsafeMutablePointer<T>, _ kept: Int, _ count: Int) {
            let new = UnsafeMutablePointer<T>.allocate(capacity: count)
            new.initialize(repeating: 0, count: count)
            new.update(from: old, count: kept)
            old.deallocate()
            old = new
        }
        let kept = end &- start &+ 1
        move(&firstMatch, kept, next.positions + 1)
        move(&toGo, kept, next.positions + 1)
        move(&steered, kept, next.positions + 1)
        move(&matches, matchCount, next.matches)
        now = next
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
        let (toGo, firstMatch, matches) = (self.toGo, self.firstMatch, self.matches)
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
                if Token.length(matches[match &- 1]) > longestFree && room > longestFree {
                    next = match &- 1
                    best = Int32.max
                    length = min(Token.length(matches[next]), room)
                }
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
            here[0] = min(best, costs.never)
            index &-= 1
        }
        steps &+= count &>> 2 &+ relaxed &>> 3
    }

    /// Finds the way that an encoder goes which looks from the front: of all cheapest ways the one whose last step is the
    /// longest, of those the one whose last but one is, and so on.
    func follow(_ plain: UnsafePointer<UInt8>, _ costs: TokenCosts) {
        let count = end &- start
        let (toGo, firstMatch, matches, steered) = (self.toGo, self.firstMatch, self.matches, self.steered)
        steered.update(repeating: 0, count: count &+ 1)
        if count == 0 { return }
        let text = plain + start
        var index = 0
        var isReached = true
        while index < count {
            if !isReached {
                index &+= 1
                isReached = steered[index] != 0
                continue
            }
            let here = toGo + index
            let least = here[0]
            var match = Int(firstMatch[index])
            let last = Int(firstMatch[index &+ 1])
            var length = 3
            let room = count &- index
            if match < last && Token.length(matches[last &- 1]) > longestFree && room > longestFree {
                match = last &- 1
                length = min(Token.length(matches[match]), room)
            } else if steered[index &+ 1] == 0 && costs.literal[Int(text[index])] &+ here[1] == least {
                steered[index &+ 1] = 1
            }
            while match < last {
                let token = matches[match]
                let rest = least &- costs.distance[table.distanceCode(of: Token.distance(token))]
                let top = min(Token.length(token), room)
                while length <= top {
                    if costs.length[length] &+ here[length] == rest && steered[index &+ length] == 0 {
                        steered[index &+ length] = UInt16(truncatingIfNeeded: length)
                    }
                    length &+= 1
                }
                match &+= 1
            }
            index &+= 1
            isReached = steered[index] != 0
        }
        // From the end back, turning round what is on the way.
        var at = count
        var step = Int(steered[at])
        steered[at] = 0
        if step == 0 || step > at {
            steered.update(repeating: 0, count: count)
            return
        }
        while step > 0 {
            let from = at &- step
            for between in (from &+ 1)..<at { steered[between] = 0 }
            let before = Int(steered[from])
            steered[from] = UInt16(truncatingIfNeeded: step)
            at = from
            step = min(before, at)
        }
        steps &+= count &>> 2
    }

    /// How far ``follow(_:_:)`` went from a position on its way; 0 for others.
    @inline(__always)
    func followed(from position: Int) -> Int { Int(steered[position &- start]) }

    /// Counts the symbols of what zopfli begins with: the longest match everywhere, unless the next position's is longer.
    /// - Parameters:
    ///   - literals: 288 counts.
    ///   - distances: 32 counts.
    func countGreedily(
        _ plain: UnsafePointer<UInt8>, literals: UnsafeMutablePointer<Int32>, distances: UnsafeMutablePointer<Int32>
    ) {
        literals.update(repeating: 0, count: 288)
        distances.update(repeating: 0, count: 32)
        literals[256] = 1
        func score(_ length: Int, _ distance: Int) -> Int { distance > 1024 ? length &- 1 : length }
        func take(_ length: Int, _ distance: Int) {
            literals[257 &+ Int(table.lengthCode[length])] &+= 1
            distances[table.distanceCode(of: distance)] &+= 1
        }
        var isWaiting = false
        var lastLength = 0
        var lastDistance = 0
        var at = start
        while at < end {
            var (length, distance) = (1, 0)
            let found = matches(at: at)
            if let longest = found.last {
                let top = min(Token.length(longest), end &- at)
                if top >= 3, let nearest = found.first(where: { Token.length($0) >= top }) {
                    (length, distance) = (top, Token.distance(nearest))
                }
            }
            let now = score(length, distance)
            let mayWait = now >= 3 && length < MatchTrees.lengthMax
            if isWaiting && now <= score(lastLength, lastDistance) &+ 1 {
                take(lastLength, lastDistance)
                at &+= lastLength &- 1
                isWaiting = false
                continue
            }
            if isWaiting { literals[Int(plain[at &- 1])] &+= 1 }
            isWaiting = mayWait
            if mayWait {
                (lastLength, lastDistance) = (length, distance)
                at &+= 1
            } else if now >= 3 {
                take(length, distance)
                at &+= length
            } else {
                literals[Int(plain[at])] &+= 1
                at &+= 1
            }
        }
        steps &+= (end &- start) &>> 2
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
            let found = matches(at: at)
            if let token = found.last, Token.length(token) > longestFree, end &- at > longestFree {
                length = min(Token.length(token), end &- at)
                best = Int32.max
            }
            for token in found {
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
