// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveDrivers
import VarveHTTP
import VarveModel

/// A multipart upload's name towards clients: its start and id, so that key and name lead straight to it.
private enum UploadID {
    static func text(_ name: UploadName) -> String {
        String(decoding: name.uploadKey.bytes.suffix(48), as: UTF8.self)
    }

    /// The upload of that name to a key; nil if the text can not be a name.
    static func name(_ text: String, _ key: ObjectKey) -> UploadName? {
        guard text.utf8.count == 48,
            let derived = ObjectKey(derived: UploadName.prefix(ofUploadsTo: key) + Array(text.utf8))
        else { return nil }
        return UploadName(uploadKey: derived)
    }
}

extension S3API {
    /// Smallest part but the last, in bytes.
    static let partBytesMin: UInt64 = 5 << 20

    /// CreateMultipartUpload.
    func createUpload(_ call: Call, _ object: ObjectAddress) async throws -> HTTPResponse {
        let headers = call.head.headers
        var attributes = try ObjectHeaders.attributes(headers)
        let algorithm = try ObjectHeaders.wantedAlgorithm(headers)
        let type = headers.first(name: ObjectHeaders.checksumType)?.uppercased()
        if let type {
            guard type == "COMPOSITE" || type == "FULL_OBJECT" else {
                throw S3Failure(.invalidRequest, "Value for x-amz-checksum-type header is invalid.")
            }
            guard let algorithm, type == "COMPOSITE" ? algorithm != .crc64nvme : algorithm.isLinear else {
                throw S3Failure(
                    .invalidRequest, "The \(type) checksum type cannot be used with the checksum algorithm.")
            }
        }
        if let algorithm {
            attributes.fields[ObjectHeaders.checksumAlgorithm] = algorithm.rawValue
            attributes.fields[ObjectHeaders.checksumType] =
                type ?? (algorithm == .crc64nvme ? "FULL_OBJECT" : "COMPOSITE")
        }
        let upload = UploadName(startingAt: wallClockMilliseconds(), key: object.key)
        _ = try await driver.put(
            ByteBuffer(), to: ObjectAddress(object.bucket, upload.uploadKey, in: .uploads), attributes: attributes)
        var answer: HTTPHeaders = [:]
        for name in [ObjectHeaders.checksumAlgorithm, ObjectHeaders.checksumType] {
            if let value = attributes.fields[name] { answer.add(name: name, value: value) }
        }
        return Self.xml("InitiateMultipartUploadResult", headers: answer) { xml in
            xml.element("Bucket", object.bucket.description)
            xml.element("Key", object.key.description)
            xml.element("UploadId", UploadID.text(upload))
        }
    }

    /// Finds an upload.
    /// - Throws: `NoSuchUpload`.
    private func upload(
        _ text: String, _ object: ObjectAddress
    ) async throws -> (name: UploadName, address: ObjectAddress, info: ObjectInfo) {
        guard let name = UploadID.name(text, object.key) else {
            _ = try await driver.bucket(object.bucket)
            throw S3Failure.noSuchUpload
        }
        let address = ObjectAddress(object.bucket, name.uploadKey, in: .uploads)
        guard let info = try await found(address) else { throw S3Failure.noSuchUpload }
        return (name, address, info)
    }

    /// The upload, the address of the part that a request names, and what is known of the upload.
    func part(
        _ call: Call, _ object: ObjectAddress, _ text: String
    ) async throws -> (upload: ObjectAddress, part: ObjectAddress, info: ObjectInfo) {
        guard let number = call.target.value("partNumber").flatMap({ UInt64(digits: $0) }),
            (1...UInt64(UploadName.partNumberMax)).contains(number)
        else {
            throw S3Failure(
                .invalidArgument, "Part number must be an integer between 1 and \(UploadName.partNumberMax), inclusive")
        }
        let upload = try await upload(text, object)
        guard let key = upload.name.partKey(Int(number)) else { throw S3Failure.noSuchUpload }
        return (upload.address, ObjectAddress(object.bucket, key, in: .parts), upload.info)
    }

