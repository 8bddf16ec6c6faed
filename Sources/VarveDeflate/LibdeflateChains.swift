// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// libdeflate's search for matches at levels 2-9: chains of positions with the same four-byte hash, newest first, and for
/// matches of three bytes the newest position only.
///
/// Every position goes in, in order, so that 32 KiB of text are all that the state depends on. The very first position of
/// the input goes in under hash 0, whatever its bytes: the encoder computes each hash while it is one position behind.
struct LibdeflateChains {
    private static let window = 32768
    private static let mask = 32767
    /// Stands for no position: farther back than any match reaches, wherever the text begins.
    private static let never = Int32(-1 << 30)
    private static let hash3Bits: UInt32 = 15
    private static let hash4Bits: UInt32 = 16
    /// Fewer bytes left are not searched.
    static let needed = 5

    private let head3: UnsafeMutablePointer<Int32>
    private let head4: UnsafeMutablePointer<Int32>
    private let previous: UnsafeMutablePointer<Int32>
    private var plain: UnsafePointer<UInt8>
    /// The first position that is not in the chains.
    private var inserted = 0
    /// Chain entries looked at, and sixteen bytes compared for one.
    private(set) var steps = 0

    init(_ plain: UnsafePointer<UInt8>) {
        self.plain = plain
        head3 = .allocate(capacity: 1 << Self.hash3Bits)
        head4 = .allocate(capacity: 1 << Self.hash4Bits)
        previous = .allocate(capacity: Self.window)
        head3.initialize(repeating: Self.never, count: 1 << Self.hash3Bits)
        head4.initialize(repeating: Self.never, count: 1 << Self.hash4Bits)
        previous.initialize(repeating: Self.never, count: Self.window)
    }

    func deallocate() {
        head3.deallocate()
        head4.deallocate()
        previous.deallocate()
    }

    /// Forgets everything; text is known from `start` on. `isFirst` if that is where the encoder's input began.
    mutating func begin(_ plain: UnsafePointer<UInt8>, start: Int, isFirst: Bool) {
        self.plain = plain
        head3.update(repeating: Self.never, count: 1 << Self.hash3Bits)
        head4.update(repeating: Self.never, count: 1 << Self.hash4Bits)
        inserted = start
        if isFirst {
            previous[start & Self.mask] = Self.never
            head3[0] = Int32(truncatingIfNeeded: start)
            head4[0] = Int32(truncatingIfNeeded: start)
            inserted = start + 1
        }
    }

    /// Puts every position before `end` into the chains, as far as its four bytes lie before `inputEnd`.
    @inline(__always)
    mutating func insert(before end: Int, inputEnd: Int) {
        let last = min(end, inputEnd &- 4)
        var next = inserted
        let text = plain
        while next < last {
            let word = UnsafeRawPointer(text + next).loadUnaligned(as: UInt32.self)
            let slot = Self.hash4(word)
            previous[next & Self.mask] = head4[slot]
            head4[slot] = Int32(truncatingIfNeeded: next)
            head3[Self.hash3(word)] = Int32(truncatingIfNeeded: next)
            next &+= 1
        }
        if next > inserted { inserted = next }
    }

    @inline(__always)
    private static func hash4(_ word: UInt32) -> Int { Int((word &* 0x1e35_a7bd) &>> (32 &- hash4Bits)) }

    @inline(__always)
    private static func hash3(_ word: UInt32) -> Int {
        Int(((word & 0xff_ffff) &* 0x1e35_a7bd) &>> (32 &- hash3Bits))
    }

    @inline(__always)
    private static func word(_ text: UnsafePointer<UInt8>) -> UInt32 {
        UnsafeRawPointer(text).loadUnaligned(as: UInt32.self)
    }

    /// Looks for a match at `at` that is longer than `atLeast`, and puts the position into the chains.
    /// - Parameters:
    ///   - most: The longest match allowed; so many bytes can be read at `at`.
    ///   - nice: A match so long ends the search.
    ///   - depth: Chain entries looked at, at most; at least 1.
    ///   - distance: Set if a match is found.
    /// - Returns: Its length, or `atLeast`.
    @inline(__always)
    mutating func longest(
        _ at: Int, atLeast: Int, most: Int, nice: Int, depth: Int, _ distance: inout Int
    ) -> Int {
        if most < Self.needed { return atLeast }
        let text = plain
        let scan = text + at
        let opening = Self.word(scan)
        var candidate: Int
        var short: Int
        if at >= inserted {
            let slot3 = Self.hash3(opening)
            let slot4 = Self.hash4(opening)
            short = Int(head3[slot3])
            candidate = Int(head4[slot4])
            previous[at & Self.mask] = Int32(truncatingIfNeeded: candidate)
            head3[slot3] = Int32(truncatingIfNeeded: at)
            head4[slot4] = Int32(truncatingIfNeeded: at)
            inserted = at &+ 1
        } else {
            // Looked at before, on the way to something that the stream did not do: the short match is forgotten.
            candidate = Int(previous[at & Self.mask])
            short = candidate
        }
        var best = atLeast
        var tries = depth
        if best < 4 {
            if !Self.isNear(at, short) { return best }
            if best < 3 && (Self.word(text + short) ^ opening) & 0xff_ffff == 0 {
                best = 3
                distance = at &- short
            }
            if !Self.isNear(at, candidate) { return best }
            while Self.word(text + candidate) != opening {
                candidate = Int(previous[candidate & Self.mask])
                tries &-= 1
                if tries <= 0 || !Self.isNear(at, candidate) {
                    steps &+= depth &- tries
                    return best
                }
            }
            best = 4 &+ Matching.length(scan + 4, text + candidate + 4, most &- 4)
            distance = at &- candidate
            if best >= nice {
                steps &+= depth &- tries &+ best &>> 4
                return best
            }
            candidate = Int(previous[candidate & Self.mask])
            tries &-= 1
            if tries <= 0 || !Self.isNear(at, candidate) {
                steps &+= depth &- tries
                return best
            }
        } else if best >= nice || !Self.isNear(at, candidate) {
            return best
        }
        var work = 0
        var ending = Self.word(scan + (best &- 3))
        while true {
            if Self.word(text + (candidate &+ best &- 3)) == ending && Self.word(text + candidate) == opening {
                let length = 4 &+ Matching.length(scan + 4, text + candidate + 4, most &- 4)
                work &+= length &>> 4
                if length > best {
                    best = length
                    distance = at &- candidate
                    if best >= nice || best >= most { break }
                    ending = Self.word(scan + (best &- 3))
                }
            }
            candidate = Int(previous[candidate & Self.mask])
            tries &-= 1
            if tries <= 0 || !Self.isNear(at, candidate) { break }
        }
        steps &+= depth &- tries &+ work
        return best
    }

    /// Whether a position lies before `at`, at most 32767 bytes.
    @inline(__always)
    private static func isNear(_ at: Int, _ position: Int) -> Bool {
        UInt(bitPattern: at &- position &- 1) < 32767
    }
}
