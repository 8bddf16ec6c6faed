// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

// Blobs, and the bytes of small ones. The bytes have a table of their own so that a row of `blobs` is some 40 bytes and
// a walk over all blobs does not touch them.

extension IndexTransaction where Self: ~Copyable {
    /// What is known of a blob; nil if nothing is.
    package func blob(_ digest: Digest) throws(IndexError) -> BlobRow? {
        let access = access
        return try access.row(access.tables.blobs, Key.digest(digest))
    }

    /// A page of all blobs in the order of their digests, from behind `after`; `limit` at most.
    package func blobs(
        after: Digest? = nil, limit: Int
    ) throws(IndexError) -> [(digest: Digest, row: BlobRow)] {
        var page: [(digest: Digest, row: BlobRow)] = []
        guard limit > 0 else { return page }
        let access = access
        let start = after.map { Key.digest($0) }
        try access.scan(access.tables.blobs, prefix: [], after: start) { (rest, key, value) throws(IndexError) in
            var reader = RowReader(rest, of: "blob key")
            page.append((try reader.lastDigest(), try BlobRow(decoding: value, key: Array(key))))
            return page.count < limit
        }
        return page
    }

    /// The bytes of a small blob, lent to `body` for the length of the call; nil, without calling it, if the index does
    /// not hold them.
    package func withInlineBytes<Value>(
        of digest: Digest, _ body: (UnsafeRawBufferPointer) throws(IndexError) -> Value
    ) throws(IndexError) -> Value? {
        let access = access
        guard let bytes = try access.checked(access.tables.inline, Key.digest(digest), "inline bytes") else {
            return nil
        }
        return try body(bytes)
    }

    /// The bytes of a small blob; nil if the index does not hold them.
    package func inlineBytes(of digest: Digest) throws(IndexError) -> [UInt8]? {
        try withInlineBytes(of: digest) { (bytes) throws(IndexError) in Array(bytes) }
    }
}

extension WriteTransaction {
    /// Bytes of a blob that the index takes in, at most: the journal's records are bounded.
    package static var inlineMaximumBytes: Int { 8 << 20 }

    /// Writes a blob's row. The flag `inline` is kept as it is in the index, whatever `row` says.
    package func putBlob(_ digest: Digest, _ row: BlobRow) throws(IndexError) {
        let key = Key.digest(digest)
        var row = row
        if try access.get(access.tables.inline, key) != nil {
            row.flags.insert(.inline)
        } else {
            row.flags.remove(.inline)
        }
        try access.put(access.tables.blobs, key, row: row)
    }

    /// Takes in a small blob whole: its bytes, which go to the journal too, and its row. A row that is there already
    /// keeps all it says and gets the flag `inline`.
    /// - Throws: `invalidArgument` for more than `inlineMaximumBytes`.
    package func putInlineBlob(_ digest: Digest, bytes: [UInt8], landedAt: UInt64) throws(IndexError) {
        guard bytes.count <= WriteTransaction.inlineMaximumBytes else {
            throw IndexError(.invalidArgument, call: "inline bytes", detail: "\(bytes.count) bytes")
        }
        let key = Key.digest(digest)
        var row = try blob(digest) ?? BlobRow(size: UInt64(bytes.count), landedAt: landedAt, lastUsed: landedAt)
        guard row.size == UInt64(bytes.count) else { throw .corrupt("blob row", "its size differs from its bytes") }
        if try access.get(access.tables.inline, key) == nil {
            try access.putChecked(access.tables.inline, key, bytes)
            journal?.add(.inlineBlob(digest, landedAt: row.landedAt, bytes: bytes))
        }
        row.flags.insert(.inline)
        try access.put(access.tables.blobs, key, row: row)
    }

    /// Forgets a blob: its row, its inline bytes, its place in the queue. Its files, and links to it, are the caller's.
    /// - Returns: Whether it was known.
    @discardableResult
    package func removeBlob(_ digest: Digest) throws(IndexError) -> Bool {
        let key = Key.digest(digest)
        if try access.delete(access.tables.inline, key) { journal?.add(.blobForgotten(digest)) }
        try dequeue(digest)
        return try access.delete(access.tables.blobs, key)
    }
}
