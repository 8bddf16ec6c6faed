// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Some of the chunks of one pack, a bit each.
struct ChunkSet: Sendable, Equatable {
    /// Chunks of the pack.
    let chunkCount: UInt32
    private var words: [UInt64]

    /// None of `chunkCount` chunks.
    init(chunkCount: UInt32) {
        self.chunkCount = chunkCount
        words = [UInt64](repeating: 0, count: (Int(chunkCount) + 63) / 64)
    }

    var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    /// Number of chunks in the set.
    var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    /// Adds chunks. What of the range lies behind the pack's last chunk is left out.
    mutating func insert(_ range: Range<UInt32>) {
        forEachWord(in: range) { index, mask in words[index] |= mask }
    }

    /// Takes chunks out.
    mutating func remove(_ range: Range<UInt32>) {
        forEachWord(in: range) { index, mask in words[index] &= ~mask }
    }

    func contains(_ ordinal: UInt32) -> Bool {
        ordinal < chunkCount && words[Int(ordinal / 64)] & (1 << UInt64(ordinal % 64)) != 0
    }

    /// Number of chunks of the range that are in the set.
    func count(in range: Range<UInt32>) -> Int {
        var sum = 0
        forEachWord(in: range) { index, mask in sum += (words[index] & mask).nonzeroBitCount }
        return sum
    }

    mutating func formUnion(_ other: ChunkSet) {
        for index in words.indices.prefix(other.words.count) { words[index] |= other.words[index] }
    }

    mutating func formIntersection(_ other: ChunkSet) {
        for index in words.indices { words[index] &= index < other.words.count ? other.words[index] : 0 }
    }

    /// Calls `body` with the chunks of the range that are in the set, as ranges, ascending.
    func forEachRun<Failure: Error>(
        in range: Range<UInt32>, _ body: (Range<UInt32>) throws(Failure) -> Void
    ) throws(Failure) {
        var ordinal = range.lowerBound
        let end = min(range.upperBound, chunkCount)
        while let start = next(from: ordinal, below: end, isMember: true) {
            let stop = next(from: start, below: end, isMember: false) ?? end
            try body(start..<stop)
            ordinal = stop
        }
    }

    /// The first ordinal from `start` on, below `end`, that is or is not in the set.
    private func next(from start: UInt32, below end: UInt32, isMember: Bool) -> UInt32? {
        var ordinal = start
        while ordinal < end {
            let word = isMember ? words[Int(ordinal / 64)] : ~words[Int(ordinal / 64)]
            let rest = word >> UInt64(ordinal % 64)
            if rest != 0 {
                let found = ordinal + UInt32(rest.trailingZeroBitCount)
                return found < end ? found : nil
            }
            let (following, overflow) = (ordinal / 64).multipliedReportingOverflow(by: 64)
            guard !overflow, following <= UInt32.max - 64 else { return nil }
            ordinal = following + 64
        }
        return nil
    }

    private func forEachWord(in range: Range<UInt32>, _ body: (Int, UInt64) -> Void) {
        let range = range.clamped(to: 0..<chunkCount)
        guard !range.isEmpty else { return }
        let (first, last) = (Int(range.lowerBound / 64), Int((range.upperBound - 1) / 64))
        for index in first...last {
            var mask = UInt64.max
            if index == first { mask &= .max << UInt64(range.lowerBound % 64) }
            if index == last { mask &= .max >> UInt64(63 - (range.upperBound - 1) % 64) }
            body(index, mask)
        }
    }
}
