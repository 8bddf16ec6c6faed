// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Why some bytes are not the JSON that was expected.
package struct JSONFault: Error, Sendable, CustomStringConvertible {
    /// What is wrong, in a few words.
    package var message: String
    /// Offset of the byte at which it shows.
    package var offset: Int
    /// Both.
    package var description: String { "\(message) at byte \(offset)" }
}

/// A strict reader of one JSON text (RFC 8259) that walks and never builds.
///
/// Manifests decide what a registry keeps, and two readers of one text must not see two manifests. So this reader
/// refuses what others settle silently: a key twice in one object, invalid UTF-8, lone surrogates, bytes behind the
/// text. And since the text comes from anyone, it makes no tree (two million numbers in 4 MiB would be one of 80 MB),
/// knows a depth and a member count beyond which it does not go, and keeps nothing but the keys of the open objects.
package struct JSONReader {
    /// What a text may be at most.
    package struct Limits: Sendable {
        /// Open arrays and objects.
        package var depth = 32
        /// Members of all objects together.
        package var members = 100_000
        /// The defaults.
        package init() {}
    }

    /// What a value begins with.
    package enum Kind: Sendable { case object, array, string, number, bool, null }

    private let bytes: [UInt8]
    private let limits: Limits
    private var depth = 0
    private var members = 0
    /// Offset of the next byte.
    package private(set) var offset = 0

    /// A reader of `bytes`.
    /// - Throws: ``JSONFault`` if they are not UTF-8.
    package init(_ bytes: [UInt8], limits: Limits = Limits()) throws(JSONFault) {
        do { _ = try UTF8Span(validating: bytes.span) } catch {
            throw JSONFault(message: "invalid UTF-8", offset: 0)
        }
        self.bytes = bytes
        self.limits = limits
    }

    /// Checks that nothing but white space follows.
    package mutating func finish() throws(JSONFault) {
        skipSpace()
        if offset < bytes.count { throw fault("bytes behind the end of the text") }
    }

    /// The kind of the next value; nothing is consumed but white space.
    package mutating func kind() throws(JSONFault) -> Kind {
        skipSpace()
        guard let byte = peek else { throw fault("unexpected end") }
        switch byte {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: throw fault("unexpected byte")
        }
    }

    /// Reads an object: `member` is called with each key and must read its value.
    package mutating func object(
        _ member: (inout JSONReader, String) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        try open("{")
        var keys: Set<String> = []
        skipSpace()
        if take("}") { return close() }
        while true {
            skipSpace()
            let keyOffset = offset
            let key = try string()
            members += 1
            guard members <= limits.members else { throw fault("too many members") }
            guard keys.insert(key).inserted else {
                throw JSONFault(message: "key twice in an object", offset: keyOffset)
            }
            skipSpace()
            guard take(":") else { throw fault("expected a colon") }
            try member(&self, key)
            skipSpace()
            if take(",") { continue }
            guard take("}") else { throw fault("expected a comma or the end of the object") }
            return close()
        }
    }

    /// Reads an array: `element` is called for each element and must read it.
    package mutating func array(_ element: (inout JSONReader) throws(JSONFault) -> Void) throws(JSONFault) {
        try open("[")
        skipSpace()
        if take("]") { return close() }
        while true {
            try element(&self)
            skipSpace()
            if take(",") { continue }
            guard take("]") else { throw fault("expected a comma or the end of the array") }
            return close()
        }
    }

    /// Reads a string.
    package mutating func string() throws(JSONFault) -> String {
        skipSpace()
        guard take("\"") else { throw fault("expected a string") }
        let start = offset
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { offset += 1 }
        var text = Array(bytes[start..<offset])
        while true {
            guard let byte = peek else { throw fault("unexpected end in a string") }
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                offset += 1
                try text.append(contentsOf: String(escaped()).utf8)
            case 0..<0x20:
                throw fault("control character in a string")
            default:
                text.append(byte)
                offset += 1
            }
        }
    }

    /// Reads a number that is an integer, written without fraction or exponent, and fits.
    package mutating func integer() throws(JSONFault) -> Int64 {
        skipSpace()
        let start = offset
        try number()
        guard let value = Int64(String(decoding: bytes[start..<offset], as: UTF8.self)) else {
            throw JSONFault(message: "expected an integer", offset: start)
        }
        return value
    }

    /// Reads `null` if it is next.
    package mutating func null() throws(JSONFault) -> Bool {
        guard try kind() == .null else { return false }
        try literal("null")
        return true
    }

    /// Reads any value, checking it all the same.
    package mutating func skip() throws(JSONFault) {
        switch try kind() {
        case .object: try object { (reader, _) throws(JSONFault) in try reader.skip() }
        case .array: try array { (reader) throws(JSONFault) in try reader.skip() }
        case .string: _ = try string()
        case .number: try number()
        case .bool: try literal(peek == UInt8(ascii: "t") ? "true" : "false")
        case .null: try literal("null")
        }
    }

    /// Reads a value with `read` and returns its bytes as they are written, without white space around them.
    package mutating func raw(_ read: (inout JSONReader) throws(JSONFault) -> Void) throws(JSONFault) -> [UInt8] {
        skipSpace()
        let start = offset
        try read(&self)
        return Array(bytes[start..<offset])
    }

    /// A fault at the present offset.
    package func fault(_ message: String) -> JSONFault { JSONFault(message: message, offset: offset) }

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            default: return
            }
        }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: scalar) else { return false }
        offset += 1
        return true
    }

    private mutating func open(_ scalar: Unicode.Scalar) throws(JSONFault) {
        skipSpace()
        guard depth < limits.depth else { throw fault("nested too deeply") }
        guard take(scalar) else { throw fault(scalar == "{" ? "expected an object" : "expected an array") }
        depth += 1
    }

    private mutating func close() { depth -= 1 }

    private mutating func literal(_ word: String) throws(JSONFault) {
        skipSpace()
        guard bytes[offset...].starts(with: word.utf8) else { throw fault("unexpected byte") }
        offset += word.utf8.count
    }

    private mutating func number() throws(JSONFault) {
        skipSpace()
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
    }

    private mutating func digits() throws(JSONFault) {
        let start = offset
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { offset += 1 }
        if offset == start { throw fault("expected a digit") }
    }

    private mutating func escaped() throws(JSONFault) -> Unicode.Scalar {
        guard let byte = peek else { throw fault("unexpected end in a string") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let unit = try hexadecimal()
            if let scalar = Unicode.Scalar(unit) { return scalar }
            guard (0xD800..<0xDC00).contains(unit), take("\\"), take("u") else { throw fault("lone surrogate") }
            let low = try hexadecimal()
            guard (0xDC00..<0xE000).contains(low),
                let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
            else { throw fault("lone surrogate") }
            return scalar
        default: throw fault("unknown escape")
        }
    }

    private mutating func hexadecimal() throws(JSONFault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw fault("expected four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}
