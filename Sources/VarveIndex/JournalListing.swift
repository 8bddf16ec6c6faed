// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

/// The files in a journal's directory.
struct JournalListing {
    /// Sequence numbers of the segments, ascending.
    var segments: [UInt64] = []
    /// Batch numbers of the snapshots, ascending.
    var snapshots: [UInt64] = []
    /// Whether there is a snapshot that was being written when the process ended.
    var hasUnfinished = false

    static let unfinishedName = "snapshot.new"

    static func segmentName(_ sequence: UInt64) -> String { hex(sequence) + ".log" }

    static func snapshotName(_ batch: UInt64) -> String { hex(batch) + ".snapshot" }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Names of all files.
    var all: [String] {
        snapshots.map(JournalListing.snapshotName) + segments.map(JournalListing.segmentName)
    }

    init(_ directory: String) throws(IndexError) {
        for name in try DurableDirectory.names(in: directory) {
            if name == JournalListing.unfinishedName { hasUnfinished = true }
            guard name.utf8.count > 17, let number = UInt64(name.prefix(16), radix: 16) else { continue }
            if name == JournalListing.segmentName(number) { segments.append(number) }
            if name == JournalListing.snapshotName(number) { snapshots.append(number) }
        }
        segments.sort()
        snapshots.sort()
    }
}
