// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A request's target, taken apart: decoded path segments and query items. Nothing here ever becomes a file's path.
struct RequestTarget: Equatable {
    /// The path's parts between slashes, decoded. `/v2/` is `["v2", ""]`.
    var segments: [String]
    /// Query items in order, decoded. A `+` is a plus, not a space: no parameter of this API has spaces, some have plusses.
    var query: [(name: String, value: String)]

    /// Takes apart the origin form (`/path?query`), the absolute form (`http://host/path`), or `*`.
    /// - Returns: nil for anything else, for a bad percent escape, bytes that are not UTF-8, a control character, and a
    ///   slash hidden in an escape.
    init?(_ target: String) {
        var text = Substring(target)
        if !text.hasPrefix("/") {
            if text == "*" {
                segments = ["*"]
                query = []
                return
            }
            let scheme = text.prefix { $0 != ":" }
            guard ["http", "https"].contains(scheme.lowercased()), text.dropFirst(scheme.count).hasPrefix("://") else {
                return nil
            }
            text = text.dropFirst(scheme.count + 3).drop { $0 != "/" && $0 != "?" }
            guard text.hasPrefix("/") else { return nil }
        }
        let bytes = text.utf8
        guard !bytes.contains(UInt8(ascii: "#")) else { return nil }
        let pathEnd = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        segments = []
        for segment in bytes[..<pathEnd].dropFirst().split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        {
            guard let decoded = RequestTarget.decode(segment), !decoded.utf8.contains(UInt8(ascii: "/")) else {
                return nil
            }
            segments.append(decoded)
        }
        query = []
        guard pathEnd != bytes.endIndex else { return }
        for item in bytes[bytes.index(after: pathEnd)...].split(separator: UInt8(ascii: "&")) {
            let equals = item.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
            guard let name = RequestTarget.decode(item[..<equals]),
                let value = RequestTarget.decode(item[equals...].dropFirst())
            else { return nil }
            query.append((name, value))
        }
    }

    /// The first item of that name.
    func value(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// All items of that name.
    func values(_ name: String) -> [String] { query.filter { $0.name == name }.map(\.value) }

    static func == (left: Self, right: Self) -> Bool {
        left.segments == right.segments && left.query.elementsEqual(right.query) { $0 == $1 }
    }

    private static func decode(_ text: Substring.UTF8View) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = iterator.next().flatMap(nibble), let low = iterator.next().flatMap(nibble) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            } else {
                bytes.append(byte)
            }
        }
        guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// `text` with every byte escaped that has a meaning in a query or may not stand there.
    static func escape(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"), UInt8(ascii: ":"):
                bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
