// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@testable import VarveOCI

/// Manifests to begin with.
enum Samples {
    static let a = "sha256:" + String(repeating: "a", count: 64)
    static let b = "sha256:" + String(repeating: "b", count: 64)
    static let c = "sha512:" + String(repeating: "c", count: 128)

    static func descriptor(
        _ digest: String = a, type: String = MediaType.ociLayer, size: String = "7", extra: String = ""
    ) -> String { #"{"mediaType":"\#(type)","digest":"\#(digest)","size":\#(size)\#(extra)}"# }

    static func image(
        config: String = descriptor(a, type: MediaType.ociConfig), layers: String = "[\(descriptor(b))]",
        type: String = MediaType.ociManifest, extra: String = ""
    ) -> String {
        #"{"schemaVersion":2,"mediaType":"\#(type)","config":\#(config),"layers":\#(layers)\#(extra)}"#
    }

    static func index(manifests: String = "[\(descriptor(b, type: MediaType.ociManifest))]", extra: String = "")
        -> String
    {
        #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociIndex)","manifests":\#(manifests)\#(extra)}"#
    }
}

@Suite("manifest documents")
struct ManifestDocumentTests {
    private func read(_ text: String, as type: String? = nil) throws(VarveError) -> ManifestDocument {
        try ManifestDocument(Array(text.utf8), contentType: type)
    }

    private func code(_ text: String, as type: String? = nil) -> VarveError.Code? {
        do {
            _ = try read(text, as: type)
            return nil
        } catch {
            return error.code
        }
    }

    @Test("an OCI image names config and layers")
    func image() throws {
        let summary = try read(Samples.image(), as: MediaType.ociManifest).summary
        #expect(summary.mediaType == MediaType.ociManifest)
        #expect(summary.blobs.map(\.digest.description) == [Samples.a, Samples.b])
        #expect(summary.blobs.map(\.size) == [7, 7])
        #expect(summary.optionalBlobs.isEmpty && summary.manifests.isEmpty && summary.subject == nil)
        #expect(summary.artifactType == MediaType.ociConfig)
    }

    @Test("a Docker image and list count as image and index")
    func docker() throws {
        let image = try read(Samples.image(type: MediaType.dockerManifest), as: MediaType.dockerManifest)
        #expect(image.kind == .image)
        let list = Samples.index().replacing(MediaType.ociIndex, with: MediaType.dockerList)
        let summary = try read(list, as: MediaType.dockerList).summary
        #expect(summary.manifests.map(\.digest.description) == [Samples.b])
        #expect(summary.artifactType == nil)
    }

    @Test("an artifact manifest names its blobs")
    func artifact() throws {
        let text =
            #"{"mediaType":"\#(MediaType.ociArtifact)","artifactType":"x/y","blobs":[\#(Samples.descriptor())],"#
            + #""subject":\#(Samples.descriptor(Samples.c, type: MediaType.ociManifest))}"#
        let summary = try read(text, as: MediaType.ociArtifact).summary
        #expect(summary.blobs.map(\.digest.description) == [Samples.a])
        #expect(summary.subject?.digest.description == Samples.c)
        #expect(summary.artifactType == "x/y")
    }

    @Test("artifactType goes before the config's type, unless it is empty")
    func artifactType() throws {
        #expect(try read(Samples.image(extra: #","artifactType":"x/y""#)).summary.artifactType == "x/y")
        #expect(try read(Samples.image(extra: #","artifactType":"""#)).summary.artifactType == MediaType.ociConfig)
        #expect(try read(Samples.index(extra: #","artifactType":"x/y""#)).summary.artifactType == "x/y")
    }

