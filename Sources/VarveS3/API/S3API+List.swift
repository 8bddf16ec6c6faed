// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveCodec
import VarveDrivers
import VarveHTTP
import VarveModel

extension S3API {
    /// Most entries in a page.
    static let pageMax = 1000

    /// ListObjects, version 1 and 2: keys in the order of their bytes.
    func listObjects(_ call: Call, _ bucket: BucketName) async throws -> HTTPResponse {
        let target = call.target
        var list = try Listing(target)
        let isSecond = target.value("list-type") == "2"
        guard isSecond || !target.has("list-type") else {
            throw S3Failure(.invalidArgument, "Invalid List Type specified in Request")
        }
        let token = isSecond ? target.value("continuation-token") : nil
        let after = target.value(isSecond ? "start-after" : "marker") ?? ""
        if let token, !token.isEmpty {
            guard let start = ContinuationToken.read(token) else {
                throw S3Failure(.invalidArgument, "The continuation token provided is incorrect")
            }
            list.request.start = start
        } else if !after.isEmpty {
            list.request.start = list.start(after: Array(after.utf8))
        }
        let page = try await driver.list(bucket, in: .objects, list.request)

        return Self.xml("ListBucketResult") { xml in
            xml.element("Name", bucket.description)
            // Clients of the first version do not decode the prefix that they sent.
            xml.element("Prefix", isSecond ? list.text(list.request.prefix) : list.plain(list.request.prefix))
            if isSecond {
                xml.element("KeyCount", page.objects.count + page.commonPrefixes.count)
                if let token { xml.element("ContinuationToken", token) }
                if !after.isEmpty { xml.element("StartAfter", list.text(Array(after.utf8))) }
                if let next = page.next { xml.element("NextContinuationToken", ContinuationToken.text(next)) }
            } else {
                xml.element("Marker", list.text(Array(after.utf8)))
                if let next = page.next, !list.request.delimiter.isEmpty {
                    xml.element("NextMarker", list.text(next.bytes))
                }
            }
            list.common(&xml, page, isTruncated: page.next != nil)
            for object in page.objects {
                xml.element("Contents") { xml in
                    list.object(object, &xml)
                    if !isSecond || target.value("fetch-owner") == "true" { Self.owner("Owner", &xml) }
                }
            }
            list.prefixes(&xml, page)
        }
    }

    /// ListObjectVersions: every object has one version, `null`.
    func listVersions(_ call: Call, _ bucket: BucketName) async throws -> HTTPResponse {
        var list = try Listing(call.target)
        let after = call.target.value("key-marker") ?? ""
        if !after.isEmpty { list.request.start = list.start(after: Array(after.utf8)) }
        let page = try await driver.list(bucket, in: .objects, list.request)
        return Self.xml("ListVersionsResult") { xml in
            xml.element("Name", bucket.description)
            xml.element("Prefix", list.text(list.request.prefix))
            xml.element("KeyMarker", list.text(Array(after.utf8)))
            xml.element("VersionIdMarker", call.target.value("version-id-marker") ?? "")
            if let next = page.next {
                xml.element("NextKeyMarker", list.text(next.bytes))
                xml.element("NextVersionIdMarker", "null")
            }
            list.common(&xml, page, isTruncated: page.next != nil)
            for object in page.objects {
                xml.element("Version") { xml in
                    xml.element("VersionId", "null")
                    xml.element("IsLatest", true)
                    list.object(object, &xml)
                    Self.owner("Owner", &xml)
                }
            }
            list.prefixes(&xml, page)
        }
    }
}

/// The parameters that all listings share, and the XML.
struct Listing {
    var request: ListRequest
    /// Whether keys are escaped in the answer: XML can not hold all of them.
    var isEncoded: Bool

