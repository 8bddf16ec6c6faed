// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveModel
import VarveOCI

@testable import varve

@Suite("import, export, images, inspect, rm")
struct ImagesVerbTests {
    let directory = TemporaryDirectory()
    var store: String { "\(directory.path)/store" }

    private func twoImages() throws -> LayoutFixture {
        var layout = try LayoutFixture(in: directory, name: "base")
        try layout.image(
            "one", layers: [LayoutFixture.layer(shared: 1, own: 11), LayoutFixture.layer(shared: 2, own: 12)])
        try layout.image("team/app:2", layers: [LayoutFixture.layer(shared: 1, own: 21)])
        return layout
    }

    @Test("a layout comes in under its names, and every blob of it comes out byte for byte")
    func layoutRoundTrip() async throws {
        let layout = try twoImages()
        _ = try await TestTool.done("import", "--store", store, layout.path)
        let rows: [[String: Any]] = try await TestTool.done("images", "--store", store, "--json").json()
        #expect(rows.compactMap { $0["repository"] as? String } == ["base", "team/app"])
        #expect(rows.compactMap { $0["tag"] as? String } == ["one", "2"])
        #expect(rows.map { $0["digest"] as? String } == layout.entries.map { $0.content.descriptor.digest.description })
        #expect(rows.compactMap { ($0["layers"] as? [String: Any])?["count"] as? Int } == [2, 1])

        _ = try await TestTool.done("settle", "--store", store, "--evict")
        for name in ["base:one", "team/app:2"] {
            _ = try await TestTool.done("export", "--store", store, name, "-o", "\(directory.path)/out")
        }
        let files = directory.files(below: "base/blobs")
        #expect(files.count == 7)
        #expect(directory.files(below: "out/blobs") == files)
        for file in files {
            #expect(directory.read("out/blobs/\(file)") == directory.read("base/blobs/\(file)"), "\(file)")
        }
        // What came out is a layout that comes in again under the same names.
        _ = try await TestTool.done("import", "--store", store + "2", "\(directory.path)/out")
        let again: [[String: Any]] = try await TestTool.done("images", "--store", store + "2", "--json").json()
        #expect(again.compactMap { $0["tag"] as? String } == ["one", "2"])
        #expect(again.map { $0["digest"] as? String } == rows.map { $0["digest"] as? String })
    }

