// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Finds, for every position, the nearest earlier place for each length that matches there.
///
/// A hash chain would look at thousands of places. Here all positions that begin with the same three bytes are in one
/// binary tree, sorted by what follows, newer ones above older ones: from the root down each step either matches longer
/// than all before, or halves what is left. The walk also splits the tree around the new position, which becomes the root.
final class MatchTrees {
    /// Matches reach back less than this.
    static let window = 32768
    /// The longest match.
    static let lengthMax = 258
    private static let hashBits = 16

    /// Places looked at for one position.
    private let depth: Int
    private let heads: UnsafeMutablePointer<Int32>
    /// For each position of the window, the roots of what sorts before it and of what sorts behind it.
    private let children: UnsafeMutablePointer<Int32>
    private(set) var steps = 0
    /// The next position and its tree's root, fetched while this one's tree is walked: it is mostly far away in memory.
    private var next = -1
    private var nextRoot = 0

    init(depth: Int) {
        self.depth = depth
        heads = .allocate(capacity: 1 << Self.hashBits)
        heads.initialize(repeating: -1, count: 1 << Self.hashBits)
        children = .allocate(capacity: 2 * Self.window)
        children.initialize(repeating: -1, count: 2 * Self.window)
    }

    deinit {
        heads.deallocate()
        children.deallocate()
    }

    /// Forgets all positions.
    func reset() {
        next = -1
        heads.update(repeating: -1, count: 1 << Self.hashBits)
    }

    @inline(__always)
    private static func slot(_ text: UnsafePointer<UInt8>) -> Int {
        let value = UInt32(text[0]) | UInt32(text[1]) &<< 8 | UInt32(text[2]) &<< 16
        return Int((value &* 0x9E37_79B1) &>> UInt32(32 - Self.hashBits))
    }

    /// Takes in a position, higher than all before.
    /// - Parameters:
    ///   - most: Bytes that may be looked at there, 3-258.
    ///   - lowest: The first position that a match may reach back to.
    ///   - found: Gets the matches as tokens, each longer and farther than the one before; room for 256.
    /// - Returns: Their number.
    @inline(__always)
    func insert(
        _ plain: UnsafePointer<UInt8>, _ at: Int, most: Int, lowest: Int, found: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let scan = plain + at
        let slot = Self.slot(scan)
        var candidate = next == at ? nextRoot : Int(heads[slot])
        heads[slot] = Int32(truncatingIfNeeded: at)
        if most > 3 {
            next = at &+ 1
            nextRoot = Int(heads[Self.slot(scan + 1)])
        }
        let lowest = max(lowest, at &- Self.window &+ 1)
        var before = children + 2 &* (at & (Self.window &- 1))
        var behind = before + 1
        var lengthBefore = 0
        var lengthBehind = 0
        var best = 2
        var count = 0
        var tries = depth
        while candidate >= lowest && tries > 0 {
            tries &-= 1
            let text = plain + candidate
            // What lies between two places has in common with the text what both have.
            var length = min(lengthBefore, lengthBehind)
            length &+= Matching.length(scan + length, text + length, most &- length)
            if length > best {
                best = length
                found[count] = Token.match(length: length, distance: at &- candidate)
                count &+= 1
            }
            let pair = children + 2 &* (candidate & (Self.window &- 1))
            if length >= most {
                // The new position takes the old one's place.
                before.pointee = pair[0]
                behind.pointee = pair[1]
                steps &+= depth &- tries &+ best &>> 4
                return count
            }
            if text[length] < scan[length] {
                before.pointee = Int32(truncatingIfNeeded: candidate)
                before = pair + 1
                candidate = Int(before.pointee)
                lengthBefore = length
            } else {
                behind.pointee = Int32(truncatingIfNeeded: candidate)
                behind = pair
                candidate = Int(behind.pointee)
                lengthBehind = length
            }
        }
        before.pointee = -1
        behind.pointee = -1
        steps &+= depth &- tries &+ best &>> 4
        return count
    }
}
