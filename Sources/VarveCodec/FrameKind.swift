// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What a frame of a pack holds.
package enum FrameKind: UInt8, Sendable, CaseIterable {
    /// Chunks of files' contents, or of blobs that are no tar.
    case content = 1
    /// Chunks of header streams.
    case headers = 2
    /// One encoded recipe, no chunks.
    case recipe = 3
    /// Chunks of correction streams.
    case correction = 4

    /// Whether the payload is chunks, which are counted and addressed, and not one record.
    package var holdsChunks: Bool { self != .recipe }

    /// The most that a frame of this kind may decode to, in bytes.
    package var rawByteLimit: Int { self == .recipe ? 64 << 20 : 4 << 20 }
}

/// How a frame's payload is kept.
package enum FrameCodec: UInt8, Sendable, CaseIterable {
    /// As it is.
    case stored = 0
    /// As one zstd frame, without checksum, content size or dictionary id.
    case zstd = 1
}
