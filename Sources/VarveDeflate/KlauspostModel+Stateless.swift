// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The encoder that keeps nothing from one call to the next (klauspost's level -3, level 0 here): each call's text is cut into
/// pieces, and each piece is searched with a table of its own, filled with the text just before it in the same call.
extension KlauspostModel {
    /// Plain bytes of all pieces of a call but the first and the last.
    private static let statelessPiece = 24_575
    /// Text before a piece that it may refer to.
    static let statelessText = 8192
    /// The first piece of a call.
    private static let statelessFirst = 32_767

    static var statelessRule: BlockRule { .plain(statelessPiece, first: statelessFirst) }

    /// Whether a block of so many bytes may consist of whole pieces.
    static func areStatelessPieces(_ count: Int) -> Bool {
        count % statelessPiece == 0 || count >= statelessFirst && (count - statelessFirst) % statelessPiece == 0
    }

    private static let statelessCount = 1 << 13

    @inline(__always)
    private func hashStateless(_ value: UInt64) -> Int {
        Int((UInt32(truncatingIfNeeded: value) &* 0x1e35_a7bd) &>> 19)
    }

    /// One table, two lookups at a time, as at level 1; a slot that nothing was put into stands for the first byte known.
    func encodeStateless<O: TokenOracle>(_ oracle: inout O, _ from: Int, _ end: Int) {
        let first = isFresh ? from : max(from &- Self.statelessText, floor)
        isFresh = false
        var emitted = from
        if end - from < 2 + Self.margin {
            rest(&oracle, &emitted, end)
            return
        }
        let table = self.table
        table.update(repeating: Int32(truncatingIfNeeded: first), count: Self.statelessCount)
        for i in first..<from { table[hashStateless(UInt64(load32(i)))] = Int32(truncatingIfNeeded: i) }
        spend(from &- first &+ Self.statelessCount / 8)
        let limit = end &- Self.margin
        var s = from &+ 1
        var cv = load64(s)
        scan: while true {
            var nextS = s
            var t = 0
            while true {
                var slot = hashStateless(cv)
                t = Int(table[slot])
                nextS = s &+ 2 &+ (s &- emitted) &>> 5
                if nextS > limit { break scan }
                var now = load64(nextS)
                table[slot] = Int32(truncatingIfNeeded: s)
                slot = hashStateless(now)
                if reachable(s, t) && load32(t) == UInt32(truncatingIfNeeded: cv) {
                    table[slot] = Int32(truncatingIfNeeded: nextS)
                    break
                }
                cv = now
                s = nextS
                nextS &+= 1
                t = Int(table[slot])
                now &>>= 8
                table[slot] = Int32(truncatingIfNeeded: s)
                if reachable(s, t) && load32(t) == UInt32(truncatingIfNeeded: cv) {
                    table[slot] = Int32(truncatingIfNeeded: nextS)
                    break
                }
                cv = now
                s = nextS
            }
            while true {
                var l = lengthLong(s &+ 4, t &+ 4, end) &+ 4
                while t > first && s > emitted && plain[t &- 1] == plain[s &- 1] {
                    s &-= 1
                    t &-= 1
                    l &+= 1
                }
                let distance = s &- t
                if !literals(&oracle, &emitted, s, end) || !match(&oracle, &emitted, l, distance, end) {
                    s = emitted
                    if s >= limit { break scan }
                    cv = load64(s)
                    break
                }
                s = emitted
                if nextS >= s { s = nextS &+ 1 }
                if s >= limit { break scan }
                var x = load64(s &- 2)
                table[hashStateless(x)] = Int32(truncatingIfNeeded: s &- 2)
                x &>>= 16
                let slot = hashStateless(x)
                t = Int(table[slot])
                table[slot] = Int32(truncatingIfNeeded: s)
                if !reachable(s, t) || load32(t) != UInt32(truncatingIfNeeded: x) {
                    cv = x &>> 8
                    s &+= 1
                    break
                }
            }
        }
        rest(&oracle, &emitted, end)
    }
}
