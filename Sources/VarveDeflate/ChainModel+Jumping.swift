// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension ChainModel {
    /// zlib-ng's search at level 9 from 2.1 on: once a match is found, it goes on in the chain of whichever of the match's
    /// bytes leads farthest back, since a longer match must hold those too.
    func longestJumping(_ position: Int, _ first: Int, _ atLeast: Int, _ lookahead: Int, _ start: inout Int) -> Int {
        let most = min(lookahead, 258)
        if atLeast >= most { return min(atLeast, lookahead) }
        let text = plain
        let scan = text + position
        var best = max(atLeast, 2)
        var tries = atLeast >= good ? chain &>> 2 : chain
        let lowest = max(position &- farthest, origin)
        var work = 0
        defer { steps &+= work }
        var candidate = first
        // Where in the text to be matched the chain's bytes are.
        var offset = 0
        if best >= 3 {
            for index in 1...(best &- 2) {
                let place = Int(head[hash(scan, index)])
                if place < candidate {
                    candidate = place
                    offset = index
                }
            }
            work &+= best &>> 3
            if candidate <= lowest &+ offset { return best }
        }
        while candidate < position {
            work &+= 1
            let from = candidate &- offset
            if from < textStart { break }
            let length = Matching.length(scan, text + from, most)
            work &+= length &>> 4
            if length > best {
                start = from
                if length >= lookahead { return lookahead }
                best = length
                if best >= nice { return best }
                if length > 3 && from &+ length < position {
                    if !jump(from, length, position, lowest, &candidate, &offset) { return best }
                    work &+= length &>> 3
                    continue
                }
            }
            tries &-= 1
            if tries <= 0 { break }
            candidate = Int(previous[candidate & Self.mask])
            if candidate <= lowest &+ offset { break }
        }
        return best
    }

    /// Finds the chain to go on in after a match.
    /// - Returns: Whether it leads anywhere.
    @inline(__always)
    private func jump(
        _ from: Int, _ length: Int, _ position: Int, _ lowest: Int, _ candidate: inout Int, _ offset: inout Int
    ) -> Bool {
        offset = 0
        var following = from
        for index in 0...(length &- 3) {
            let place = Int(previous[(from &+ index) & Self.mask])
            if place < following {
                if place <= lowest &+ index { return false }
                following = place
                offset = index
            }
        }
        candidate = following
        let last = length &- 4
        let place = Int(head[hash(plain, position &+ last)])
        if place < candidate {
            offset = last
            if place <= lowest &+ last { return false }
            candidate = place
        }
        return true
    }
}
