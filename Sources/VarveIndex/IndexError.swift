// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import Glibc

/// What the index, its journal or their rows refuse or fail at.
///
/// Lower modules have one small typed error each; the engine turns this one into the error that callers see.
package struct IndexError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Reason: Sendable, Equatable {
        /// What `call` returned: an `errno` value (positive) or a code of LMDB (negative).
        case returnCode(Int32)
        /// Bytes on disk are not what was written: a row, a journal record or a page.
        case corrupt
        /// An earlier write failed, so nothing is written until the environment is opened again.
        case poisoned
        /// The same directory is open in this process already.
        case alreadyOpen
        /// A write to an environment that was opened for reading.
        case readOnly
        /// A key, a size or a count outside its bounds.
        case invalidArgument
        /// Written by a later version of the format.
        case unsupportedVersion
        /// The journal holds more than one batch that the index does not know: the index is older than the journal
        /// (restored from a copy, or lost) and must be rebuilt.
        case journalAhead
        /// Used after `close()`.
        case closed
    }

    /// The function that failed, or the thing that was being read.
    package let call: String
    /// What kind of failure it is.
    package let reason: Reason
    /// More words for a person; may be empty.
    package let detail: String

    package init(_ reason: Reason, call: String, detail: String = "") {
        self.call = call
        self.reason = reason
        self.detail = detail
    }

    /// The map, the disk or the quota is full.
    package var isFull: Bool {
        switch reason {
        case .returnCode(let code): code == MDB_MAP_FULL || code == ENOSPC || code == EDQUOT || code == EFBIG
        default: false
        }
    }

    /// Bytes on disk are damaged.
    package var isCorrupt: Bool {
        switch reason {
        case .corrupt: true
        case .returnCode(let code):
            code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID || code == MDB_CURSOR_FULL
        default: false
        }
    }

    /// Writes are refused since an earlier one failed.
    package var isPoisoned: Bool { reason == .poisoned }

    package var description: String {
        let what: String =
            switch reason {
            case .returnCode(let code): "\(String(cString: mdb_strerror(code))) (\(code))"
            case .corrupt: "damaged"
            case .poisoned: "refused since an earlier write failed"
            case .alreadyOpen: "already open in this process"
            case .readOnly: "opened for reading only"
            case .invalidArgument: "argument out of bounds"
            case .unsupportedVersion: "written by a later version"
            case .journalAhead: "the journal is ahead of the index, which must be rebuilt"
            case .closed: "closed"
            }
        return detail.isEmpty ? "\(call): \(what)" : "\(call): \(what): \(detail)"
    }

    static func corrupt(_ what: String, _ detail: String = "") -> IndexError {
        IndexError(.corrupt, call: what, detail: detail)
    }

    /// The error of the last system call of this thread.
    static func system(_ call: String, _ detail: String = "") -> IndexError {
        IndexError(.returnCode(errno), call: call, detail: detail)
    }
}

/// Throws unless `returnCode` is success.
@inline(__always)
func check(_ returnCode: Int32, _ call: StaticString) throws(IndexError) {
    guard returnCode == MDB_SUCCESS else { throw IndexError(.returnCode(returnCode), call: "\(call)") }
}

/// Commits, and frees the transaction in any case. LMDB calls it an input/output error if the disk took only some of what it
/// wrote; where there is no room left, this says so.
func commitTransaction(_ transaction: OpaquePointer) -> Int32 {
    let environment = mdb_txn_env(transaction)
    let code = mdb_txn_commit(transaction)
    var file: mdb_filehandle_t = -1
    var disk = statvfs()
    guard code == EIO, mdb_env_get_fd(environment, &file) == MDB_SUCCESS, fstatvfs(file, &disk) == 0 else {
        return code
    }
    return disk.f_bavail < fullBlocks ? ENOSPC : code
}

/// LMDB writes no more than so many pages at a time, and blocks are pages or larger.
private let fullBlocks: UInt = 64
