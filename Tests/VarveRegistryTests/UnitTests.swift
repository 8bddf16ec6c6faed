// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import Testing
import VarveModel

@testable import VarveRegistry

@Suite("error table")
struct ErrorTableTests {
    @Test("every code of the engine has a row", arguments: VarveError.Code.allCases)
    func rows(_ code: VarveError.Code) throws {
        let row = try #require(ErrorTable.rows[code])
        #expect((400..<600).contains(row.status.code))
        // Codes of the specification with 4xx, where it asks for them; ours with 5xx only.
        #expect((row.code == .unknown) == (row.status.code >= 500 && code != .unsupported))
    }

    @Test("what went wrong on our side is not told")
    func secrets() {
        let refusal = Refusal(VarveError(.io, "open /secret/place failed"))
        #expect(refusal.status == .internalServerError)
        #expect(!String(decoding: refusal.json, as: UTF8.self).contains("secret"))
    }

    @Test("codes are written as the specification spells them")
    func spelling() {
        for code in OCICode.allCases { #expect(code.rawValue.allSatisfy { $0.isUppercase || $0 == "_" }) }
        #expect(Set(OCICode.allCases.map(\.rawValue)).count == 15)
    }
}

@Suite("request targets and routes")
struct TargetTests {
    private func route(_ target: String) -> Route? { RequestTarget(target).map { Route($0.segments) } }

    @Test("the paths of the specification")
    func routes() {
        #expect(route("/v2/") == .base)
        #expect(route("/v2") == .base)
        #expect(route("/v2/_catalog?n=1") == .catalog)
        #expect(route("/v2/a/b/tags/list") == .tags(name: "a/b"))
        #expect(route("/v2/a/manifests/x") == .manifest(name: "a", reference: "x"))
        #expect(route("/v2/a/blobs/sha256%3Aab") == .blob(name: "a", digest: "sha256:ab"))
        #expect(route("/v2/a/blobs/uploads/") == .uploads(name: "a"))
        #expect(route("/v2/a/blobs/uploads") == .uploads(name: "a"))
        #expect(route("/v2/a/blobs/uploads/1f") == .upload(name: "a", id: "1f"))
        #expect(route("/v2/a/referrers/sha256:ab") == .referrers(name: "a", digest: "sha256:ab"))
        #expect(route("http://host:1/v2/a/tags/list") == .tags(name: "a"))
    }

    @Test("a name may hold the words that structure paths")
    func words() {
        #expect(route("/v2/blobs/uploads/tags/list") == .tags(name: "blobs/uploads"))
        #expect(route("/v2/tags/list/tags/list") == .tags(name: "tags/list"))
        #expect(route("/v2/a/blobs/blobs/x") == .blob(name: "a/blobs", digest: "x"))
        #expect(route("/v2/manifests/manifests/manifests") == .manifest(name: "manifests", reference: "manifests"))
        #expect(route("/v2/a/manifests/blobs/uploads/") == .uploads(name: "a/manifests"))
    }

    @Test(
        "other paths are unknown",
        arguments: ["/", "/v1/", "/v2/a", "/v2/tags/list", "/v2/manifests/x", "/v2/a/blobs", "*", "/V2/", "//v2/"])
    func unknown(_ target: String) { #expect(route(target) == .unknown) }

    @Test(
        "targets that are not well formed are refused",
        arguments: [
            "", "v2/", "/v2/%", "/v2/%2", "/v2/%zz/x", "/v2/%00", "/v2/a%2Fb/tags/list", "/v2/%ff", "/v2/%c0%af/x",
            "/v2/a?x=%", "/v2/a#b", "ftp://h/v2/", "http://h", "/v2/a%0d%0ab", "http:/v2/",
        ])
    func malformed(_ target: String) { #expect(RequestTarget(target) == nil) }

    @Test("queries are decoded, a plus stays a plus")
    func query() throws {
        let target = try #require(RequestTarget("/v2/?tag=a&tag=b&artifactType=x%2Fy+json&digest=sha256%3Aab&=&z"))
        #expect(target.values("tag") == ["a", "b"])
        #expect(target.value("artifactType") == "x/y+json")
        #expect(target.value("digest") == "sha256:ab")
        #expect(target.value("z")?.isEmpty == true)
        #expect(target.value("n") == nil)
        #expect(RequestTarget("/?a=" + RequestTarget.escape("x y+&é/"))?.value("a") == "x y+&é/")
    }
}

@Suite("upload ranges")
struct UploadRangeTests {
    @Test("an upload's Content-Range")
    func upload() {
        #expect(UploadRange("0-9").map { [$0.first, $0.count] } == [0, 10])
        #expect(UploadRange("bytes 5-5/10").map { [$0.first, $0.count] } == [5, 1])
        for field in ["", "-", "5-4", "a-b", "0-", "-5", "0-9-9", "0 - 9", "18446744073709551615-18446744073709551615"]
        {
            #expect(UploadRange(field) == nil)
        }
    }

    @Test("10,000 strange texts are read or refused")
    func mutations() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("bytes=-,0123456789 x")
        for _ in 0..<10_000 {
            let text = String(
                (0..<Int.random(in: 0...24)).map { _ in alphabet.randomElement(using: &generator) ?? "-" })
            if let range = UploadRange(text) { #expect(range.count > 0, "\(text)") }
            if let target = RequestTarget("/" + text) { #expect(!target.segments.isEmpty, "\(text)") }
        }
    }
}
