// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The SHA-256 of a chunk: 32 bytes, held inline.
///
/// Four words and no wide vector: values of more than 16 bytes' alignment overrun the frames of async functions in
/// Swift 6.3.
package struct ChunkDigest: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// The 32 bytes at `bytes`, any alignment.
    package init(loading bytes: UnsafeRawPointer) {
        words = bytes.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
    }

    /// Writes the 32 bytes to `target`, any alignment.
    package func store(to target: UnsafeMutableRawPointer) {
        target.storeBytes(of: words, as: (UInt64, UInt64, UInt64, UInt64).self)
    }

    /// The first sixteen bytes as two little-endian numbers, the index's key.
    package var prefix16: (UInt64, UInt64) { (UInt64(littleEndian: words.0), UInt64(littleEndian: words.1)) }

    /// The 32 bytes.
    package var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    package static func == (left: ChunkDigest, right: ChunkDigest) -> Bool { left.words == right.words }

    /// The bytes are a digest's: any eight of them spread well, and clients could choose them, so the hasher's seed stays.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}
