// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveDrivers
import VarveHTTP
import VarveModel

extension S3API {
    /// ListBuckets: those that the key may use.
    func listBuckets(_ call: Call) async throws -> HTTPResponse {
        let buckets = try await driver.buckets().filter { call.authentication.credential.allows($0.name) }
        return Self.xml("ListAllMyBucketsResult") { xml in
            Self.owner("Owner", &xml)
            xml.element("Buckets") { xml in
                for bucket in buckets {
                    xml.element("Bucket") { xml in
                        xml.element("Name", bucket.name.description)
                        xml.element("CreationDate", S3Date.iso8601(milliseconds: bucket.createdMilliseconds))
                    }
                }
            }
        }
    }

    /// CreateBucket. One that is there is no error, as in S3's oldest region.
    func createBucket(_ call: Call, _ bucket: BucketName) async throws -> HTTPResponse {
        if call.request.body.length != 0 || call.authentication.payload.isChunked {
            let document = try await readXML(call)
            guard document.name == "CreateBucketConfiguration" else { throw Self.malformedXML }
        }
        // Names that could be taken for an address or that no host can have.
        let name = bucket.description
        let isAddress = name.split(separator: ".").count == 4 && name.utf8.allSatisfy { $0 < 0x3A && $0 != 0x2D }
        guard !isAddress, !name.contains(".-"), !name.contains("-.") else {
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
        return HTTPResponse(.ok, ["x-amz-bucket-region": "us-east-1"])
    }

    func bucketLocation(_ bucket: BucketName) async throws -> HTTPResponse {
        _ = try await driver.bucket(bucket)
        // Empty stands for us-east-1. The region in a signature may be any.
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
