// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// An encoder's hash chains with a short cut through them.
///
/// zlib looks at the newest so many positions whose three bytes have the same hash, and nearly all of them match three bytes
/// and no more. Which of them is found depends on no other, so the same one is found in chains by the hash of four or six
/// bytes, which hold only those that are worth a look. The one thing that must be counted is how many positions zlib would
/// have looked at on the way: every position has its rank in its three-byte chain, and the difference of two ranks is that
/// number. Rejected: keeping to zlib's chain with faster comparisons; it is the steps' number that costs. Go's chains are by
/// four bytes, and the short cut is that by six.
///
/// In tables of numbers even six bytes are shared by thousands of positions, and levels 8 and 9 come by them all in vain. A
/// longer match than the best so far has to match everywhere in between too, so that any six bytes there will do, and some
/// are rare: ``searchAside(_:_:before:_:)``. Rejected: a chain of more bytes, which costs time at every position.
struct RankedChains<Hash: ChainHash> {
    static var mask: Int { 32767 }
    /// Stands for no position: farther back than any match reaches, wherever the text begins.
    private static var never: Int32 { -1 << 30 }
    private static var longBits: Int { 16 }
    /// An encoder's chain by four bytes does for that of four bytes.
    private static var slots4: Int { Hash.length == 4 ? 1 : 1 << longBits }
    /// Text ahead from which on the short cut can be taken: every position before is in all chains then.
    static var wanted: Int { 6 }

    /// The bits of a word of eight bytes that the encoder's hash is not over.
    static var unhashed: UInt64 { UInt64(64 - 8 * Hash.length) }

    private let hash: Hash
    private let head: UnsafeMutablePointer<Int32>
    private let head4: UnsafeMutablePointer<Int32>
    let head6: UnsafeMutablePointer<Int32>
    /// The way back to the chain's next position in the low half, the rank in the high one.
    let links: UnsafeMutablePointer<UInt32>
    let links4: UnsafeMutablePointer<UInt16>
    let links6: UnsafeMutablePointer<UInt16>

    init(_ hash: Hash) {
        self.hash = hash
        head = .allocate(capacity: hash.slots)
        head4 = .allocate(capacity: Self.slots4)
        head6 = .allocate(capacity: 1 << Self.longBits)
        links = .allocate(capacity: Self.mask + 1)
        links4 = .allocate(capacity: Self.mask + 1)
        links6 = .allocate(capacity: Self.mask + 1)
        links.initialize(repeating: 0xffff, count: Self.mask + 1)
        links4.initialize(repeating: 0xffff, count: Self.mask + 1)
        links6.initialize(repeating: 0xffff, count: Self.mask + 1)
        head.initialize(repeating: Self.never, count: hash.slots)
        head4.initialize(repeating: Self.never, count: Self.slots4)
        head6.initialize(repeating: Self.never, count: 1 << Self.longBits)
    }

    func deallocate() {
        head.deallocate()
        head4.deallocate()
        head6.deallocate()
        links.deallocate()
        links4.deallocate()
        links6.deallocate()
    }

    /// Forgets all positions.
    func clear() {
        head.update(repeating: Self.never, count: hash.slots)
        head4.update(repeating: Self.never, count: Self.slots4)
        head6.update(repeating: Self.never, count: 1 << Self.longBits)
    }

    // MARK: taking text in

    /// What is known of a position before it goes into the chains.
    struct Place {
        /// Of the encoder's chain: the slot, the position before, and the rank.
        let slot: Int
        let before: Int
        let rank: UInt16
        /// Of the chain of six bytes.
        let slot6: Int
        let before6: Int
    }

    /// Looks up a position that is in no chain yet, for encoders whose own chain takes the place of that of four bytes; six
    /// bytes must be there.
    @inline(__always)
    func place(_ text: UnsafePointer<UInt8>, _ position: Int) -> Place {
        let slot = hash.slot(text, position)
        let before = Int(head[slot])
        let slot6 = Self.slot6(UnsafeRawPointer(text + position).loadUnaligned(as: UInt64.self))
        return Place(
            slot: slot, before: before, rank: UInt16(truncatingIfNeeded: links[before & Self.mask] &>> 16) &+ 1,
            slot6: slot6,
            before6: Int(head6[slot6]))
    }

    /// Puts a position into all chains.
    @inline(__always)
    func insert(_ place: Place, _ position: Int) {
        link(place.slot, place.before, UInt32(place.rank) &<< 16, position)
        head6[place.slot6] = Int32(truncatingIfNeeded: position)
        links6[position & Self.mask] = UInt16(truncatingIfNeeded: min(position &- place.before6, 0xffff))
    }

    @inline(__always)
    private func link(_ slot: Int, _ before: Int, _ rank: UInt32, _ position: Int) {
        head[slot] = Int32(truncatingIfNeeded: position)
        let back = UInt32(truncatingIfNeeded: min(position &- before, 0xffff))
        links[position & Self.mask] = rank | back
        if Hash.length == 4 { links4[position & Self.mask] = UInt16(truncatingIfNeeded: back) }
    }

    /// Puts a position into the encoder's chain; what it hashes must be there.
    @inline(__always)
    func insertShort(_ text: UnsafePointer<UInt8>, _ position: Int) {
        let slot = hash.slot(text, position)
        let before = Int(head[slot])
        link(slot, before, (links[before & Self.mask] &+ 0x1_0000) & 0xffff_0000, position)
    }

    /// Has chains end at a position that is in none, should a search come by it.
    @inline(__always)
    func leaveOut(_ position: Int) { links[position & Self.mask] = 0xffff }

    /// Puts a position into the chains of four and six bytes; six must be there.
    @inline(__always)
    func insertLong(_ text: UnsafePointer<UInt8>, _ position: Int) {
        let word = UnsafeRawPointer(text + position).loadUnaligned(as: UInt64.self)
        if Hash.length == 3 {
            let slot4 = Int((UInt32(truncatingIfNeeded: word) &* 0x9e37_79b1) &>> UInt32(32 &- Self.longBits))
            let before4 = Int(head4[slot4])
            head4[slot4] = Int32(truncatingIfNeeded: position)
            links4[position & Self.mask] = UInt16(truncatingIfNeeded: min(position &- before4, 0xffff))
        }
        let slot6 = Self.slot6(word)
        let before6 = Int(head6[slot6])
        head6[slot6] = Int32(truncatingIfNeeded: position)
        links6[position & Self.mask] = UInt16(truncatingIfNeeded: min(position &- before6, 0xffff))
    }

    @inline(__always)
    static func slot6(_ word: UInt64) -> Int {
        Int(((word &<< 16) &* 0x9e37_79b9_7f4a_7c15) &>> UInt64(64 &- longBits))
    }

    /// The last position in the encoder's chain with the hash of this one; far back if there is none.
    @inline(__always)
    func newest(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int { Int(head[hash.slot(text, position)]) }

    /// The position before one that was inserted in the encoder's chain; far back if there is none.
    @inline(__always)
    func previous(_ position: Int) -> Int { position &- Int(links[position & Self.mask] & 0xffff) }
}
