// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Builds a ``WeaveTable`` from pieces in stream order; pieces of the same stream that follow one another become one.
package struct WeaveBuilder {
    private var writer = ByteWriter()
    private var checkpoints: [WeaveTable.Checkpoint] = []
    private var entryCount = 0
    private var pendingHeader: UInt64 = 0
    private var pendingContent: UInt64 = 0
    /// Bytes appended so far.
    package private(set) var headerBytes: UInt64 = 0
    package private(set) var contentBytes: UInt64 = 0

    package init() {}

    package mutating func append(header count: UInt64) {
        guard count > 0 else { return }
        if pendingContent > 0 { closeEntry() }
        pendingHeader += count
        headerBytes += count
    }

    package mutating func append(content count: UInt64) {
        pendingContent += count
        contentBytes += count
    }

    /// The table of all pieces. One without entries if no header was appended.
    package consuming func finish() -> WeaveTable {
        guard headerBytes > 0 else { return .contentOnly(byteCount: contentBytes) }
        if pendingHeader > 0 || pendingContent > 0 { closeEntry() }
        return WeaveTable(
            encoded: writer.bytes, checkpoints: checkpoints, entryCount: entryCount, headerBytes: headerBytes,
            contentBytes: contentBytes)
    }

    private mutating func closeEntry() {
        if entryCount % WeaveTable.entriesPerCheckpoint == 0 {
            checkpoints.append(
                WeaveTable.Checkpoint(
                    offset: writer.count, headerBytes: headerBytes - pendingHeader,
                    contentBytes: contentBytes - pendingContent))
        }
        writer.writeVarint(pendingHeader)
        writer.writeVarint(pendingContent)
        entryCount += 1
        pendingHeader = 0
        pendingContent = 0
    }
}
