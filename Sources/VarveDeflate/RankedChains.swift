// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// An encoder's hash chains with a short cut through them.
///
/// zlib looks at the newest so many positions whose three bytes have the same hash, and nearly all of them match three bytes
/// and no more. Which of them is found depends on no other, so the same one is found in chains by the hash of four or six
/// bytes, which hold only those that are worth a look. The one thing that must be counted is how many positions zlib would
/// have looked at on the way: every position has its rank in its three-byte chain, and the difference of two ranks is that
/// number. Rejected: keeping to zlib's chain with faster comparisons; it is the steps' number that costs. Go's chains are by
/// four bytes, and the short cut is that by six.
///
/// In tables of numbers even six bytes are shared by thousands of positions, and levels 8 and 9 come by them all in vain. A
/// longer match than the best so far has to match everywhere in between too, so that any six bytes there will do, and some
/// are rare: ``searchAside(_:_:before:_:)``. Rejected: a chain of more bytes, which costs time at every position.
struct RankedChains<Hash: ChainHash> {
    private static var mask: Int { 32767 }
    /// Stands for no position: farther back than any match reaches, wherever the text begins.
    private static var never: Int32 { -1 << 30 }
    private static var longBits: Int { 16 }
    /// An encoder's chain by four bytes does for that of four bytes.
    private static var slots4: Int { Hash.length == 4 ? 1 : 1 << longBits }
    /// Text ahead from which on the short cut can be taken: every position before is in all chains then.
    static var wanted: Int { 6 }

    /// The bits of a word of eight bytes that the encoder's hash is not over.
    private static var unhashed: UInt64 { UInt64(64 - 8 * Hash.length) }

    private let hash: Hash
    private let head: UnsafeMutablePointer<Int32>
    private let head4: UnsafeMutablePointer<Int32>
    private let head6: UnsafeMutablePointer<Int32>
    /// The way back to the chain's next position in the low half, the rank in the high one.
    private let links: UnsafeMutablePointer<UInt32>
    private let links4: UnsafeMutablePointer<UInt16>
    private let links6: UnsafeMutablePointer<UInt16>

    init(_ hash: Hash) {
        self.hash = hash
        head = .allocate(capacity: hash.slots)
        head4 = .allocate(capacity: Self.slots4)
        head6 = .allocate(capacity: 1 << Self.longBits)
        links = .allocate(capacity: Self.mask + 1)
        links4 = .allocate(capacity: Self.mask + 1)
        links6 = .allocate(capacity: Self.mask + 1)
        links.initialize(repeating: 0xffff, count: Self.mask + 1)
        links4.initialize(repeating: 0xffff, count: Self.mask + 1)
        links6.initialize(repeating: 0xffff, count: Self.mask + 1)
        head.initialize(repeating: Self.never, count: hash.slots)
        head4.initialize(repeating: Self.never, count: Self.slots4)
        head6.initialize(repeating: Self.never, count: 1 << Self.longBits)
    }

    func deallocate() {
        head.deallocate()
        head4.deallocate()
        head6.deallocate()
        links.deallocate()
        links4.deallocate()
        links6.deallocate()
    }

    /// Forgets all positions.
    func clear() {
        head.update(repeating: Self.never, count: hash.slots)
        head4.update(repeating: Self.never, count: Self.slots4)
        head6.update(repeating: Self.never, count: 1 << Self.longBits)
    }

    // MARK: taking text in

    /// What is known of a position before it goes into the chains.
    struct Place {
        /// Of the encoder's chain: the slot, the position before, and the rank.
        let slot: Int
        let before: Int
        let rank: UInt16
        /// Of the chain of six bytes.
        let slot6: Int
        let before6: Int
    }

    /// Looks up a position that is in no chain yet, for encoders whose own chain takes the place of that of four bytes; six
    /// bytes must be there.
    @inline(__always)
    func place(_ text: UnsafePointer<UInt8>, _ position: Int) -> Place {
        let slot = hash.slot(text, position)
        let before = Int(head[slot])
        let slot6 = Self.slot6(UnsafeRawPointer(text + position).loadUnaligned(as: UInt64.self))
        return Place(
            slot: slot, before: before, rank: UInt16(truncatingIfNeeded: links[before & Self.mask] &>> 16) &+ 1,
            slot6: slot6,
            before6: Int(head6[slot6]))
    }

