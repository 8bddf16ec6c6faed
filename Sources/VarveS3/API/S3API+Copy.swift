// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveDrivers
import VarveHTTP
import VarveModel

extension S3API {
    /// CopyObject: the new object refers to the bytes of the old one.
    func copyObject(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        let headers = call.head.headers
        let condition = try Conditions(headers).write()
        var replaced: ObjectAttributes?
        switch call.header("x-amz-metadata-directive")?.uppercased() {
        case nil, "COPY": break
        case "REPLACE": replaced = try ObjectHeaders.attributes(headers)
        default: throw S3Failure(.invalidArgument, "Unknown metadata directive.")
        }
        let address = try source(call)
        if address == object, replaced == nil, call.header("x-amz-storage-class") == nil {
            throw S3Failure(
                .invalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                    + "object's metadata, storage class, website redirect location or encryption attributes.")
        }
        let info = try await copy(call, address) { (source: ObjectInfo) in
            var attributes = source.attributes
            if let replaced {
                attributes.contentType = replaced.contentType
                // What tells of the bytes stays.
                let kept = attributes.fields.filter {
                    $0.key.hasPrefix("x-amz-checksum-")
                        || [ObjectHeaders.parts, ObjectHeaders.partChecksums].contains($0.key)
                }
                attributes.fields = replaced.fields.merging(kept) { new, _ in new }
            } else if let storage = call.header("x-amz-storage-class") {
                attributes.fields["x-amz-storage-class"] = storage == "STANDARD" ? nil : storage
            }
            attributes.fields[ObjectHeaders.upload] = nil
            return try await driver.compose(
                [ObjectPiece(address, version: source.version)], to: object, attributes: attributes,
                condition: WriteCondition(condition), removing: [])
        }
        return Self.xml("CopyObjectResult") { xml in
            xml.element("LastModified", S3Date.iso8601(milliseconds: info.modifiedMilliseconds))
            xml.element("ETag", ObjectHeaders.quoted(info.attributes.etag))
            if let (algorithm, value) = ObjectHeaders.checksum(info.attributes) {
                xml.element(algorithm, value)
            }
        }
    }

    /// UploadPartCopy: the part refers to the bytes of the object, or of a range of it.
    func copyPart(_ call: Call, _ object: ObjectAddress, _ upload: String) async throws -> HTTPResponse {
        let (upload, part, _) = try await self.part(call, object, upload)
        let address = try source(call)
        let range = try call.header("x-amz-copy-source-range").map(Self.copyRange)
        let info = try await copy(call, address) { (source: ObjectInfo) in
            if let range, range.upperBound > source.size {
                throw S3Failure(
                    .invalidRange, "Range specified is not valid for source object of size: \(source.size)")
            }
            var attributes = ObjectAttributes(etag: source.attributes.etag)
            let isWhole = range == nil || range == 0..<source.size
            if !isWhole || attributes.etag.contains("-") {
                // The MD5 of these bytes would need them to be read. What the tag must do is to stand for them.
                let name = "\(source.attributes.etag) \(source.version) \(range ?? 0..<source.size)"
                attributes.etag = Hashing.hex(try LegacyHash.md5(Array(name.utf8)))
            }
            if isWhole, let (algorithm, value) = ObjectHeaders.checksum(source.attributes), !value.contains("-") {
                attributes.fields[algorithm.header] = value
            }
            return try await driver.compose(
                [ObjectPiece(address, range: range, version: source.version)], to: part, attributes: attributes,
                condition: WriteCondition(.any, upload: upload), removing: [])
        }
        return Self.xml("CopyPartResult") { xml in
            xml.element("LastModified", S3Date.iso8601(milliseconds: info.modifiedMilliseconds))
            xml.element("ETag", ObjectHeaders.quoted(info.attributes.etag))
        }
    }

    /// Runs a copy of the version whose conditions were checked; again if the source is replaced meanwhile.
    private func copy(
        _ call: Call, _ address: ObjectAddress, _ body: (ObjectInfo) async throws -> ObjectInfo
    ) async throws -> ObjectInfo {
        let conditions = Conditions(call.head.headers, prefix: "x-amz-copy-source-")
        var attempt = 0
        while true {
            let source = try await driver.stat(address)
            try conditions.check(source, headers: [:], isCopy: true)
            do {
                return try await body(source)
            } catch let error as VarveError where error.code == .preconditionFailed && attempt < 16 {
                attempt += 1
                if let now = try await found(address), now.version == source.version { throw error }
            }
        }
    }

    /// `x-amz-copy-source`: `bucket/key` or `/bucket/key`, escaped, perhaps with a version.
    private func source(_ call: Call) throws -> ObjectAddress {
        let invalid = S3Failure(
            .invalidArgument, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
        guard let field = call.header("x-amz-copy-source") else { throw invalid }
        var text = Substring(field)
        if let version = text.firstRange(of: "?versionId=") {
            guard text[version.upperBound...] == "null" else {
                throw S3Failure(.noSuchVersion, "The specified version does not exist.")
            }
            text = text[..<version.lowerBound]
        }
        guard var bytes = PercentCoding.decode(text.utf8) else { throw invalid }
        if bytes.first == UInt8(ascii: "/") { bytes.removeFirst() }
        guard let slash = bytes.firstIndex(of: UInt8(ascii: "/")) else { throw invalid }
        guard let bucket = BucketName(String(decoding: bytes[..<slash], as: UTF8.self)), slash + 1 < bytes.count else {
            throw invalid
        }
        guard call.authentication.credential.allows(bucket) else { throw S3Failure(.accessDenied, "Access Denied") }
        return ObjectAddress(bucket, try Self.key(Array(bytes[(slash + 1)...])))
    }

    /// `bytes=first-last`, nothing else.
    private static func copyRange(_ text: String) throws(S3Failure) -> Range<UInt64> {
        let ends = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard text.hasPrefix("bytes="), ends.count == 2, let first = UInt64(digits: ends[0]),
            let last = UInt64(digits: ends[1]), first <= last, last < UInt64(Int64.max)
        else {
            throw S3Failure(
                .invalidArgument,
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                    + "zero-based offsets of the first and last bytes to copy")
        }
        return first..<(last + 1)
    }
}

extension XMLWriter {
    /// A checksum's element.
    mutating func element(_ algorithm: ChecksumAlgorithm, _ value: String) {
        switch algorithm {
        case .crc32: element("ChecksumCRC32", value)
        case .crc32c: element("ChecksumCRC32C", value)
        case .crc64nvme: element("ChecksumCRC64NVME", value)
        case .sha1: element("ChecksumSHA1", value)
        case .sha256: element("ChecksumSHA256", value)
        }
    }
}
