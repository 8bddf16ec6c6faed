// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension IgzipMapModel {
    /// Follows the matches that eight bytes were not enough for, as with AVX-512: all of sixteen positions for eight bytes
    /// more, and the first that these are not enough for to its end.
    ///
    /// The encoder reads positions ahead of writing to them. Where a match runs over the last fifteen, these are gone over
    /// as they were before it.
    /// - Parameter limit: Text from the piece's start that may be compared.
    func lengthenWide(_ limit: Int) {
        let last = pieceCount &- (width &- 1)
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Self.widthMost) { group in
            var index = 0
            var isRead = false
            while index < pieceCount {
                let isLast = index >= last
                let count = min(width, pieceCount &- index)
                if !isRead { read(group, index, count) }
                isRead = false
                guard let lane = lengthenWide(index, group, count) else {
                    index &+= width
                    continue
                }
                let from = index &+ lane
                let distance = Int(group[lane] & 0xffff)
                let here = plain + (pieceStart &+ from)
                let length = 16 &+ Matching.length(here + 16, here + 16 - distance, limit &- from &- 16)
                let stop = isLast ? pieceCount : last
                index = from &+ min(length, stop &- from)
                if index < pieceCount {
                    read(group, index, min(width, pieceCount &- index))
                    isRead = true
                }
                spreadWide(from, length, distance)
            }
        }
    }

    @inline(__always)
    private func read(_ group: UnsafeMutableBufferPointer<UInt32>, _ index: Int, _ count: Int) {
        for lane in 0..<count { group[lane] = map[index &+ lane] }
    }

    /// Follows the matches of a group for eight bytes more.
    /// - Parameter group: What they were.
    /// - Returns: The first one that goes on all the same.
    @inline(__always)
    private func lengthenWide(_ index: Int, _ group: UnsafeMutableBufferPointer<UInt32>, _ count: Int) -> Int? {
        var first: Int?
        for lane in 0..<count where group[lane] &>> 16 >= 8 {
            let distance = Int(group[lane] & 0xffff)
            let here = plain + (pieceStart &+ index &+ lane &+ 8)
            let more = Matching.length(here, here - distance, 8)
            map[index &+ lane] = UInt32((8 &+ more) &<< 16 | distance)
            if more == 8 && first == nil { first = lane }
        }
        return first
    }

    /// Lets a match take the place of what is shorter where it runs over, up to the first sixteen positions of which one
    /// is not taken.
    @inline(__always)
    private func spreadWide(_ from: Int, _ length: Int, _ distance: Int) {
        var index = from
        var isUsed = true
        while isUsed && index < pieceCount {
            let end = min(index &+ width, pieceCount)
            while index < end {
                let left = length &- (index &- from)
                if left > 2 && left > Int(map[index] &>> 16) {
                    map[index] = UInt32(min(left, 258) &<< 16 | distance)
                } else {
                    isUsed = false
                }
                index &+= 1
            }
        }
    }
}
