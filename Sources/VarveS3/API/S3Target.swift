// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveDrivers

/// What a request is about: a bucket and a key, by path (`/bucket/key`) or by host name (`bucket.domain`), and the query.
///
/// Keys are bytes: nothing is joined, folded or normalised. `a//b`, `./a` and `a/../b` are keys like others.
struct S3Target {
    /// The bucket, as the client wrote it; nil for the service itself.
    var bucket: String?
    /// The key, decoded; empty for the bucket itself.
    var key: [UInt8]
    /// The path, decoded: what is signed.
    var path: [UInt8]
    /// The query's items in order, decoded; a `+` is a space.
    var query: [(name: String, value: String)]

    /// Takes a request apart; nil if its target is malformed or not UTF-8.
    /// - Parameter domain: Hosts below it name buckets; nil = none do.
    init?(_ target: String, host: String?, domain: String?) {
        var text = Substring(target)
        if !text.hasPrefix("/") {
            let scheme = text.prefix { $0 != ":" }
            guard ["http", "https"].contains(scheme.lowercased()), text.dropFirst(scheme.count).hasPrefix("://") else {
                return nil
            }
            text = text.dropFirst(scheme.count + 3).drop { $0 != "/" && $0 != "?" }
        }
        let bytes = text.utf8
        guard !bytes.contains(UInt8(ascii: "#")) else { return nil }
        let pathEnd = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        guard let path = PercentCoding.decode(bytes[..<pathEnd]),
            String(validating: path, as: UTF8.self) != nil
        else { return nil }
        self.path = path.isEmpty ? [UInt8(ascii: "/")] : path

        query = []
        if pathEnd != bytes.endIndex {
            for item in bytes[bytes.index(after: pathEnd)...].split(separator: UInt8(ascii: "&")) {
                let equals = item.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
                guard let name = PercentCoding.text(item[..<equals], plusIsSpace: true),
                    let value = PercentCoding.text(item[equals...].dropFirst(), plusIsSpace: true)
                else { return nil }
                query.append((name, value))
            }
        }

        if let bucket = S3Target.bucket(inHost: host, domain: domain) {
            self.bucket = bucket
            key = Array(path.dropFirst())
        } else {
            let rest = path.dropFirst()
            let slash = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            let name = String(decoding: rest[..<slash], as: UTF8.self)
            bucket = name.isEmpty ? nil : name
            key = Array(rest[slash...].dropFirst())
        }
    }

    private static func bucket(inHost host: String?, domain: String?) -> String? {
        guard let host, let domain else { return nil }
        var name = host.lowercased()
        if let colon = name.lastIndex(of: ":"), !name.hasSuffix("]") { name = String(name[..<colon]) }
        let suffix = "." + domain.lowercased()
        guard name.hasSuffix(suffix), name.utf8.count > suffix.utf8.count else { return nil }
        return String(name.dropLast(suffix.count))
    }

    /// Whether the query has an item of that name.
    func has(_ name: String) -> Bool { query.contains { $0.name == name } }

    /// The first item of that name.
    func value(_ name: String) -> String? { query.first { $0.name == name }?.value }
}

/// Percent escapes (RFC 3986, section 2.1).
enum PercentCoding {
    /// The bytes; nil for an escape that is none.
    static func decode(_ text: some Sequence<UInt8>, plusIsSpace: Bool = false) -> [UInt8]? {
        var bytes: [UInt8] = []
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = iterator.next(), let low = iterator.next(),
                    let value = Hashing.bytes(hex: String(decoding: [high, low], as: UTF8.self))?.first
                else { return nil }
                bytes.append(value)
            } else {
                bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return bytes
    }

    /// The text; nil for a wrong escape and for bytes that are not UTF-8.
    static func text(_ text: some Sequence<UInt8>, plusIsSpace: Bool = false) -> String? {
        decode(text, plusIsSpace: plusIsSpace).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Escapes every byte that is not unreserved, in capitals, as signatures want it; slashes only if asked for.
    static func encode(_ bytes: some Sequence<UInt8>, keepsSlash: Bool) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.append(byte)
            case UInt8(ascii: "/") where keepsSlash: text.append(byte)
            default: text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
