// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension IndexTransaction where Self: ~Copyable {
    /// Reads every object, and counts anew who holds which spool file and which blob.
    func verifyObjects(_ result: inout IndexVerification) throws(IndexError) {
        let access = access
        var names: Set<String> = []
        try access.verify(.buckets, &result) { (key, value) throws(IndexError) in
            _ = try BucketRow(decoding: value, key: Array(key))
            names.insert(String(decoding: key, as: UTF8.self))
            return nil
        }
        var spools: [[UInt8]: UInt64] = [:]
        var blobs: [[UInt8]: UInt64] = [:]
        // Every row as it lies in the table, so that one that can not be reached is seen too.
        try access.verify(.objects, &result) { (key, value) throws(IndexError) in
            guard let end = key.firstIndex(of: 0), key.count > end + 10 else { return "no object key" }
            guard names.contains(String(decoding: key[..<end], as: UTF8.self)) else { return "no bucket" }
            let segmentBytes = key.count - (end + 10)
            if segmentBytes == ObjectKeyCoding.segmentBytes + 1, key.last == 1 {
                let node = try ObjectKeyCoding.child(value, key: Array(key))
                let header = ObjectKeyCoding.header(space: Array(key[...(end + 1)]), node: node)
                let cursor = try Cursor(access, access.tables.objects)
                guard let row = try cursor.seek(header), row.key.starts(with: header) else { return "an empty node" }
                return nil
            }
            let row = try ObjectRow(decoding: value, key: Array(key))
            for id in row.spools { spools[Key.pack(id), default: 0] += 1 }
            for digest in row.blobs {
                blobs[Key.digest(digest), default: 0] += 1
                guard try access.get(access.tables.blobs, Key.digest(digest)) != nil else {
                    return "blob \(digest) is not there"
                }
            }
            return nil
        }
        func compare(_ table: Tables.Name, _ counted: [[UInt8]: UInt64]) throws(IndexError) {
            var counted = counted
            try access.verify(table, &result) { (key, value) throws(IndexError) in
                let row = try CountRow(decoding: value, key: Array(key))
                return counted.removeValue(forKey: Array(key)) == row.count ? nil : "its holders are not that many"
            }
            for key in counted.keys {
                key.withUnsafeBufferPointer {
                    result.note(table, UnsafeRawBufferPointer($0), "its holders are not counted")
                }
            }
        }
        try compare(.spools, spools)
        try compare(.objectBlobs, blobs)
        try access.verify(.adoptions, &result) { (key, value) throws(IndexError) in
            _ = try AdoptionRow(decoding: value, key: Array(key))
            return nil
        }
    }
}
