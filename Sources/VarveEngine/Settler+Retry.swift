// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import VarveIndex
import VarveModel

/// What settling can do, as a number. A store notes the highest that has looked at its blobs.
///
/// To be raised by one with every change that lets blobs settle which stayed raw before: a new outer encoding, a new
/// encoder's model, a bound that was lifted. What stayed raw is then queued once more when a store is opened.
enum SettlingAbility {
    /// 2: zstd files. 3: gzip files by zlib-ng, Chromium's zlib, libdeflate and igzip; zstd files by more levels.
    static let number: UInt64 = 3
    /// Under this name the index notes it: u64, little endian.
    static let note = "settling.ability"
}

extension RawReason {
    /// Whether something passing may have been the cause, such as a read that failed.
    static func mayPass(_ reason: String) -> Bool { reason == damaged || reason == proofFailed }

    /// Whether a later version may be able to settle what stays raw for this reason. Chunks save no more than before.
    static func mayBeOvercome(_ reason: String) -> Bool { reason != noSaving }
}

extension Core {
    private static let pageRows = 1000

    /// Queues what an earlier version could not settle, once. For the thread that settles, before it begins.
    func retryWithNewAbility() throws(VarveError) {
        let noted = try read { transaction in
            try transaction.meta(SettlingAbility.note)?.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) } ?? 0
        }
        guard noted < SettlingAbility.number else { return }
        let count = try retry(where: RawReason.mayBeOvercome)
        try commitBlocking { transaction in
            try transaction.setMeta(
                SettlingAbility.note, withUnsafeBytes(of: SettlingAbility.number.littleEndian) { Array($0) })
        }
        if count > 0 { logger.info("blobs that stayed raw are tried again", metadata: ["blobs": "\(count)"]) }
    }

    /// Queues every raw blob whose reason `isIncluded` and that does not wait already.
    /// - Returns: How many.
    @discardableResult
    func retry(where isIncluded: (String) -> Bool) throws(VarveError) -> Int {
        var count = 0
        var last: Digest?
        while true {
            let (page, wanted) = try read { [last] transaction in
                let page = try transaction.blobs(after: last, limit: Self.pageRows)
                let wanted = try page.filter {
                    try Self.staysRaw($0.row) && isIncluded($0.row.reason)
                        && transaction.queueSequence(of: $0.digest) == nil
                }
                return (page, wanted.map(\.digest))
            }
            if !wanted.isEmpty {
                count += try commitBlocking { transaction in
                    var count = 0
                    for digest in wanted {
                        guard var row = try transaction.blob(digest), Self.staysRaw(row) else { continue }
                        row.reason = RawReason.pending
                        try transaction.putBlob(digest, row)
                        try transaction.enqueue(digest)
                        count += 1
                    }
                    return count
                }
            }
            guard page.count == Self.pageRows else { return count }
            last = page.last?.digest
        }
    }

    private static func staysRaw(_ row: BlobRow) -> Bool { !row.isSettled && row.flags.contains(.rawFile) }
}
