// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

// The two pages at the beginning of LMDB's file, of which the one with the higher transaction holds. LMDB takes sizes and
// page numbers from them as they are: a length that the file has not, and the first look at a page ends the process.

/// The record of one tree of pages, in a meta page or as the value of a named table's row.
struct PageTree {
    static let byteCount = 48
    /// Root of a tree without pages.
    static let noRoot = UInt64.max
    /// The one flag in use: keys are numbers, compared as such.
    static let integerKey: UInt16 = 0x08

    /// In the record of free pages: bytes of a page.
    var pad: UInt32
    var flags: UInt16
    var depth: UInt16
    var branchPages: UInt64
    var leafPages: UInt64
    var overflowPages: UInt64
    var entries: UInt64
    var root: UInt64

    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        pad = bytes.little(UInt32.self, offset)
        flags = bytes.little(UInt16.self, offset + 4)
        depth = bytes.little(UInt16.self, offset + 6)
        branchPages = bytes.little(UInt64.self, offset + 8)
        leafPages = bytes.little(UInt64.self, offset + 16)
        overflowPages = bytes.little(UInt64.self, offset + 24)
        entries = bytes.little(UInt64.self, offset + 32)
        root = bytes.little(UInt64.self, offset + 40)
    }
}

/// A meta page.
struct PageMeta {
    private static let magic: UInt32 = 0xBEEF_C0DE
    private static let version: UInt32 = 1
    /// Bytes of the page that say something.
    static let byteCount = 16 + 8 + 16 + 2 * PageTree.byteCount + 16

    /// Lists of free pages by the transaction that freed them.
    var free: PageTree
    /// The tree whose rows name the tables.
    var main: PageTree
    var lastPage: UInt64
    var transaction: UInt64

    /// - Throws: `corrupt`, or `unsupportedVersion` for another version of LMDB's format.
    init(_ bytes: UnsafeRawBufferPointer, slot: Int) throws(IndexError) {
        func damaged(_ what: String) -> IndexError { .corrupt("index", "meta page \(slot): \(what)") }
        guard bytes.count >= PageMeta.byteCount, bytes.little(UInt64.self, 0) == UInt64(slot),
            bytes.little(UInt16.self, 10) == PageKind.meta.rawValue,
            bytes.little(UInt32.self, 16) == PageMeta.magic
        else { throw damaged("its beginning differs") }
        let version = bytes.little(UInt32.self, 20)
        guard version == PageMeta.version else {
            // One bit beside the right one is damage; LMDB's formats of the future count on.
            throw version < 16 ? IndexError(.unsupportedVersion, call: "index") : damaged("its version")
        }
        free = PageTree(bytes, at: 40)
        main = PageTree(bytes, at: 40 + PageTree.byteCount)
        lastPage = bytes.little(UInt64.self, 136)
        transaction = bytes.little(UInt64.self, 144)
        guard free.pad >= 512, free.pad <= 32768, free.pad & (free.pad - 1) == 0 else { throw damaged("its page size") }
        // The flags of the first record are those of the environment, too: none of ours are kept there.
        guard free.flags == PageTree.integerKey, main.flags == 0, main.pad == 0 else { throw damaged("its flags") }
        guard lastPage >= 1, lastPage < 1 << 47 else { throw damaged("its last page") }
        // Transactions take turns, from 1 on in the second page.
        guard transaction == 0 || transaction & 1 == UInt64(slot) else { throw damaged("its transaction") }
    }

    /// Reads both pages.
    static func both(of file: borrowing PageFile) throws(IndexError) -> (PageMeta, PageMeta) {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
        defer { room.deallocate() }
        guard try file.read(at: 0, into: room) else { throw .corrupt("index", "the file ends early") }
        let first = try PageMeta(UnsafeRawBufferPointer(room), slot: 0)
        guard try file.read(at: UInt64(first.free.pad), into: room) else {
            throw .corrupt("index", "the file ends early")
        }
        let second = try PageMeta(UnsafeRawBufferPointer(room), slot: 1)
        guard first.free.pad == second.free.pad else { throw .corrupt("index", "the meta pages' page sizes differ") }
        // Beside a process that writes, one of them may be newer by now than when the other one was read.
        return (first, second)
    }

    /// The meta page of the transaction `number`, or of the last one, whose sizes fit the file.
    /// - Parameter isAlone: Nobody writes meanwhile, so both pages are of one moment.
    /// - Throws: `corrupt`; `ESTALE` if later transactions have written over that one's meta page.
    static func current(
        of file: borrowing PageFile, transaction number: UInt64?, isAlone: Bool = false
    ) throws(IndexError) -> PageMeta {
        let (first, second) = try both(of: file)
        let newer = first.transaction > second.transaction ? first : second
        let older = first.transaction > second.transaction ? second : first
        guard !isAlone || newer.transaction - older.transaction <= 1 else {
            throw .corrupt("index", "a meta page's transaction")
        }
        var meta = newer
        if let number, number != newer.transaction {
            guard number == older.transaction else {
                throw IndexError(.returnCode(ESTALE), call: "index", detail: "transaction \(number) is past")
            }
            meta = older
        }
        // Pages at the end that were given back before they were ever written need not be there, but no more than that.
        let pages = try file.byteCount() / UInt64(meta.free.pad)
        guard meta.lastPage < 2 * pages + (1 << 16) else {
            throw .corrupt("index", "\(meta.lastPage + 1) pages should be there, the file has \(pages)")
        }
        for root in [meta.free.root, meta.main.root] where root != PageTree.noRoot {
            guard root >= 2, root < pages, root <= meta.lastPage else {
                throw .corrupt("index", "page \(root) is needed, the file has \(pages)")
            }
        }
        return meta
    }
}

extension UnsafeRawBufferPointer {
    /// The number at `offset`, which the caller has checked to lie within.
    @inline(__always)
    func little<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type, _ offset: Int) -> Number {
        Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
}
