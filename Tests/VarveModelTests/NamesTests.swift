// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@Suite("names and digests")
struct NamesTests {
    @Test(
        "repository names inside the grammar are taken",
        arguments: [
            "a", "library/busybox", "a.b/c_d/e__f/g-h", "x--y", "0/1/2", "a" + String(repeating: "b", count: 254),
        ])
    func takesRepositories(_ text: String) { #expect(RepositoryName(text)?.description == text) }

    @Test(
        "repository names outside the grammar are refused",
        arguments: [
            "", "A", "a/", "/a", "a//b", "a..b", "a___b", "-a", "a-", ".a", "a.", "a/../b", "..", "a b", "a\u{0}b", "ä",
            "a._b", String(repeating: "a", count: 256),
        ])
    func refusesRepositories(_ text: String) { #expect(RepositoryName(text) == nil) }

    @Test(
        "tags inside the grammar are taken", arguments: ["latest", "_", "1.0-rc.1", String(repeating: "t", count: 128)])
    func takesTags(_ text: String) { #expect(Tag(text)?.description == text) }

    @Test(
        "tags outside the grammar are refused",
        arguments: ["", ".a", "-a", "a/b", "a:b", String(repeating: "t", count: 129)])
    func refusesTags(_ text: String) { #expect(Tag(text) == nil) }

    @Test("a digest is its text again", arguments: Digest.Algorithm.allCases)
    func roundTrip(_ algorithm: Digest.Algorithm) throws {
        let bytes = (0..<algorithm.byteCount).map { UInt8(truncatingIfNeeded: 7 &* $0 &+ 3) }
        let digest = try #require(Digest(algorithm, bytes: bytes))
        #expect(digest.bytes == bytes)
        #expect(Digest(digest.description) == digest)
    }

    @Test(
        "malformed digests are refused",
        arguments: [
            "", ":", "sha256", "sha256:", "sha256:abc", "sha256:" + String(repeating: "A", count: 64),
            "sha256:" + String(repeating: "a", count: 65), "md5:" + String(repeating: "a", count: 32),
            "sha512:" + String(repeating: "a", count: 64), "sha256:" + String(repeating: "g", count: 64),
            "sha256:../" + String(repeating: "a", count: 61),
        ])
    func refusesDigests(_ text: String) { #expect(Digest(text) == nil) }

    @Test("digests sort as their text does")
    func order() throws {
        let digests = try (0..<64).map { index in
            try #require(
                Digest(.sha256, bytes: (0..<32).map { UInt8(truncatingIfNeeded: (index &* 73) >> ($0 % 3) &+ $0) }))
        }
        #expect(digests.sorted().map(\.description) == digests.map(\.description).sorted())
    }
}