    @Test("annotations come out as they are written")
    func annotations() throws {
        let written = #"{ "k" : "v\u00e9" }"#
        let document = try read(Samples.image(extra: #","annotations": \#(written) "#))
        #expect(document.annotationsJSON == Array(written.utf8))
        #expect(document.annotations == ["k": "vé"])
    }

    @Test("layers that lie elsewhere need not be there")
    func nonDistributable() throws {
        let layers = [
            Samples.descriptor(Samples.a, type: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            Samples.descriptor(Samples.b, type: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            Samples.descriptor(Samples.c, extra: #","urls":["https://example.com/x"]"#),
            Samples.descriptor(Samples.b, extra: #","urls":[]"#),
        ]
        let summary = try read(Samples.image(layers: "[\(layers.joined(separator: ","))]")).summary
        #expect(summary.optionalBlobs.map(\.digest.description) == [Samples.a, Samples.b, Samples.c])
        #expect(summary.blobs.map(\.digest.description) == [Samples.a, Samples.b])
    }

    @Test("without a Content-Type the document decides, or its shape")
    func contentType() throws {
        #expect(try read(Samples.image()).mediaType == MediaType.ociManifest)
        #expect(try read(Samples.image(), as: "application/json").mediaType == MediaType.ociManifest)
        let bare = Samples.image().replacing(#""mediaType":"\#(MediaType.ociManifest)","#, with: "")
        #expect(try read(bare).mediaType == MediaType.ociManifest)
        #expect(try read(bare, as: MediaType.dockerManifest).mediaType == MediaType.dockerManifest)
        #expect(try read(Samples.image(), as: " \(MediaType.ociManifest) ; charset=utf-8").kind == .image)
        #expect(code(#"{"schemaVersion":2}"#) == .manifestInvalid)
    }

    @Test("an unknown type is taken as it is, and keeps what it names")
    func opaque() throws {
        let summary = try read(#"{"a":[1,{"b":null}]}"#, as: "application/vnd.example+json").summary
        #expect(summary.mediaType == "application/vnd.example+json")
        #expect(summary.blobs.isEmpty && summary.manifests.isEmpty)
        let naming = try read(#"{"layers":[\#(Samples.descriptor())]}"#, as: "application/vnd.example+json").summary
        #expect(naming.optionalBlobs.map(\.digest.description) == [Samples.a])
        let odd = try read(#"{"layers":"many","config":7}"#, as: "application/vnd.example+json")
        #expect(odd.kind == .opaque && odd.layers.isEmpty)
    }

    @Test(
        "refuses what two readers could read differently",
        arguments: [
            Samples.image(extra: #","manifests":[]"#),
            Samples.index(extra: #","layers":[]"#),
            Samples.index(extra: #","config":\#(Samples.descriptor())"#),
            Samples.image(extra: #","layers":[]"#),
            Samples.image(extra: #","Layers":[]"#),
            Samples.image(extra: #","MANIFESTS":[]"#),
            Samples.image(config: Samples.descriptor(extra: #","size":8"#)),
            Samples.image(config: Samples.descriptor(extra: #","Digest":"x""#)),
        ])
    func ambiguous(_ text: String) { #expect(code(text) == .manifestInvalid) }

    @Test(
        "refuses descriptors that are not whole",
        arguments: [
            "null", "[]", "7", "{}", #"{"mediaType":"a/b","size":1}"#, #"{"digest":"\#(Samples.a)","size":1}"#,
            #"{"mediaType":"a/b","digest":"\#(Samples.a)"}"#, Samples.descriptor(size: "-1"),
            Samples.descriptor(size: "1.5"), Samples.descriptor(size: "\"7\""), Samples.descriptor(size: "1e3"),
            Samples.descriptor(size: "9223372036854775808"), Samples.descriptor("sha256:abc"),
            Samples.descriptor("md5:00"),
            Samples.descriptor(Samples.a.uppercased()), Samples.descriptor(Samples.a + "0"), Samples.descriptor(""),
            Samples.descriptor(type: ""), Samples.descriptor(extra: #","urls":"x""#),
            Samples.descriptor(extra: #","annotations":{"a":1}"#), Samples.descriptor(extra: #","annotations":[]"#),
        ])
    func descriptors(_ text: String) {
        #expect(code(Samples.image(config: text)) == .manifestInvalid)
        #expect(code(Samples.image(layers: "[\(text)]")) == .manifestInvalid)
        #expect(code(Samples.index(manifests: "[\(text)]")) == .manifestInvalid)
    }

    @Test(
        "refuses manifests that are not whole",
        arguments: [
            "", "null", "[]", "{", "{}", "7", #""text""#,
            #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociManifest)"}"#,
            #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociIndex)"}"#,
            Samples.image().replacing(#""schemaVersion":2"#, with: #""schemaVersion":1"#),
            Samples.image().replacing(#""schemaVersion":2,"#, with: ""),
            Samples.image().replacing(#""schemaVersion":2"#, with: #""schemaVersion":"2""#),
            Samples.image(layers: "{}"), Samples.index(manifests: "7"), Samples.image() + "x",
            Samples.image(extra: #","annotations":{"a":[]}"#), Samples.image(extra: #","subject":{}"#),
        ])
    func incomplete(_ text: String) { #expect(code(text) == .manifestInvalid) }

    @Test("refuses a mediaType that is not the Content-Type")
    func contradiction() {
        #expect(code(Samples.image(), as: MediaType.ociIndex) == .manifestInvalid)
        #expect(code(Samples.image(), as: "application/vnd.example+json") == .manifestInvalid)
    }

    @Test("takes null for empty lists, as Go writes them, and no layers at all")
    func null() throws {
        #expect(try read(Samples.image(layers: "null")).layers.isEmpty)
        #expect(try read(Samples.image(layers: "[]", extra: #","subject":null,"annotations":null"#)).subject == nil)
        #expect(try read(Samples.index(manifests: "null")).manifests.isEmpty)
    }

    @Test("4 MiB are taken, a byte more is not")
    func size() throws {
        let text = Samples.image()
        let padded = text + String(repeating: " ", count: ManifestDocument.bytesMax - text.utf8.count)
        #expect(try read(padded).kind == .image)
        #expect(code(padded + " ") == .tooLarge)
    }

    @Test("Docker's schema 1 is refused, its layers would not be known")
    func schema1() {
        #expect(code(#"{"schemaVersion":1}"#, as: MediaType.dockerSchema1Signed) == .unsupported)
    }

    @Test("a manifest that we write is one that we read")
    func writing() throws {
        let config = Descriptor(mediaType: MediaType.ociConfig, digest: try #require(Digest(Samples.a)), size: 3)
        let layer = Descriptor(mediaType: MediaType.ociLayer, digest: try #require(Digest(Samples.c)), size: 4)
        let document = try ManifestDocument(ManifestDocument.image(config: config, layers: [layer, layer]))
        #expect(document.kind == .image)
        #expect(document.summary.blobs == [config, layer, layer])
    }
}
