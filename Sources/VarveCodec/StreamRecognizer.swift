// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What a blob is, by its first bytes; what a client says it is does not matter.
package enum StreamFormat: Sendable, Equatable {
    /// A gzip member with method deflate (RFC 1952).
    case gzip
    /// A zstd frame or a skippable frame (RFC 8878).
    case zstd
    /// Anything else.
    case plain
}

package enum StreamRecognizer {
    /// So many bytes are enough to be sure.
    package static let byteCount = 4

    /// The format of a stream that begins with `bytes`; `plain` for fewer than ``byteCount`` bytes.
    package static func recognise(_ bytes: UnsafeRawBufferPointer) -> StreamFormat {
        guard bytes.count >= byteCount else { return .plain }
        if bytes[0] == 0x1f, bytes[1] == 0x8b, bytes[2] == 8, bytes[3] & 0xe0 == 0 { return .gzip }
        let magic = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
        return isZstdMagic(magic) ? .zstd : .plain
    }

    /// Whether a zstd frame or a skippable frame begins with `magic`.
    static func isZstdMagic(_ magic: UInt32) -> Bool {
        magic == 0xfd2f_b528 || magic & 0xffff_fff0 == 0x184d_2a50
    }
}
