// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveEngine
import VarveHTTP
import VarveModel

extension RegistryAPI {
    /// end-4a, end-4b, end-4c, end-11: opens a session, takes a whole blob, or mounts one.
    func startUpload(_ request: Request, in repository: RepositoryName) async throws -> Response {
        var algorithm = Digest.Algorithm.sha256
        if let name = request.target.value("digest-algorithm") {
            guard let known = Digest.Algorithm(name: name) else {
                throw Refusal(.badRequest, .digestInvalid, "digest algorithm not supported")
            }
            algorithm = known
        }
        if let text = request.target.value("mount") {
            let mounted = try digest(text)
            algorithm = mounted.algorithm
            let source: RepositoryName?
            if let from = request.target.value("from"), !from.isEmpty {
                source = try self.repository(from)
            } else {
                source = nil
            }
            if try await store.mountBlob(mounted, from: source, into: repository) != nil {
                return created(mounted, in: repository)
            }
        } else if let text = request.target.value("digest") {
            let digest = try digest(text)
            _ = try await store.putBlob(digest, in: repository, expecting: request.body.length, body: request.body)
            return created(digest, in: repository)
        }
        let status = try await store.startUpload(in: repository, algorithm: algorithm)
        var headers = uploadHeaders(status)
        headers.add(name: "Content-Length", value: "0")
        return Response(.accepted, headers)
    }

    /// end-5: a piece of a blob.
    func appendUpload(_ request: Request, _ id: String, in repository: RepositoryName) async throws -> Response {
        Response(.accepted, uploadHeaders(try await append(request, id, in: repository)))
    }

    /// end-6: the last piece, if any, and the digest.
    func finishUpload(_ request: Request, _ id: String, in repository: RepositoryName) async throws -> Response {
        guard let text = request.target.value("digest") else {
            throw Refusal(.badRequest, .digestInvalid, "the digest parameter is missing")
        }
        let digest = try digest(text)
        if request.body.length != 0 || request.head.headers.contains(name: "content-range") {
            _ = try await append(request, id, in: repository)
        }
        _ = try await store.finishUpload(id, in: repository, digest: digest)
        return created(digest, in: repository)
    }

    /// Appends the body where `Content-Range` says, or at the end.
    private func append(
        _ request: Request, _ id: String, in repository: RepositoryName
    ) async throws -> UploadStatus {
        var offset: UInt64?
        var expecting = request.body.length
        let fields = request.head.headers["content-range"]
        if let field = fields.first {
            guard fields.count == 1, let range = UploadRange(field) else {
                throw Refusal(.badRequest, .blobUploadInvalid, "malformed Content-Range")
            }
            let status = try await store.uploadStatus(id, in: repository)
            guard range.first == status.offset else { throw outOfOrder(status) }
            guard expecting == nil || expecting == range.count else {
                throw Refusal(.badRequest, .sizeInvalid, "Content-Range and Content-Length differ")
            }
            offset = range.first
            expecting = range.count
        }
        do {
            return try await store.appendUpload(
                id, in: repository, at: offset, expecting: expecting, body: request.body)
        } catch {
            guard error.code == .offsetMismatch else { throw error }
            throw outOfOrder(try await store.uploadStatus(id, in: repository))
        }
    }

    private func outOfOrder(_ status: UploadStatus) -> Refusal {
        Refusal(
            .rangeNotSatisfiable, .blobUploadInvalid, "the upload ends at \(status.offset)",
            headers: uploadHeaders(status))
    }

    /// `Location` and `Range` of a session. An empty one is `0-0`, as there is no way to write an empty range.
    func uploadHeaders(_ status: UploadStatus) -> HTTPHeaders {
        [
            "Location": "/v2/\(status.repository)/blobs/uploads/\(status.id)",
            "Range": "0-\(status.offset == 0 ? 0 : status.offset - 1)",
            "Docker-Upload-UUID": status.id,
        ]
    }

    private func created(_ digest: Digest, in repository: RepositoryName) -> Response {
        Response(
            .created,
            ["Location": "/v2/\(repository)/blobs/\(digest)", "Docker-Content-Digest": digest.description])
    }
}
