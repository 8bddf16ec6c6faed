// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// An encoder's hash chains as it keeps them: the newest position of each hash, and for each position the one before.
struct EntryChains<Hash: ChainHash> {
    private static var mask: Int { 32767 }
    /// Stands for no position: farther back than any match reaches, wherever the text begins.
    private static var never: Int32 { -1 << 30 }

    private let hash: Hash
    private let head: UnsafeMutablePointer<Int32>
    private let before: UnsafeMutablePointer<Int32>

    init(_ hash: Hash) {
        self.hash = hash
        head = .allocate(capacity: hash.slots)
        head.initialize(repeating: Self.never, count: hash.slots)
        before = .allocate(capacity: Self.mask + 1)
        before.initialize(repeating: Self.never, count: Self.mask + 1)
    }

    func deallocate() {
        head.deallocate()
        before.deallocate()
    }

    /// Forgets all positions.
    func clear() { head.update(repeating: Self.never, count: hash.slots) }

    /// Puts a position into its chain; what it hashes must be there.
    /// - Returns: The position before; far back if there is none.
    @inline(__always) @discardableResult
    func insert(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int {
        let slot = hash.slot(text, position)
        let newest = head[slot]
        before[position & Self.mask] = newest
        head[slot] = Int32(truncatingIfNeeded: position)
        return Int(newest)
    }

    /// Has chains end at a position that is in none, should a search skip to it in a run.
    @inline(__always)
    func leaveOut(_ position: Int) { before[position & Self.mask] = Self.never }

    /// The last position with the hash of this one; far back if there is none.
    @inline(__always)
    func newest(_ text: UnsafePointer<UInt8>, _ position: Int) -> Int { Int(head[hash.slot(text, position)]) }

    /// The position before one that was inserted; far back if there is none.
    @inline(__always)
    func previous(_ position: Int) -> Int { Int(before[position & Self.mask]) }
}
