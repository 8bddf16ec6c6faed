// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

// One page of LMDB's file: a head of 16 bytes (number u64 | pad u16 | kind u16 | lower u16 | upper u16), the places of
// its nodes as u16 up to `lower`, and the nodes from `upper` to the end, one against the other. A node: four u16, of which
// a leaf's are data length (two), flags, key length, and a branch's first three are a page number; then key and data.
//
// LMDB follows these numbers without looking: whatever is wrong here leads outside the page, the file, or into its
// assertions. So everything is held against everything else before it is given the file.

/// What a page is, as its head says.
enum PageKind: UInt16 {
    case branch = 1
    case leaf = 2
    case overflow = 4
    case meta = 8
}

/// A node's place in its page.
struct PageNode {
    static let headBytes = 8
    /// The data lie in pages of their own, and the node has the first one's number.
    static let bigData: UInt16 = 1
    /// The data are the record of a tree.
    static let tree: UInt16 = 2

    let bytes: UnsafeRawBufferPointer
    let offset: Int

    @inline(__always) var keyBytes: Int { Int(bytes.little(UInt16.self, offset + 6)) }
    @inline(__always) var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[offset + 8..<offset + 8 + keyBytes])
    }
    /// Of a leaf's node.
    @inline(__always) var flags: UInt16 { bytes.little(UInt16.self, offset + 4) }
    @inline(__always) var dataBytes: Int { Int(bytes.little(UInt32.self, offset)) }
    @inline(__always) var dataOffset: Int { offset + 8 + keyBytes }
    /// Of a branch's node.
    @inline(__always) var child: UInt64 { bytes.little(UInt64.self, offset) & 0xFFFF_FFFF_FFFF }

    /// Bytes that the node takes in its page.
    @inline(__always)
    func byteCount(in kind: PageKind) -> Int {
        let data = kind == .branch ? 0 : flags & PageNode.bigData != 0 ? 8 : dataBytes
        return (PageNode.headBytes + keyBytes + data + 1) & ~1
    }
}

/// A page of nodes whose numbers have been checked: whatever is read through it lies within the page.
struct PageLayout {
    static let headBytes = 16

    let bytes: UnsafeRawBufferPointer
    let kind: PageKind
    let count: Int

    /// Which places may hold a node; a bit for every second byte, used by one page after the other.
    struct Starts: ~Copyable {
        fileprivate let words: UnsafeMutableBufferPointer<UInt64>
        init(pageBytes: Int) {
            words = .allocate(capacity: (pageBytes / 2 + 63) / 64)
            words.initialize(repeating: 0)
        }
        deinit { words.deallocate() }
    }

    /// - Throws: `corrupt` with what is wrong, in words for behind "page n: ".
    init(
        _ bytes: UnsafeRawBufferPointer, number: UInt64, isLeaf: Bool, starts: borrowing Starts
    ) throws(IndexError) {
        self.bytes = bytes
        kind = isLeaf ? .leaf : .branch
        guard bytes.little(UInt64.self, 0) == number else { throw PageLayout.damaged(number, "it has another number") }
        guard bytes.little(UInt16.self, 10) == kind.rawValue else {
            throw PageLayout.damaged(number, "it is of another kind")
        }
        let lower = Int(bytes.little(UInt16.self, 12))
        // In a page of 32 KiB and more, 0 would be the end of the page; LMDB's pages are no larger.
        let upper = Int(bytes.little(UInt16.self, 14))
        guard lower > PageLayout.headBytes, lower & 1 == 0, upper & 1 == 0, lower <= upper, upper < bytes.count else {
            throw PageLayout.damaged(number, "its bounds")
        }
        count = (lower - PageLayout.headBytes) / 2
        guard try hasWholeNodes(upper, starts) else { throw PageLayout.damaged(number, "its nodes") }
    }

    static func damaged(_ number: UInt64, _ what: String) -> IndexError {
        .corrupt("index", "page \(number): \(what)")
    }

    @inline(__always)
    func node(_ index: Int) -> PageNode {
        PageNode(bytes: bytes, offset: Int(bytes.little(UInt16.self, PageLayout.headBytes + 2 * index)))
    }

    /// Whether as many nodes as are counted fill the page from `upper` on without a gap, and the places name each once.
    private func hasWholeNodes(_ upper: Int, _ starts: borrowing Starts) throws(IndexError) -> Bool {
        let words = starts.words
        words.update(repeating: 0)
        for index in 0..<count {
            let offset = Int(bytes.little(UInt16.self, PageLayout.headBytes + 2 * index))
            guard offset >= upper, offset & 1 == 0, offset + PageNode.headBytes <= bytes.count else { return false }
            let bit = UInt64(1) << UInt64((offset / 2) & 63)
            guard words[offset / 128] & bit == 0 else { return false }
            words[offset / 128] |= bit
        }
        var offset = upper
        for _ in 0..<count {
            guard offset + PageNode.headBytes <= bytes.count,
                words[offset / 128] & (UInt64(1) << UInt64((offset / 2) & 63)) != 0
            else { return false }
            offset += PageNode(bytes: bytes, offset: offset).byteCount(in: kind)
            guard offset <= bytes.count else { return false }
        }
        return offset == bytes.count
    }
}
