// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Writes the XML that S3 answers.
struct XMLWriter {
    /// The namespace of S3's documents.
    static let namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

    private(set) var bytes = Array("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".utf8)

    /// An element around what `body` writes.
    mutating func element(
        _ name: StaticString, namespace: String, _ body: (inout XMLWriter) throws -> Void
    ) rethrows {
        try element(name, attributes: "xmlns=\"\(namespace)\"", body)
    }

    /// An element with attributes, written as they stand.
    mutating func element(
        _ name: StaticString, attributes: String = "", _ body: (inout XMLWriter) throws -> Void
    ) rethrows {
        tag(name, opens: true, attributes)
        try body(&self)
        tag(name, opens: false, "")
    }

    /// An element around a text.
    mutating func element(_ name: StaticString, _ text: some StringProtocol) {
        element(name) { $0.text(text.utf8) }
    }

    /// An element around a number.
    mutating func element(_ name: StaticString, _ number: some BinaryInteger) { element(name, String(number)) }

    /// An element around a truth value.
    mutating func element(_ name: StaticString, _ value: Bool) { element(name, value ? "true" : "false") }

    /// Text, escaped. Control characters, which XML 1.0 can not hold, become references as S3 writes them: whoever has
    /// such keys asks for `encoding-type=url`.
    mutating func text(_ text: some Sequence<UInt8>) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "&"): bytes += Array("&amp;".utf8)
            case UInt8(ascii: "<"): bytes += Array("&lt;".utf8)
            case UInt8(ascii: ">"): bytes += Array("&gt;".utf8)
            case UInt8(ascii: "\""): bytes += Array("&quot;".utf8)
            case 0..<0x20, 0x7F: bytes += Array("&#x\(String(byte, radix: 16));".utf8)
            default: bytes.append(byte)
            }
        }
    }

    private mutating func tag(_ name: StaticString, opens: Bool, _ attributes: String) {
        bytes += Array((opens ? "<" : "</").utf8)
        name.withUTF8Buffer { bytes += $0 }
        if !attributes.isEmpty { bytes += Array(" \(attributes)".utf8) }
        bytes.append(UInt8(ascii: ">"))
    }
}
