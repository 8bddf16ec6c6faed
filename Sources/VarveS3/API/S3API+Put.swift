// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveDrivers
import VarveHTTP
import VarveModel

extension S3API {
    /// Up to this size an object is gathered and stored in one call: links, upload state and manifests, which the driver
    /// keeps in its index.
    private static let gatheredBytesMax: UInt64 = 64 << 10

    /// PutObject.
    func putObject(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        let headers = call.head.headers
        var attributes = try ObjectHeaders.attributes(headers)
        let condition = try Conditions(headers).write()
        let payload = try PayloadReader(
            call.request, call.authentication, pool: pool, computing: try ObjectHeaders.wantedAlgorithm(headers))
        _ = try await driver.bucket(object.bucket)
        try await checkEarly(condition, object)
        _ = try await store(payload, at: object, &attributes, WriteCondition(condition))
        var answer: HTTPHeaders = ["ETag": ObjectHeaders.quoted(attributes.etag)]
        ObjectHeaders.addChecksum(of: attributes, to: &answer)
        return HTTPResponse(.ok, answer)
    }

    /// Stores a body once it was found right; until then nothing of it can be seen.
    func store(
        _ payload: PayloadReader, at address: ObjectAddress, _ attributes: inout ObjectAttributes,
        _ condition: WriteCondition
    ) async throws -> ObjectInfo {
        if let length = payload.length, length <= Self.gatheredBytesMax {
            var content = ByteBuffer()
            while let piece = try await payload.next() { content.writeImmutableBuffer(piece) }
            if let summary = payload.summary { ObjectHeaders.add(summary, to: &attributes) }
            return try await driver.put(content, to: address, attributes: attributes, condition: condition)
        }
        let writer = try await driver.writer(for: address)
        do {
            while let piece = try await payload.next() { try await writer.append(piece) }
            if let summary = payload.summary { ObjectHeaders.add(summary, to: &attributes) }
            return try await writer.commit(attributes, condition: condition)
        } catch {
            await writer.cancel()
            throw error
        }
    }

    /// DeleteObject: what is not there counts as deleted, unless something had to be.
    func deleteObject(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        let condition = Conditions(call.head.headers)
        if condition.match.isEmpty {
            try await driver.delete([object])
        } else {
            try await driver.delete(object, condition: WriteCondition(condition.write()))
        }
        return HTTPResponse(.noContent)
    }

    /// What is known of an object; nil if it is not there.
    func found(_ object: ObjectAddress) async throws -> ObjectInfo? {
        do { return try await driver.stat(object) } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    /// DeleteObjects: up to 1,000 keys, in one step of the driver but for those that are to be deleted only with a certain
    /// entity tag.
    func deleteObjects(_ call: Call, _ bucket: BucketName) async throws -> HTTPResponse {
        // A signed digest says as much, but S3 asks for one of these all the same. A checksum may come in the trailer.
        let vouchers = ["content-md5", "x-amz-trailer"] + ChecksumAlgorithm.allCases.map(\.header)
        guard vouchers.contains(where: { call.header($0) != nil }) else {
            throw S3Failure(
                .invalidRequest, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
        }
        let document = try await readXML(call, most: settings.deleteBytesMax)
        let entries = document.children("Object")
        guard document.name == "Delete", (1...1000).contains(entries.count) else { throw Self.malformedXML }
        let isQuiet = document.child("Quiet")?.text.lowercased() == "true"
        var objects: [ObjectAddress] = []
        var deleted: [String] = []
        var conditional: [(key: String, object: ObjectAddress, target: WriteCondition.Target)] = []
        var failures: [(key: String, failure: S3Failure)] = []
        for entry in entries {
            guard let text = entry.child("Key")?.text, !text.isEmpty else { throw Self.malformedXML }
            do throws(S3Failure) {
                let key = try Self.key(Array(text.utf8))
                if let version = entry.child("VersionId")?.text, version != "null", !version.isEmpty {
                    throw S3Failure(.noSuchVersion, "The specified version does not exist.")
                }
                guard entry.child("LastModifiedTime") == nil, entry.child("Size") == nil else {
                    throw S3Failure.notImplemented
                }
                let object = ObjectAddress(bucket, key)
                if let tag = entry.child("ETag")?.text, !tag.isEmpty {
                    let tag = Conditions.tag(tag)
                    conditional.append((text, object, tag == "*" ? .present : .matching([tag])))
                } else {
                    objects.append(object)
                    deleted.append(text)
                }
            } catch {
                failures.append((text, error))
            }
        }
        try await driver.delete(objects)
        for (key, object, target) in conditional {
            do throws(VarveError) {
                try await driver.delete(object, condition: WriteCondition(target))
                deleted.append(key)
            } catch {
                guard error.code == .notFound || error.code == .preconditionFailed else { throw error }
                failures.append((key, S3Failure(error)))
            }
        }
        return Self.xml("DeleteResult") { xml in
            if !isQuiet {
                for key in deleted { xml.element("Deleted") { $0.element("Key", key) } }
            }
            for (key, failure) in failures {
                xml.element("Error") { xml in
                    xml.element("Key", key)
                    xml.element("Code", failure.code.rawValue)
                    xml.element("Message", failure.message)
                }
            }
        }
    }
}
