// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveDrivers
import VarveIndex
import VarveModel

extension IndexRestorer {
    /// Drops the objects whose bytes are nowhere to be found, so that they are missed and not found broken. If names may
    /// have been lost, spool files that no object holds become objects of the bucket `recovered`.
    func checkObjects() throws(VarveError) {
        let coming = Set(outcome.doubtful.map(\.digest))
        var lengths: [SpoolID: UInt64] = [:]
        do throws(DriverError) {
            for name in try files.list(StoreLayout.spool) {
                guard let id = StoreLayout.spoolID(name) else { continue }
                lengths[id] = try files.length(of: StoreLayout.spool(id)) ?? 0
            }
        } catch {
            throw error.asVarveError
        }
        for (bucket, _) in try read({ (transaction) throws(IndexError) in try transaction.buckets() }) {
            for namespace in ObjectNamespace.allCases {
                try checkObjects(bucket, namespace, lengths, coming)
            }
        }
        if !knowsNames { try recoverSpools(lengths) }
    }

    private func checkObjects(
        _ bucket: String, _ namespace: ObjectNamespace, _ lengths: [SpoolID: UInt64], _ coming: Set<Digest>
    ) throws(VarveError) {
        var last: [UInt8]?
        while true {
            let (page, lost) = try read { [last] (transaction) throws(IndexError) in
                let page = try transaction.objects(in: bucket, namespace.rawValue, after: last, limit: 1000)
                var lost: [[UInt8]] = []
                for (key, row) in page {
                    var isWhole = true
                    for extent in row.extents {
                        switch extent {
                        case .bytes: continue
                        case .spool(let id, let offset, let length):
                            let bytes = lengths[id] ?? 0
                            if bytes < offset || bytes - offset < length { isWhole = false }
                        case .blob(let digest, _, _):
                            if !coming.contains(digest), try transaction.blob(digest) == nil { isWhole = false }
                        }
                    }
                    if !isWhole { lost.append(key) }
                }
                return (page, lost)
            }
            if !lost.isEmpty {
                try write { (transaction) throws(IndexError) in
                    for key in lost {
                        try transaction.removeObject(
                            at: ObjectPlace(bucket: bucket, namespace: namespace.rawValue, key: key))
                    }
                }
                for key in lost {
                    problem("object \(bucket)/\(String(decoding: key, as: UTF8.self)) is lost")
                }
            }
            guard page.count == 1000 else { return }
            last = page.last?.key
        }
    }

    private func recoverSpools(_ lengths: [SpoolID: UInt64]) throws(VarveError) {
        for (id, length) in lengths where length > 0 {
            let isHeld = try read { (transaction) throws(IndexError) in try transaction.holders(ofSpool: id) > 0 }
            if isHeld { continue }
            let name = StoreLayout.spool(id)
            try write { (transaction) throws(IndexError) in
                try transaction.createBucket("recovered", at: wallClockMilliseconds())
                try transaction.putObject(
                    at: ObjectPlace(
                        bucket: "recovered", namespace: ObjectNamespace.objects.rawValue, key: Array(name.utf8)),
                    ObjectRow(
                        version: try transaction.nextObjectVersion(), modifiedMilliseconds: wallClockMilliseconds(),
                        extents: [.spool(id, offset: 0, length: length)]))
            }
            problem(
                "the bytes of \(name) belong to no object that is known; they are an object of bucket recovered now")
        }
    }
}
