// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveModel

/// Where the members of a tar archive lie, by name: what `docker save` and OCI archives need. Contents are not read.
///
/// Understands ustar, pax paths, sizes and link targets, and GNU long names. Bytes that are no header end the archive:
/// what a document names and is not found is an error of whoever looks for it.
struct TarIndex: Sendable {
    private enum Member: Sendable {
        case file(offset: UInt64, size: UInt64)
        case link(String)
    }

    private static let membersMax = 1 << 20
    private static let recordBytesMax: UInt64 = 1 << 20

    private let file: SourceFile
    private var members: [String: Member] = [:]

    /// Whether 512 bytes are a tar header: the sum over them fits.
    static func isHeader(_ block: some Collection<UInt8>) -> Bool {
        guard block.count == 512 else { return false }
        let bytes = Array(block)
        guard let stored = octal(bytes[148..<156]), stored > 0 else { return false }
        // The sum is over the header with spaces in the place of the sum. A block of zeros has no sum and is none.
        let all = bytes.reduce(UInt64(0)) { $0 &+ UInt64($1) }
        let sum = bytes[148..<156].reduce(all) { $0 &- UInt64($1) } &+ 8 * 0x20
        return sum == stored
    }

    /// Walks the headers of an archive; nil if the file does not begin with one.
    /// - Throws: ``ToolError`` if the file can not be read or has more members than anybody needs.
    init?(_ file: SourceFile) throws(ToolError) {
        self.file = file
        var offset: UInt64 = 0
        var longName: String?
        var longLink: String?
        var pax: [String: String] = [:]
        while file.size >= 512, offset <= file.size - 512 {
            let block = try ByteSource(file: file, offset: offset, size: 512).prefix(512)
            guard Self.isHeader(block), let headerSize = Self.size(block[124..<136]) else { break }
            let isRecord = "LKxg".utf8.contains(block[156])
            let size = (isRecord ? nil : pax["size"].flatMap { UInt64($0) }) ?? headerSize
            let start = offset + 512
            // A link has no content, whatever its size field says.
            let isLink = block[156] == UInt8(ascii: "1") || block[156] == UInt8(ascii: "2")
            let content = isLink ? 0 : size
            guard content <= file.size - start else { break }
            let (end, overflow) = (start + content).addingReportingOverflow((512 - content % 512) % 512)
            guard !overflow else { break }
            offset = end
            if isRecord {
                guard content <= Self.recordBytesMax else { break }
                let record = try ByteSource(file: file, offset: start, size: content).prefix(Int(content))
                switch block[156] {
                case UInt8(ascii: "L"): longName = Self.text(record[...])
                case UInt8(ascii: "K"): longLink = Self.text(record[...])
                case UInt8(ascii: "x"): pax = Self.records(record)
                default: break
                }
                continue
            }
            let name = pax["path"] ?? longName ?? Self.name(block)
            let target = pax["linkpath"] ?? longLink ?? Self.text(block[157..<257])
            (longName, longLink, pax) = (nil, nil, [:])
            guard let path = Self.normalized(name) else { continue }
            guard members.count < Self.membersMax else {
                throw ToolError(.failed, "\(file.path) has more than \(Self.membersMax) members")
            }
            switch block[156] {
            case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): members[path] = .file(offset: start, size: size)
            case UInt8(ascii: "1"): members[path] = Self.normalized(target).map(Member.link)
            case UInt8(ascii: "2"):
                let folder = path.split(separator: "/").dropLast().joined(separator: "/")
                members[path] = Self.normalized(folder + "/" + target).map(Member.link)
            default: break
            }
        }
        if offset == 0 { return nil }
    }

    /// The content of the member `path`, links followed; nil if there is none.
    func source(at path: String) -> ByteSource? {
        var path = path
        for _ in 0..<8 {
            switch members[path] {
            case .file(let offset, let size): return ByteSource(file: file, offset: offset, size: size)
            case .link(let target): path = target
            case nil: return nil
            }
        }
        return nil
    }

    /// A path without `.`, `..` and empty parts; nil if it leaves the archive or names nothing.
    static func normalized(_ path: String) -> String? {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." {
                guard parts.popLast() != nil else { return nil }
            } else {
                parts.append(part)
            }
        }
        return parts.isEmpty ? nil : parts.joined(separator: "/")
    }

    private static func name(_ block: [UInt8]) -> String {
        let name = text(block[0..<100])
        // GNU's own format keeps times where ustar has the prefix.
        guard block[257..<263].elementsEqual(Array("ustar\0".utf8)) else { return name }
        let prefix = text(block[345..<500])
        return prefix.isEmpty ? name : prefix + "/" + name
    }

    private static func text(_ field: ArraySlice<UInt8>) -> String {
        String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
    }

    private static func octal(_ field: ArraySlice<UInt8>) -> UInt64? {
        let digits = field.drop { $0 == 0x20 }.prefix { (0x30...0x37).contains($0) }
        let rest = field[digits.endIndex...]
        guard rest.allSatisfy({ $0 == 0 || $0 == 0x20 }) else { return nil }
        return digits.isEmpty ? 0 : UInt64(String(decoding: digits, as: UTF8.self), radix: 8)
    }

    /// Octal, or base-256 where the first bit is set.
    private static func size(_ field: ArraySlice<UInt8>) -> UInt64? {
        guard let first = field.first, first & 0x80 != 0 else { return octal(field) }
        guard first == 0x80, field.dropFirst().prefix(3).allSatisfy({ $0 == 0 }) else { return nil }
        return field.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }

    /// pax records: `LENGTH KEY=VALUE\n`, one behind the other; what is malformed ends them.
    private static func records(_ bytes: [UInt8]) -> [String: String] {
        var records: [String: String] = [:]
        var rest = bytes[...]
        while let space = rest.firstIndex(of: 0x20),
            let length = Int(String(decoding: rest[..<space], as: UTF8.self)), length > 0, length <= rest.count,
            space + 1 < rest.startIndex + length
        {
            let body = rest[(space + 1)..<(rest.startIndex + length - 1)]
            if let equals = body.firstIndex(of: UInt8(ascii: "=")) {
                let key = String(decoding: body[..<equals], as: UTF8.self)
                records[key] = String(decoding: body[(equals + 1)...], as: UTF8.self)
            }
            rest = rest[(rest.startIndex + length)...]
        }
        return records
    }
}
