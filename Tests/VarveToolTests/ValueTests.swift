// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveEngine
import VarveModel

@testable import varve

@Suite("a size on the command line")
struct ByteSizeTests {
    @Test(
        "is read in powers of 1000 and of 1024",
        arguments: [
            ("0", 0), ("1", 1), ("512", 512), ("10k", 10_000), ("10kB", 10_000), ("64MiB", 64 << 20),
            ("64mi", 64 << 20),
            ("64M", 64_000_000), ("1.5GB", 1_500_000_000), ("1.5GiB", 3 << 29), ("0.001kB", 1), ("2 TiB", 2 << 40),
            ("18446744073709551615", UInt64.max),
        ] as [(String, UInt64)])
    func reads(_ text: String, _ bytes: UInt64) { #expect(ByteSize(text)?.bytes == bytes) }

    @Test(
        "is refused if it is none or too large",
        arguments: [
            "", "-1", "+1", "1.", ".5", "1.2.3", "MiB", "1x", "1MiBs", "1e9", "0x10", "18446744073709551616",
            "18446744073709551615k", "16777216TiB", "１", "1.0000000001GB",
        ])
    func refuses(_ text: String) { #expect(ByteSize(text) == nil) }

    @Test(
        "is shown in the largest unit that divides it, and read back", arguments: [0, 1, 1000, 1024, 64 << 20, 3 << 29])
    func shows(_ bytes: UInt64) { #expect(ByteSize(ByteSize(bytes).description)?.bytes == bytes) }
}

@Suite("a length of time on the command line")
struct TimeSpanTests {
    @Test(
        "is read with its units",
        arguments: [
            ("0", 0), ("30s", 30), ("15m", 900), ("24h", 86400), ("7d", 604_800), ("2w", 1_209_600), ("1h30m", 5400),
        ] as [(String, UInt64)])
    func reads(_ text: String, _ seconds: UInt64) { #expect(TimeSpan(text)?.seconds == seconds) }

    @Test(
        "is refused without a unit, and if it is none",
        arguments: ["", "24", "h", "-1h", "1.5h", "1y", "99999999999999999999s", "18446744073709551615w"])
    func refuses(_ text: String) { #expect(TimeSpan(text) == nil) }
}

@Suite("a listening address")
struct ListenAddressTests {
    @Test(
        "is read with its host and port",
        arguments: [
            ("127.0.0.1:5000", "127.0.0.1", 5000), ("[::1]:0", "::1", 0), ("localhost:65535", "localhost", 65535),
        ])
    func reads(_ text: String, _ host: String, _ port: Int) {
        #expect(ListenAddress(text) == ListenAddress(host: host, port: port))
        #expect(ListenAddress(text)?.description == text)
    }

    @Test(
        "is refused if it is none",
        arguments: ["", ":", "5000", ":5000", "a:", "a:65536", "a:-1", "::1:5000", "[::1]", "[a]:1", "a b:1", "a/b:1"])
    func refuses(_ text: String) { #expect(ListenAddress(text) == nil) }

    @Test(
        "says whether other machines can reach it",
        arguments: [
            ("127.0.0.1:1", true), ("127.9.9.9:1", true), ("[::1]:1", true), ("localhost:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false), ("127.example.org:1", false), ("10.0.0.1:1", false), ("127.0.0.256:1", false),
        ])
    func loopback(_ text: String, _ isLoopback: Bool) { #expect(ListenAddress(text)?.isLoopback == isLoopback) }
}

@Suite("a cache budget")
struct CacheOptionTests {
    @Test(
        "is a share, a size or nothing",
        arguments: [
            ("10%", .percentOfSettled(10)), ("0%", .percentOfSettled(0)), ("2GiB", .bytes(2 << 30)), ("0", .bytes(0)),
        ] as [(String, StoreSettings.CacheBudget)])
    func reads(_ text: String, _ budget: StoreSettings.CacheBudget) {
        #expect(CacheOption(argument: text)?.budget == budget)
        #expect(CacheOption(argument: text)?.description == text)
    }

    @Test("is refused if it is none", arguments: ["", "%", "-1%", "10 %", "1.5%", "x"])
    func refuses(_ text: String) { #expect(CacheOption(argument: text) == nil) }
}

@Suite("an image's name")
struct ImageReferenceTests {
    static let hex = String(repeating: "0a", count: 32)

    @Test(
        "is read with tag, digest or the default tag",
        arguments: [
            ("demo:1", "demo:1"), ("demo", "demo:latest"), ("a/b/c:x", "a/b/c:x"), ("a/b", "a/b:latest"),
            ("demo@sha256:\(hex)", "demo@sha256:\(hex)"),
        ])
    func reads(_ text: String, _ full: String) { #expect(ImageReference(text)?.description == full) }

    @Test(
        "is refused outside the grammar",
        arguments: [
            "", ":", ":1", "demo:", "Demo:1", "a//b:1", "demo:1:2", "demo@1", "demo@sha256:00", "../x:1",
            "h:5000/demo:1",
            "demo:1@sha256:\(hex)",
        ])
    func refuses(_ text: String) { #expect(ImageReference(text) == nil) }

    @Test("a digest alone is a digest and no image")
    func digestAlone() throws {
        let digest = try #require(Digest("sha256:\(Self.hex)"))
        #expect(Subject(argument: "sha256:\(Self.hex)") == .digest(digest))
    }

    @Test(
        "in an archive becomes a name in the store",
        arguments: [
            ("12", "base:12"), ("debian:12", "debian:12"), ("docker.io/library/debian:12", "debian:12"),
            ("docker.io/team/app:3", "team/app:3"), ("registry.example:5000/team/app:3", "team/app:3"),
            ("quay.io/team/app:3", "quay.io/team/app:3"), ("localhost/app", "localhost/app:latest"),
            ("../app:1", nil), ("APP:1", nil), ("a@b", nil),
        ] as [(String, String?)])
    func importName(_ text: String, _ name: String?) {
        #expect(ImportName.parse(text, fallback: RepositoryName("base"))?.description == name)
    }

    @Test(
        "is made from a path",
        arguments: [
            ("/x/Debian-12.tar", "debian-12"), ("./layout/", "layout"), ("a/b.oci", "b"), ("/", nil), ("_x", nil),
        ]
            as [(String, String?)])
    func pathName(_ path: String, _ name: String?) {
        #expect(ImportName.repository(fromPath: path)?.description == name)
    }
}
