// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("inspecting")
struct InspectTests {
    private func lines(_ subject: InspectSubject, of store: Store) async throws -> [String] {
        var lines: [String] = []
        try await store.inspect(subject) { lines.append($0) }
        return lines
    }

    @Test("shows packs, frames, recipes and rows, before and after packs were rewritten")
    func everything() async throws {
        let files = ImageStore()
        try await files.with({ $0.packBytes = 8 << 20 }) { store in
            let waste = try await store.pushImage(
                name("waste"), tag("w"), layers: [FileTree(501, files: 40, averageBytes: 10_000).tar])
            let image = try await store.pushImage(
                name("app"), tag("v1"), layers: [FileTree(502, files: 20, averageBytes: 10_000).tar])
            try await store.settle(evict: true)
            let layer = try #require(image.blobs.max { $0.value.count < $1.value.count }?.key)

            let packs = try await lines(.packs, of: store)
            #expect(packs.count == 1)
            let old = try #require(packs.first?.split(separator: " ").dropFirst().first.map(String.init))
            let frames = try await lines(.pack(old), of: store)
            #expect(frames.filter { $0.hasPrefix("frame ") }.count > 2)
            #expect(frames.contains { $0.contains("recipe") && $0.contains(layer.hex) })
            let recipe = try await lines(.recipe(layer), of: store)
            #expect(recipe.contains { $0.contains(old) })
            #expect(!recipe.contains { $0.contains("rewritten") })
            let chunks = try await lines(.rows(table: "chunks"), of: store)
            #expect(chunks.count == Int(try await store.stats().chunksCount))

            try await store.removeManifest(.digest(waste.manifest), from: waste.repository)
            #expect(try await store.collect(graceSeconds: 0).packsRewritten == 1)
            let new = try #require(
                try await lines(.packs, of: store).first?.split(separator: " ").dropFirst().first.map(String.init))
            #expect(new != old)
            #expect(try await lines(.pack(new), of: store).contains { $0.hasPrefix("was \(old)") })
            let later = try await lines(.recipe(layer), of: store)
            #expect(later.contains { $0.contains("rewritten") && $0.contains(new) })
            #expect(try await lines(.rows(table: "forwards"), of: store).contains { $0.contains(old) })

            let all = try await lines(.rows(table: nil), of: store)
            for table in ["blobs", "pack", "forwards", "repositories", "links", "manifests", "tags", "chunks"] {
                #expect(all.contains { $0.hasPrefix(table) }, "\(table)")
            }
            for subject in [InspectSubject.pack("00"), .pack(String(repeating: "0", count: 32)), .rows(table: "x")] {
                await #expect {
                    _ = try await lines(subject, of: store)
                } throws: {
                    ($0 as? VarveError)?.code == .notFound
                }
            }
        }
    }
}
