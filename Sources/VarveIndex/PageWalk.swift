// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

/// What a walk over the index's pages counted.
package struct IndexPages: Sendable, Equatable {
    /// One tree of pages.
    package struct Tree: Sendable, Equatable {
        /// The table's name; "free pages" and "tables" for LMDB's own.
        package var name: String
        /// Levels.
        package var depth = 0
        /// Pages that lead to others, pages of rows, pages of single large rows.
        package var branchPages: UInt64 = 0
        package var leafPages: UInt64 = 0
        package var overflowPages: UInt64 = 0
        /// Rows.
        package var rows: UInt64 = 0
    }

    /// Bytes of a page.
    package var pageBytes: UInt64 = 0
    /// Bytes of the file.
    package var fileBytes: UInt64 = 0
    /// Pages of the file as it counts them.
    package var pages: UInt64 = 0
    /// Pages in the lists of free ones.
    package var freePages: UInt64 = 0
    /// The transaction whose state was walked.
    package var transaction: UInt64 = 0
    package var trees: [Tree] = []

    /// Pages that hold something, the two at the beginning among them.
    package var usedPages: UInt64 {
        trees.reduce(2) { $0 &+ $1.branchPages &+ $1.leafPages &+ $1.overflowPages }
    }
}

/// A walk over every page of LMDB's file that the state of one transaction reaches, without LMDB.
///
/// LMDB maps its file and trusts every number in it: one wrong bit in the head of a page can end the process, by a signal
/// or by an assertion, each time the store is opened anew. So before it is given a file, every page is read and checked:
/// number and kind, bounds, places and lengths of nodes, the pages that it leads to (each only once, none that is free,
/// none behind the last), the depth of each tree, the order of keys within their parents' bounds, and the counts of pages
/// and rows. What lies in rows is not looked at: they have checksums of their own, and chunks are compared with packs.
///
/// Memory: a bit for each page, and a page for each level. Reading is sequential where the pages are, and pages are asked
/// for before they are needed.
struct PageWalk: ~Copyable {
    /// LMDB's own bound of a tree's depth.
    private static let levelsMax = 32
    private static let treesMax = 128
    /// Longest key that LMDB takes.
    private static let keyBytesMax = 511

    private let file: PageFile
    private let meta: PageMeta
    private let pageBytes: Int
    private let filePages: UInt64
    private let starts: PageLayout.Starts
    private let levels: UnsafeMutableRawBufferPointer
    private var seen: [UInt64]
    private var pages = IndexPages()

    /// The tree that is being walked.
    private struct Walk {
        var record: PageTree
        var counted: IndexPages.Tree
        var rows: Rows
        var isInteger: Bool { record.flags & PageTree.integerKey != 0 }
    }

    /// What rows a tree has.
    private enum Rows { case freeLists, trees, data }

    typealias Bound = UnsafeRawBufferPointer?

    private init(_ file: consuming PageFile, _ fileBytes: UInt64, _ meta: PageMeta) {
        self.meta = meta
        pageBytes = Int(meta.free.pad)
        filePages = fileBytes / UInt64(meta.free.pad)
        starts = PageLayout.Starts(pageBytes: pageBytes)
        seen = [UInt64](repeating: 0, count: Int(meta.lastPage / 64) + 1)
        seen[0] = 3
        // One more than there are levels: for the heads of large rows.
        levels = .allocate(byteCount: pageBytes * (PageWalk.levelsMax + 1), alignment: 4096)
        pages.pageBytes = UInt64(pageBytes)
        pages.fileBytes = fileBytes
        pages.pages = meta.lastPage + 1
        pages.transaction = meta.transaction
        self.file = file
    }

    deinit { levels.deallocate() }

