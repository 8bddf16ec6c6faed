// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@testable import VarveOCI

@Suite("OCI layout and docker archive")
struct LayoutTests {
    private func digest(_ text: String = Samples.a) throws -> Digest { try #require(Digest(text)) }

    @Test("an index that we write is one that we read, names and all")
    func index() throws {
        let image = Descriptor(mediaType: MediaType.ociManifest, digest: try digest(), size: 3)
        let layout = OCILayout([.init(image, name: "1.0"), .init(image, name: nil)])
        let read = try OCILayout(index: layout.indexBytes)
        #expect(read.entries.map(\.name) == ["1.0", nil])
        #expect(read.entries.map(\.content.descriptor) == [image, image])
    }

    @Test("containerd's whole reference goes before OCI's tag; platforms are read")
    func names() throws {
        let annotations =
            #"{"io.containerd.image.name":"docker.io/library/a:1","org.opencontainers.image.ref.name":"1"}"#
        let extra =
            #","annotations":\#(annotations),"platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#
        let text = Samples.index(
            manifests: "[\(Samples.descriptor(Samples.b, type: MediaType.ociManifest, extra: extra))]")
        let entry = try #require(try OCILayout(index: Array(text.utf8)).entries.first)
        #expect(entry.name == "docker.io/library/a:1")
        #expect(entry.content.platform?.description == "linux/arm64/v8")
    }

    @Test("an index without mediaType is an index, an image is not")
    func shape() throws {
        let bare = #"{"schemaVersion":2,"manifests":[]}"#
        #expect(try OCILayout(index: Array(bare.utf8)).entries.isEmpty)
        #expect(throws: VarveError.self) { try OCILayout(index: Array(Samples.image().utf8)) }
    }

    @Test("the marker file is checked")
    func marker() throws {
        try OCILayout.check(marker: OCILayout.markerBytes)
        try OCILayout.check(marker: Array("{\n  \"imageLayoutVersion\": \"1.1.0\"\n}\n".utf8))
        for text in ["", "{}", "[]", #"{"imageLayoutVersion":1}"#, #"{"imageLayoutVersion":"2.0.0"}"#] {
            #expect(throws: VarveError.self) { try OCILayout.check(marker: Array(text.utf8)) }
        }
    }

    @Test("blob paths go both ways, and nothing else is one")
    func paths() throws {
        for text in [Samples.a, Samples.c] {
            let digest = try digest(text)
            #expect(OCILayout.digest(ofPath: OCILayout.path(of: digest)) == digest)
        }
        for path in [
            "blobs/sha256/x", "blobs//" + Samples.a, "../blobs/sha256/\(Samples.a.dropFirst(7))", "index.json",
        ] {
            #expect(OCILayout.digest(ofPath: path) == nil)
        }
    }

    @Test("a docker archive's list goes both ways")
    func archive() throws {
        let archive = DockerArchive([
            .init(configPath: "blobs/sha256/aa", names: ["a:1", "b:2"], layerPaths: ["x/layer.tar", "y/layer.tar"]),
            .init(configPath: "c.json", names: [], layerPaths: []),
        ])
        #expect(try DockerArchive(manifest: archive.manifestBytes) == archive)
        let real = #"[{"Config":"c.json","RepoTags":null,"Layers":null,"Parent":"x","LayerSources":{}}]"#
        #expect(try DockerArchive(manifest: Array(real.utf8)).images.first?.configPath == "c.json")
    }

    @Test(
        "a path that leaves the archive is refused",
        arguments: ["/etc/passwd", "../x", "a/../b", "a//b", ".", "", "a/", "a\\u0000b"])
    func hostilePaths(_ path: String) {
        let text = #"[{"Config":"c.json","RepoTags":[],"Layers":["\#(path)"]}]"#
        #expect(throws: VarveError.self) { try DockerArchive(manifest: Array(text.utf8)) }
    }

    @Test("what is no list of images is refused", arguments: ["", "{}", "[{}]", "[1]", #"[{"Config":1}]"#])
    func malformed(_ text: String) {
        #expect(throws: VarveError.self) { try DockerArchive(manifest: Array(text.utf8)) }
    }
}