    init(_ target: S3Target, limitName: String = "max-keys") throws(S3Failure) {
        switch target.value("encoding-type") {
        case nil: isEncoded = false
        case "url": isEncoded = true
        default: throw S3Failure(.invalidArgument, "Invalid Encoding Method specified in Request")
        }
        var limit = S3API.pageMax
        if let text = target.value(limitName), !text.isEmpty {
            guard let number = UInt64(digits: text), number <= UInt64(Int32.max) else {
                throw S3Failure(.invalidArgument, "Provided \(limitName) not an integer or within integer range")
            }
            limit = Int(min(number, UInt64(S3API.pageMax)))
        }
        request = ListRequest(
            prefix: Array((target.value("prefix") ?? "").utf8),
            delimiter: Array((target.value("delimiter") ?? "").utf8), limit: limit)
    }

    /// Where a page begins that goes on behind a key, or behind a common prefix that ended the page before.
    func start(after marker: [UInt8]) -> ListRequest.Start {
        let delimiter = request.delimiter
        guard !delimiter.isEmpty, marker.starts(with: request.prefix),
            let place = marker.dropFirst(request.prefix.count).firstRange(of: delimiter),
            place.upperBound == marker.endIndex
        else { return .after(marker) }
        return .afterPrefix(marker)
    }

    func text(_ bytes: [UInt8]) -> String {
        isEncoded ? PercentCoding.encode(bytes, keepsSlash: true) : String(decoding: bytes, as: UTF8.self)
    }

    /// Not escaped, unless XML can not hold it.
    func plain(_ bytes: [UInt8]) -> String {
        let isPlain = bytes.allSatisfy { $0 >= 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        return isPlain ? String(decoding: bytes, as: UTF8.self) : text(bytes)
    }

    func common(_ xml: inout XMLWriter, _ page: ObjectPage, isTruncated: Bool) {
        xml.element("MaxKeys", request.limit)
        if !request.delimiter.isEmpty { xml.element("Delimiter", text(request.delimiter)) }
        if isEncoded { xml.element("EncodingType", "url") }
        xml.element("IsTruncated", isTruncated)
    }

    func object(_ info: ObjectInfo, _ xml: inout XMLWriter) {
        xml.element("Key", text(info.key.bytes))
        xml.element("LastModified", S3Date.iso8601(milliseconds: info.modifiedMilliseconds))
        xml.element("ETag", ObjectHeaders.quoted(info.attributes.etag))
        if let (algorithm, _) = ObjectHeaders.checksum(info.attributes) {
            xml.element("ChecksumAlgorithm", algorithm.rawValue)
        }
        xml.element("Size", info.size)
        xml.element("StorageClass", ObjectHeaders.storageClass(info))
    }

    func prefixes(_ xml: inout XMLWriter, _ page: ObjectPage) {
        for prefix in page.commonPrefixes {
            xml.element("CommonPrefixes") { $0.element("Prefix", text(prefix)) }
        }
    }
}

extension ListRequest.Start {
    /// The key or prefix it is behind.
    var bytes: [UInt8] {
        switch self {
        case .beginning: []
        case .after(let bytes), .afterPrefix(let bytes): bytes
        }
    }
}

/// Where a page goes on, as a word for clients: what kind of place, its bytes, and a checksum, so that a word that is
/// not ours is refused.
enum ContinuationToken {
    static func text(_ start: ListRequest.Start) -> String {
        let kind: UInt8 =
            switch start {
            case .beginning: 0
            case .after: 1
            case .afterPrefix: 2
            }
        let body = [kind] + start.bytes
        let crc = body.withUnsafeBytes { crc32c($0) }
        return Base64.encode(withUnsafeBytes(of: crc.bigEndian) { Array($0) } + body)
    }

    static func read(_ text: String) -> ListRequest.Start? {
        guard text.utf8.count <= 4096, let bytes = Base64.decode(text), bytes.count >= 5 else { return nil }
        let body = Array(bytes.dropFirst(4))
        let crc = body.withUnsafeBytes { crc32c($0) }
        guard bytes.prefix(4).elementsEqual(withUnsafeBytes(of: crc.bigEndian) { Array($0) }) else { return nil }
        let key = Array(body.dropFirst())
        switch body[0] {
        case 1: return .after(key)
        case 2: return .afterPrefix(key)
        default: return nil
        }
    }
}
