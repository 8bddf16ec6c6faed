// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveModel

// How the plain file-system driver keeps an object: one file, the object's bytes first, so that they can be sent as they
// lie, then what is known of it:
//
//     bytes | body | length of the body u64 | FNV-1a of the body u64 | "VARVOBJ1"
//
// Numbers are little-endian, 8 bytes each; texts have their length before them.

/// What the end of an object's file says.
struct ObjectTrailer: Equatable {
    /// Bytes of the part of the end whose length is fixed.
    static let fixedBytes = 24
    /// Most bytes of the other part that are believed.
    static let bodyMax = 64 << 20
    private static let magic = Array("VARVOBJ1".utf8)

    var info: ObjectInfo
    /// Files that are to go because of this one: what the object replaced, and what was removed in the same step.
    var superseded: [String]

    init(info: ObjectInfo, superseded: [String]) {
        self.info = info
        self.superseded = superseded
    }

    /// The end of the file.
    var encoded: [UInt8] {
        var body: [UInt8] = []
        func number(_ value: UInt64) { withUnsafeBytes(of: value.littleEndian) { body.append(contentsOf: $0) } }
        func text(_ value: some Collection<UInt8>) {
            number(UInt64(value.count))
            body.append(contentsOf: value)
        }
        number(info.size)
        number(info.version)
        number(info.modifiedMilliseconds)
        text(info.key.bytes)
        text(info.attributes.etag.utf8)
        text(info.attributes.contentType.utf8)
        number(UInt64(info.attributes.fields.count))
        for (name, value) in info.attributes.fields.sorted(by: { $0.key < $1.key }) {
            text(name.utf8)
            text(value.utf8)
        }
        number(UInt64(superseded.count))
        for name in superseded { text(name.utf8) }
        let (count, check) = (UInt64(body.count), Self.check(body))
        number(count)
        number(check)
        return body + Self.magic
    }

    /// How long the body is that these last bytes of a file end; nil if they are not the end of an object's file.
    static func bodyLength(_ end: [UInt8]) -> Int? {
        guard end.count == fixedBytes, Array(end.suffix(8)) == magic else { return nil }
        let count = Self.number(end[...])
        return count <= UInt64(bodyMax) ? Int(count) : nil
    }

    /// Reads the whole end of a file; nil if it is damaged.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.fixedBytes,
            Self.bodyLength(Array(bytes.suffix(Self.fixedBytes))) == bytes.count - Self.fixedBytes
        else { return nil }
        let body = Array(bytes.dropLast(Self.fixedBytes))
        guard Self.number(bytes.suffix(16)) == Self.check(body) else { return nil }
        var rest = body[...]
        func number() -> UInt64? {
            guard rest.count >= 8 else { return nil }
            defer { rest = rest.dropFirst(8) }
            return Self.number(rest)
        }
        func text() -> [UInt8]? {
            guard let count = number(), count <= UInt64(rest.count) else { return nil }
            defer { rest = rest.dropFirst(Int(count)) }
            return Array(rest.prefix(Int(count)))
        }
        func string() -> String? { text().map { String(decoding: $0, as: UTF8.self) } }
        guard let size = number(), let version = number(), let modified = number(),
            let key = text().flatMap({ ObjectKey(derived: $0) }), let etag = string(), let type = string(),
            let fieldCount = number()
        else { return nil }
        var attributes = ObjectAttributes(etag: etag, contentType: type)
        for _ in 0..<fieldCount {
            guard let name = string(), let value = string() else { return nil }
            attributes.fields[name] = value
        }
        guard let supersededCount = number() else { return nil }
        superseded = []
        for _ in 0..<supersededCount {
            guard let name = string() else { return nil }
            superseded.append(name)
        }
        info = ObjectInfo(
            key: key, size: size, modifiedMilliseconds: modified, version: version, attributes: attributes)
    }

    private static func number(_ bytes: some Collection<UInt8>) -> UInt64 {
        var value: UInt64 = 0
        for (index, byte) in bytes.prefix(8).enumerated() { value |= UInt64(byte) << UInt64(8 * index) }
        return value
    }

    private static func check(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
