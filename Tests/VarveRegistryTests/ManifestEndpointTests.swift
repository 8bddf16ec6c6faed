// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveModel
import VarveOCI

@testable import VarveRegistry

/// The endpoints that deal with manifests, tags and referrers.
@Suite("OCI distribution endpoints: manifests", .timeLimit(.minutes(15)))
struct ManifestEndpointTests {
    /// Pushes a config and a layer and returns an image manifest of them.
    private func image(_ server: TestServer, in repository: String = "a", salt: UInt64 = 1, extra: String = "")
        async throws -> [UInt8]
    {
        let layer = pattern(500, salt: salt)
        let config = Array("{}".utf8)
        let layerDigest = try await server.push(layer, to: repository)
        let configDigest = try await server.push(config, to: repository)
        return Array(
            """
            {"schemaVersion":2,"mediaType":"\(MediaType.ociManifest)",
             "config":{"mediaType":"\(MediaType.ociConfig)","digest":"\(configDigest)","size":2},
             "layers":[{"mediaType":"\(MediaType.ociLayer)","digest":"\(layerDigest)","size":500}]\(extra)}
            """.utf8)
    }

    private func put(
        _ server: TestServer, _ manifest: [UInt8], _ reference: String, in repository: String = "a",
        type: String = MediaType.ociManifest
    ) async throws -> Reply {
        try await server.send(
            "PUT", "/v2/\(repository)/manifests/\(reference)", [("Content-Type", type)], body: manifest)
    }

    @Test("end-7a, end-3: a manifest by tag, the very bytes by tag and digest")
    func byTag() async throws {
        try await TestServer.run { server in
            let manifest = try await image(server)
            let digest = try await server.digest(of: manifest)
            let reply = try await put(server, manifest, "v1")
            #expect(reply.status == 201)
            #expect(reply.header("Docker-Content-Digest") == digest.description)
            for reference in [
                "v1", digest.description,
                try #require(reply.header("Location")?.split(separator: "/").last).description,
            ] {
                let get = try await server.send("GET", "/v2/a/manifests/\(reference)", [("Accept", "text/plain")])
                #expect(get.status == 200)
                #expect(get.body == manifest)
                #expect(get.header("Content-Type") == MediaType.ociManifest)
                #expect(get.header("Docker-Content-Digest") == digest.description)
                let head = try await server.send("HEAD", "/v2/a/manifests/\(reference)")
                #expect(head.header("Content-Length") == String(manifest.count))
            }
            let tag = try #require(try await server.send("GET", "/v2/a/manifests/v1").header("ETag"))
            #expect(try await server.send("GET", "/v2/a/manifests/v1", [("If-None-Match", tag)]).status == 304)
        }
    }

    @Test("end-7a: under a digest, of either algorithm, that is its own and no other")
    func byDigest() async throws {
        try await TestServer.run { server in
            let manifest = try await image(server)
            for algorithm in Digest.Algorithm.allCases {
                let digest = try await server.digest(of: manifest, algorithm)
                #expect(try await put(server, manifest, digest.description).status == 201)
                #expect(try await server.send("GET", "/v2/a/manifests/\(digest)").body == manifest)
                let wrong = try await put(server, manifest + [0x20], digest.description)
                #expect(wrong.status == 400)
                #expect(wrong.code == "DIGEST_INVALID")
            }
            #expect(try await put(server, manifest, "sha256:x").status == 400)
            #expect(try await put(server, manifest, "-bad").status == 400)
        }
    }

