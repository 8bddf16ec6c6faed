// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveDrivers
import VarveHTTP

/// What is kept with an object beside its bytes, from the headers it came with to those it is given back with.
///
/// The fields of `ObjectAttributes` are named as the headers are, in lower case.
enum ObjectHeaders {
    /// Headers that are kept as they are.
    private static let kept = ["cache-control", "content-disposition", "content-language", "expires"]
    /// Most bytes of user metadata, names and values.
    private static let metadataBytesMax = 2 << 10
    private static let metadataPrefix = "x-amz-meta-"
    private static let storageClass = "x-amz-storage-class"
    /// Fields with this prefix are ours and not told.
    private static let ownPrefix = "varve-"
    /// The multipart upload that made an object: completing it again gives the same answer.
    static let upload = ownPrefix + "upload"
    /// How long the parts of an object are (``PartSizes``).
    static let parts = ownPrefix + "parts"
    /// The checksums of the parts of an object (``PartChecksums``).
    static let partChecksums = ownPrefix + "part-checksums"
    static let checksumType = "x-amz-checksum-type"
    static let checksumAlgorithm = "x-amz-checksum-algorithm"

    /// Refuses a request about an object that asks for what is not done. To ignore one of these headers would break a
    /// promise: bytes would not be encrypted, locked or tagged, or removed though they are not those that were meant.
    static func refuseUnsupported(_ headers: HTTPHeaders, isRead: Bool) throws(S3Failure) {
        for (name, value) in headers {
            let name = name.lowercased()
            guard name.hasPrefix("x-amz-") else { continue }
            if name.hasPrefix("x-amz-server-side-encryption-customer"), isRead {
                throw S3Failure(
                    .invalidRequest, "The encryption parameters are not applicable to this object.")
            }
            if unsupported.contains(where: { name.hasPrefix($0) })
                || name == "x-amz-tagging" || name == "x-amz-tagging-directive" && value.uppercased() == "REPLACE"
            {
                throw S3Failure.notImplemented
            }
            if let values = known[name], !values.contains(value) { throw unknown(name, value) }
        }
    }

    private static func unknown(_ name: String, _ value: String) -> S3Failure {
        name == storageClass
            ? S3Failure(.invalidStorageClass, "The storage class you specified is not valid")
            : S3Failure(.invalidArgument, "\(name) can not be \(value.prefix(100))")
    }

    /// The values of headers that are taken though nothing comes of them.
    private static let known: [String: Set<String>] = [
        "x-amz-acl": [
            "authenticated-read", "aws-exec-read", "bucket-owner-full-control", "bucket-owner-read",
            "log-delivery-write", "private", "public-read", "public-read-write",
        ],
        "x-amz-server-side-encryption": ["AES256", "aws:fsx", "aws:kms", "aws:kms:dsse"],
        storageClass: [
            "DEEP_ARCHIVE", "EXPRESS_ONEZONE", "FSX_ONTAP", "FSX_OPENZFS", "GLACIER", "GLACIER_IR",
            "INTELLIGENT_TIERING", "ONEZONE_IA", "OUTPOSTS", "REDUCED_REDUNDANCY", "SNOW", "STANDARD", "STANDARD_IA",
        ],
    ]

    /// Names or their beginnings.
    private static let unsupported = [
        "x-amz-server-side-encryption-customer", "x-amz-copy-source-server-side-encryption-customer",
        "x-amz-object-lock", "x-amz-website-redirect-location", "x-amz-if-match-size",
        "x-amz-if-match-last-modified-time",
    ]

