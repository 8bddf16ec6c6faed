// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension RankedChains {
    /// A search for the longest match.
    struct Search {
        /// How many positions the encoder looks at.
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

    /// Along the encoder's own chain, as it does it.
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

    /// The newest match of the bytes that the encoder hashes, from `first` on; there is no longer one.
    @inline(__always)
    func searchNewest(_ text: UnsafePointer<UInt8>, _ position: Int, from first: Int, _ search: inout Search) {
        let beyond = UInt32(32 - 8 * Hash.length)
        let wanted = UnsafeRawPointer(text + position).loadUnaligned(as: UInt32.self) &<< beyond
        var candidate = first
        var tries = search.tries
        while candidate >= search.lowest && tries > 0 {
            if UnsafeRawPointer(text + candidate).loadUnaligned(as: UInt32.self) &<< beyond == wanted {
                search.best = Hash.length
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
        var judge = AnyLonger()
        searchLong(text, position, &search, &judge)
    }

    /// A match of four bytes or more that is longer than `search.best`, which is 3 at least, and good enough for the judge.
    @inline(__always)
    func searchLong<Judge: MatchJudge>(
        _ text: UnsafePointer<UInt8>, _ position: Int, _ search: inout Search, _ judge: inout Judge
    ) {
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
                    if judge.accepts(length, from: position &- candidate) {
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
            }
            var following = candidate &- Int(way[candidate & Self.mask])
            if Judge.takesAny && following == candidate &- 1 && following >= lowest {
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
                    let reached = searchAside(text, position, before: following &+ 1, &search, &judge)
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
    private func searchAside<Judge: MatchJudge>(
        _ text: UnsafePointer<UInt8>, _ position: Int, before: Int, _ search: inout Search, _ judge: inout Judge
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
                    if judge.accepts(length, from: position &- candidate) {
                        best = length
                        search.start = candidate
                        if length >= search.enough || length >= search.most { break }
                        ending = UnsafeRawPointer(scan + (best &- 3)).loadUnaligned(as: UInt32.self)
                    }
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

    /// How many positions the encoder has looked at when it has looked at this one, which is in the same chain.
    @inline(__always)
    private func looks(_ here: UInt16, _ candidate: Int) -> Int {
        Int(here &- UInt16(truncatingIfNeeded: links[candidate & Self.mask] &>> 16))
    }
}