    /// Walks over everything in `directory`.
    /// - Parameter transaction: The state to walk over, which nobody may write over meanwhile: a read transaction's, or the
    ///   last one (nil) while nobody writes.
    /// - Returns: nil if there is no file, or an empty one.
    /// - Throws: `corrupt` with the first thing that is wrong; `ESTALE` if that transaction's meta page is gone.
    static func run(_ directory: String, transaction: UInt64? = nil) throws(IndexError) -> IndexPages? {
        guard let file = try PageFile.open(in: directory) else { return nil }
        let meta = try PageMeta.current(of: file, transaction: transaction)
        let fileBytes = try file.byteCount()
        var walk = PageWalk(file, fileBytes, meta)
        return try walk.run()
    }

    private mutating func run() throws(IndexError) -> IndexPages {
        var found: [(name: String, record: PageTree)] = []
        try walk("tables", meta.main, .trees, &found)
        guard found.count <= PageWalk.treesMax else { throw .corrupt("index", "\(found.count) tables") }
        for (name, record) in found {
            var none: [(name: String, record: PageTree)] = []
            try walk(name, record, .data, &none)
        }
        // Last, so that a free page which is in use is found.
        try walk("free pages", meta.free, .freeLists, &found)
        return pages
    }

    // MARK: Trees

    private mutating func walk(
        _ name: String, _ record: PageTree, _ rows: Rows, _ found: inout [(name: String, record: PageTree)]
    ) throws(IndexError) {
        func damaged(_ what: String) -> IndexError { .corrupt("index", "table \(name): \(what)") }
        if rows == .data {
            // A later version may know more tables.
            let known = Tables.Name(rawValue: name).map { UInt16($0.flags) }
            guard record.pad == 0, record.flags == known ?? (record.flags & PageTree.integerKey) else {
                throw damaged("its flags")
            }
        }
        guard Int(record.depth) <= PageWalk.levelsMax, (record.depth == 0) == (record.root == PageTree.noRoot) else {
            throw damaged("its depth")
        }
        var walk = Walk(
            record: record, counted: IndexPages.Tree(name: name, depth: Int(record.depth)), rows: rows)
        if record.depth > 0 { try visit(record.root, level: 0, from: nil, to: nil, &walk, &found) }
        guard walk.counted.branchPages == record.branchPages, walk.counted.leafPages == record.leafPages,
            walk.counted.overflowPages == record.overflowPages, walk.counted.rows == record.entries
        else { throw damaged("its counts") }
        pages.trees.append(walk.counted)
    }

    /// Visits a page and all below it. Keys lie at or behind `from`, and before `to`.
    private mutating func visit(
        _ number: UInt64, level: Int, from: Bound, to: Bound, _ walk: inout Walk,
        _ found: inout [(name: String, record: PageTree)]
    ) throws(IndexError) {
        let isLeaf = level == Int(walk.record.depth) - 1
        let page = try read(number, level, isLeaf: isLeaf)
        guard isLeaf else {
            walk.counted.branchPages &+= 1
            try visitChildren(of: page, number, level, from, to, &walk, &found)
            return
        }
        walk.counted.leafPages &+= 1
        walk.counted.rows &+= UInt64(page.count)
        var last = from
        var isFirst = true
        for index in 0..<page.count {
            let node = page.node(index)
            let key = node.key
            guard walk.isInteger ? key.count == 8 : key.count >= 1 && key.count <= PageWalk.keyBytesMax else {
                throw PageLayout.damaged(number, "a key's length")
            }
            if let last {
                let order = PageWalk.compare(last, key, walk.isInteger)
                guard order < 0 || isFirst && order == 0 else {
                    throw PageLayout.damaged(number, "the order of its keys")
                }
            }
            isFirst = false
            last = key
            if node.flags != 0 || walk.rows != .data { try visitRow(node, number, &walk, &found) }
        }
        if let last, let to, PageWalk.compare(last, to, walk.isInteger) >= 0 {
            throw PageLayout.damaged(number, "a key belongs elsewhere")
        }
    }

