// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import VarveModel

/// What reading every row found.
package struct IndexVerification: Sendable, Equatable {
    /// Something that is not as it should be.
    package struct Damage: Sendable, Equatable {
        /// The table's name.
        package var table: String
        /// The row's key in hex.
        package var key: String
        /// What is wrong.
        package var problem: String
    }

    /// Rows read.
    package var rows = 0
    /// What is wrong; no more than the first thousand.
    package var damage: [Damage] = []

    mutating func note(_ table: Tables.Name, _ key: UnsafeRawBufferPointer, _ problem: String) {
        guard damage.count < 1000 else { return }
        damage.append(Damage(table: table.rawValue, key: key.hex, problem: problem))
    }
}

extension IndexTransaction where Self: ~Copyable {
    /// Reads every row but those of chunks, whose truth is elsewhere, and checks that rows which say the same thing twice
    /// agree: links and holders, packs and their ids, forwards and their packs, the queue and its entries, referrers
    /// and manifests, blobs and their inline bytes. Takes as long as the index is large.
    ///
    /// Damage is what it finds, not a failure: it throws only what reading pages failed with.
    package func verify() throws(IndexError) -> IndexVerification {
        var result = IndexVerification()
        let access = access
        try access.verify(.blobs, &result) { (key, value) throws(IndexError) in
            let row = try BlobRow(decoding: value, key: Array(key))
            let hasBytes = try access.get(access.tables.inline, key) != nil
            return hasBytes == row.flags.contains(.inline) ? nil : "its flag and its inline bytes differ"
        }
        try access.verify(.inline, &result) { (key, value) throws(IndexError) in
            let bytes = try TransactionAccess.checked(value, key: Array(key), "inline bytes")
            guard let row: BlobRow = try access.row(access.tables.blobs, Array(key)) else { return "no blob" }
            return row.size == UInt64(bytes.count) ? nil : "its length differs from the blob's"
        }
        try access.verify(.meta, &result) { (key, value) throws(IndexError) in
            _ = try TransactionAccess.checked(value, key: Array(key), "meta row")
            return nil
        }
        try access.verifyPacks(&result)
        try access.verifyForwards(&result)
        try access.verifyQueue(&result)
        try access.verifyCatalogue(&result)
        try verifyObjects(&result)
        try access.verify(.chunks, &result) { (key, value) throws(IndexError) in
            key.count == 8 && value.count >= 16 && value.count % 16 == 0 ? nil : "no row of slots"
        }
        return result
    }
}

extension TransactionAccess {
    /// Hands every row of a table to `body`, which answers or throws what is wrong with it.
    func verify(
        _ table: Tables.Name, _ result: inout IndexVerification,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(IndexError) -> String?
    ) throws(IndexError) {
        var found = result
        try scan(tables[table], prefix: [], after: nil) { (_, key, value) throws(IndexError) in
            found.rows += 1
            do throws(IndexError) {
                if let problem = try body(key, value) { found.note(table, key, problem) }
            } catch {
                switch error.reason {
                case .corrupt, .unsupportedVersion: found.note(table, key, error.description)
                default: throw error
                }
            }
            return true
        }
        result = found
    }

    fileprivate func verifyPacks(_ result: inout IndexVerification) throws(IndexError) {
        try verify(.packs, &result) { (key, value) throws(IndexError) in
            let row = try PackRow(decoding: value, key: Array(key))
            let number = try checked(tables.packIDs, Key.pack(row.id), "pack id row")
            return number.map { Array($0.reversed()) } == Array(key) ? nil : "its id belongs to another number"
        }
        try verify(.packIDs, &result) { (key, value) throws(IndexError) in
            var reader = RowReader(
                try TransactionAccess.checked(value, key: Array(key), "pack id row"), of: "pack id row")
            let row: PackRow? = try row(tables.packs, Key.number(try reader.fixed(UInt32.self)))
            return row.map { Key.pack($0.id) } == Array(key) ? nil : "its pack has another id"
        }
    }