    /// Puts a position into all chains.
    @inline(__always)
    func insert(_ place: Place, _ position: Int) {
        link(place.slot, place.before, UInt32(place.rank) &<< 16, position)
        head6[place.slot6] = Int32(truncatingIfNeeded: position)
        links6[position & Self.mask] = UInt16(truncatingIfNeeded: min(position &- place.before6, 0xffff))
    }

    @inline(__always)
    private func link(_ slot: Int, _ before: Int, _ rank: UInt32, _ position: Int) {
        head[slot] = Int32(truncatingIfNeeded: position)
        let back = UInt32(truncatingIfNeeded: min(position &- before, 0xffff))
        links[position & Self.mask] = rank | back
        if Hash.length == 4 { links4[position & Self.mask] = UInt16(truncatingIfNeeded: back) }
    }

    /// Puts a position into the encoder's chain; what it hashes must be there.
    @inline(__always)
    func insertShort(_ text: UnsafePointer<UInt8>, _ position: Int) {
        let slot = hash.slot(text, position)
        let before = Int(head[slot])
        link(slot, before, (links[before & Self.mask] &+ 0x1_0000) & 0xffff_0000, position)
    }

    /// Has chains end at a position that is in none, should a search come by it.
    @inline(__always)
    func leaveOut(_ position: Int) { links[position & Self.mask] = 0xffff }

    /// Puts a position into the chains of four and six bytes; six must be there.
    @inline(__always)
    func insertLong(_ text: UnsafePointer<UInt8>, _ position: Int) {
        let word = UnsafeRawPointer(text + position).loadUnaligned(as: UInt64.self)
        if Hash.length == 3 {
            let slot4 = Int((UInt32(truncatingIfNeeded: word) &* 0x9e37_79b1) &>> UInt32(32 &- Self.longBits))
            let before4 = Int(head4[slot4])
            head4[slot4] = Int32(truncatingIfNeeded: position)
            links4[position & Self.mask] = UInt16(truncatingIfNeeded: min(position &- before4, 0xffff))
        }
        let slot6 = Self.slot6(word)
        let before6 = Int(head6[slot6])
        head6[slot6] = Int32(truncatingIfNeeded: position)
        links6[position & Self.mask] = UInt16(truncatingIfNeeded: min(position &- before6, 0xffff))
    }

    @inline(__always)
    private static func slot6(_ word: UInt64) -> Int {
        Int(((word &<< 16) &* 0x9e37_79b9_7f4a_7c15) &>> UInt64(64 &- longBits))
    }

