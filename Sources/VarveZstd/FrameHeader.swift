// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The header of a zstd frame (RFC 8878, section 3.1.1.1), kept as it is.
struct FrameHeader: Equatable {
    static let magic: UInt32 = 0xfd2f_b528
    /// Longest header, magic number included.
    static let bytesMax = 18
    /// The largest window that is taken apart.
    static let windowMax = 32 << 20

    var bytes: [UInt8] = []
    var windowBytes = 0
    var contentBytes: Int?
    var hasChecksum = false

    /// Whether a skippable frame begins with that number.
    static func isSkippable(_ magic: UInt32) -> Bool { magic & 0xffff_fff0 == 0x184d_2a50 }

    /// Reads a header that begins with the magic number.
    /// - Throws: `format`, `truncated`; `dictionary` and `window` for what is not taken apart.
    init(_ input: [UInt8]) throws(ZstdError) {
        guard input.count >= 6 else { throw .truncated }
        let flags = input[4]
        guard flags & 8 == 0 else { throw .format }
        let isSingle = flags & 32 != 0
        hasChecksum = flags & 4 != 0
        let dictionarySize = [0, 1, 2, 4][Int(flags & 3)]
        let contentCode = Int(flags >> 6)
        let contentSize = contentCode == 0 ? (isSingle ? 1 : 0) : 1 << contentCode
        let windowSize = isSingle ? 0 : 1
        let count = 5 + windowSize + dictionarySize + contentSize
        guard input.count >= count else { throw .truncated }
        var at = 5
        var window: UInt64 = 0
        if !isSingle {
            let base = UInt64(1) << (10 + UInt64(input[at] >> 3))
            window = base + base / 8 * UInt64(input[at] & 7)
            at += 1
        }
        for _ in 0..<dictionarySize {
            guard input[at] == 0 else { throw ZstdError("dictionary") }
            at += 1
        }
        if contentSize > 0 {
            var content: UInt64 = 0
            for index in 0..<contentSize { content |= UInt64(input[at + index]) << UInt64(8 * index) }
            if contentSize == 2 { content += 256 }
            guard content < 1 << 50 else { throw .format }
            contentBytes = Int(content)
            if isSingle { window = content }
        }
        guard window <= UInt64(Self.windowMax) else { throw ZstdError("window") }
        windowBytes = Int(window)
        bytes = Array(input[..<count])
    }
}
