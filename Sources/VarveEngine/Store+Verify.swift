// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

import NIOCore
import VarveCodec
import VarveDrivers
import VarveIndex

extension Store {
    /// Reads every blob again, however it is stored, and compares it with its digest.
    ///
    /// Works beside a process that serves the store; a blob that is removed meanwhile is not damage.
    /// - Throws: `io` when the index can not be read. Damage is reported, not thrown.
    public func verify(progress: (@Sendable (Progress) -> Void)? = nil) async throws(VarveError) -> VerifyReport {
        var report = VerifyReport()
        var last: Digest?
        let total = try await stats().blobsBytes
        while true {
            let page = try await reading { [last] in try $0.blobs(after: last, limit: 100) }
            for (digest, row) in page {
                let damage = try await core.pool.run { [core] () throws(VarveError) in
                    try core.damage(of: digest, row)
                }
                report.damage += damage
                report.blobsChecked += 1
                report.bytesChecked += row.size
                progress?(Progress(activity: "verifying", done: report.bytesChecked, total: total))
            }
            guard page.count == 100 else { return report }
            last = page.last?.digest
        }
    }
}

extension Core {
    /// What is wrong with a blob, a line each.
    fileprivate func damage(of digest: Digest, _ row: BlobRow) throws(VarveError) -> [String] {
        var damage: [String] = []
        func check(_ what: String, _ body: () throws(VarveError) -> Digest) throws(VarveError) {
            do throws(VarveError) {
                let found = try body()
                if found != digest { damage.append("blob \(digest): \(what) has the digest \(found)") }
            } catch {
                // Gone or moved since the row was read?
                guard let present = try read({ try $0.blob(digest) }), present == row else { return }
                damage.append("blob \(digest): \(what): \(error)")
            }
        }
        if row.flags.contains(.inline) {
            try check("its bytes in the index") { () throws(VarveError) in
                var hash = try runningHash(digest.algorithm)
                try allBytes(of: digest).withUnsafeReadableBytes { hash.update($0) }
                return finishHash(hash)
            }
        }
        if row.flags.contains(.rawFile) {
            try check("its raw file") { () throws(VarveError) in
                var hash = try runningHash(digest.algorithm)
                do throws(DriverError) {
                    try hashFile(files.open(StoreLayout.raw(digest).path, .read), into: &hash, length: row.size)
                } catch {
                    throw error.asVarveError
                }
                return finishHash(hash)
            }
        }
        if let place = row.recipe {
            try check("rebuilding it") { () throws(VarveError) in
                // Compares every chunk, and the whole, by itself.
                try Rebuild(
                    core: self, digest: digest, size: row.size, recipe: place, range: 0..<row.size, cachesFrames: false
                ).prove()
                return digest
            }
        }
        return damage
    }
}
