// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
package import VarveModel

// Buckets and objects, and who holds what: `spools` counts the objects that hold a spool file, `objectBlobs` those that
// hold a blob. An object counts once however many extents it has there.

extension IndexTransaction where Self: ~Copyable {
    /// A bucket; nil if there is none of that name.
    package func bucket(_ name: String) throws(IndexError) -> BucketRow? {
        let access = access
        return try access.row(access.tables.buckets, Array(name.utf8))
    }

    /// All buckets by name.
    package func buckets() throws(IndexError) -> [(name: String, row: BucketRow)] {
        var found: [(name: String, row: BucketRow)] = []
        let access = access
        try access.scan(access.tables.buckets, prefix: [], after: nil) { (_, key, value) throws(IndexError) in
            found.append((String(decoding: key, as: UTF8.self), try BucketRow(decoding: value, key: Array(key))))
            return true
        }
        return found
    }

    /// An object; nil if there is none.
    package func object(at place: ObjectPlace) throws(IndexError) -> ObjectRow? {
        let access = access
        guard let key = try access.objectRowKey(place) else { return nil }
        return try access.row(access.tables.objects, key)
    }

    /// A walk over a namespace of a bucket; it must not outlive the transaction.
    package func scanObjects<Value>(
        in bucket: String, _ namespace: UInt8, _ body: (ObjectScan) throws(IndexError) -> Value
    ) throws(IndexError) -> Value {
        try body(try ObjectScan(access, bucket, namespace))
    }

    /// A page of a namespace in the order of keys, from behind `after`; `limit` at most.
    package func objects(
        in bucket: String, _ namespace: UInt8, after: [UInt8]? = nil, limit: Int
    ) throws(IndexError) -> [(key: [UInt8], row: ObjectRow)] {
        var page: [(key: [UInt8], row: ObjectRow)] = []
        guard limit > 0 else { return page }
        try scanObjects(in: bucket, namespace) { (scan) throws(IndexError) in
            var found = try scan.seek(after.map { $0 + [0] } ?? [])
            while let object = found {
                page.append(object)
                guard page.count < limit else { return }
                found = try scan.next()
            }
        }
        return page
    }

    /// How many objects hold bytes of a spool file; 0 if nothing is known of it.
    package func holders(ofSpool id: SIMD16<UInt8>) throws(IndexError) -> UInt64 {
        let access = access
        let row: CountRow? = try access.row(access.tables.spools, Key.pack(id))
        return row?.count ?? 0
    }

    /// A page of the spool files that objects hold, from behind `after`; `limit` at most.
    package func spools(after: SIMD16<UInt8>? = nil, limit: Int) throws(IndexError) -> [SIMD16<UInt8>] {
        var page: [SIMD16<UInt8>] = []
        guard limit > 0 else { return page }
        let access = access
        try access.scan(access.tables.spools, prefix: [], after: after.map { Key.pack($0) }) {
            (rest, _, _) throws(IndexError) in
            guard rest.count == 16 else { throw .corrupt("spool key", "no id") }
            page.append(rest.loadUnaligned(as: SIMD16<UInt8>.self))
            return page.count < limit
        }
        return page
    }

    /// How many objects hold a blob.
    package func objectHolders(of digest: Digest) throws(IndexError) -> UInt64 {
        let access = access
        let row: CountRow? = try access.row(access.tables.objectBlobs, Key.digest(digest))
        return row?.count ?? 0
    }

    /// The objects that wait for being taken in as blobs, first come first, from behind `after`; `limit` at most.
    package func adoptions(
        after: UInt64? = nil, limit: Int
    ) throws(IndexError) -> [(sequence: UInt64, row: AdoptionRow)] {
        var page: [(sequence: UInt64, row: AdoptionRow)] = []
        guard limit > 0 else { return page }
        let access = access
        let start = after.map { Key.number($0) }
        try access.scan(access.tables.adoptions, prefix: [], after: start) { (rest, key, value) throws(IndexError) in
            var reader = RowReader(rest, of: "adoption key")
            page.append((try reader.ordered(UInt64.self), try AdoptionRow(decoding: value, key: Array(key))))
            return page.count < limit
        }
        return page
    }
}

