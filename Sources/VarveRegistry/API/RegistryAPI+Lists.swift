// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveEngine
import VarveHTTP
import VarveModel
import VarveOCI

extension RegistryAPI {
    /// Docker's catalogue: repositories in byte order, in pages.
    func catalog(_ request: Request) async throws -> Response {
        let count = try pageSize(request)
        // One more than asked for tells whether there is another page.
        var names =
            count == 0
            ? [] : try await store.repositories(after: request.target.value("last"), limit: count + 1)
        var headers = HTTPHeaders()
        if names.count > count {
            names.removeLast(names.count - count)
            link(&headers, "/v2/_catalog", count, last: names.last?.description)
        }
        var json = JSONWriter()
        json.object { json in
            json.key("repositories")
            json.array { json in for name in names { json.value(name.description) } }
        }
        return Response(.ok, headers, json: json.bytes)
    }

    /// end-8a, end-8b: tags in byte order, in pages.
    func tags(_ request: Request, of repository: RepositoryName) async throws -> Response {
        let count = try pageSize(request)
        var tags = try await store.tags(of: repository, after: request.target.value("last"), limit: count + 1)
        var headers = HTTPHeaders()
        if tags.count > count {
            tags.removeLast(tags.count - count)
            link(&headers, "/v2/\(repository)/tags/list", count, last: tags.last?.description)
        }
        var json = JSONWriter()
        json.object { json in
            json.key("name")
            json.value(repository.description)
            json.key("tags")
            json.array { json in for tag in tags { json.value(tag.description) } }
        }
        return Response(.ok, headers, json: json.bytes)
    }

    /// end-12a, end-12b: what refers to a manifest, from the index and from the fallback tag's index, in digest order.
    func referrers(_ request: Request, of digest: Digest, in repository: RepositoryName) async throws -> Response {
        let filter = request.target.value("artifactType").flatMap { $0.isEmpty ? nil : $0 }
        let count = try max(1, pageSize(request))
        var all = try await store.referrers(of: digest, in: repository).map(ListedReferrer.init)
        let known = Set(all.map(\.descriptor.digest))
        for referrer in await fallbackReferrers(of: digest, in: repository)
        where !known.contains(referrer.descriptor.digest) {
            all.append(referrer)
        }
        all.sort { $0.descriptor.digest < $1.descriptor.digest }
        if let filter { all.removeAll { $0.artifactType != filter } }
        if let last = request.target.value("last") {
            let last = try self.digest(last)
            all.removeAll { $0.descriptor.digest <= last }
        }

        var headers: HTTPHeaders = ["Content-Type": MediaType.ociIndex]
        if filter != nil { headers.add(name: "OCI-Filters-Applied", value: "artifactType") }
        let page = ReferrersPage(all, most: count)
        if page.entries < all.count, page.entries > 0 {
            let extra = filter.map { "&artifactType=\(RequestTarget.escape($0))" } ?? ""
            link(
                &headers, "/v2/\(repository)/referrers/\(digest)", count,
                last: all[page.entries - 1].descriptor.digest.description, extra)
        }
        return Response(.ok, headers, json: page.json)
    }

    /// The manifests that the index under the referrers tag names and that do have this subject ("Enabling the Referrers
    /// API"). Whatever is wrong with the tag's content, the answer is the poorer, never an error.
    private func fallbackReferrers(of digest: Digest, in repository: RepositoryName) async -> [ListedReferrer] {
        guard let tag = Tag("\(digest.algorithm.name)-\(digest.hex.prefix(64))"),
            let index = try? await store.manifest(.tag(tag), in: repository),
            let document = try? ManifestDocument(Array(buffer: index.bytes), contentType: index.mediaType),
            document.kind == .index
        else { return [] }
        var found: [ListedReferrer] = []
        for entry in document.manifests.prefix(settings.pageMax) {
            guard let manifest = try? await store.manifest(.digest(entry.descriptor.digest), in: repository),
                let summary = try? ManifestDocument(
                    Array(buffer: manifest.bytes), contentType: manifest.mediaType
                ).summary,
                summary.subject?.digest == digest
            else { continue }
            found.append(
                ListedReferrer(
                    descriptor: Descriptor(
                        mediaType: manifest.mediaType, digest: manifest.digest,
                        size: UInt64(manifest.bytes.readableBytes)),
                    artifactType: summary.artifactType, annotationsJSON: summary.annotationsJSON))
        }
        return found
    }

    private func link(_ headers: inout HTTPHeaders, _ path: String, _ count: Int, last: String?, _ extra: String = "") {
        guard let last else { return }
        let target = "\(path)?n=\(count)&last=\(RequestTarget.escape(last))\(extra)"
        headers.add(name: "Link", value: "<\(target)>; rel=\"next\"")
    }
}

/// A manifest that refers to another, as it is listed.
struct ListedReferrer {
    var descriptor: Descriptor
    var artifactType: String?
    var annotationsJSON: [UInt8]?

    init(descriptor: Descriptor, artifactType: String?, annotationsJSON: [UInt8]?) {
        self.descriptor = descriptor
        self.artifactType = artifactType
        self.annotationsJSON = annotationsJSON
    }

    init(_ referrer: Referrer) {
        self.init(
            descriptor: referrer.descriptor, artifactType: referrer.artifactType,
            annotationsJSON: referrer.annotationsJSON)
    }
}

/// One page of referrers: as many as asked for, and no more than a client takes as a manifest.
struct ReferrersPage {
    /// Entries on the page.
    let entries: Int
    /// An image index.
    let json: [UInt8]

    init(_ referrers: [ListedReferrer], most: Int) {
        var entries = 0
        var bytes = 0
        var json = JSONWriter()
        json.object { json in
            json.key("schemaVersion")
            json.value(2)
            json.key("mediaType")
            json.value(MediaType.ociIndex)
            json.key("manifests")
            json.array { json in
                for referrer in referrers.prefix(most) {
                    bytes += 512 + (referrer.annotationsJSON?.count ?? 0)
                    if entries > 0, bytes > ManifestDocument.bytesMax { break }
                    ReferrersPage.write(referrer, &json)
                    entries += 1
                }
            }
        }
        self.entries = entries
        self.json = json.bytes
    }

    private static func write(_ referrer: ListedReferrer, _ json: inout JSONWriter) {
        json.object { json in
            json.key("mediaType")
            json.value(referrer.descriptor.mediaType)
            json.key("digest")
            json.value(referrer.descriptor.digest.description)
            json.key("size")
            json.value(referrer.descriptor.size)
            if let artifactType = referrer.artifactType {
                json.key("artifactType")
                json.value(artifactType)
            }
            if let annotations = referrer.annotationsJSON {
                json.key("annotations")
                json.raw(annotations)
            }
        }
    }
}