    /// UploadPart. One that is there is replaced. The checksum that the upload was begun with is that of its parts: one
    /// of another algorithm is refused, and of a part that comes without it is made here.
    func uploadPart(_ call: Call, _ object: ObjectAddress, _ text: String) async throws -> HTTPResponse {
        let wanted = try ObjectHeaders.wantedAlgorithm(call.head.headers)
        let (upload, part, info) = try await part(call, object, text)
        let expected = ObjectHeaders.algorithm(ofUpload: info)
        let payload = try PayloadReader(
            call.request, call.authentication, pool: pool, computing: wanted ?? expected)
        if let expected, let actual = payload.algorithm, actual != expected {
            throw Self.mismatch(expected, actual)
        }
        var attributes = ObjectAttributes()
        _ = try await store(payload, at: part, &attributes, WriteCondition(.any, upload: upload))
        attributes.fields[ObjectHeaders.checksumType] = nil
        var answer: HTTPHeaders = ["ETag": ObjectHeaders.quoted(attributes.etag)]
        ObjectHeaders.addChecksum(of: attributes, to: &answer)
        return HTTPResponse(.ok, answer)
    }

    /// AbortMultipartUpload.
    func abortUpload(_ object: ObjectAddress, _ text: String) async throws -> HTTPResponse {
        let upload = try await upload(text, object)
        // Parts can not come to an upload that is gone.
        try await driver.delete([upload.address])
        try await driver.delete(try await parts(of: upload.name, object.bucket).map(\.address))
        return HTTPResponse(.noContent)
    }

    private struct Part {
        var number: Int
        var address: ObjectAddress
        var info: ObjectInfo
    }

    private func parts(of upload: UploadName, _ bucket: BucketName) async throws -> [Part] {
        var parts: [Part] = []
        var start: ListRequest.Start? = .beginning
        while let here = start {
            let page = try await driver.list(
                bucket, in: .parts, ListRequest(prefix: upload.partPrefix, start: here))
            for info in page.objects {
                guard let number = UploadName.partNumber(of: info.key) else { continue }
                parts.append(Part(number: number, address: ObjectAddress(bucket, info.key, in: .parts), info: info))
            }
            start = page.next
        }
        return parts
    }

    /// CompleteMultipartUpload: the object refers to the bytes of its parts. Completing again what was completed gives
    /// the same answer, for clients that did not get the first.
    func completeUpload(_ call: Call, _ object: ObjectAddress, _ text: String) async throws -> HTTPResponse {
        let condition = try Conditions(call.head.headers).write()
        let document = try await readXML(call, checksumIsOfObject: true)
        let entries = document.children("Part")
        guard document.name == "CompleteMultipartUpload" || document.name == "CompleteMultipartUploadResult",
            entries.count <= UploadName.partNumberMax
        else { throw Self.malformedXML }
        let upload: (name: UploadName, address: ObjectAddress, info: ObjectInfo)
        do {
            upload = try await self.upload(text, object)
        } catch let failure as S3Failure where failure.code == .noSuchUpload {
            guard let info = try await found(object), info.attributes.fields[ObjectHeaders.upload] == text else {
                throw failure
            }
            return Self.completed(call, object, info)
        }
        let there = try await parts(of: upload.name, object.bucket)
        // Distribution 2.8 completes an upload to which nothing was written by an empty list: an empty blob. S3 refuses
        // that; here it makes an empty object, unless there are parts that the list leaves out.
        guard !entries.isEmpty || there.isEmpty else { throw Self.malformedXML }
        let chosen = try Self.choose(entries, of: there)
        if let size = call.header("x-amz-mp-object-size") {
            guard UInt64(digits: size) == chosen.reduce(0, { $0 &+ $1.info.size }) else {
                throw S3Failure(
                    .invalidRequest, "The provided 'x-amz-mp-object-size' header does not match what was computed.")
            }
        }
        var attributes = upload.info.attributes
        try Self.sum(chosen, of: upload.info, &attributes, call)
        attributes.fields[ObjectHeaders.upload] = text
        attributes.fields[ObjectHeaders.parts] = PartSizes(chosen.map(\.info.size)).text
        // An upload with very long headers is completed all the same.
        if (try? attributes.check()) == nil { attributes.fields[ObjectHeaders.partChecksums] = nil }
        let info: ObjectInfo
        do {
            info = try await driver.compose(
                chosen.map { ObjectPiece($0.address, version: $0.info.version) }, to: object, attributes: attributes,
                condition: WriteCondition(condition, upload: upload.address),
                removing: [upload.address] + there.map(\.address))
        } catch {
            guard error.code == .notFound else { throw error }
            throw S3Failure.noSuchUpload
        }
        return Self.completed(call, object, info)
    }

