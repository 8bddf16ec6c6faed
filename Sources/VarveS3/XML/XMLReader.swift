// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Reads the XML that S3 clients send: elements, texts, the five named entities and character references.
///
/// Foundation's parser would bring libxml2 along, with document types, entities and files; none of that has a place in a
/// request. Here a document type is an error, nothing refers to anything outside, and depth, elements and text are
/// bounded. Attributes are read past, prefixes are dropped from names.
struct XMLElement: Equatable {
    /// Without its prefix.
    var name: String
    /// Text directly within, in order, joined.
    var text = ""
    var children: [XMLElement] = []

    /// The first child of that name.
    func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    /// All children of that name.
    func children(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }
}

/// Why a document was refused.
struct XMLFault: Error, Equatable {}

struct XMLReader {
    /// Deepest nesting.
    static let depthMax = 8
    /// Most elements: 10,000 parts with a number, a tag and a checksum each.
    static let elementsMax = 60_000
    /// Most bytes of text in all elements: 1,000 keys of 1,024 bytes twice. Escapes make a document longer than that, never
    /// its text.
    static let textBytesMax = 2 << 20

    private let bytes: [UInt8]
    private var position = 0
    private var elements = 0
    private var textBytes = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The root element.
    /// - Throws: ``XMLFault`` if the bytes are no document of this kind.
    static func read(_ bytes: [UInt8]) throws(XMLFault) -> XMLElement {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw XMLFault() }
        var reader = XMLReader(bytes)
        if reader.skip([0xEF, 0xBB, 0xBF]) {}
        try reader.skipMisc(isProlog: true)
        guard let root = try reader.element(depth: 1) else { throw XMLFault() }
        try reader.skipMisc(isProlog: false)
        guard reader.position == bytes.count else { throw XMLFault() }
        return root
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skip(_ text: some Collection<UInt8>) -> Bool {
        guard bytes.count - position >= text.count, bytes[position..<position + text.count].elementsEqual(text) else {
            return false
        }
        position += text.count
        return true
    }

    private mutating func skip(_ text: StaticString) -> Bool { text.withUTF8Buffer { skip($0) } }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { position += 1 }
    }

    private mutating func skipBehind(_ end: [UInt8]) throws(XMLFault) {
        while position + end.count <= bytes.count {
            if skip(end) { return }
            position += 1
        }
        throw XMLFault()
    }

    /// White space, comments and processing instructions.
    private mutating func skipMisc(isProlog: Bool) throws(XMLFault) {
        while true {
            skipSpace()
            if skip("<!--") {
                try skipBehind(Array("-->".utf8))
            } else if skip("<?") {
                try skipBehind(Array("?>".utf8))
            } else {
                return
            }
        }
    }

    private mutating func name() throws(XMLFault) -> String {
        let start = position
        while let byte = current,
            byte >= 0x80 || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
                || (byte >= 0x2D && byte <= 0x3A && byte != 0x2F)
                || byte == UInt8(ascii: "_")
        { position += 1 }
        guard position > start, position - start <= 256 else { throw XMLFault() }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        return text.split(separator: ":", omittingEmptySubsequences: false).last.map(String.init) ?? text
    }

    /// The element that begins here; nil if none does.
    private mutating func element(depth: Int) throws(XMLFault) -> XMLElement? {
        guard current == UInt8(ascii: "<"), position + 1 < bytes.count, bytes[position + 1] != UInt8(ascii: "/"),
            bytes[position + 1] != UInt8(ascii: "!"), bytes[position + 1] != UInt8(ascii: "?")
        else { return nil }
        elements += 1
        guard depth <= Self.depthMax, elements <= Self.elementsMax else { throw XMLFault() }
        position += 1
        let start = position
        var element = XMLElement(name: try name())
        let qualified = Array(bytes[start..<position])
        while true {
            let before = position
            skipSpace()
            if skip("/>") { return element }
            if skip(">") { break }
            guard position > before else { throw XMLFault() }
            try skipAttribute()
        }
        var text: [UInt8] = []
        while let byte = current {
            if byte == UInt8(ascii: "&") {
                text.append(contentsOf: try reference())
            } else if byte != UInt8(ascii: "<") {
                let end = bytes[position...].firstIndex { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: "&") }
                text += bytes[position..<(end ?? bytes.endIndex)]
                position = end ?? bytes.endIndex
            } else if skip("</") {
                guard skip(qualified) else { throw XMLFault() }
                skipSpace()
                textBytes += text.count
                guard skip(">"), textBytes <= Self.textBytesMax else { throw XMLFault() }
                element.text = String(decoding: text, as: UTF8.self)
                return element
            } else if skip("<!--") {
                try skipBehind(Array("-->".utf8))
            } else if skip("<![CDATA[") {
                let start = position
                try skipBehind(Array("]]>".utf8))
                text += bytes[start..<position - 3]
            } else if skip("<?") {
                try skipBehind(Array("?>".utf8))
            } else if let child = try self.element(depth: depth + 1) {
                element.children.append(child)
            } else {
                throw XMLFault()
            }
        }
        throw XMLFault()
    }

    private mutating func skipAttribute() throws(XMLFault) {
        _ = try name()
        skipSpace()
        guard skip("=") else { throw XMLFault() }
        skipSpace()
        guard let quote = current, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { throw XMLFault() }
        position += 1
        while let byte = current, byte != quote {
            guard byte != UInt8(ascii: "<") else { throw XMLFault() }
            position += 1
        }
        guard current == quote else { throw XMLFault() }
        position += 1
    }

    private static let named: [(name: [UInt8], scalar: Unicode.Scalar)] = [
        (Array("amp;".utf8), "&"), (Array("lt;".utf8), "<"), (Array("gt;".utf8), ">"), (Array("quot;".utf8), "\""),
        (Array("apos;".utf8), "'"),
    ]

    /// `&amp;` and the like, `&#10;`, `&#xA;`.
    private mutating func reference() throws(XMLFault) -> String.UTF8View {
        position += 1
        for (name, scalar) in Self.named where skip(name) { return String(scalar).utf8 }
        guard let end = bytes[position..<min(bytes.count, position + 12)].firstIndex(of: UInt8(ascii: ";")) else {
            throw XMLFault()
        }
        let text = String(decoding: bytes[position..<end], as: UTF8.self)
        position = end + 1
        let number =
            text.hasPrefix("#x")
            ? UInt32(text.dropFirst(2), radix: 16)
            : text.hasPrefix("#") ? UInt32(text.dropFirst(1), radix: 10) : nil
        guard let number, number != 0, let scalar = Unicode.Scalar(number) else { throw XMLFault() }
        return String(scalar).utf8
    }
}
