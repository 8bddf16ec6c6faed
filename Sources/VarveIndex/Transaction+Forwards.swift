// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

// Where the chunks of packs that were rewritten lie now. The truth is the forwarding table in the footer of the pack
// that holds them; here it can be looked up by the old pack's id.

/// What became of a pack that was rewritten: everything alive in it is in one other pack, in the same order.
package struct ForwardRow: Sendable, Equatable {
    /// Chunks that followed one another before and do so now.
    package struct Run: Sendable, Equatable {
        /// The first chunk's ordinal in the old pack.
        package var oldFirst: UInt32
        /// Its ordinal in the pack that holds it now.
        package var newFirst: UInt32
        /// Number of chunks, at least 1.
        package var count: UInt32

        package init(oldFirst: UInt32, newFirst: UInt32, count: UInt32) {
            self.oldFirst = oldFirst
            self.newFirst = newFirst
            self.count = count
        }
    }

    /// The number of the pack that holds the chunks now.
    package var pack: UInt32
    /// Ascending in both ordinals, none overlapping another.
    package var runs: [Run]

    package init(pack: UInt32, runs: [Run]) {
        self.pack = pack
        self.runs = runs
    }

    /// The present ordinal of the first of `count` chunks that began at `ordinal` in the old pack; nil if not all of
    /// them, one behind the other, are there.
    package func ordinal(of ordinal: UInt32, count: UInt32) -> UInt32? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = low + (high - low) / 2
            if runs[middle].oldFirst > ordinal { high = middle } else { low = middle + 1 }
        }
        guard low > 0 else { return nil }
        let run = runs[low - 1]
        let offset = ordinal - run.oldFirst
        guard offset < run.count, count <= run.count - offset else { return nil }
        return run.newFirst + offset
    }
}

extension ForwardRow: CodedRow {
    static var rowName: StaticString { "forward row" }

    func write(to writer: inout RowWriter) {
        writer.varint(UInt64(pack))
        writer.varint(UInt64(runs.count))
        var oldEnd: UInt32 = 0
        var newEnd: UInt32 = 0
        for run in runs {
            writer.varint(UInt64(run.oldFirst &- oldEnd))
            writer.varint(UInt64(run.newFirst &- newEnd))
            writer.varint(UInt64(run.count))
            oldEnd = run.oldFirst &+ run.count
            newEnd = run.newFirst &+ run.count
        }
    }

    init(from reader: inout RowReader) throws(IndexError) {
        let pack = try reader.varint32()
        let count = try reader.varint()
        // A run takes three bytes at least, so this bounds what is allocated by what was read.
        guard count <= UInt64(reader.remaining) / 3 else { throw reader.damaged("more runs than bytes") }
        var runs: [Run] = []
        runs.reserveCapacity(Int(truncatingIfNeeded: count))
        var oldEnd: UInt64 = 0
        var newEnd: UInt64 = 0
        for _ in 0..<count {
            let old = oldEnd + UInt64(try reader.varint32())
            let new = newEnd + UInt64(try reader.varint32())
            let length = UInt64(try reader.varint32())
            oldEnd = old + length
            newEnd = new + length
            guard length > 0, oldEnd <= UInt64(UInt32.max), newEnd <= UInt64(UInt32.max) else {
                throw reader.damaged("a run out of bounds")
            }
            runs.append(
                Run(
                    oldFirst: UInt32(truncatingIfNeeded: old), newFirst: UInt32(truncatingIfNeeded: new),
                    count: UInt32(truncatingIfNeeded: length)))
        }
        self.init(pack: pack, runs: runs)
    }
}

extension IndexTransaction where Self: ~Copyable {
    /// What became of the pack with that id; nil if it was not rewritten, or nothing names it any more.
    package func forward(of id: SIMD16<UInt8>) throws(IndexError) -> ForwardRow? {
        let access = access
        return try access.row(access.tables.forwards, Key.pack(id))
    }

    /// A page of all forwards in the order of the old packs' ids, from behind `after`; `limit` at most.
    package func forwards(
        after: SIMD16<UInt8>? = nil, limit: Int
    ) throws(IndexError) -> [(id: SIMD16<UInt8>, row: ForwardRow)] {
        var page: [(id: SIMD16<UInt8>, row: ForwardRow)] = []
        guard limit > 0 else { return page }
        let access = access
        let start = after.map { Key.pack($0) }
        try access.scan(access.tables.forwards, prefix: [], after: start) { (rest, key, value) throws(IndexError) in
            guard rest.count == 16 else { throw .corrupt("forward key", "no pack id") }
            let id = rest.loadUnaligned(as: SIMD16<UInt8>.self)
            page.append((id, try ForwardRow(decoding: value, key: Array(key))))
            return page.count < limit
        }
        return page
    }
}

extension WriteTransaction {
    /// Says where the chunks of a pack lie now, whatever was said before.
    /// - Throws: `invalidArgument` for runs that are not in order.
    package func putForward(_ id: SIMD16<UInt8>, _ row: ForwardRow) throws(IndexError) {
        var oldEnd: UInt64 = 0
        var newEnd: UInt64 = 0
        for run in row.runs {
            guard run.count > 0, UInt64(run.oldFirst) >= oldEnd, UInt64(run.newFirst) >= newEnd else {
                throw IndexError(.invalidArgument, call: "forward row", detail: "its runs are not in order")
            }
            oldEnd = UInt64(run.oldFirst) + UInt64(run.count)
            newEnd = UInt64(run.newFirst) + UInt64(run.count)
        }
        guard oldEnd <= UInt64(UInt32.max), newEnd <= UInt64(UInt32.max) else {
            throw IndexError(.invalidArgument, call: "forward row", detail: "its runs are out of bounds")
        }
        try access.put(access.tables.forwards, Key.pack(id), row: row)
    }

    /// Forgets what became of a pack; false if nothing was known.
    @discardableResult
    package func removeForward(_ id: SIMD16<UInt8>) throws(IndexError) -> Bool {
        try access.delete(access.tables.forwards, Key.pack(id))
    }
}
