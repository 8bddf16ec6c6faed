// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveDrivers
import VarveIndex
import VarveModel

extension Verifier {
    /// Looks whether the spool files of all objects are there and long enough. What is in rows and blobs is verified with
    /// these; bytes of spool files carry no digest of the store's own.
    func verifyObjects() throws(VarveError) {
        var lengths: [SpoolID: UInt64?] = [:]
        try core.forEachObject { (place, row) throws(VarveError) in
            guard !isWhole(row, &lengths) else { return }
            // Replaced or adopted meanwhile: then it is as it should be, or is looked at as it is now.
            var fresh: [SpoolID: UInt64?] = [:]
            guard let present = try core.read({ try $0.object(at: place) }), !isWhole(present, &fresh) else { return }
            let key = String(decoding: place.key, as: UTF8.self)
            note("object \(place.bucket)/\(key): its spool file is missing or too short", .nothing)
        }
    }

    private func isWhole(_ row: ObjectRow, _ lengths: inout [SpoolID: UInt64?]) -> Bool {
        for case .spool(let id, let offset, let length) in row.extents {
            if lengths[id] == nil { lengths[id] = .some(try? core.files.length(of: StoreLayout.spool(id))) }
            guard let bytes = lengths[id] ?? nil, bytes >= offset, bytes - offset >= length else { return false }
        }
        return true
    }
}

extension Core {
    /// Hands every object of every bucket to `body`, a thousand a snapshot.
    func forEachObject(_ body: (ObjectPlace, ObjectRow) throws(VarveError) -> Void) throws(VarveError) {
        for (bucket, _) in try read({ try $0.buckets() }) {
            for namespace in ObjectNamespace.allCases {
                var last: [UInt8]?
                while true {
                    let page = try read { [last] in
                        try $0.objects(in: bucket, namespace.rawValue, after: last, limit: 1000)
                    }
                    for (key, row) in page {
                        try body(ObjectPlace(bucket: bucket, namespace: namespace.rawValue, key: key), row)
                    }
                    guard page.count == 1000 else { break }
                    last = page.last?.key
                }
            }
        }
    }
}