extension WriteTransaction {
    /// The namespaces that a bucket may have.
    package static var objectNamespaces: ClosedRange<UInt8> { 0...3 }

    private static var versionCounter: String { "index.objects" }

    /// Makes a bucket; false if it is there.
    @discardableResult
    package func createBucket(_ name: String, at milliseconds: UInt64) throws(IndexError) -> Bool {
        guard try bucket(name) == nil else { return false }
        let row = BucketRow(createdMilliseconds: milliseconds)
        try access.put(access.tables.buckets, Array(name.utf8), row: row)
        journal?.add(.bucketCreated(name, at: milliseconds))
        return true
    }

    /// Removes a bucket with everything in it.
    /// - Returns: The spool files that nothing holds any more; nil if there is no such bucket.
    @discardableResult
    package func removeBucket(_ name: String) throws(IndexError) -> [SIMD16<UInt8>]? {
        guard try access.delete(access.tables.buckets, Array(name.utf8)) else { return nil }
        var released: [SIMD16<UInt8>] = []
        for namespace in Self.objectNamespaces {
            while true {
                let page = try objects(in: name, namespace, limit: 100)
                for (_, row) in page { released += try release(row) }
                for (key, _) in page {
                    try access.removeObjectRow(ObjectPlace(bucket: name, namespace: namespace, key: key))
                }
                if page.isEmpty { break }
            }
        }
        journal?.add(.bucketRemoved(name))
        return released
    }

    /// A number for a new version of an object, never given before.
    package func nextObjectVersion() throws(IndexError) -> UInt64 {
        let version = try access.counter(Self.versionCounter) &+ 1
        try access.setCounter(Self.versionCounter, version)
        return version
    }

    /// Writes an object, in place of one that is there. Its bucket must be there.
    /// - Parameter adopting: The digest that its key promises, if its bytes are to be taken in as that blob.
    /// - Returns: The spool files that nothing holds any more.
    @discardableResult
    package func putObject(
        at place: ObjectPlace, _ row: ObjectRow, adopting digest: Digest? = nil
    ) throws(IndexError) -> [SIMD16<UInt8>] {
        guard !place.key.isEmpty, place.key.count <= ObjectKeyCoding.maximumBytes else {
            throw IndexError(.invalidArgument, call: "object key", detail: "\(place.key.count) bytes")
        }
        guard try bucket(place.bucket) != nil else {
            throw IndexError(.invalidArgument, call: "object", detail: "no bucket \(place.bucket)")
        }
        let old = try object(at: place)
        // First hold, then let go: what both hold must not seem to be let go of.
        for id in row.spools { try add(1, access.tables.spools, Key.pack(id)) }
        for digest in row.blobs { try add(1, access.tables.objectBlobs, Key.digest(digest)) }
        let released = try old.map { (old) throws(IndexError) in try release(old) } ?? []
        let key = try access.makeObjectRowKey(place) { () throws(IndexError) in
            let node = try access.counter("index.nodes") &+ 1
            try access.setCounter("index.nodes", node)
            return node
        }
        try access.put(access.tables.objects, key, row: row)
        if try access.counter(Self.versionCounter) < row.version {
            try access.setCounter(Self.versionCounter, row.version)
        }
        if let digest {
            let sequence = try access.counter("index.adoptions") &+ 1
            try access.setCounter("index.adoptions", sequence)
            let adoption = AdoptionRow(place: place, version: row.version, digest: digest)
            try access.put(access.tables.adoptions, Key.number(sequence), row: adoption)
        }
        journal?.add(.objectPut(place, row, adopting: digest))
        return released
    }

    /// Removes an object.
    /// - Returns: The spool files that nothing holds any more; nil if there is no such object.
    @discardableResult
    package func removeObject(at place: ObjectPlace) throws(IndexError) -> [SIMD16<UInt8>]? {
        guard let old = try object(at: place) else { return nil }
        let released = try release(old)
        try access.removeObjectRow(place)
        journal?.add(.objectRemoved(place))
        return released
    }