    private mutating func visitChildren(
        of page: PageLayout, _ number: UInt64, _ level: Int, _ from: Bound, _ to: Bound, _ walk: inout Walk,
        _ found: inout [(name: String, record: PageTree)]
    ) throws(IndexError) {
        // LMDB's assertion; it lets the list of free pages be.
        guard page.count >= 2 || walk.rows == .freeLists else { throw PageLayout.damaged(number, "its nodes") }
        prefetch(page)
        // The first node's key says nothing: below it lies everything before the second.
        var start = from
        for index in 0..<page.count {
            var end = to
            if index + 1 < page.count {
                let key = page.node(index + 1).key
                guard walk.isInteger ? key.count == 8 : key.count >= 1 && key.count <= PageWalk.keyBytesMax else {
                    throw PageLayout.damaged(number, "a key's length")
                }
                if let start, PageWalk.compare(start, key, walk.isInteger) >= 0 {
                    throw PageLayout.damaged(number, "the order of its keys")
                }
                end = key
            }
            try visit(page.node(index).child, level: level + 1, from: start, to: end, &walk, &found)
            start = end
        }
    }

    /// Asks for the pages below, which lie anywhere in the file.
    private func prefetch(_ page: PageLayout) {
        var index = 0
        while index < page.count {
            let first = page.node(index).child
            var count: UInt64 = 1
            index += 1
            while index < page.count, page.node(index).child == first &+ count {
                count &+= 1
                index += 1
            }
            guard first < filePages else { return }
            file.prefetch(at: first &* UInt64(pageBytes), count &* UInt64(pageBytes))
        }
    }

    // MARK: Pages

    /// Takes note that a page is in use, or free; it may be only one of both, and only once.
    private mutating func mark(_ number: UInt64, count: UInt64 = 1, isFree: Bool = false) throws(IndexError) {
        let (end, overflow) = number.addingReportingOverflow(count)
        // A free page may never have been written.
        guard number >= 2, !overflow, end <= meta.lastPage + 1, isFree || end <= filePages else {
            throw PageLayout.damaged(number, "it lies behind the end")
        }
        for page in number..<end {
            let bit = UInt64(1) << (page & 63)
            guard seen[Int(page / 64)] & bit == 0 else { throw PageLayout.damaged(page, "it is used twice") }
            seen[Int(page / 64)] |= bit
        }
    }

    private mutating func read(_ number: UInt64, _ level: Int, isLeaf: Bool) throws(IndexError) -> PageLayout {
        try mark(number)
        let room = UnsafeMutableRawBufferPointer(rebasing: levels[level * pageBytes..<(level + 1) * pageBytes])
        guard try file.read(at: number * UInt64(pageBytes), into: room) else {
            throw PageLayout.damaged(number, "it lies behind the end")
        }
        return try PageLayout(UnsafeRawBufferPointer(room), number: number, isLeaf: isLeaf, starts: starts)
    }

    @inline(__always)
    private static func compare(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, _ isInteger: Bool
    ) -> Int {
        if isInteger {
            // A bound of another length than 8 has been refused where it was read.
            let (left, right) = (left.little(UInt64.self, 0), right.little(UInt64.self, 0))
            return left < right ? -1 : left == right ? 0 : 1
        }
        guard let leftBase = left.baseAddress, let rightBase = right.baseAddress else {
            return left.count - right.count
        }
        let order = memcmp(leftBase, rightBase, min(left.count, right.count))
        return order != 0 ? Int(order) : left.count - right.count
    }

    // MARK: Rows that lead to pages

