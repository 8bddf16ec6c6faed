// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Testing
import VarveModel
import VarveOCI

@testable import varve

@Suite("stats, settle, verify, rebuild-index, inspect-store, and how verbs end")
struct StoreVerbTests {
    let directory = TemporaryDirectory()
    var store: String { "\(directory.path)/store" }

    private func filled() async throws -> LayoutFixture {
        var layout = try LayoutFixture(in: directory, name: "base")
        try layout.image("1", layers: [LayoutFixture.layer(shared: 1, own: 11)])
        try layout.image("2", layers: [LayoutFixture.layer(shared: 1, own: 12)])
        _ = try await TestTool.done("import", "--store", store, layout.path)
        return layout
    }

    @Test("no store is 10, and no verb but import and serve makes one")
    func noStore() async throws {
        let digest = "sha256:" + String(repeating: "00", count: 32)
        let verbs: [[String]] = [
            ["images"], ["stats"], ["settle"], ["verify"], ["gc"], ["rebuild-index"], ["inspect-store"],
            ["inspect", "demo:1"], ["rm", "demo:1"], ["export", digest],
        ]
        for verb in verbs {
            let outcome = try await TestTool.run(verb + ["--store", store])
            #expect(outcome.status == 10, "\(verb)")
            #expect(outcome.output.isEmpty)
            #expect(!FileManager.default.fileExists(atPath: store))
        }
        try directory.write("store/other", [1])
        #expect(try await TestTool.run(["stats", "--store", store]).status == 10)
        #expect(try await TestTool.run(["serve", "--store", store, "--listen", "127.0.0.1:0"]).status == 10)
    }

    @Test(
        "a command line that makes no sense is 64",
        arguments: [
            ["stats"], ["stats", "--store", ""], ["nonsense"], ["gc", "--store", "x", "--grace", "24"],
            ["serve", "--store", "x", "--listen", "5000"], ["serve", "--store", "x", "--cache", "ten"],
            ["serve", "--store", "x", "--level", "40"], ["export", "--store", "x", "Bad:1"],
            ["rm", "--store", "x", "demo"],
            ["import", "--store", "x"], ["import", "--store", "x", "a", "b", "--as", "n:1"],
            ["export", "--store", "x", "demo:1", "--format", "oci"], ["inspect-store", "pack", "--store", "x", "../a"],
        ])
    func usage(_ arguments: [String]) async throws {
        let outcome = try await TestTool.run(arguments)
        #expect(outcome.status == 64)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("Usage:") || outcome.errors.contains("USAGE:"))
    }

