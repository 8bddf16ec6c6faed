// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveEngine
import VarveHTTP
import VarveModel
import VarveOCI

extension RegistryAPI {
    /// end-3: a manifest, the very bytes, under the type with which it was pushed. `Accept` does not choose among anything,
    /// there is one representation; a client that does not list its type gets it all the same and may refuse it.
    func manifest(
        _ request: Request, _ reference: ManifestReference, in repository: RepositoryName
    ) async throws -> Response {
        let manifest = try await store.manifest(reference, in: repository)
        let tag = "\"\(manifest.digest)\""
        let headers: HTTPHeaders = [
            "Content-Type": manifest.mediaType, "Docker-Content-Digest": manifest.digest.description, "ETag": tag,
        ]
        if Precondition.matches(request.head, tag) { return notModified(headers) }
        return Response(.ok, headers, body: .bytes(manifest.bytes))
    }

    /// end-7a, end-7b: stores a manifest under its digest and under tags.
    func putManifest(
        _ request: Request, _ reference: ManifestReference, in repository: RepositoryName
    ) async throws -> Response {
        var tags: [Tag] = []
        var digest: Digest?
        switch reference {
        case .tag(let tag): tags = [tag]
        case .digest(let named): digest = named
        }
        for text in request.target.values("tag") {
            guard digest != nil else {
                throw Refusal(.badRequest, .unsupported, "tag parameters go with a digest only")
            }
            guard let tag = Tag(text) else { throw Refusal(.badRequest, .manifestInvalid, "not a tag") }
            if !tags.contains(tag) { tags.append(tag) }
        }
        let reservation = manifestBudget.reservation()
        defer { reservation.release() }
        let bytes = try await collect(request, reservation)
        let summary = try ManifestDocument(Array(buffer: bytes), contentType: request.contentType).summary
        let named: Digest
        if let digest { named = digest } else { named = try await store.digest(of: bytes) }
        try await store.putManifest(bytes, digest: named, summary: summary, tags: tags, in: repository)

        var headers: HTTPHeaders = [
            "Location": "/v2/\(repository)/manifests/\(named)", "Docker-Content-Digest": named.description,
        ]
        if digest != nil { for tag in tags { headers.add(name: "OCI-Tag", value: tag.description) } }
        if let subject = summary.subject { headers.add(name: "OCI-Subject", value: subject.digest.description) }
        return Response(.created, headers)
    }

    /// end-9: takes a tag, or a manifest with every tag that points to it, away.
    func deleteManifest(_ reference: ManifestReference, in repository: RepositoryName) async throws -> Response {
        try await store.removeManifest(reference, from: repository)
        return Response(.accepted)
    }

    /// The whole body, if it is no longer than a manifest may be.
    private func collect(_ request: Request, _ reservation: ByteBudget.Reservation) async throws -> ByteBuffer {
        let tooLarge = Refusal(.payloadTooLarge, .sizeInvalid, "a manifest may have \(ManifestDocument.bytesMax) bytes")
        if let length = request.body.length, length > UInt64(ManifestDocument.bytesMax) { throw tooLarge }
        var bytes = ByteBuffer()
        while let piece = try await request.body.next() {
            guard bytes.readableBytes + piece.readableBytes <= ManifestDocument.bytesMax else { throw tooLarge }
            guard reservation.add(piece.readableBytes) else {
                throw Refusal(
                    .tooManyRequests, .tooManyRequests, "too many manifests at once", headers: ["Retry-After": "1"])
            }
            bytes.writeImmutableBuffer(piece)
        }
        return bytes
    }
}
