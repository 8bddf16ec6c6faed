// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

// Walking over chunks, for people who want to see what is there. Everything else has a page function of its own.

/// A chunk as the index knows it.
package struct ListedChunk: Sendable, Equatable {
    /// Bytes 0 to 7 of the chunk's digest, read as a little-endian number.
    package var hi: UInt64
    /// Bytes 8 to 15 of the chunk's digest, read as a little-endian number.
    package var lo: UInt64
    /// The number of the pack that holds it.
    package var pack: UInt32
    /// Its place among the pack's chunks.
    package var ordinal: UInt32
}

extension IndexTransaction where Self: ~Copyable {
    /// A page of chunks in the order of the numbers `hi`, from behind `after`; it ends with the row, all chunks of one
    /// `hi`, by which it has at least `limit` chunks.
    package func chunks(after: UInt64? = nil, limit: Int) throws(IndexError) -> [ListedChunk] {
        var page: [ListedChunk] = []
        guard limit > 0 else { return page }
        let access = access
        let start = after.map { after in withUnsafeBytes(of: after) { Array($0) } }
        try access.scan(access.tables.chunks, prefix: [], after: start) { (_, key, value) throws(IndexError) in
            guard key.count == 8, value.count % 16 == 0 else { throw .corrupt("chunk row", "no row of slots") }
            let hi = key.loadUnaligned(as: UInt64.self)
            for offset in stride(from: 0, to: value.count, by: 16) {
                page.append(
                    ListedChunk(
                        hi: hi, lo: UInt64(littleEndian: value.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
                        pack: UInt32(littleEndian: value.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self)),
                        ordinal: UInt32(littleEndian: value.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
                    ))
            }
            return page.count < limit
        }
        return page
    }
}
