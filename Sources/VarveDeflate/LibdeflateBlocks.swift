// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What libdeflate counts to decide where a block ends: how often kinds of literals and of matches came, in the block so far
/// and since the last look.
///
/// A block ends when what came lately is too different from what came before; the longer it already is, the less it takes.
struct LibdeflateSplit {
    private typealias Counts = SIMD16<UInt32>

    static let blockMin = 5000
    static let blockMost = 300_000
    private static let lookEvery = 512

    // Eight kinds of literals, short matches, long matches.
    private var before = Counts()
    private var recent = Counts()
    private var beforeCount: UInt32 = 0
    private var recentCount: UInt32 = 0

    @inline(__always)
    mutating func literal(_ byte: UInt8) {
        recent[Int(byte &>> 5 & 6 | byte & 1)] &+= 1
        recentCount &+= 1
    }

    @inline(__always)
    mutating func match(length: Int) {
        recent[length >= 9 ? 9 : 8] &+= 1
        recentCount &+= 1
    }

    /// Whether the block should end after so many plain bytes, `left` before the input's end.
    @inline(__always)
    mutating func ends(length: Int, left: Int) -> Bool {
        if recentCount < Self.lookEvery || length < Self.blockMin || left < Self.blockMin { return false }
        return look(UInt32(truncatingIfNeeded: length))
    }

    @inline(never)
    private mutating func look(_ length: UInt32) -> Bool {
        if beforeCount > 0 {
            var difference: UInt32 = 0
            for kind in 0..<10 {
                let expected = before[kind] &* recentCount
                let actual = recent[kind] &* beforeCount
                difference &+= actual > expected ? actual &- expected : expected &- actual
            }
            let items = beforeCount &+ recentCount
            var limit = recentCount &* 200 / 512 &* beforeCount
            if length < 10000 && items < 8192 {
                limit &+= UInt32(truncatingIfNeeded: UInt64(limit) &* UInt64(8192 &- items) / 8192)
            }
            if difference &+ length / 4096 &* beforeCount >= limit { return true }
        }
        before &+= recent
        beforeCount &+= recentCount
        recent = Counts()
        recentCount = 0
        return false
    }

    /// Where a block that begins at `start` ends at the latest, but for a last match.
    static func latestEnd(_ start: Int, _ inputEnd: Int, most: Int = blockMost) -> Int {
        inputEnd - start < most + blockMin ? inputEnd : start + most
    }
}

/// The shortest match that libdeflate takes: the fewer different literals there are, the cheaper they will be.
enum LibdeflateShortest {
    /// By the number of different literals; 3 where there are more.
    private static let table: [UInt8] =
        [9, 9, 9, 9, 9, 9, 8, 8, 7, 7] + [UInt8](repeating: 6, count: 6) + [UInt8](repeating: 5, count: 29)
        + [UInt8](repeating: 4, count: 35)

    private static func match(_ literals: Int, depth: Int) -> Int {
        if literals >= table.count { return 3 }
        let length = Int(table[literals])
        // With few tries long matches are hardly found.
        if depth < 5 { return min(length, 4) }
        if depth < 10 { return min(length, 5) }
        return depth < 16 ? min(length, 7) : length
    }

    /// At a block's start, out of the text that comes.
    static func match(_ text: UnsafePointer<UInt8>, _ count: Int, depth: Int) -> Int {
        if count < 512 { return 3 }
        var low = SIMD4<UInt64>()
        for index in 0..<min(count, 4096) {
            let byte = text[index]
            low[Int(byte &>> 6)] |= 1 &<< UInt64(byte & 63)
        }
        var used = 0
        for index in 0..<4 { used += low[index].nonzeroBitCount }
        return match(used, depth: depth)
    }

    /// In the midst of a block, out of the literals so far; very rare ones do not count.
    static func match(literals: UnsafePointer<UInt32>, depth: Int) -> Int {
        var all: UInt32 = 0
        for symbol in 0..<256 { all &+= literals[symbol] }
        let rare = all >> 10
        var used = 0
        for symbol in 0..<256 where literals[symbol] > rare { used += 1 }
        return match(used, depth: depth)
    }
}