    @Test("an archive on standard output is a layout and a docker archive, and comes in again")
    func archiveRoundTrip() async throws {
        let layout = try twoImages()
        _ = try await TestTool.done("import", "--store", store, layout.path)
        let bytes = try await TestTool.done("export", "--store", store, "base:one").outputBytes
        let path = try directory.write("saved.tar", bytes)
        let tar = try #require(try TarIndex(SourceFile(path)))
        let index = try OCILayout(index: #require(tar.source(at: OCILayout.indexPath)).document("index.json"))
        #expect(index.entries.first?.content.descriptor.digest == layout.entries[0].content.descriptor.digest)
        let docker = try DockerArchive(
            manifest: #require(tar.source(at: "manifest.json")).document("manifest.json"))
        #expect(docker.images.first?.names == ["base:one"])
        for layer in docker.images.first?.layerPaths ?? [] {
            #expect(try tar.source(at: layer)?.prefix(.max) == directory.read("base/\(layer)"))
        }
        _ = try await TestTool.done("import", "--store", store + "2", path)
        _ = try await TestTool.done("export", "--store", store + "2", "base:one", "-o", "\(directory.path)/two.tar")
        #expect(directory.read("two.tar") == bytes)
    }

    @Test("a docker save archive comes in, symlinked layers and all, and gives the same manifest each time")
    func dockerArchive() async throws {
        let layer = LayoutFixture.layer(shared: 3, own: 31)
        let digest = try Hashing.digest(of: layer)
        let config = Array(#"{"rootfs":{"type":"layers","diff_ids":["\#(digest)","\#(digest)"]}}"#.utf8)
        let docker = DockerArchive([
            DockerArchive.Image(
                configPath: "c.json", names: ["old:1", "old:latest"], layerPaths: ["a/layer.tar", "b/layer.tar"])
        ])
        var link = TarWriter.header(path: "b/layer.tar", size: 0)
        link[156] = UInt8(ascii: "2")
        link.replaceSubrange(157..<157 + "../a/layer.tar".utf8.count, with: "../a/layer.tar".utf8)
        link.replaceSubrange(148..<156, with: "        ".utf8)
        let sum = String(link.reduce(0) { $0 + Int($1) }, radix: 8)
        link.replaceSubrange(148..<156, with: (String(repeating: "0", count: 6 - sum.count) + sum + "\0 ").utf8)
        let bytes =
            link + archive([("a/layer.tar", layer), ("c.json", config), ("manifest.json", docker.manifestBytes)])
        let path = try directory.write("docker.tar", bytes)
        let first = try await TestTool.done("import", "--store", store, path).output
        #expect(first.split(separator: "\n").count == 2)
        let second = try await TestTool.done("import", "--store", store, path).output
        #expect(!first.isEmpty)
        #expect(first.split(separator: " ").dropFirst().first == second.split(separator: " ").dropFirst().first)
        let blob = try await TestTool.done("export", "--store", store, digest.description).outputBytes
        #expect(blob == layer)
    }

    @Test("a file is kept as it is, and wrapped on request: a tar runs, anything else is an artifact")
    func files() async throws {
        let loose = randomBytes(70_000, seed: 7)
        let path = try directory.write("loose.bin", loose)
        let digest = try Hashing.digest(of: loose)
        let output = try await TestTool.done("import", "--store", store, path).output
        #expect(output.contains("\(digest) in imported"))
        #expect(try await TestTool.done("export", "--store", store, digest.description).outputBytes == loose)
        #expect(try await TestTool.done("images", "--store", store).output.split(separator: "\n").count == 1)

        let tar = try directory.write("rootfs.tar", LayoutFixture.layer(shared: 1, own: 1))
        _ = try await TestTool.done("import", "--store", store, tar, "--as", "rootfs:1")
        _ = try await TestTool.done("import", "--store", store, path, "--as", "data:1")
        let rows: [[String: Any]] = try await TestTool.done("images", "--store", store, "--json").json()
        #expect(rows.compactMap { $0["kind"] as? String } == ["artifact", "image"])
        #expect(rows.compactMap { $0["repository"] as? String } == ["data", "rootfs"])
    }

    @Test("an index comes in with all its manifests, and out as it was")
    func index() async throws {
        var parts = try LayoutFixture(in: directory, name: "multi")
        let amd = try parts.image(nil, layers: [LayoutFixture.layer(shared: 4, own: 41)])
        let arm = try parts.image(nil, layers: [LayoutFixture.layer(shared: 4, own: 42)])
        let index = OCILayout([OCILayout.Entry(amd, name: nil), OCILayout.Entry(arm, name: nil)]).indexBytes
        let root = try parts.blob(index, MediaType.ociIndex)
        try directory.write("multi/index.json", OCILayout([OCILayout.Entry(root, name: "1")]).indexBytes)
        _ = try await TestTool.done("import", "--store", store, parts.path)
        let rows: [[String: Any]] = try await TestTool.done("images", "--store", store, "--json").json()
        #expect(rows.compactMap { $0["kind"] as? String } == ["index"])
        let all: [[String: Any]] = try await TestTool.done("images", "--store", store, "--all", "--json").json()
        #expect(all.count == 3)
        _ = try await TestTool.done("export", "--store", store, "multi:1", "-o", "\(directory.path)/out")
        #expect(directory.files(below: "out/blobs") == directory.files(below: "multi/blobs"))
    }

    @Test("inspect tells what two images share and what is one's own")
    func inspect() async throws {
        let layout = try twoImages()
        _ = try await TestTool.done("import", "--store", store, layout.path)
        let usage: [String: Any] = try await TestTool.done("inspect", "--store", store, "team/app:2", "--json").json()
        let bytes = try #require(usage["bytes"] as? [String: Int])
        #expect((200_000..<320_000).contains(try #require(bytes["shared"])))
        #expect((60_000..<90_000).contains(try #require(bytes["unique"])))
        #expect(try #require(bytes["freed"]) > 50_000)
        let neighbours = try #require(usage["sharesWith"] as? [[String: Any]])
        #expect(neighbours.compactMap { $0["image"] as? String } == ["base:one"])
        let text = try await TestTool.done("inspect", "--store", store, "team/app:2").output
        #expect(text.contains("base:one"))
        // The config comes first, then the layers.
        let layer = try #require((usage["layers"] as? [[String: Any]])?.last?["digest"] as? String)
        let blob: [String: Any] = try await TestTool.done("inspect", "--store", store, layer, "--json").json()
        #expect(blob["settled"] as? Bool == true)
    }

    @Test("what was removed is collected after the grace period, and not before")
    func removeAndCollect() async throws {
        let layout = try twoImages()
        _ = try await TestTool.done("import", "--store", store, layout.path)
        _ = try await TestTool.done("settle", "--store", store, "--evict")
        func layers() async throws -> Int {
            let stats: [String: Any] = try await TestTool.done("stats", "--store", store, "--json").json()
            return try #require((stats["settled"] as? [String: Any])?["count"] as? Int)
        }
        #expect(try await layers() == 3)
        let tag = try await TestTool.done("rm", "--store", store, "base:one").output
        #expect(tag.contains("removed the tag base:one; the image is base@sha256:"))
        let digest = layout.entries[0].content.descriptor.digest
        _ = try await TestTool.done("rm", "--store", store, "base@\(digest)")
        #expect(try await TestTool.run(["inspect", "--store", store, "base:one"]).status == 1)
        _ = try await TestTool.done("gc", "--store", store)
        #expect(try await layers() == 3)
        let report: [String: Any] = try await TestTool.done("gc", "--store", store, "--grace", "0", "--json").json()
        #expect(try #require((report["freed"] as? [String: Int])?["bytes"]) > 200_000)
        #expect(try await layers() == 1)
        _ = try await TestTool.done("export", "--store", store, "team/app:2", "-o", "\(directory.path)/out")
        #expect(directory.files(below: "out/blobs").count == 3)
        _ = try await TestTool.done("verify", "--store", store)
    }

    @Test("damaged sources are refused, and say how far it went")
    func damagedSources() async throws {
        var layout = try LayoutFixture(in: directory, name: "bad")
        try layout.image("1", layers: [LayoutFixture.layer(shared: 5, own: 51)])
        let blob = try #require(
            directory.files(below: "bad/blobs").max { one, other in
                (directory.read("bad/blobs/\(one)") ?? []).count < (directory.read("bad/blobs/\(other)") ?? []).count
            })
        var bytes = try #require(directory.read("bad/blobs/\(blob)"))
        bytes[100_000] ^= 1
        try directory.write("bad/blobs/\(blob)", bytes)
        let outcome = try await TestTool.run(["import", "--store", store, layout.path])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("does not hold the bytes of"))

        let good = try directory.write("good.bin", [1, 2, 3])
        let partial = try await TestTool.run([
            "import", "--store", store, layout.path, good, "\(directory.path)/absent",
        ])
        #expect(partial.status == 3)
        #expect(partial.errors.contains("imported 1 of 3"))
    }
}
