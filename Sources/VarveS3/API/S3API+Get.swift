// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveDrivers
import VarveHTTP

extension S3API {
    /// GetObject and HeadObject: whole, a range, several, or a part as it was uploaded.
    func getObject(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        let number = try partNumber(call)
        let isHead = call.head.method == .HEAD
        let open: (any OpenObject)? = isHead ? nil : try await driver.open(object)
        let info = if let open { open.info } else { try await driver.stat(object) }
        let wanted = number == nil ? ranges(call, info) : nil
        let wantsChecksums = call.header("x-amz-checksum-mode")?.uppercased() == "ENABLED"
        var headers = ObjectHeaders.headers(
            info, withChecksums: wantsChecksums && wanted == nil && number == nil)
        try Conditions(call.head.headers).check(info, headers: headers)
        try replace(&headers, call.target)
        var place = wanted?.resolve(size: info.size) ?? .whole
        if let number {
            let part = try Self.part(number, of: info, &headers, withChecksum: wantsChecksums)
            place = part.isEmpty ? .whole : .parts([part])
        }

        switch place {
        case .whole:
            guard let open else {
                headers.add(name: "Content-Length", value: String(info.size))
                return HTTPResponse(.ok, headers)
            }
            return HTTPResponse(.ok, headers, body: .content(HTTPContent(try await open.content(in: nil))))
        case .unsatisfiable:
            throw S3Failure(
                .invalidRange, "The requested range is not satisfiable",
                headers: ["Content-Range": "bytes */\(info.size)"])
        case .parts(let parts):
            if parts.count > 1, let open { return several(parts, of: open, headers) }
            let part = parts[0]
            headers.add(
                name: "Content-Range", value: "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(info.size)")
            guard let open else {
                headers.add(name: "Content-Length", value: String(part.upperBound - part.lowerBound))
                return HTTPResponse(.partialContent, headers)
            }
            return HTTPResponse(
                .partialContent, headers, body: .content(HTTPContent(try await open.content(in: part))))
        }
    }

    /// The part that is asked for.
    private func partNumber(_ call: Call) throws(S3Failure) -> UInt64? {
        guard let text = call.target.value("partNumber") else { return nil }
        guard let number = UInt64(digits: text), (1...UInt64(UploadName.partNumberMax)).contains(number) else {
            throw S3Failure(
                .invalidArgument, "Part number must be an integer between 1 and \(UploadName.partNumberMax), inclusive")
        }
        guard call.head.headers["range"].isEmpty else {
            throw S3Failure(
                .invalidRequest, "Cannot specify both Range header and partNumber query parameter")
        }
        return number
    }

    /// Where a part lies. An object of which no parts are known is its own first one. Parts count in their order, whatever
    /// their numbers were. With a part goes its own checksum.
    private static func part(
        _ number: UInt64, of info: ObjectInfo, _ headers: inout HTTPHeaders, withChecksum: Bool
    ) throws(S3Failure) -> Range<UInt64> {
        let parts = ObjectHeaders.parts(of: info)
        guard let range = (parts?.sizes ?? PartSizes([info.size])).range(of: number) else {
            throw S3Failure(.invalidPartNumber, "The requested partnumber is not satisfiable")
        }
        guard let parts else {
            if withChecksum { ObjectHeaders.addChecksum(of: info.attributes, to: &headers) }
            return range
        }
        headers.add(name: "x-amz-mp-parts-count", value: String(parts.sizes.count))
        if withChecksum, let (algorithm, values) = parts.checksums, let value = values.value(of: Int(number)) {
            headers.add(name: algorithm.header, value: value)
            if let type = info.attributes.fields[ObjectHeaders.checksumType] {
                headers.add(name: ObjectHeaders.checksumType, value: type)
            }
        }
        return range
    }

    private func ranges(_ call: Call, _ info: ObjectInfo) -> ByteRanges? {
        let fields = call.head.headers["range"]
        guard fields.count == 1, let ranges = ByteRanges(fields[0], most: settings.rangesMax) else { return nil }
        if call.head.method == .HEAD, ranges.parts.count > 1 { return nil }
        if let condition = call.header("if-range") {
            let isSame =
                condition.hasPrefix("\"")
                ? Conditions.tag(condition) == info.attributes.etag
                : HTTPDate.seconds(condition) == ObjectHeaders.seconds(info)
            guard isSame else { return nil }
        }
        return ranges
    }

    /// A `multipart/byteranges` answer (RFC 9110, section 14.6), which S3 itself does not give: lazy clients that a
    /// registry sends here ask for several ranges at once. All parts are of one version.
    private func several(_ parts: [Range<UInt64>], of open: any OpenObject, _ headers: HTTPHeaders) -> HTTPResponse {
        let boundary =
            String(UInt64.random(in: .min ... .max), radix: 16) + String(UInt64.random(in: .min ... .max), radix: 16)
        let type = headers.first(name: "content-type") ?? "binary/octet-stream"
        let size = open.info.size
        let lead = { (part: Range<UInt64>) in
            "\r\n--\(boundary)\r\nContent-Type: \(type)\r\n"
                + "Content-Range: bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)\r\n\r\n"
        }
        let tail = "\r\n--\(boundary)--\r\n"
        var length = UInt64(tail.utf8.count)
        for part in parts { length += UInt64(lead(part).utf8.count) + (part.upperBound - part.lowerBound) }
        var headers = headers
        headers.replaceOrAdd(name: "Content-Type", value: "multipart/byteranges; boundary=\(boundary)")
        return HTTPResponse(
            .partialContent, headers,
            body: .produced(length: length) { writer in
                for part in parts {
                    try await writer.write(ByteBuffer(string: lead(part)))
                    try await writer.write(HTTPContent(try await open.content(in: part)))
                }
                try await writer.write(ByteBuffer(string: tail))
            })
    }

    /// The `response-*` parameters, which replace headers of the answer.
    private func replace(_ headers: inout HTTPHeaders, _ target: S3Target) throws(S3Failure) {
        let prefix = "response-"
        let names = [
            "content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding",
        ]
        for (parameter, value) in target.query where parameter.hasPrefix(prefix) {
            let name = String(parameter.dropFirst(prefix.count))
            guard names.contains(name) else { continue }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw S3Failure(.invalidArgument, "Header value cannot be represented.")
            }
            headers.replaceOrAdd(name: name, value: value)
        }
    }
}