    /// The last position in the encoder's chain with the hash of this one; far back if there is none.
    @inline(__always)
    func newest(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int { Int(head[hash.slot(text, position)]) }

    /// The position before one that was inserted in the encoder's chain; far back if there is none.
    @inline(__always)
    func previous(_ position: Int) -> Int { position &- Int(links[position & Self.mask] & 0xffff) }

    // MARK: searching

    /// A search for the longest match.
    struct Search {
        /// How many positions zlib looks at.
        var tries: Int
        /// No match is longer; so much text is there.
        var most: Int
        /// A match so long ends the search.
        var enough: Int
        /// No match begins before.
        var lowest: Int
        /// The longest match so far, and where it starts.
        var best: Int
        var start: Int
        /// The position's rank, and the first positions to look at by four and by six bytes, for ``searchLong(_:_:_:)``.
        var rank: UInt16 = 0
        var first4 = 0
        var first6 = 0
        var steps = 0
    }

    /// Has a search begin at a position that is in all chains.
    @inline(__always)
    func start(_ search: inout Search, at position: Int) {
        let place = position & Self.mask
        search.rank = UInt16(truncatingIfNeeded: links[place] &>> 16)
        search.first4 = position &- Int(links4[place])
        search.first6 = position &- Int(links6[place])
    }

    /// Has a search begin at a position that is not in the chains yet.
    @inline(__always)
    func start(_ search: inout Search, at place: Place) {
        search.rank = place.rank
        search.first4 = place.before
        search.first6 = place.before6
    }

    /// Along zlib's own chain, as zlib does it.
    func searchPlainly(_ text: UnsafePointer<UInt8>, _ position: Int, _ search: inout Search) {
        var candidate = previous(position)
        var tries = search.tries
        while candidate >= search.lowest && tries > 0 {
            let length = Matching.length(text + position, text + candidate, search.most)
            if length > search.best {
                search.best = length
                search.start = candidate
                if length >= search.enough || length >= search.most { break }
            }
            tries &-= 1
            search.steps &+= 1
            candidate = previous(candidate)
        }
    }

    /// The newest match of three bytes; there is no longer one.
    @inline(__always)
    func searchThree(_ text: UnsafePointer<UInt8>, _ position: Int, _ search: inout Search) {
        let wanted = UnsafeRawPointer(text + position).loadUnaligned(as: UInt32.self) &<< 8
        var candidate = previous(position)
        var tries = search.tries
        while candidate >= search.lowest && tries > 0 {
            if UnsafeRawPointer(text + candidate).loadUnaligned(as: UInt32.self) &<< 8 == wanted {
                search.best = 3
                search.start = candidate
                break
            }
            tries &-= 1
            candidate = previous(candidate)
        }
        search.steps &+= search.tries &- tries
    }

    /// The newest match of four bytes; there is no longer one.
    @inline(__always)
    func searchFour(_ text: UnsafePointer<UInt8>, _ position: Int, _ search: inout Search) {
        let wanted = UnsafeRawPointer(text + position).loadUnaligned(as: UInt32.self)
        var candidate = search.first4
        var tries = search.tries
        while candidate >= search.lowest && tries > 0 {
            if UnsafeRawPointer(text + candidate).loadUnaligned(as: UInt32.self) == wanted {
                search.best = 4
                search.start = candidate
                break
            }
            tries &-= 1
            candidate = previous(candidate)
        }
        search.steps &+= search.tries &- tries
    }

    /// A match of four bytes or more that is longer than `search.best`, which is 3 at least.
    @inline(__always)
    func searchLong(_ text: UnsafePointer<UInt8>, _ position: Int, _ search: inout Search) {
        let scan = text + position
        let opening = UnsafeRawPointer(scan).loadUnaligned(as: UInt64.self)
        let here = search.rank
        let most = search.most
        let lowest = search.lowest
        let tries = search.tries
        var best = search.best
        var way = best >= 5 ? links6 : links4
        // What the way's hash is over, in the opening's low bits.
        var unhashed: UInt64 = best >= 5 ? 16 : 32
        var ending = UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
        var candidate = best >= 5 ? search.first6 : search.first4
        var work = 0
        var mayStepAside = tries >= Self.asideTries
        while candidate >= lowest {
            let other = text + candidate
            work &+= 1
            if UnsafeRawPointer(other + (best &- 3)).loadUnaligned(as: UInt32.self) == ending {
                let length = Matching.length(scan, other, most)
                if length > best {
                    if looks(here, candidate) > tries { break }
                    work &+= length &>> 4
                    best = length
                    search.start = candidate
                    if length >= search.enough || length >= most { break }
                    ending = UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
                    if best >= 6 {
                        way = links6
                        unhashed = 16
                    }
                }
            }
            var following = candidate &- Int(way[candidate & Self.mask])
            if following == candidate &- 1 && following >= lowest {
                let word = UnsafeRawPointer(text + following).loadUnaligned(as: UInt64.self)
                if (word ^ opening) &<< unhashed == 0 {
                    let left = tries &- looks(here, following) &+ 1
                    if left <= 0 { break }
                    var run = RunSkip.Search(candidate: candidate, tries: left, best: best, start: search.start)
                    let ends = RunSkip.skip(text, position, most: most, enough: search.enough, lowest: lowest, &run)
                    if run.best > best {
                        best = run.best
                        search.start = run.start
                        if ends { break }
                        ending = UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
                    }
                    if ends { break }
                    if run.candidate != candidate {
                        following = run.candidate &- Int(way[run.candidate & Self.mask])
                    }
                }
            }
            // Ranks of another chain's positions say nothing, so only now and then: long chains without a find.
            if work & 15 == 0, following >= lowest {
                if (UnsafeRawPointer(text + following).loadUnaligned(as: UInt64.self) ^ opening) &<< Self.unhashed == 0
                    && looks(here, following) > tries
                {
                    break
                }
                if mayStepAside && best >= Self.asideFrom {
                    search.best = best
                    let reached = searchAside(text, position, before: following &+ 1, &search)
                    best = search.best
                    guard reached > lowest else { break }
                    mayStepAside = false
                    ending = UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
                    while following >= reached {
                        following &-= Int(way[following & Self.mask])
                        work &+= 1
                    }
                }
            }
            candidate = following
        }
        search.best = best
        search.steps &+= work
    }

    /// Who looks at fewer positions is soon done.
    private static var asideTries: Int { 256 }
    /// A match longer than so many bytes has six others farther behind.
    private static var asideFrom: Int { 6 }
    /// Places behind the match's beginning that are considered.
    private static var offsetsMost: Int { 16 }
    /// Positions to look at aside: where there are more, the six bytes were no better than the first ones.
    private static var asideMost: Int { 2048 }

    /// Goes on with a search for a match of more than `search.best` bytes along the chain of six bytes farther behind, of those
    /// whose chain reaches farthest back with its first step.
    /// - Parameter before: Positions from here on have been looked at.
    /// - Returns: From where on all positions have been looked at now; ``Int/min`` if the search ends.
    @inline(never)
    private func searchAside(
        _ text: UnsafePointer<UInt8>, _ position: Int, before: Int, _ search: inout Search
    ) -> Int {
        let scan = text + position
        var best = search.best
        var place = 0
        var offset = 0
        // The six bytes end with one that a longer match must have. Positions that are as near as the offset is large are in
        // the chain of the first bytes only.
        for other in max(best &- 5 &- Self.offsetsMost, 1)...(best &- 5) where position &- before &+ 1 >= other {
            let word = UnsafeRawPointer(scan + other).loadUnaligned(as: UInt64.self)
            // Runs have chains of neighbours.
            if ((word ^ word &<< 8) &<< 16) &>> 24 == 0 { continue }
            let first = Int(head6[Self.slot6(word)])
            if offset == 0 || first &- other < place &- offset {
                place = first
                offset = other
            }
        }
        search.steps &+= 8
        if offset == 0 { return before }
        let lowest = search.lowest
        let here = search.rank
        let opening = UnsafeRawPointer(scan).loadUnaligned(as: UInt64.self)
        var left = Self.asideMost
        var candidate = place &- offset
        while candidate >= before {
            left &-= 1
            candidate &-= Int(links6[(candidate &+ offset) & Self.mask])
        }
        var ending = UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
        var reached = Int.min
        while candidate >= lowest {
            if left <= 0 {
                reached = candidate &+ 1
                break
            }
            left &-= 1
            let other = text + candidate
            if UnsafeRawPointer(other + (best &- 3)).loadUnaligned(as: UInt32.self) == ending {
                let length = Matching.length(scan, other, search.most)
                if length > best {
                    if looks(here, candidate) > search.tries { break }
                    left &-= length &>> 4
                    best = length
                    search.start = candidate
                    if length >= search.enough || length >= search.most { break }
                    ending = UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
                }
            }
            if left & 15 == 0,
                (UnsafeRawPointer(other).loadUnaligned(as: UInt64.self) ^ opening) &<< Self.unhashed == 0,
                looks(here, candidate) > search.tries
            {
                break
            }
            candidate &-= Int(links6[(candidate &+ offset) & Self.mask])
        }
        search.best = best
        search.steps &+= Self.asideMost &- left
        return reached
    }

    /// How many positions zlib has looked at when it has looked at this one, which is in the same chain.
    @inline(__always)
    private func looks(_ here: UInt16, _ candidate: Int) -> Int {
        Int(here &- UInt16(truncatingIfNeeded: links[candidate & Self.mask] &>> 16))
    }
}