    fileprivate func verifyForwards(_ result: inout IndexVerification) throws(IndexError) {
        try verify(.forwards, &result) { (key, value) throws(IndexError) in
            let row = try ForwardRow(decoding: value, key: Array(key))
            guard key.count == 16 else { return "no pack id" }
            return try get(tables.packs, Key.number(row.pack)) == nil ? "its pack is not there" : nil
        }
    }

    fileprivate func verifyQueue(_ result: inout IndexVerification) throws(IndexError) {
        try verify(.queue, &result) { (key, value) throws(IndexError) in
            let digest = try TransactionAccess.checked(value, key: Array(key), "queue row")
            let sequence = try checked(tables.queued, Array(digest), "queue row")
            return sequence.map { Array($0.reversed()) } == Array(key) ? nil : "its blob waits elsewhere"
        }
        try verify(.queued, &result) { (key, value) throws(IndexError) in
            let sequence = try TransactionAccess.checked(value, key: Array(key), "queue row")
            let digest = try checked(tables.queue, sequence.reversed(), "queue row")
            return digest.map { Array($0) } == Array(key) ? nil : "its place is another blob's"
        }
    }

    fileprivate func verifyCatalogue(_ result: inout IndexVerification) throws(IndexError) {
        try verify(.repositories, &result) { (key, value) throws(IndexError) in
            _ = try RepositoryRow(decoding: value, key: Array(key))
            return nil
        }
        try verify(.links, &result) { (key, value) throws(IndexError) in
            _ = try LinkRow(decoding: value, key: Array(key))
            let (name, digest) = try split(key)
            guard try get(tables.holders, digest + name) != nil else { return "no holder row" }
            return try problem(repository: name)
        }
        try verify(.holders, &result) { (key, _) throws(IndexError) in
            var reader = RowReader(key, of: "holder key")
            let digest = try reader.digest()
            return try get(tables.links, Key.within(try reader.lastRepository(), digest)) == nil ? "no link row" : nil
        }
        try verify(.manifests, &result) { (key, value) throws(IndexError) in
            let row = try ManifestRow(decoding: value, key: Array(key))
            let (name, digest) = try split(key)
            guard try get(tables.blobs, digest) != nil else { return "no bytes" }
            guard let subject = row.subject else { return try problem(repository: name) }
            let referrer = try get(tables.referrers, name + [0] + Key.digest(subject) + digest)
            return try referrer == nil ? "no referrer row" : problem(repository: name)
        }
        try verify(.tags, &result) { (key, value) throws(IndexError) in
            _ = try TagRow(decoding: value, key: Array(key))
            return try problem(repository: try split(key).name)
        }
        try verify(.referrers, &result) { (key, value) throws(IndexError) in
            _ = try ReferrerRow(decoding: value, key: Array(key))
            let (name, digests) = try split(key)
            return try digests.withUnsafeBufferPointer { (digests) throws(IndexError) in
                var reader = RowReader(UnsafeRawBufferPointer(digests), of: "referrer key")
                let subject = try reader.digest()
                let manifestKey = name + [0] + Key.digest(try reader.lastDigest())
                let manifest: ManifestRow? = try row(tables.manifests, manifestKey)
                return manifest?.subject == subject ? nil : "its manifest refers to something else"
            }
        }
    }

    /// A key within a repository: the repository's name and what follows.
    private func split(_ key: UnsafeRawBufferPointer) throws(IndexError) -> (name: [UInt8], rest: [UInt8]) {
        guard let end = key.firstIndex(of: 0) else { throw .corrupt("key", "no repository") }
        return (Array(key[..<end]), Array(key[(end + 1)...]))
    }

    private func problem(repository name: [UInt8]) throws(IndexError) -> String? {
        try get(tables.repositories, name) == nil ? "no repository row" : nil
    }
}