    private mutating func visitRow(
        _ node: PageNode, _ number: UInt64, _ walk: inout Walk, _ found: inout [(name: String, record: PageTree)]
    ) throws(IndexError) {
        switch (walk.rows, node.flags) {
        case (.trees, PageNode.tree):
            guard node.dataBytes == PageTree.byteCount, found.count <= PageWalk.treesMax else {
                throw PageLayout.damaged(number, "a table's record")
            }
            found.append((String(decoding: node.key, as: UTF8.self), PageTree(node.bytes, at: node.dataOffset)))
        case (.data, PageNode.bigData):
            walk.counted.overflowPages &+= try visitOverflow(of: node)
        case (.freeLists, PageNode.bigData):
            let first = node.bytes.little(UInt64.self, node.dataOffset)
            walk.counted.overflowPages &+= try visitOverflow(of: node)
            try visitFreeList(first, node.dataBytes)
        case (.freeLists, 0):
            let bytes = UnsafeRawBufferPointer(
                rebasing: node.bytes[node.dataOffset..<node.dataOffset + node.dataBytes])
            guard bytes.count >= 8, bytes.little(UInt64.self, 0) <= UInt64(bytes.count / 8 - 1) else {
                throw PageLayout.damaged(number, "a list of free pages")
            }
            var last = UInt64.max
            try markFree(UnsafeRawBufferPointer(rebasing: bytes[8...]), Int(bytes.little(UInt64.self, 0)), &last)
        default:
            throw PageLayout.damaged(number, "a node's flags")
        }
    }

    /// Pages in which a single large row lies, one behind the other.
    /// - Returns: How many.
    private mutating func visitOverflow(of node: PageNode) throws(IndexError) -> UInt64 {
        let number = node.bytes.little(UInt64.self, node.dataOffset)
        guard number >= 2, number < filePages else { throw PageLayout.damaged(number, "it lies behind the end") }
        let room = UnsafeMutableRawBufferPointer(
            rebasing: levels[(levels.count - pageBytes)...][..<(levels.count - pageBytes + PageLayout.headBytes)])
        guard try file.read(at: number * UInt64(pageBytes), into: room) else {
            throw PageLayout.damaged(number, "it lies behind the end")
        }
        let head = UnsafeRawBufferPointer(room)
        let count = UInt64(head.little(UInt32.self, 12))
        let needed = UInt64((PageLayout.headBytes - 1 + node.dataBytes) / pageBytes + 1)
        guard head.little(UInt64.self, 0) == number, head.little(UInt16.self, 10) == PageKind.overflow.rawValue,
            count >= needed
        else { throw PageLayout.damaged(number, "the beginning of a large row") }
        try mark(number, count: count)
        return count
    }

    /// A list of free pages that lies in pages of its own: their count, and the pages, the last one first.
    private mutating func visitFreeList(_ first: UInt64, _ byteCount: Int) throws(IndexError) {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)
        defer { room.deallocate() }
        var offset = first * UInt64(pageBytes) + UInt64(PageLayout.headBytes)
        func damaged() -> IndexError { PageLayout.damaged(first, "a list of free pages") }
        guard byteCount >= 8,
            try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: room[..<8]))
        else { throw damaged() }
        var left = UnsafeRawBufferPointer(room).little(UInt64.self, 0)
        guard left <= UInt64(byteCount / 8 - 1) else { throw damaged() }
        offset += 8
        var last = UInt64.max
        while left > 0 {
            let count = Int(min(left, UInt64(room.count / 8)))
            let part = UnsafeMutableRawBufferPointer(rebasing: room[..<(count * 8)])
            guard try file.read(at: offset, into: part) else { throw damaged() }
            try markFree(UnsafeRawBufferPointer(part), count, &last)
            offset += UInt64(part.count)
            left -= UInt64(count)
        }
    }

    private mutating func markFree(
        _ bytes: UnsafeRawBufferPointer, _ count: Int, _ last: inout UInt64
    ) throws(IndexError) {
        for index in 0..<count {
            let page = bytes.little(UInt64.self, index * 8)
            guard page < last else { throw PageLayout.damaged(page, "its place in the list of free pages") }
            try mark(page, isFree: true)
            last = page
        }
        pages.freePages &+= UInt64(count)
    }
}
