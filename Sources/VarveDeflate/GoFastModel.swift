// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Go's BestSpeed up to Go 1.26: pieces of 65535 bytes, one table, faster and faster steps while nothing is found.
final class GoFastModel: TokenModel {
    private static let tableCount = 1 << 14
    private static let never = Int32(-1 << 30)
    private static let margin = 15
    private static let pieceMin = 128
    private static let farthest = 32768

    private let table: UnsafeMutablePointer<Int32>
    private let nothing: UnsafeMutablePointer<UInt8>
    private var plain: UnsafePointer<UInt8>
    private(set) var position = 0
    /// Nothing here takes long.
    var steps: Int { 0 }
    /// Where the piece before begins: no match reaches farther.
    private var floor = 0

    /// Whether the search goes on as the encoder's where that did not find a match, or another one.
    private let follows: Bool

    init(follows: Bool) {
        self.follows = follows
        table = .allocate(capacity: Self.tableCount)
        table.initialize(repeating: Self.never, count: Self.tableCount)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        table.deallocate()
        nothing.deallocate()
    }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        table.update(repeating: Self.never, count: Self.tableCount)
        position = at
        floor = at
    }

    @inline(__always)
    private func load32(_ at: Int) -> UInt32 { UnsafeRawPointer(plain + at).loadUnaligned(as: UInt32.self) }
    @inline(__always)
    private func slot(_ value: UInt32) -> Int { Int((value &* 0x1e35_a7bd) &>> 18) }
    @inline(__always)
    private func reachable(_ to: Int, _ from: Int) -> Bool {
        UInt(bitPattern: to &- from &- 1) < UInt(Self.farthest)
    }

    @inline(__always)
    private func literals<O: TokenOracle>(_ oracle: inout O, _ at: inout Int, _ to: Int, _ end: Int) -> Bool {
        while at < to {
            let byte = plain[at]
            let real = oracle.next(UInt32(byte), literal: byte, limit: end &- at)
            at &+= Token.span(real)
            if Token.isMatch(real) { return false }
        }
        return true
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        let from = position
        let end = stopAt
        if end <= from { return }
        position = end
        var emitted = from
        if end - from < Self.pieceMin {
            while emitted < end { _ = literals(&oracle, &emitted, end, end) }
            table.update(repeating: Self.never, count: Self.tableCount)
            floor = end
            return
        }
        let limit = end &- Self.margin
        var s = from
        var nextS = from
        var skip = 32
        scan: while true {
            var cv = load32(nextS)
            var t = 0
            while true {
                s = nextS
                let step = skip &>> 5
                nextS = s &+ step
                skip &+= step
                if nextS > limit { break scan }
                let here = slot(cv)
                t = Int(table[here])
                table[here] = Int32(truncatingIfNeeded: s)
                if reachable(s, t) && load32(t) == cv { break }
                cv = load32(nextS)
            }
            var isFollowed = literals(&oracle, &emitted, s, end)
            if !isFollowed {
                s = emitted
                if s >= limit { break scan }
            }
            while true {
                if isFollowed {
                    var n = 4
                    if t >= floor { n = 4 &+ Matching.length(plain + s + 4, plain + t + 4, min(254, end &- s &- 4)) }
                    let token = Token.match(length: n, distance: s &- t)
                    let real = oracle.next(token, literal: plain[s], limit: end &- s)
                    emitted = s &+ Token.span(real)
                    if real != token && !follows {
                        s = emitted
                        isFollowed = false
                    } else if !Token.isMatch(real) {
                        // The encoder did not find this match, and went on.
                        break
                    } else {
                        s = emitted
                    }
                    if s >= limit { break scan }
                }
                if isFollowed || follows {
                    let before = load32(s &- 1)
                    table[slot(before)] = Int32(truncatingIfNeeded: s &- 1)
                    let value = load32(s)
                    let here = slot(value)
                    t = Int(table[here])
                    table[here] = Int32(truncatingIfNeeded: s)
                    isFollowed = true
                    if reachable(s, t) && load32(t) == value {
                        nextS = s &+ 1
                        skip = 32
                        continue
                    }
                    s &+= 1
                }
                nextS = s
                skip = 32
                break
            }
        }
        while emitted < end { _ = literals(&oracle, &emitted, end, end) }
        floor = from
    }
}