    /// Takes an object from those that wait; false if it did not wait.
    @discardableResult
    package func removeAdoption(_ sequence: UInt64) throws(IndexError) -> Bool {
        try access.delete(access.tables.adoptions, Key.number(sequence))
    }

    private func release(_ row: ObjectRow) throws(IndexError) -> [SIMD16<UInt8>] {
        var released: [SIMD16<UInt8>] = []
        for id in row.spools where try add(-1, access.tables.spools, Key.pack(id)) == 0 { released.append(id) }
        for digest in row.blobs { try add(-1, access.tables.objectBlobs, Key.digest(digest)) }
        return released
    }

    /// Changes a count; a row that counts nothing is removed.
    @discardableResult
    private func add(_ change: Int64, _ table: MDB_dbi, _ key: [UInt8]) throws(IndexError) -> UInt64 {
        let row: CountRow? = try access.row(table, key)
        let count = row?.count ?? 0
        let sum = change < 0 ? count - min(count, change.magnitude) : count &+ change.magnitude
        if sum == 0 {
            try access.delete(table, key)
        } else {
            try access.put(table, key, row: CountRow(count: sum))
        }
        return sum
    }
}

extension TransactionAccess {
    /// The key of an object's row; nil if a node that leads to it is not there.
    fileprivate func objectRowKey(_ place: ObjectPlace) throws(IndexError) -> [UInt8]? {
        try objectPath(place) { () throws(IndexError) in nil }?.last
    }

    /// The same; nodes that are not there are made, with the numbers that `number` gives.
    fileprivate func makeObjectRowKey(
        _ place: ObjectPlace, _ number: () throws(IndexError) -> UInt64
    ) throws(IndexError) -> [UInt8] {
        guard let key = try objectPath(place, { () throws(IndexError) in try number() })?.last else {
            throw .corrupt("object key", "no node")
        }
        return key
    }

    /// The keys of the rows that lead to an object, and of its own row.
    private func objectPath(
        _ place: ObjectPlace, _ number: () throws(IndexError) -> UInt64?
    ) throws(IndexError) -> [[UInt8]]? {
        let space = ObjectKeyCoding.space(place.bucket, place.namespace)
        var path: [[UInt8]] = []
        var node: UInt64 = 0
        var rest = place.key[...]
        while true {
            let header = ObjectKeyCoding.header(space: space, node: node)
            if rest.count < ObjectKeyCoding.segmentBytes { return path + [header + rest] }
            let segment = rest.prefix(ObjectKeyCoding.segmentBytes)
            rest = rest.dropFirst(ObjectKeyCoding.segmentBytes)
            if rest.isEmpty { return path + [header + segment + [0]] }
            let onward = header + segment + [1]
            path.append(onward)
            if let value = try get(tables.objects, onward) {
                node = try ObjectKeyCoding.child(value, key: onward)
            } else {
                guard let fresh = try number() else { return nil }
                var writer = RowWriter(capacity: 8)
                writer.fixed(fresh)
                try putChecked(tables.objects, onward, writer.bytes)
                node = fresh
            }
        }
    }

    /// Removes an object's row, and the rows of nodes that hold nothing any more.
    fileprivate func removeObjectRow(_ place: ObjectPlace) throws(IndexError) {
        guard var path = try objectPath(place, { () throws(IndexError) in nil }), let own = path.popLast() else {
            return
        }
        try delete(tables.objects, own)
        let space = ObjectKeyCoding.space(place.bucket, place.namespace)
        while let onward = path.popLast() {
            guard let value = try get(tables.objects, onward) else { return }
            let header = ObjectKeyCoding.header(
                space: space, node: try ObjectKeyCoding.child(value, key: onward))
            let cursor = try Cursor(self, tables.objects)
            if let row = try cursor.seek(header), row.key.starts(with: header) { return }
            try delete(tables.objects, onward)
        }
    }
}
