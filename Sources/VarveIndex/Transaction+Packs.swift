// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

// Packs by their number on this node, and numbers by pack id. Numbers are never used again, so that a chunk's row that
// outlived its pack leads nowhere and not to another pack.

extension IndexTransaction where Self: ~Copyable {
    /// The pack of that number; nil if there is none.
    package func pack(_ number: UInt32) throws(IndexError) -> PackRow? {
        let access = access
        return try access.row(access.tables.packs, Key.number(number))
    }

    /// The number of the pack with that id; nil if it is not known.
    package func packNumber(of id: SIMD16<UInt8>) throws(IndexError) -> UInt32? {
        let access = access
        guard let bytes = try access.checked(access.tables.packIDs, Key.pack(id), "pack id row") else { return nil }
        var reader = RowReader(bytes, of: "pack id row")
        return try reader.fixed(UInt32.self)
    }

    /// A page of all packs in the order of their numbers, from behind `after`; `limit` at most.
    package func packs(
        after: UInt32? = nil, limit: Int
    ) throws(IndexError) -> [(number: UInt32, row: PackRow)] {
        var page: [(number: UInt32, row: PackRow)] = []
        guard limit > 0 else { return page }
        let access = access
        let start = after.map { Key.number($0) }
        try access.scan(access.tables.packs, prefix: [], after: start) { (rest, key, value) throws(IndexError) in
            var reader = RowReader(rest, of: "pack key")
            page.append((try reader.ordered(UInt32.self), try PackRow(decoding: value, key: Array(key))))
            return page.count < limit
        }
        return page
    }
}

extension WriteTransaction {
    /// A number that no pack of this index ever had; the first one is 1.
    package func allocatePackNumber() throws(IndexError) -> UInt32 {
        guard let number = UInt32(exactly: try access.counter("index.packs") &+ 1) else {
            throw IndexError(.invalidArgument, call: "pack number", detail: "all are used")
        }
        try access.setCounter("index.packs", UInt64(number))
        return number
    }

    /// Writes a pack's row.
    /// - Throws: `invalidArgument` if its id belongs to another number.
    package func putPack(_ number: UInt32, _ row: PackRow) throws(IndexError) {
        if let known = try packNumber(of: row.id) {
            guard known == number else {
                throw IndexError(.invalidArgument, call: "pack row", detail: "its id belongs to pack \(known)")
            }
        } else {
            if let old = try pack(number) { try access.delete(access.tables.packIDs, Key.pack(old.id)) }
            var writer = RowWriter(capacity: 4)
            writer.fixed(number)
            try access.putChecked(access.tables.packIDs, Key.pack(row.id), writer.bytes)
        }
        try access.put(access.tables.packs, Key.number(number), row: row)
    }

    /// Forgets a pack; rows of its chunks are the caller's. False if there is none of that number.
    @discardableResult
    package func removePack(_ number: UInt32) throws(IndexError) -> Bool {
        guard let row = try pack(number) else { return false }
        try access.delete(access.tables.packIDs, Key.pack(row.id))
        return try access.delete(access.tables.packs, Key.number(number))
    }
}
