// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The checksums of the parts that an object was made of, of the object's own algorithm, in the order of the parts.
///
/// Kept as text in the object's attributes, Base64 of the values one after another. Every listing reads an object's
/// attributes: one whose parts would need a long text keeps none of it, and is known by the checksum of the whole alone.
struct PartChecksums: Equatable {
    /// Most bytes of the text: 1,536 parts by CRC32, 192 by SHA-256.
    static let textBytesMax = 8192

    private var bytes: [UInt8]
    private let byteCount: Int

    /// - Parameter values: One for each part, all of the algorithm's length.
    init(_ values: [[UInt8]], _ algorithm: ChecksumAlgorithm) {
        bytes = values.flatMap(\.self)
        byteCount = algorithm.byteCount
    }

    /// Reads the text; nil if it is none, or not that of `count` parts.
    init?(_ text: String, _ algorithm: ChecksumAlgorithm, count: Int) {
        guard text.utf8.count <= Self.textBytesMax, let bytes = Base64.decode(text) else { return nil }
        guard count > 0, bytes.count == count * algorithm.byteCount else { return nil }
        self.bytes = bytes
        byteCount = algorithm.byteCount
    }

    /// What is kept; nil if it would be too long.
    var text: String? {
        let text = Base64.encode(bytes)
        return !bytes.isEmpty && text.utf8.count <= Self.textBytesMax ? text : nil
    }

    /// The checksum of a part, counted from 1, as clients see it; nil if there is no such part.
    func value(of part: Int) -> String? {
        guard part >= 1, part <= bytes.count / byteCount else { return nil }
        return Base64.encode(Array(bytes[(part - 1) * byteCount..<part * byteCount]))
    }
}
