// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveDrivers
import VarveHTTP

extension S3API {
    /// What GetObjectAttributes can be asked for.
    private enum Attribute: String {
        case etag = "ETag"
        case checksum = "Checksum"
        case parts = "ObjectParts"
        case storageClass = "StorageClass"
        case size = "ObjectSize"
    }

    /// GetObjectAttributes: what is known of an object and of the parts it was uploaded in, without its bytes.
    func objectAttributes(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        let wanted = try Self.attributes(call)
        let limit = try Self.number(call, "x-amz-max-parts").map { min($0, Self.pageMax) } ?? Self.pageMax
        let marker = try Self.number(call, "x-amz-part-number-marker") ?? 0
        let info = try await driver.stat(object)
        let headers: HTTPHeaders = ["Last-Modified": HTTPDate.text(of: ObjectHeaders.seconds(info))]
        try Conditions(call.head.headers).check(info, headers: headers)

        return Self.xml("GetObjectAttributesResponse", headers: headers) { xml in
            // Here the tag stands without its quotes.
            if wanted.contains(.etag) { xml.element("ETag", info.attributes.etag) }
            if wanted.contains(.checksum), let (algorithm, value) = ObjectHeaders.checksum(info.attributes) {
                xml.element("Checksum") { xml in
                    xml.element(algorithm, value)
                    if let type = info.attributes.fields[ObjectHeaders.checksumType] {
                        xml.element("ChecksumType", type)
                    }
                }
            }
            if wanted.contains(.parts), let parts = ObjectHeaders.parts(of: info) {
                xml.element("ObjectParts") { Self.parts(parts, after: marker, limit: limit, &$0) }
            }
            if wanted.contains(.storageClass) { xml.element("StorageClass", ObjectHeaders.storageClass(info)) }
            if wanted.contains(.size) { xml.element("ObjectSize", info.size) }
        }
    }

    /// A page of an object's parts.
    private static func parts(_ parts: ObjectHeaders.Parts, after marker: Int, limit: Int, _ xml: inout XMLWriter) {
        let last = min(marker + limit, parts.sizes.count)
        let isTruncated = limit > 0 && last < parts.sizes.count
        xml.element("PartsCount", parts.sizes.count)
        xml.element("PartNumberMarker", marker)
        if isTruncated { xml.element("NextPartNumberMarker", last) }
        xml.element("MaxParts", limit)
        xml.element("IsTruncated", isTruncated)
        guard marker < last else { return }
        for number in marker + 1...last {
            guard let range = parts.sizes.range(of: UInt64(number)) else { continue }
            xml.element("Part") { xml in
                xml.element("PartNumber", number)
                xml.element("Size", range.upperBound - range.lowerBound)
                if let (algorithm, sums) = parts.checksums, let value = sums.value(of: number) {
                    xml.element(algorithm, value)
                }
            }
        }
    }

    private static func attributes(_ call: Call) throws(S3Failure) -> Set<Attribute> {
        let fields = call.head.headers["x-amz-object-attributes"]
        guard !fields.isEmpty else {
            throw S3Failure(
                .invalidRequest,
                "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty"
            )
        }
        var wanted: Set<Attribute> = []
        for name in fields.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
            guard let attribute = Attribute(rawValue: name.filter { $0 != " " && $0 != "\t" }) else {
                throw S3Failure(.invalidArgument, "Invalid attribute name specified.")
            }
            wanted.insert(attribute)
        }
        return wanted
    }

    /// A header that is a number; nil if it is not there.
    private static func number(_ call: Call, _ name: String) throws(S3Failure) -> Int? {
        guard let text = call.header(name) else { return nil }
        guard let number = UInt64(digits: text), number <= UInt64(Int32.max) else {
            throw S3Failure(
                .invalidArgument,
                "Provided \(name.dropFirst("x-amz-".count)) not an integer or within integer range")
        }
        return Int(number)
    }
}
