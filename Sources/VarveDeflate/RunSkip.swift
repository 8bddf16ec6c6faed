// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Walking a hash chain through a run of one byte, as there are many in sparse files and databases, in one step.
///
/// In such a run every position has the same hash and its neighbour as the next chain entry, so that an encoder that looks
/// at hundreds or thousands of entries spends them all there. What it finds can be told beforehand: an entry with fewer
/// bytes of the run left than the text has matches just those, one with more matches just the text's. Only an entry with
/// exactly as many needs a look, which is left to the caller.
enum RunSkip {
    /// A chain search in progress.
    struct Search {
        /// The entry last looked at.
        var candidate: Int
        /// Entries that may still be looked at.
        var tries: Int
        /// The longest match so far, at least 3, and where it starts.
        var best: Int
        var start: Int
    }

    /// Takes a search over entries of a run, as far as they hold no surprise.
    ///
    /// To be called when the entry after `candidate` is its neighbour below, in chains that hold every position.
    /// - Parameters:
    ///   - position: Where the text to be matched is.
    ///   - most: The longest match allowed; so many bytes can be read at `position`.
    ///   - enough: A match so long ends the search.
    ///   - lowest: The first position that may be looked at.
    /// - Returns: Whether the search ends. If not, `candidate` is the last entry dealt with.
    @inline(never)
    static func skip(
        _ plain: UnsafePointer<UInt8>, _ position: Int, most: Int, enough: Int, lowest: Int, _ search: inout Search
    ) -> Bool {
        let first = search.candidate &- 1
        let room = min(search.tries, first &- lowest &+ 1)
        if room <= 0 { return false }
        let scan = plain + position
        let byte = scan[0]
        let text = plain + first
        guard most >= 3, scan[1] == byte, scan[2] == byte, text[0] == byte, text[1] == byte, text[2] == byte else {
            return false
        }
        let wanted = forward(scan, byte, most)
        let left = forward(text, byte, wanted &+ 1)
        if left == wanted { return false }
        let count = 1 &+ backward(text, byte, room &- 1)
        if left < wanted {
            // Each entry matches one byte more than the one before.
            let rising = min(count, wanted &- left)
            let last = max(max(search.best &+ 1, enough) &- left, 0)
            if last < rising {
                search.best = left &+ last
                search.start = first &- last
                return true
            }
            if left &+ rising &- 1 > search.best {
                search.best = left &+ rising &- 1
                search.start = first &- rising &+ 1
            }
            search.candidate = first &- rising &+ 1
            search.tries &-= rising
            return false
        }
        if wanted > search.best {
            search.best = wanted
            search.start = first
            if wanted >= enough || wanted >= most { return true }
        }
        search.candidate = first &- count &+ 1
        search.tries &-= count
        return false
    }

    /// How many of at most `most` bytes from `text` on are `byte`.
    @inline(__always)
    private static func forward(_ text: UnsafePointer<UInt8>, _ byte: UInt8, _ most: Int) -> Int {
        let pattern = UInt64(byte) &* 0x0101_0101_0101_0101
        var n = 0
        while n &+ 8 <= most {
            let difference = UnsafeRawPointer(text + n).loadUnaligned(as: UInt64.self) ^ pattern
            if difference != 0 { return n &+ difference.trailingZeroBitCount &>> 3 }
            n &+= 8
        }
        while n < most && text[n] == byte { n &+= 1 }
        return n
    }

    /// How many of at most `most` bytes before `text` are `byte`.
    @inline(__always)
    private static func backward(_ text: UnsafePointer<UInt8>, _ byte: UInt8, _ most: Int) -> Int {
        let pattern = UInt64(byte) &* 0x0101_0101_0101_0101
        var n = 0
        while n &+ 8 <= most {
            let difference = UnsafeRawPointer(text - n - 8).loadUnaligned(as: UInt64.self) ^ pattern
            if difference != 0 { return n &+ difference.leadingZeroBitCount &>> 3 }
            n &+= 8
        }
        while n < most && (text - n - 1).pointee == byte { n &+= 1 }
        return n
    }
}
