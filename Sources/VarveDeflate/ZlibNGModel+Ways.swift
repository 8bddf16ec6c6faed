// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension ZlibNGModel {
    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        prepare(inputEnd)
        switch way {
        case .quick: runQuick(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        case .greedy: runGreedy(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        case .ahead: runAhead(&oracle, maxTokens: maxTokens, stopAt: stopAt, inputEnd: inputEnd)
        }
    }

    // MARK: level 1

    private func runQuick<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && position < stopAt {
            if filled &- position < Self.wanted && !refill(inputEnd) { return }
            let lookahead = filled &- position
            var token = UInt32(plain[position])
            if lookahead >= 4 {
                // What is no longer in the window stands for its first byte.
                let from = max(look(position), base)
                let distance = position &- from
                steps &+= 1
                if distance > 0 && distance <= farthest && from >= floor {
                    let length = Matching.length(plain + position, plain + from, min(lookahead, 258))
                    if length >= 4 { token = Token.match(length: length, distance: distance) }
                }
            }
            let real = oracle.next(token, literal: plain[position], limit: stopAt &- position)
            left &-= 1
            position &+= Token.span(real)
        }
    }

    // MARK: level 2, and 3 as it was

    private func runGreedy<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && position < stopAt {
            if filled &- position < Self.wanted && !refill(inputEnd) { return }
            let lookahead = filled &- position
            var token = UInt32(plain[position])
            if lookahead >= 4 {
                let first = look(position)
                if isReachable(first, position) {
                    var from = 0
                    let length = longest(position, first, lookahead, &from)
                    if length >= 4 { token = Token.match(length: length, distance: position &- from) }
                }
            }
            let real = oracle.next(token, literal: plain[position], limit: stopAt &- position)
            left &-= 1
            let end = position &+ Token.span(real)
            if Token.isMatch(real) {
                if Token.length(real) <= insertMost && filled &- end >= 4 {
                    put(position &+ 1, before: end)
                } else {
                    put(end &- 1)
                }
            }
            position = end
        }
    }

    // MARK: levels 3-6

    private func runAhead<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && position < stopAt {
            if filled &- position < Self.wanted {
                if !refill(inputEnd) { return }
                next.length = 0
            }
            let lookahead = filled &- position
            var current = next
            if current.length == 0 { current = find(position, lookahead) }
            next.length = 0
            insert(current, lookahead)
            let end = current.start &+ current.length
            if looksAhead && lookahead > Self.wanted && end &- base < 2 &* window &- Self.wanted {
                next = find(end, lookahead)
                if next.length >= 4 { join(&current, &next) }
            }
            // The one ahead may have taken all of it.
            if current.length == 0 { continue }
            var token = UInt32(plain[position])
            if current.length >= 4 {
                token = Token.match(length: current.length, distance: current.start &- current.from)
            }
            let real = oracle.next(token, literal: plain[position], limit: stopAt &- position)
            left &-= 1
            if real != token {
                departed()
                if Token.isMatch(real) {
                    let place = position
                    insert(Found(start: place, length: Token.length(real), from: 0, fresh: place), lookahead)
                }
            }
            position &+= Token.span(real)
        }
    }

    /// The best match at `place`, or a literal.
    @inline(__always)
    private func find(_ place: Int, _ lookahead: Int) -> Found {
        var found = Found(start: place, length: 1, from: 0, fresh: place)
        // Only the end of the text leaves fewer; what is looked for ahead always has more.
        if lookahead < 4 { return found }
        let first = look(place)
        if isReachable(first, place) {
            // The encoder looks on behind the end of the text taken in, but then forgets what it found.
            let length = longest(place, first, min(lookahead, filled &- place), &found.from)
            if length >= 4 { found.length = length }
        }
        return found
    }

    /// A match's positions enter the tables, or only its last where it is long.
    @inline(__always)
    private func insert(_ match: Found, _ lookahead: Int) {
        if match.length < 4 || lookahead <= match.length &+ 4 { return }
        let end = match.start &+ match.length
        if match.length <= insertMost {
            put(max(match.start &+ 1, match.fresh), before: end)
        } else {
            put(end &- 1)
        }
    }

    /// Lets the match ahead begin earlier, if it can take over all but one byte of the current one.
    private func join(_ current: inout Found, _ ahead: inout Found) {
        let length = current.length
        if length <= 1 || length > 1 &+ ahead.from &- base || ahead.from &+ 1 &- length < floor { return }
        if plain[ahead.from &+ 1 &- length] != plain[ahead.start &+ 1 &- length] { return }
        let limit = max(ahead.start &- farthest, base)
        var shift = 0
        while plain[ahead.from &- 1 &- shift] == plain[ahead.start &- 1 &- shift] {
            if length &- shift < 1 || ahead.start &- shift <= limit || ahead.length &+ shift >= 256
                || ahead.from &- shift &- base <= 1 || ahead.from &- shift &- 2 < floor
            {
                break
            }
            shift &+= 1
        }
        if shift == 0 || length &- shift > 1 { return }
        current.length = length &- shift
        ahead.start &-= shift
        ahead.from &-= shift
        ahead.length &+= shift
        ahead.fresh &+= 1
    }
}
