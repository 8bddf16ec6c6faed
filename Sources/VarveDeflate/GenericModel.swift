// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The predictor for encoders nobody has a model of: all positions in hash chains, longest match, one-step lazy rule. It
/// describes each token by decisions under learning probabilities, so that being wrong often is affordable.
final class GenericModel: TokenModel {
    struct Parameters: Equatable {
        /// Bytes hashed: 3 or 4.
        var hashBytes = 3
        /// Chain entries looked at.
        var depth = 128
    }

    static var describesTokens: Bool { true }

    private static let window = 32768
    private let parameters: Parameters
    private let head: UnsafeMutablePointer<Int32>
    private let previous: UnsafeMutablePointer<Int32>
    private let probabilities = Probabilities(count: 8192)
    /// How often each probability was used, up to a bound: new ones learn faster.
    private let uses: UnsafeMutablePointer<UInt8>
    private static let hashBits = 16

    private var plain: UnsafePointer<UInt8>
    private let nothing: UnsafeMutablePointer<UInt8>
    private(set) var position = 0
    private(set) var steps = 0
    private var inserted = 0
    private var historyStart = 0
    private var lastWasMatch = 0
    /// The best match at ``position`` if it was already looked for: length 0 for none, -1 for not looked.
    private var cachedLength = -1
    private var cachedDistance = 0

