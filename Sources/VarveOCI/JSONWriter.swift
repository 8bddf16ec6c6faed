// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Writes small JSON texts with keys in the order in which they are given, so that the same values are the same bytes.
package struct JSONWriter {
    /// The text so far.
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// An empty text.
    package init() {}

    /// An object; `members` writes them with ``key(_:)`` and a value.
    package mutating func object(_ members: (inout JSONWriter) -> Void) { nest("{", "}", members) }

    /// An array; `elements` writes values.
    package mutating func array(_ elements: (inout JSONWriter) -> Void) { nest("[", "]", elements) }

    /// A key; its value must follow.
    package mutating func key(_ name: String) {
        separate()
        quote(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// A string.
    package mutating func value(_ text: String) {
        separate()
        quote(text)
    }

    /// An integer.
    package mutating func value(_ number: some BinaryInteger) {
        separate()
        bytes.append(contentsOf: String(number).utf8)
    }

    /// A number; not finite is `null`.
    package mutating func value(_ number: Double) {
        separate()
        bytes.append(contentsOf: number.isFinite ? Array(String(number).utf8) : Array("null".utf8))
    }

    /// `true` or `false`.
    package mutating func value(_ truth: Bool) {
        separate()
        bytes.append(contentsOf: truth ? Array("true".utf8) : Array("false".utf8))
    }

    /// A value that is JSON already.
    package mutating func raw(_ json: [UInt8]) {
        separate()
        bytes.append(contentsOf: json)
    }

    private mutating func nest(_ first: Unicode.Scalar, _ last: Unicode.Scalar, _ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: first))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: last))
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func quote(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
            case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                bytes.append(contentsOf: (byte < 0x10 ? "\\u000" : "\\u00").utf8)
                bytes.append(contentsOf: String(byte, radix: 16).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