    private static func completed(_ call: Call, _ object: ObjectAddress, _ info: ObjectInfo) -> HTTPResponse {
        let host = call.header("host") ?? ""
        let path = PercentCoding.encode(call.target.path, keepsSlash: true)
        return xml("CompleteMultipartUploadResult") { xml in
            xml.element("Location", "http://\(host)\(path)")
            xml.element("Bucket", object.bucket.description)
            xml.element("Key", object.key.description)
            xml.element("ETag", ObjectHeaders.quoted(info.attributes.etag))
            if let (algorithm, value) = ObjectHeaders.checksum(info.attributes) {
                xml.element(algorithm, value)
                if let type = info.attributes.fields[ObjectHeaders.checksumType] { xml.element("ChecksumType", type) }
            }
        }
    }

    /// The parts that the client lists, in its order, which must be that of their numbers.
    private static func choose(_ entries: [XMLElement], of there: [Part]) throws -> [Part] {
        let byNumber = Dictionary(there.map { ($0.number, $0) }) { first, _ in first }
        var chosen: [Part] = []
        for entry in entries {
            let blanks: Set<Character> = [" ", "\n", "\r", "\t"]
            guard let text = entry.child("PartNumber")?.text.filter({ !blanks.contains($0) }),
                let number = UInt64(digits: text).flatMap({ Int(exactly: $0) }),
                let etag = entry.child("ETag")?.text.filter({ !blanks.contains($0) })
            else { throw malformedXML }
            guard number > chosen.last?.number ?? 0 else {
                throw S3Failure(
                    .invalidPartOrder,
                    "The list of parts was not in ascending order. Parts must be ordered by part number.")
            }
            let invalid = S3Failure(
                .invalidPart,
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                    + "specified entity tag may not match the part's entity tag.")
            guard let part = byNumber[number], part.info.attributes.etag == Conditions.tag(etag) else { throw invalid }
            for algorithm in ChecksumAlgorithm.allCases {
                guard let value = entry.child(algorithm.element)?.text else { continue }
                if let kept = part.info.attributes.fields[algorithm.header], kept != value { throw invalid }
            }
            chosen.append(part)
        }
        for part in chosen.dropLast() where part.info.size < partBytesMin {
            throw S3Failure(.entityTooSmall, "Your proposed upload is smaller than the minimum allowed size")
        }
        return chosen
    }

    /// Entity tag and checksum of the whole, of those of its parts.
    /// - Throws: `BadDigest` if the client has another checksum, `InvalidRequest` if its one can not be compared.
    private static func sum(
        _ parts: [Part], of upload: ObjectInfo, _ attributes: inout ObjectAttributes, _ call: Call
    ) throws {
        let digests = parts.flatMap {
            Hashing.bytes(hex: $0.info.attributes.etag) ?? Array($0.info.attributes.etag.utf8)
        }
        attributes.etag = Hashing.hex(try LegacyHash.md5(digests)) + "-\(parts.count)"
        attributes.fields[ObjectHeaders.checksumAlgorithm] = nil
        let algorithm = ObjectHeaders.algorithm(ofUpload: upload)
        for other in ChecksumAlgorithm.allCases where other != algorithm && call.header(other.header) != nil {
            throw mismatch(algorithm, other)
        }
        guard let algorithm else { return }
        let isComposite = attributes.fields[ObjectHeaders.checksumType] == "COMPOSITE"
        attributes.fields[ObjectHeaders.checksumType] = nil
        let sent = call.header(algorithm.header)
        let values = parts.compactMap { $0.info.attributes.fields[algorithm.header].flatMap { Base64.decode($0) } }
        guard values.count == parts.count, let whole = try joined(values, parts, algorithm, isComposite) else {
            guard sent == nil else {
                throw S3Failure(
                    .invalidRequest,
                    "The upload was created using a \(algorithm.rawValue.lowercased()) checksum, and not every part has one."
                )
            }
            return
        }
        let value = Base64.encode(whole)
        let text = isComposite ? "\(value)-\(parts.count)" : value
        // Some clients leave out the number of parts.
        if let sent, sent != text, sent != value {
            throw S3Failure(
                .badDigest, "The \(algorithm.rawValue) you specified did not match the calculated checksum.")
        }
        attributes.fields[algorithm.header] = text
        attributes.fields[ObjectHeaders.checksumType] = isComposite ? "COMPOSITE" : "FULL_OBJECT"
        attributes.fields[ObjectHeaders.partChecksums] = PartChecksums(values, algorithm).text
    }