    @Test("end-7b: several tags at once")
    func tagParameters() async throws {
        try await TestServer.run { server in
            let manifest = try await image(server)
            let digest = try await server.digest(of: manifest)
            let tags = (1...12).map { "t\($0)" }
            let query = tags.map { "tag=\($0)" }.joined(separator: "&")
            let reply = try await put(server, manifest, "\(digest)?\(query)")
            #expect(reply.status == 201)
            #expect(reply.all("OCI-Tag") == tags)
            for tag in tags { #expect(try await server.send("GET", "/v2/a/manifests/\(tag)").body == manifest) }
            #expect(try await put(server, manifest, "\(digest)?tag=-x").status == 400)
            #expect(try await put(server, manifest, "v1?tag=v2").status == 400)
        }
    }

    @Test("end-7a: what is missing, malformed or contradicts itself is refused")
    func refused() async throws {
        try await TestServer.run { server in
            let manifest = try await image(server)
            let text = String(decoding: manifest, as: UTF8.self)
            let missing = try await put(server, Array(text.replacing("\"size\":500", with: "\"size\":-500").utf8), "v")
            #expect(missing.code == "MANIFEST_INVALID")
            let elsewhere = try await put(server, manifest, "v", in: "other")
            #expect(elsewhere.status == 404)
            #expect(elsewhere.code == "MANIFEST_BLOB_UNKNOWN")
            #expect(try await put(server, manifest, "v", type: MediaType.ociIndex).code == "MANIFEST_INVALID")
            #expect(try await put(server, Array("{".utf8), "v").code == "MANIFEST_INVALID")
            #expect(try await put(server, [], "v").code == "MANIFEST_INVALID")
            #expect(try await server.send("GET", "/v2/a/manifests/v").status == 404)
        }
    }

    @Test("end-7a: 4 MiB are taken, more is 413, announced or not")
    func size() async throws {
        try await TestServer.run { server in
            let manifest = try await image(server)
            let padded = manifest + [UInt8](repeating: 0x20, count: ManifestDocument.bytesMax - manifest.count)
            #expect(try await put(server, padded, "big").status == 201)
            #expect(try await put(server, padded + [0x20], "big").status == 413)
            let chunked =
                Array("\(String(padded.count + 1, radix: 16))\r\n".utf8) + padded + Array(" \r\n0\r\n\r\n".utf8)
            let reply = try await server.send(
                "PUT", "/v2/a/manifests/big",
                [("Content-Type", MediaType.ociManifest), ("Transfer-Encoding", "chunked")],
                body: chunked)
            #expect(reply.status == 413)
        }
    }

    @Test("end-7a: too many manifest bytes at once are refused, and given back")
    func budget() async throws {
        try await TestServer.run {
            $0.manifestBytesInFlight = 1000
        } _: { server in
            let manifest = try await image(server)
            let padded = manifest + [UInt8](repeating: 0x20, count: 2000)
            let refused = try await put(server, padded, "v")
            #expect(refused.status == 429)
            #expect(refused.code == "TOOMANYREQUESTS")
            #expect(refused.header("Retry-After") != nil)
            for _ in 0..<5 { #expect(try await put(server, manifest, "v").status == 201) }
        }
    }

    @Test("end-8a, end-8b: tags in order, in pages that link to each other")
    func tags() async throws {
        try await TestServer.run { server in
            let manifest = try await image(server)
            for tag in ["b", "a", "C", "10", "9"] { #expect(try await put(server, manifest, tag).status == 201) }
            let all = ["10", "9", "C", "a", "b"]
            let whole = try await server.send("GET", "/v2/a/tags/list")
            #expect(try whole.json["tags"] as? [String] == all)
            #expect(try whole.json["name"] as? String == "a")
            #expect(whole.header("Link") == nil)
            var seen: [String] = []
            var target: String? = "/v2/a/tags/list?n=2"
            while let next = target {
                let page = try await server.send("GET", next)
                seen += try #require(try page.json["tags"] as? [String])
                target = page.header("Link").flatMap { $0.split(separator: ">").first?.dropFirst() }.map(String.init)
            }
            #expect(seen == all)
            let none = try await server.send("GET", "/v2/a/tags/list?n=0")
            #expect(try none.json["tags"] as? [String] == [])
            #expect(none.header("Link") == nil)
            #expect(try await server.send("GET", "/v2/a/tags/list?last=C").json["tags"] as? [String] == ["a", "b"])
            #expect(try await server.send("GET", "/v2/a/tags/list?n=99999999").status == 200)
            for wrong in ["-1", "x", "", "1e3", "99999999999999999999"] {
                #expect(try await server.send("GET", "/v2/a/tags/list?n=\(wrong)").status == 400)
            }
            let unknown = try await server.send("GET", "/v2/none/tags/list")
            #expect(unknown.status == 404)
            #expect(unknown.code == "NAME_UNKNOWN")
        }
    }

    @Test("the catalogue, in pages")
    func catalog() async throws {
        try await TestServer.run { server in
            for name in ["b", "a/x", "a"] { _ = try await server.push([1], to: name) }
            let whole = try await server.send("GET", "/v2/_catalog")
            #expect(try whole.json["repositories"] as? [String] == ["a", "a/x", "b"])
            let page = try await server.send("GET", "/v2/_catalog?n=2")
            #expect(try page.json["repositories"] as? [String] == ["a", "a/x"])
            #expect(page.header("Link") == "</v2/_catalog?n=2&last=a/x>; rel=\"next\"")
        }
    }

    @Test("end-9: a deleted tag leaves the manifest, a deleted manifest takes its tags")
    func deletion() async throws {
        try await TestServer.run { server in
            let manifest = try await image(server)
            let digest = try await server.digest(of: manifest)
            for tag in ["one", "two"] { _ = try await put(server, manifest, tag) }
            #expect(try await server.send("DELETE", "/v2/a/manifests/one").status == 202)
            #expect(try await server.send("GET", "/v2/a/manifests/one").status == 404)
            #expect(try await server.send("GET", "/v2/a/manifests/\(digest)").status == 200)
            #expect(try await server.send("DELETE", "/v2/a/manifests/\(digest)").status == 202)
            for reference in ["two", digest.description] {
                let reply = try await server.send("GET", "/v2/a/manifests/\(reference)")
                #expect(reply.status == 404)
                #expect(reply.code == "MANIFEST_UNKNOWN")
                #expect(try await server.send("DELETE", "/v2/a/manifests/\(reference)").status == 404)
            }
            #expect(try await server.send("DELETE", "/v2/none/manifests/x").code == "NAME_UNKNOWN")
        }
    }

    @Test("end-12a, end-12b: referrers, filtered, in pages, of a subject that is not there too")
    func referrers() async throws {
        try await TestServer.run { server in
            let subject = try await server.digest(of: Array("absent".utf8))
            let reference =
                #","subject":{"mediaType":"\#(MediaType.ociManifest)","digest":"\#(subject)","size":6}"#
            var expected: Set<String> = []
            for (salt, type) in [(UInt64(1), "x/one+json"), (2, "x/two"), (3, "x/one+json")] {
                let extra = reference + #","artifactType":"\#(type)","annotations":{"k":"v\#(salt)"}"#
                let manifest = try await image(server, salt: salt, extra: extra)
                let digest = try await server.digest(of: manifest)
                let reply = try await put(server, manifest, digest.description)
                #expect(reply.header("OCI-Subject") == subject.description)
                if type == "x/one+json" { expected.insert(digest.description) }
            }
            let all = try await server.send("GET", "/v2/a/referrers/\(subject)")
            #expect(all.status == 200)
            #expect(all.header("Content-Type") == MediaType.ociIndex)
            let index = try OCILayout(index: all.body)
            #expect(index.entries.count == 3)
            #expect(Set(index.entries.compactMap { $0.content.annotations["k"] }) == ["v1", "v2", "v3"])
            #expect(all.header("OCI-Filters-Applied") == nil)
            for filter in ["x%2Fone%2Bjson", "x/one+json"] {
                let some = try await server.send("GET", "/v2/a/referrers/\(subject)?artifactType=\(filter)")
                #expect(some.header("OCI-Filters-Applied") == "artifactType")
                let entries = try OCILayout(index: some.body).entries
                #expect(Set(entries.map(\.content.descriptor.digest.description)) == expected)
                #expect(entries.allSatisfy { $0.content.artifactType == "x/one+json" })
            }
            var seen: Set<String> = []
            var target: String? = "/v2/a/referrers/\(subject)?n=1&artifactType=x/one%2Bjson"
            while let next = target {
                let page = try await server.send("GET", next)
                seen.formUnion(try OCILayout(index: page.body).entries.map(\.content.descriptor.digest.description))
                target = page.header("Link").flatMap { $0.split(separator: ">").first?.dropFirst() }.map(String.init)
            }
            #expect(seen == expected)
            let none = try await server.send("GET", "/v2/never/seen/referrers/\(subject)")
            #expect(none.status == 200)
            #expect(try OCILayout(index: none.body).entries.isEmpty)
            #expect(try await server.send("GET", "/v2/a/referrers/sha256:x").status == 400)
        }
    }

    @Test("end-12a: the fallback tag's index is merged in, as far as it is true")
    func fallback() async throws {
        try await TestServer.run { server in
            let subject = try await server.digest(of: Array("absent".utf8))
            let reference =
                #","subject":{"mediaType":"\#(MediaType.ociManifest)","digest":"\#(subject)","size":6}"#
            let true1 = try await image(server, salt: 1, extra: reference)
            let untrue = try await image(server, salt: 2)
            var entries: [String] = []
            for manifest in [true1, untrue] {
                let digest = try await server.digest(of: manifest)
                #expect(try await put(server, manifest, digest.description).status == 201)
                entries.append(
                    #"{"mediaType":"\#(MediaType.ociManifest)","digest":"\#(digest)","size":\#(manifest.count)}"#)
            }
            let index =
                #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociIndex)","manifests":[\#(entries.joined(separator: ","))]}"#
            let tag = "sha256-\(subject.hex)"
            #expect(try await put(server, Array(index.utf8), tag, type: MediaType.ociIndex).status == 201)
            let listed = try OCILayout(index: try await server.send("GET", "/v2/a/referrers/\(subject)").body).entries
            let expected = try await server.digest(of: true1)
            #expect(listed.map(\.content.descriptor.digest) == [expected])
        }
    }
}
