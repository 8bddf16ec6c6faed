// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOCore
import NIOHTTP1
import VarveEngine
import VarveHTTP
import VarveModel
import VarveOCI

/// The OCI distribution API over a store (OCI distribution specification 1.1.1 and what its main branch adds), with
/// Docker's catalogue.
///
/// This file says who answers what; the answers are in its extensions. Text from the wire becomes a `RepositoryName`,
/// `Digest`, `Tag` or a refusal here, and nothing else goes further.
struct RegistryAPI: API {
    let store: Store
    let settings: RegistrySettings
    let manifestBudget: ByteBudget

    init(store: Store, settings: RegistrySettings) {
        self.store = store
        self.settings = settings
        manifestBudget = ByteBudget(settings.manifestBytesInFlight)
    }

    func respond(to request: Request) async throws -> Response {
        let route = Route(request.target.segments)
        if route != .unknown, !route.methods.contains(request.head.method) {
            let allowed = route.methods.map(\.rawValue).joined(separator: ", ")
            throw Refusal(.methodNotAllowed, .unsupported, "method not allowed here", headers: ["Allow": allowed])
        }
        var response = try await answer(route, request)
        response.headers.replaceOrAdd(name: "Docker-Distribution-Api-Version", value: "registry/2.0")
        response.headers.replaceOrAdd(name: "X-Content-Type-Options", value: "nosniff")
        return response
    }

    private func answer(_ route: Route, _ request: Request) async throws -> Response {
        switch route {
        case .base: return Response(.ok, json: Array("{}".utf8))
        case .live: return Response(.ok, json: Array(#"{"status":"live"}"#.utf8))
        case .ready: return ready()
        case .catalog: return try await catalog(request)
        case .tags(let name): return try await tags(request, of: try repository(name))
        case .referrers(let name, let digest):
            return try await referrers(request, of: try self.digest(digest), in: try repository(name))
        case .manifest(let name, let reference):
            let repository = try repository(name)
            guard let reference = ManifestReference(reference) else {
                let code: OCICode = reference.contains(":") ? .digestInvalid : .manifestInvalid
                throw Refusal(.badRequest, code, "neither a tag nor a digest")
            }
            switch request.head.method {
            case .PUT: return try await putManifest(request, reference, in: repository)
            case .DELETE: return try await deleteManifest(reference, in: repository)
            default: return try await manifest(request, reference, in: repository)
            }
        case .blob(let name, let digest):
            let repository = try repository(name)
            let digest = try self.digest(digest)
            if request.head.method == .DELETE {
                try await store.removeBlob(digest, from: repository)
                return Response(.accepted, ["Docker-Content-Digest": digest.description])
            }
            return try await blob(request, digest, in: repository)
        case .uploads(let name): return try await startUpload(request, in: try repository(name))
        case .upload(let name, let id):
            let repository = try repository(name)
            switch request.head.method {
            case .PATCH: return try await appendUpload(request, id, in: repository)
            case .PUT: return try await finishUpload(request, id, in: repository)
            case .DELETE:
                try await store.cancelUpload(id, in: repository)
                return Response(.noContent)
            default:
                let status = try await store.uploadStatus(id, in: repository)
                return Response(.noContent, uploadHeaders(status))
            }
        case .unknown: throw Refusal(.notFound, .nameUnknown, "no such place")
        }
    }

    private func ready() -> Response {
        guard store.poisonReason == nil else {
            return Response(.serviceUnavailable, json: Array(#"{"status":"read-only after a failed write"}"#.utf8))
        }
        return Response(.ok, json: Array(#"{"status":"ready"}"#.utf8))
    }

    func repository(_ text: String) throws(Refusal) -> RepositoryName {
        guard let name = RepositoryName(text) else {
            throw Refusal(.badRequest, .nameInvalid, "not a repository name")
        }
        return name
    }

    func digest(_ text: String) throws(Refusal) -> Digest {
        guard let digest = Digest(text) else {
            throw Refusal(.badRequest, .digestInvalid, "not a digest, or of an algorithm that is not supported")
        }
        return digest
    }

    /// The size of a page, as asked for by `n`, and at most the setting.
    func pageSize(_ request: Request) throws(Refusal) -> Int {
        guard let text = request.target.value("n") else { return settings.pageMax }
        guard !text.isEmpty, text.utf8.count <= 18, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let count = Int(text)
        else { throw Refusal(.badRequest, .unsupported, "n is not a number of entries") }
        return min(count, settings.pageMax)
    }
}