    private static func mismatch(_ expected: ChecksumAlgorithm?, _ actual: ChecksumAlgorithm) -> S3Failure {
        S3Failure(
            .invalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: \(expected?.rawValue.lowercased() ?? "null"), "
                + "actual checksum Type: \(actual.rawValue.lowercased())")
    }

    /// The checksum of the whole, or that of the parts' checksums; nil if it can not be made of them.
    private static func joined(
        _ values: [[UInt8]], _ parts: [Part], _ algorithm: ChecksumAlgorithm, _ isComposite: Bool
    ) throws -> [UInt8]? {
        guard var whole = values.first else { return nil }
        if isComposite {
            var running = try RunningChecksum(algorithm)
            values.flatMap { $0 }.withUnsafeBytes { running.update($0) }
            return running.finish()
        }
        for (part, value) in zip(parts, values).dropFirst() {
            guard let joined = algorithm.combine(whole, value, secondLength: part.info.size) else { return nil }
            whole = joined
        }
        return whole
    }

    /// ListParts.
    func listParts(_ call: Call, _ object: ObjectAddress, _ text: String) async throws -> HTTPResponse {
        let list = try Listing(call.target, limitName: "max-parts")
        let upload = try await upload(text, object)
        var request = ListRequest(prefix: upload.name.partPrefix, limit: list.request.limit)
        var marker: UInt64 = 0
        if let text = call.target.value("part-number-marker"), !text.isEmpty {
            guard let number = UInt64(digits: text), number <= UInt64(Int32.max) else {
                throw S3Failure(
                    .invalidArgument, "Provided part-number-marker not an integer or within integer range")
            }
            marker = number
            if number > 0 {
                let last = Int(min(number, UInt64(UploadName.partNumberMax)))
                if let key = upload.name.partKey(last) { request.start = .after(key.bytes) }
            }
        }
        let page = try await driver.list(object.bucket, in: .parts, request)
        return Self.xml("ListPartsResult") { xml in
            xml.element("Bucket", object.bucket.description)
            xml.element("Key", list.text(object.key.bytes))
            xml.element("UploadId", text)
            xml.element("PartNumberMarker", marker)
            if page.next != nil, let last = page.objects.last.flatMap({ UploadName.partNumber(of: $0.key) }) {
                xml.element("NextPartNumberMarker", last)
            }
            xml.element("MaxParts", list.request.limit)
            xml.element("IsTruncated", page.next != nil)
            if let algorithm = upload.info.attributes.fields[ObjectHeaders.checksumAlgorithm] {
                xml.element("ChecksumAlgorithm", algorithm)
            }
            if let type = upload.info.attributes.fields[ObjectHeaders.checksumType] {
                xml.element("ChecksumType", type)
            }
            Self.owner("Initiator", &xml)
            Self.owner("Owner", &xml)
            xml.element("StorageClass", ObjectHeaders.storageClass(upload.info))
            for info in page.objects {
                xml.element("Part") { xml in
                    xml.element("PartNumber", UploadName.partNumber(of: info.key) ?? 0)
                    xml.element("LastModified", S3Date.iso8601(milliseconds: info.modifiedMilliseconds))
                    xml.element("ETag", ObjectHeaders.quoted(info.attributes.etag))
                    xml.element("Size", info.size)
                    if let (algorithm, value) = ObjectHeaders.checksum(info.attributes) {
                        xml.element(algorithm, value)
                    }
                }
            }
        }
    }