    init(_ parameters: Parameters) {
        self.parameters = parameters
        head = .allocate(capacity: 1 << Self.hashBits)
        head.initialize(repeating: -1, count: 1 << Self.hashBits)
        previous = .allocate(capacity: Self.window)
        previous.initialize(repeating: -1, count: Self.window)
        uses = .allocate(capacity: 8192)
        uses.initialize(repeating: 0, count: 8192)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        head.deallocate()
        previous.deallocate()
        nothing.deallocate()
        uses.deallocate()
    }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        head.update(repeating: -1, count: 1 << Self.hashBits)
        position = at
        historyStart = at - history
        inserted = historyStart
        cachedLength = -1
        lastWasMatch = 0
    }

    /// Everything learned is forgotten: at the start of each segment.
    func resetProbabilities() {
        probabilities.reset()
        uses.update(repeating: 0, count: 8192)
    }

    /// Codes one decision; the probability learns the faster the less it was used.
    @inline(__always)
    private func bit<O: TokenOracle>(
        _ oracle: inout O, _ probability: UnsafeMutablePointer<UInt16>, _ value: Int
    ) -> Int {
        let use = uses + (probability - probabilities.base)
        let count = use.pointee
        use.pointee = min(count &+ 1, 15)
        return oracle.bit(probability, value, shift: Self.shift(count))
    }

    @inline(__always)
    private static func shift(_ uses: UInt8) -> UInt32 {
        uses < 3 ? (uses == 0 ? 1 : 2) : (uses < 6 ? 3 : (uses < 15 ? 4 : 5))
    }

    @inline(__always)
    private func hash(_ at: Int) -> Int {
        let word = UnsafeRawPointer(plain + at)
        if parameters.hashBytes == 3 {
            let value = UInt32(plain[at]) | UInt32(plain[at + 1]) &<< 8 | UInt32(plain[at + 2]) &<< 16
            return Int((value &* 0x9E37_79B1) &>> UInt32(32 - Self.hashBits))
        }
        return Int((word.loadUnaligned(as: UInt32.self) &* 0x9E37_79B1) &>> UInt32(32 - Self.hashBits))
    }

    @inline(__always)
    private func insert(upTo limit: Int, inputEnd: Int) {
        let end = min(limit, inputEnd - parameters.hashBytes + 1)
        while inserted < end {
            let slot = hash(inserted)
            previous[inserted & (Self.window - 1)] = head[slot]
            head[slot] = Int32(truncatingIfNeeded: inserted)
            inserted &+= 1
        }
    }

    @inline(__always)
    private func matchLength(_ at: Int, _ from: Int, _ most: Int) -> Int {
        Matching.length(plain + at, plain + from, most)
    }

    @inline(__always)
    private func search(_ at: Int, inputEnd: Int) -> (Int, Int) {
        let most = min(258, inputEnd - at)
        if most < parameters.hashBytes { return (0, 0) }
        var best = parameters.hashBytes - 1
        var bestDistance = 0
        var candidate = Int(head[hash(at)])
        let lowest = max(at - Self.window, historyStart)
        var tries = parameters.depth
        while candidate >= lowest && candidate < at && tries > 0 {
            if plain[candidate + best] == plain[at + best] {
                let length = matchLength(at, candidate, most)
                steps &+= length &>> 4
                if length > best {
                    best = length
                    bestDistance = at - candidate
                    if length == most { break }
                }
            }
            var following = Int(previous[candidate & (Self.window - 1)])
            if following >= candidate { break }
            tries &-= 1
            steps &+= 1
            if following == candidate &- 1 && bestDistance != 0 {
                var search = RunSkip.Search(candidate: candidate, tries: tries, best: best, start: 0)
                let ends = RunSkip.skip(plain, at, most: most, enough: most, lowest: lowest, &search)
                if search.best > best {
                    best = search.best
                    bestDistance = at - search.start
                }
                if ends { break }
                tries = search.tries
                candidate = search.candidate
                following = Int(previous[candidate & (Self.window - 1)])
                if following >= candidate { break }
            }
            candidate = following
        }
        return bestDistance == 0 ? (0, 0) : (best, bestDistance)
    }

    @inline(__always)
    private static func bucket(_ length: Int) -> Int {
        length < 8 ? length : (length < 16 ? 8 : (length < 32 ? 9 : (length < 258 ? 10 : 11)))
    }

    /// How far back a match is, in four classes.
    @inline(__always)
    private static func reach(_ distance: Int) -> Int {
        distance <= 256 ? 0 : (distance <= 4096 ? 1 : (distance <= 16384 ? 2 : 3))
    }

    /// Whether the next position's match is farther back, about as far, or nearer, by half or more.
    @inline(__always)
    private static func nearness(_ distance: Int, _ nextDistance: Int) -> Int {
        if nextDistance == 0 || distance == 0 { return 1 }
        let nearer = nextDistance.leadingZeroBitCount &- distance.leadingZeroBitCount
        return nearer < 0 ? 0 : (nearer > 0 ? 2 : 1)
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        if O.isVirtual {
            var left = maxTokens
            while position < stopAt && left > 0 {
                oracle.push(UInt32(plain[position]))
                position &+= 1
                left &-= 1
            }
            cachedLength = -1
            insert(upTo: position, inputEnd: inputEnd)
            return
        }
        let p = probabilities.base
        let limit = min(stopAt, inputEnd)
        var left = maxTokens
        while left > 0 && position < limit {
            left &-= 1
            let at = position
            insert(upTo: at, inputEnd: inputEnd)
            if cachedLength < 0 { (cachedLength, cachedDistance) = search(at, inputEnd: inputEnd) }
            let length = cachedLength
            let distance = cachedDistance
            var nextLength = -1
            var nextDistance = 0
            var gain = 0
            var near = 1
            if length > 0 && length < 258 && at + 1 < inputEnd {
                insert(upTo: at + 1, inputEnd: inputEnd)
                (nextLength, nextDistance) = search(at + 1, inputEnd: inputEnd)
                gain = nextLength > length + 1 ? 3 : (nextLength > length ? 2 : (nextLength == length ? 1 : 0))
                near = Self.nearness(distance, nextDistance)
            }
            let known = oracle.known
            let reach = Self.reach(distance)
            let context = (((Self.bucket(length) * 4 + gain) * 3 + near) * 4 + reach) * 2 + lastWasMatch
            let isMatch = bit(&oracle, p + context, Token.isMatch(known) ? 1 : 0)
            if isMatch == 0 {
                oracle.push(UInt32(plain[at]))
                position = at + 1
                cachedLength = nextLength
                cachedDistance = nextDistance
                lastWasMatch = 0
                continue
            }
            let token = codeMatch(&oracle, known, at, length, distance, gain, inputEnd: inputEnd)
            if !Token.isMatch(token) {
                // Only a damaged plan comes here.
                position = at + 1
            } else {
                position = at + Token.length(token)
            }
            oracle.push(token)
            cachedLength = -1
            lastWasMatch = 1
        }
        insert(upTo: position, inputEnd: inputEnd)
        if position == inputEnd { cachedLength = -1 }
    }

    /// Codes which match it is: the predicted one, another one of the chain, or any.
    private func codeMatch<O: TokenOracle>(
        _ oracle: inout O, _ known: UInt32, _ at: Int, _ length: Int, _ distance: Int, _ gain: Int, inputEnd: Int
    ) -> UInt32 {
        let p = probabilities.base + 2048
        let bucket = Self.bucket(length)
        let most = min(258, inputEnd - at)
        if most < 3 { return UInt32(plain[at]) }
        let knownDistance = Token.distance(known)
        let knownLength = Token.length(known)
        var same = 0
        if length > 0 { same = bit(&oracle, p + bucket * 4 + gain, knownDistance == distance ? 1 : 0) }
        var realDistance = distance
        if same == 0 {
            // Rank among the chain's places that match three bytes, nearest first, the predicted one left out.
            var rank = 0
            var found = 0
            var candidate = most >= parameters.hashBytes ? Int(head[hash(at)]) : -1
            let lowest = max(at - Self.window, historyStart)
            var tries = max(parameters.depth, 512)
            var knownRank = -1
            if O.isWriting {
                var walk = candidate
                var left = tries
                // The position itself may already be in the chain.
                if walk >= at { walk = Int(previous[walk & (Self.window - 1)]) }
                while walk >= lowest && walk < at && left > 0 {
                    steps &+= 1
                    if at - walk != distance && matchLength(at, walk, most) >= 3 {
                        if at - walk == knownDistance {
                            knownRank = rank
                            break
                        }
                        rank &+= 1
                    }
                    let following = Int(previous[walk & (Self.window - 1)])
                    if following >= walk { break }
                    walk = following
                    left &-= 1
                }
            }
            let ranked = codeNumber(&oracle, p + 64, knownRank < 0 ? 0 : knownRank &+ 1)
            if ranked == 0 {
                realDistance = codeDistance(&oracle, p + 640, knownDistance)
            } else if O.isWriting {
                realDistance = knownDistance
            } else {
                realDistance = 0
                if candidate >= at { candidate = Int(previous[candidate & (Self.window - 1)]) }
                while candidate >= lowest && candidate < at && tries > 0 {
                    steps &+= 1
                    if at - candidate != distance && matchLength(at, candidate, most) >= 3 {
                        found &+= 1
                        if found == ranked {
                            realDistance = at - candidate
                            break
                        }
                    }
                    let following = Int(previous[candidate & (Self.window - 1)])
                    if following >= candidate { break }
                    candidate = following
                    tries &-= 1
                }
                if realDistance == 0 { return UInt32(plain[at]) }
            }
        }
        if at - realDistance < historyStart { return UInt32(plain[at]) }
        let longest = max(matchLength(at, at - realDistance, most), 3)
        let full = bit(&oracle, p + 800 + bucket * 2 + same, knownLength == longest ? 1 : 0)
        if full == 1 { return Token.match(length: min(longest, most), distance: realDistance) }
        var node = 1
        var shift = 8
        while shift > 0 {
            shift &-= 1
            node = node &<< 1 | bit(&oracle, p + 1024 + node, (knownLength &- 3) &>> shift & 1)
        }
        let value = node &- 256 &+ 3
        return value <= most ? Token.match(length: value, distance: realDistance) : UInt32(plain[at])
    }

    private func codeNumber<O: TokenOracle>(_ oracle: inout O, _ p: UnsafeMutablePointer<UInt16>, _ value: Int) -> Int {
        let wanted = value &+ 1
        let knownSize = 63 &- UInt64(truncatingIfNeeded: max(wanted, 1)).leadingZeroBitCount
        var size = 0
        while size < 15 && bit(&oracle, p + size, size < knownSize ? 1 : 0) == 1 { size &+= 1 }
        var result = 1
        var shift = size
        while shift > 0 {
            shift &-= 1
            let context = min(result, 15)
            result = result &<< 1 | bit(&oracle, p + 16 + size * 16 + context, wanted &>> shift & 1)
        }
        return result &- 1
    }

    private func codeDistance<O: TokenOracle>(_ oracle: inout O, _ p: UnsafeMutablePointer<UInt16>, _ known: Int) -> Int
    {
        let knownCode = O.isWriting ? DeflateTables.shared.distanceCode(of: max(known, 1)) : 0
        var node = 1
        var shift = 5
        while shift > 0 {
            shift &-= 1
            node = node &<< 1 | bit(&oracle, p + node, knownCode &>> shift & 1)
        }
        let code = min(node &- 32, 29)
        let base = Int(DeflateTables.distanceBase[code])
        var extra = Int(DeflateTables.distanceExtra[code])
        var value = 0
        var half: UInt16 = 32768
        while extra > 0 {
            extra &-= 1
            half = 32768
            value = value &<< 1 | oracle.bit(&half, (known &- base) &>> extra & 1, shift: 5)
        }
        return base + value
    }
}

/// Comparing text.
enum Matching {
    /// How many bytes are the same at `a` and `b`, at most `most`. Reads nothing past `most`.
    @inline(__always)
    static func length(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ most: Int) -> Int {
        var n = 0
        let wide = most &- 8
        while n <= wide {
            let difference =
                UnsafeRawPointer(a + n).loadUnaligned(as: UInt64.self)
                ^ UnsafeRawPointer(b + n).loadUnaligned(as: UInt64.self)
            if difference != 0 { return n &+ difference.trailingZeroBitCount &>> 3 }
            n &+= 8
        }
        while n < most && a[n] == b[n] { n &+= 1 }
        return n
    }
}