    @Test("the environment names the store if no flag does")
    func environment() async throws {
        _ = try await filled()
        let outcome = try await TestTool.run(["images"], environment: ["VARVE_STORE": store])
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("base:1"))
    }

    @Test("help is on standard output and every verb has an example", arguments: VarveTool.verbs)
    func help(_ verb: String) async throws {
        let outcome = try await TestTool.done(verb, "--help")
        #expect(outcome.output.contains("Example"))
        #expect(outcome.output.contains("varve \(verb)"))
    }

    @Test("settled and evicted, a store is smaller than what was pushed, and whole")
    func settle() async throws {
        _ = try await filled()
        let output = try await TestTool.done("settle", "--store", store, "--evict").output
        #expect(output.hasPrefix("6 blobs: 2 settled, 0 raw, 4 inline; "))
        let stats: [String: Any] = try await TestTool.done("stats", "--store", store, "--json").json()
        func number(_ group: String, _ key: String) throws -> Int {
            try #require((stats[group] as? [String: Any])?[key] as? Int, "\(group).\(key)")
        }
        #expect(try number("settled", "count") == 2)
        #expect(try number("cache", "bytes") == 0)
        #expect(try number("queue", "count") == 0)
        #expect(try number("stored", "bytes") > number("packs", "bytes"))
        #expect(try number("packs", "bytes") < number("blobs", "bytes") * 7 / 10)
        let text = try await TestTool.done("stats", "--store", store).output
        #expect(text.contains("stored"))
        let verdict: [String: Any] = try await TestTool.done("verify", "--store", store, "--json").json()
        #expect((verdict["damage"] as? [String])?.isEmpty == true)
        #expect(try #require((verdict["chunks"] as? [String: Int])?["count"]) > 10)
    }

    @Test("damage is 12, and is named")
    func damage() async throws {
        _ = try await filled()
        _ = try await TestTool.done("settle", "--store", store, "--evict")
        let packs = directory.files(below: "store/packs").filter { $0.hasSuffix(".pack") }
        let pack = try #require(packs.first)
        var bytes = try #require(directory.read("store/packs/\(pack)"))
        bytes[bytes.count / 2] ^= 0x10
        try directory.write("store/packs/\(pack)", bytes)
        let outcome = try await TestTool.run(["verify", "--store", store])
        #expect(outcome.status == 12)
        #expect(!outcome.output.isEmpty)
        #expect(outcome.errors.contains("damaged"))
        var statuses: [Int32] = []
        for tag in ["1", "2"] {
            let out = "\(directory.path)/out\(tag)"
            statuses.append(try await TestTool.run(["export", "--store", store, "base:\(tag)", "-o", out]).status)
            // A file has its name only once it is whole.
            #expect(directory.files(below: "out\(tag)").allSatisfy { !$0.hasSuffix(".partial") })
        }
        #expect(statuses.contains(12))
    }

    @Test("the index can be deleted and made anew")
    func rebuildIndex() async throws {
        let layout = try await filled()
        _ = try await TestTool.done("settle", "--store", store, "--evict")
        let before = try await TestTool.done("images", "--store", store, "--json").output
        try FileManager.default.removeItem(atPath: store + "/index")
        for verb in [["images"], ["settle"], ["gc"], ["import", layout.path]] {
            let outcome = try await TestTool.run(verb + ["--store", store])
            #expect(outcome.status == 12, "\(verb)")
            #expect(outcome.errors.contains("varve rebuild-index"))
        }
        let output = try await TestTool.done("rebuild-index", "--store", store).output
        #expect(output.hasPrefix("rebuilt: "))
        #expect(try await TestTool.done("images", "--store", store, "--json").output == before)
        _ = try await TestTool.done("export", "--store", store, "base:1", "-o", "\(directory.path)/out")
        for file in directory.files(below: "out/blobs") {
            #expect(directory.read("out/blobs/\(file)") == directory.read("\(layout.name)/blobs/\(file)"))
        }
    }

    @Test("packs, frames, a recipe and rows can be looked at")
    func inspectStore() async throws {
        let layout = try await filled()
        _ = try await TestTool.done("settle", "--store", store, "--evict")
        #expect(!(try await TestTool.done("inspect-store", "--store", store).output.isEmpty))
        let file = try #require(directory.files(below: "store/packs").first { $0.hasSuffix(".pack") })
        let pack = String(((file as NSString).lastPathComponent as NSString).deletingPathExtension)
        #expect(!(try await TestTool.done("inspect-store", "pack", pack, "--store", store).output.isEmpty))
        let layer = try #require(
            directory.files(below: "base/blobs").first { file in
                (directory.read("base/blobs/\(file)") ?? []).count > 100_000
            })
        let digest = layer.replacingOccurrences(of: "/", with: ":")
        #expect(!(try await TestTool.done("inspect-store", "recipe", digest, "--store", store).output.isEmpty))
        let rows = try await TestTool.done("inspect-store", "rows", "tags", "--store", store).output
        #expect(rows.contains(layout.entries[0].content.descriptor.digest.hex.prefix(12)))
        let unknown = "sha256:" + String(repeating: "00", count: 32)
        #expect(try await TestTool.run(["inspect-store", "recipe", unknown, "--store", store]).status == 1)
    }
}