    /// ListMultipartUploads: by key, then by start.
    func listUploads(_ call: Call, _ bucket: BucketName) async throws -> HTTPResponse {
        let list = try Listing(call.target, limitName: "max-uploads")
        let keyMarker = call.target.value("key-marker") ?? ""
        // Without a key the id says nothing (AWS, ListMultipartUploads).
        let idMarker = keyMarker.isEmpty ? "" : call.target.value("upload-id-marker") ?? ""
        var uploads: [(name: UploadName, info: ObjectInfo)] = []
        var prefixes: [[UInt8]] = []
        var isTruncated = false
        var last: (key: [UInt8], id: String) = ([], "")
        var start: ListRequest.Start? = Self.start(keyMarker, idMarker, list)
        pages: while let here = start, list.request.limit > 0 {
            let page = try await driver.list(
                bucket, in: .uploads,
                ListRequest(prefix: UploadName.prefix(ofUploadsBelow: list.request.prefix), start: here))
            for info in page.objects {
                guard let name = UploadName(uploadKey: info.key) else { continue }
                let key = name.key.bytes
                // Rolled up here: the driver knows nothing of what stands behind the key in these names.
                let delimiter = list.request.delimiter
                let rest = key.dropFirst(list.request.prefix.count)
                let common =
                    delimiter.isEmpty ? nil : rest.firstRange(of: delimiter).map { Array(key[..<$0.upperBound]) }
                if let common, prefixes.last == common || common == Array(keyMarker.utf8) { continue }
                guard uploads.count + prefixes.count < list.request.limit else {
                    isTruncated = true
                    break pages
                }
                if let common {
                    prefixes.append(common)
                    last = (common, "")
                } else {
                    uploads.append((name, info))
                    last = (key, UploadID.text(name))
                }
            }
            start = page.next
        }
        _ = try await driver.bucket(bucket)
        return Self.xml("ListMultipartUploadsResult") { xml in
            xml.element("Bucket", bucket.description)
            xml.element("KeyMarker", list.text(Array(keyMarker.utf8)))
            xml.element("UploadIdMarker", idMarker)
            if isTruncated {
                xml.element("NextKeyMarker", list.text(last.key))
                xml.element("NextUploadIdMarker", last.id)
            }
            xml.element("Prefix", list.text(list.request.prefix))
            if !list.request.delimiter.isEmpty { xml.element("Delimiter", list.text(list.request.delimiter)) }
            xml.element("MaxUploads", list.request.limit)
            if list.isEncoded { xml.element("EncodingType", "url") }
            xml.element("IsTruncated", isTruncated)
            for (name, info) in uploads {
                xml.element("Upload") { xml in
                    xml.element("Key", list.text(name.key.bytes))
                    xml.element("UploadId", UploadID.text(name))
                    Self.owner("Initiator", &xml)
                    Self.owner("Owner", &xml)
                    xml.element("StorageClass", ObjectHeaders.storageClass(info))
                    xml.element("Initiated", S3Date.iso8601(milliseconds: name.startedMilliseconds))
                    if let algorithm = info.attributes.fields[ObjectHeaders.checksumAlgorithm] {
                        xml.element("ChecksumAlgorithm", algorithm)
                    }
                }
            }
            for prefix in prefixes { xml.element("CommonPrefixes") { $0.element("Prefix", list.text(prefix)) } }
        }
    }

    private static func start(_ key: String, _ id: String, _ list: Listing) -> ListRequest.Start {
        guard let key = ObjectKey(key) else { return .beginning }
        let prefix = UploadName.prefix(ofUploadsTo: key)
        if id.isEmpty {
            if case .afterPrefix(let common) = list.start(after: key.bytes) {
                return .afterPrefix(UploadName.prefix(ofUploadsBelow: common))
            }
            return .afterPrefix(prefix)
        }
        return .after(prefix + Array(id.utf8))
    }
}
