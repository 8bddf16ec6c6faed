// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveDrivers
import VarveHTTP
import VarveModel

extension S3API {
    /// Where everything is said to be. The region in a signature may be any.
    private static let region = "us-east-1"
    /// Most buckets in a page.
    private static let bucketsMax = 10_000

    /// ListBuckets: those that the key may use, in order of their names; in pages if they are asked for.
    func listBuckets(_ call: Call) async throws -> HTTPResponse {
        let target = call.target
        var limit = Int.max
        if let text = target.value("max-buckets") {
            guard let number = UInt64(digits: text), (1...UInt64(Self.bucketsMax)).contains(number) else {
                throw S3Failure(
                    .invalidArgument, "Argument max-buckets must be an integer between 1 and \(Self.bucketsMax)")
            }
            limit = Int(number)
        }
        var after: [UInt8] = []
        if let token = target.value("continuation-token"), !token.isEmpty {
            guard case .after(let name)? = ContinuationToken.read(token) else {
                throw S3Failure(.invalidArgument, "The continuation token provided is incorrect")
            }
            after = name
        }
        let prefix = target.value("prefix") ?? ""
        // The region is told to those who ask for what came with it (AWS, ListBuckets).
        let saysRegion = ["max-buckets", "continuation-token", "prefix", "bucket-region"].contains { target.has($0) }

        let buckets = try await driver.buckets().filter { bucket in
            let name = bucket.name.description
            return call.authentication.credential.allows(bucket.name) && name.hasPrefix(prefix)
                && after.lexicographicallyPrecedes(name.utf8)
        }
        let page = buckets.prefix(limit)
        return Self.xml("ListAllMyBucketsResult") { xml in
            Self.owner("Owner", &xml)
            xml.element("Buckets") { xml in
                for bucket in page {
                    xml.element("Bucket") { xml in
                        xml.element("Name", bucket.name.description)
                        xml.element("CreationDate", S3Date.iso8601(milliseconds: bucket.createdMilliseconds))
                        if saysRegion { xml.element("BucketRegion", Self.region) }
                    }
                }
            }
            if page.count < buckets.count, let last = page.last {
                let start = ListRequest.Start.after(Array(last.name.description.utf8))
                xml.element("ContinuationToken", ContinuationToken.text(start))
            }
            if target.has("prefix") { xml.element("Prefix", prefix) }
        }
    }

    /// Beginnings and ends of names that S3 keeps for itself ("General purpose bucket naming rules").
    private static let reserved = (
        prefixes: ["xn--", "sthree-", "amzn-s3-demo-"],
        suffixes: ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
    )

    /// CreateBucket. One that is there is no error, as in S3's oldest region.
    func createBucket(_ call: Call, _ bucket: BucketName) async throws -> HTTPResponse {
        if call.request.body.length != 0 || call.authentication.payload.isChunked {
            let document = try await readXML(call)
            guard document.name == "CreateBucketConfiguration" else { throw Self.malformedXML }
        }
        // Names that could be taken for an address or that no host can have.
        let name = bucket.description
        let isAddress = name.split(separator: ".").count == 4 && name.utf8.allSatisfy { $0 < 0x3A && $0 != 0x2D }
        let isReserved =
            Self.reserved.prefixes.contains { name.hasPrefix($0) }
            || Self.reserved.suffixes.contains { name.hasSuffix($0) }
        guard !isAddress, !isReserved, !name.contains(".-"), !name.contains("-.") else {
            throw S3Failure(.invalidBucketName, "The specified bucket is not valid.")
        }
        _ = try await driver.createBucket(bucket)
        return HTTPResponse(.ok, ["Location": "/\(bucket)"])
    }

    func deleteBucket(_ bucket: BucketName) async throws -> HTTPResponse {
        try await driver.deleteBucket(bucket)
        return HTTPResponse(.noContent)
    }

    func headBucket(_ bucket: BucketName) async throws -> HTTPResponse {
        _ = try await driver.bucket(bucket)
        return HTTPResponse(.ok, ["x-amz-bucket-region": Self.region])
    }

    func bucketLocation(_ bucket: BucketName) async throws -> HTTPResponse {
        _ = try await driver.bucket(bucket)
        // Empty stands for us-east-1.
        return Self.xml("LocationConstraint") { _ in }
    }

    /// What tools ask a bucket for before they work with it: there is none of it, and each has its way to say so.
    func bucketProperty(_ property: Subresource, _ bucket: BucketName) async throws -> HTTPResponse {
        _ = try await driver.bucket(bucket)
        switch property {
        case .acl: return Self.accessControl()
        case .versioning: return Self.xml("VersioningConfiguration") { _ in }
        case .notification: return Self.xml("NotificationConfiguration") { _ in }
        case .logging: return Self.xml("BucketLoggingStatus") { _ in }
        case .accelerate: return Self.xml("AccelerateConfiguration") { _ in }
        case .requestPayment:
            return Self.xml("RequestPaymentConfiguration") { $0.element("Payer", "BucketOwner") }
        case .policy: throw S3Failure(.noSuchBucketPolicy, "The bucket policy does not exist")
        case .cors: throw S3Failure(.noSuchCORSConfiguration, "The CORS configuration does not exist")
        case .lifecycle:
            throw S3Failure(.noSuchLifecycleConfiguration, "The lifecycle configuration does not exist")
        case .tagging: throw S3Failure(.noSuchTagSet, "The TagSet does not exist")
        case .website: throw S3Failure(.noSuchWebsiteConfiguration, "There is no website configuration")
        case .encryption:
            throw S3Failure(.noEncryptionConfiguration, "The server side encryption configuration was not found")
        case .objectLock:
            throw S3Failure(.noObjectLockConfiguration, "Object Lock configuration does not exist for this bucket")
        case .ownershipControls: throw S3Failure(.noOwnershipControls, "The bucket ownership controls were not found")
        case .publicAccessBlock:
            throw S3Failure(.noPublicAccessBlock, "The public access block configuration was not found")
        case .replication:
            throw S3Failure(.noReplicationConfiguration, "The replication configuration was not found")
        default: throw S3Failure.notImplemented
        }
    }

    func objectProperty(_ property: Subresource, _ object: ObjectAddress) async throws -> HTTPResponse {
        _ = try await driver.stat(object)
        switch property {
        case .acl: return Self.accessControl()
        case .tagging: return Self.xml("Tagging") { $0.element("TagSet") { _ in } }
        default: throw S3Failure.notImplemented
        }
    }

    /// PutObjectAcl: only what holds anyway.
    func putAccessControl(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        _ = try await driver.stat(object)
        guard let name = call.header("x-amz-acl"), name == "private" || name == "bucket-owner-full-control" else {
            throw S3Failure.notImplemented
        }
        return HTTPResponse(.ok)
    }

    /// The owner may do everything: there are no other grants here, keys and their buckets decide.
    private static func accessControl() -> HTTPResponse {
        let instance = "http://www.w3.org/2001/XMLSchema-instance"
        return xml("AccessControlPolicy") { xml in
            owner("Owner", &xml)
            xml.element("AccessControlList") { xml in
                xml.element("Grant") { xml in
                    xml.element(
                        "Grantee", attributes: "xmlns:xsi=\"\(instance)\" xsi:type=\"CanonicalUser\""
                    ) { xml in
                        xml.element("ID", ownerID)
                        xml.element("DisplayName", ownerID)
                    }
                    xml.element("Permission", "FULL_CONTROL")
                }
            }
        }
    }
}
