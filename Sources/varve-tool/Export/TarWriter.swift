// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The bytes of a tar archive around its members' contents: POSIX ustar headers, with a pax record where a name or a size
/// does not fit. Owner, time and mode are always the same, so that the same members give the same archive.
struct TarWriter {
    /// What ends an archive.
    static let end = [UInt8](repeating: 0, count: 1024)

    /// The header of a regular file named `path` (ASCII) with `size` bytes of content.
    static func header(path: String, size: UInt64) -> [UInt8] {
        let fitsName = path.utf8.count <= 100
        let fitsSize = size < 1 << 33
        if fitsName && fitsSize { return block(name: path, size: size, type: UInt8(ascii: "0")) }
        var records: [UInt8] = []
        if !fitsName { records += record("path", path) }
        if !fitsSize { records += record("size", String(size)) }
        let short = String(path.utf8.suffix(100).map { Character(Unicode.Scalar($0)) })
        return block(name: "pax", size: UInt64(records.count), type: UInt8(ascii: "x")) + records
            + padding(after: UInt64(records.count))
            + block(name: short, size: fitsSize ? size : 0, type: UInt8(ascii: "0"))
    }

    /// What follows `size` bytes of content.
    static func padding(after size: UInt64) -> [UInt8] {
        [UInt8](repeating: 0, count: Int((512 - size % 512) % 512))
    }

    private static func block(name: String, size: UInt64, type: UInt8) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            block.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
        }
        func octal(_ value: UInt64, digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        put(name, at: 0)
        put("0000644", at: 100)
        put("0000000", at: 108)
        put("0000000", at: 116)
        put(octal(size, digits: 11), at: 124)
        put("00000000000", at: 136)
        put("        ", at: 148)
        block[156] = type
        put("ustar", at: 257)
        put("00", at: 263)
        let sum = block.reduce(UInt64(0)) { $0 + UInt64($1) }
        put(octal(sum, digits: 6), at: 148)
        block[154] = 0
        return block
    }

    /// `LENGTH KEY=VALUE\n`, where the length counts itself.
    private static func record(_ key: String, _ value: String) -> [UInt8] {
        let rest = key.utf8.count + value.utf8.count + 3
        var length = rest + String(rest).utf8.count
        length = rest + String(length).utf8.count
        return Array("\(length) \(key)=\(value)\n".utf8)
    }
}