    /// Attributes of what a request brings, without entity tag and checksum.
    /// - Throws: ``S3Failure`` for metadata that is too large.
    static func attributes(_ headers: HTTPHeaders) throws(S3Failure) -> ObjectAttributes {
        var attributes = ObjectAttributes(contentType: headers.first(name: "content-type") ?? "")
        for name in kept {
            if let value = headers.first(name: name) { attributes.fields[name] = value }
        }
        let codings = headers["content-encoding"].flatMap { $0.split(separator: ",") }
            .map { $0.filter { $0 != " " } }.filter { $0.lowercased() != "aws-chunked" && !$0.isEmpty }
        if !codings.isEmpty { attributes.fields["content-encoding"] = codings.joined(separator: ", ") }
        var metadataBytes = 0
        for (name, value) in headers {
            let name = name.lowercased()
            guard name.hasPrefix(metadataPrefix), name.utf8.count > metadataPrefix.utf8.count else { continue }
            metadataBytes += name.utf8.count - metadataPrefix.utf8.count + value.utf8.count
            attributes.fields[name] = attributes.fields[name].map { $0 + "," + value } ?? value
        }
        guard metadataBytes <= metadataBytesMax else {
            throw S3Failure(.metadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
        }
        if let value = headers.first(name: storageClass), value != "STANDARD" {
            attributes.fields[storageClass] = value
        }
        return attributes
    }

    /// The headers of an object.
    static func headers(_ info: ObjectInfo, withChecksums: Bool) -> HTTPHeaders {
        let attributes = info.attributes
        var headers: HTTPHeaders = [
            "ETag": quoted(attributes.etag), "Last-Modified": HTTPDate.text(of: seconds(info)),
            "Accept-Ranges": "bytes",
            "Content-Type": attributes.contentType.isEmpty ? "binary/octet-stream" : attributes.contentType,
        ]
        for (name, value) in attributes.fields.sorted(by: { $0.key < $1.key }) {
            if name.hasPrefix(ownPrefix) { continue }
            if name.hasPrefix("x-amz-checksum-"), !withChecksums || name == checksumAlgorithm { continue }
            headers.add(name: name, value: value)
        }
        return headers
    }

    static func storageClass(_ info: ObjectInfo) -> String { info.attributes.fields[storageClass] ?? "STANDARD" }

    static func seconds(_ info: ObjectInfo) -> Int { Int(clamping: info.modifiedMilliseconds / 1000) }

    static func quoted(_ etag: String) -> String { "\"\(etag)\"" }

    /// The checksum that is kept with an object or part.
    static func checksum(_ attributes: ObjectAttributes) -> (algorithm: ChecksumAlgorithm, value: String)? {
        for algorithm in ChecksumAlgorithm.allCases {
            if let value = attributes.fields[algorithm.header] { return (algorithm, value) }
        }
        return nil
    }

    /// What is known of the parts of an object.
    struct Parts {
        var sizes: PartSizes
        var checksums: (algorithm: ChecksumAlgorithm, values: PartChecksums)?
    }

    /// The parts that an object was uploaded in; nil if it came at once, or they are not known.
    static func parts(of info: ObjectInfo) -> Parts? {
        let fields = info.attributes.fields
        guard let sizes = fields[parts].flatMap({ PartSizes($0, total: info.size) }) else { return nil }
        var known = Parts(sizes: sizes)
        if let text = fields[partChecksums], let (algorithm, _) = checksum(info.attributes),
            let values = PartChecksums(text, algorithm, count: sizes.count)
        {
            known.checksums = (algorithm, values)
        }
        return known
    }

    /// The algorithm that a multipart upload was begun with.
    static func algorithm(ofUpload info: ObjectInfo) -> ChecksumAlgorithm? {
        info.attributes.fields[checksumAlgorithm].flatMap { ChecksumAlgorithm(name: $0) }
    }

    /// The algorithm that a client wants to be used though it sends no checksum.
    /// - Throws: `InvalidRequest` if there is no such algorithm.
    static func wantedAlgorithm(_ headers: HTTPHeaders) throws(S3Failure) -> ChecksumAlgorithm? {
        let field = headers.first(name: "x-amz-sdk-checksum-algorithm") ?? headers.first(name: checksumAlgorithm)
        guard let text = field else { return nil }
        guard let algorithm = ChecksumAlgorithm(name: text) else {
            throw S3Failure(.invalidRequest, "Checksum algorithm provided is unsupported.")
        }
        return algorithm
    }

    /// Adds what a body turned out to be.
    static func add(_ summary: PayloadSummary, to attributes: inout ObjectAttributes) {
        attributes.etag = Hashing.hex(summary.md5)
        if let (algorithm, value) = summary.checksum {
            attributes.fields[algorithm.header] = Base64.encode(value)
            attributes.fields[checksumType] = "FULL_OBJECT"
        }
    }

    /// The headers that answer an upload with its checksum.
    static func addChecksum(of attributes: ObjectAttributes, to headers: inout HTTPHeaders) {
        guard let (algorithm, value) = checksum(attributes) else { return }
        headers.add(name: algorithm.header, value: value)
        if let type = attributes.fields[checksumType] { headers.add(name: checksumType, value: type) }
    }
}
