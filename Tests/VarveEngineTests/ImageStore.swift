// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveDrivers
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// A store with images in it, for tests of upkeep: collecting, verifying, making the index anew.
final class ImageStore: Sendable {
    let directory = TestDirectory()
    var path: String { directory.path + "/store" }

    func open(faults: Faults? = nil, _ change: (inout StoreSettings) -> Void = { _ in }) async throws -> Store {
        try await Store.openQuietly(at: path, faults: faults) { settings in
            settings.packBytes = 1 << 20
            settings.cacheBudget = .bytes(0)
            change(&settings)
        }
    }

    /// Opens the store, hands it to `body`, closes it.
    func with<Value>(
        faults: Faults? = nil, _ change: (inout StoreSettings) -> Void = { _ in }, _ body: (Store) async throws -> Value
    ) async throws -> Value {
        let store = try await open(faults: faults, change)
        do {
            let value = try await body(store)
            await store.close()
            return value
        } catch {
            await store.close()
            throw error
        }
    }
}

func name(_ text: String) throws -> RepositoryName { try #require(RepositoryName(text)) }

func tag(_ text: String) throws -> VarveModel.Tag {
    let tag = VarveModel.Tag(text)
    return try #require(tag)
}

/// Three versions of an image whose layers share most files, pushed to `app` as v1, v2, v3 and settled; each has a base
/// layer that is the same in all.
func pushVersions(
    to store: Store, salt: UInt64, files: Int = 60, averageBytes: Int = 20_000, settles: Bool = true,
    repositories: [String] = ["app", "app", "app"]
) async throws -> [TestImage] {
    let base = FileTree(salt &+ 1000, files: files / 2, averageBytes: averageBytes).tar
    var tree = FileTree(salt, files: files, averageBytes: averageBytes)
    var images: [TestImage] = []
    for (index, repository) in repositories.enumerated() {
        images.append(try await store.pushImage(name(repository), tag("v\(index + 1)"), layers: [base, tree.tar]))
        tree.change(percent: 30)
        if settles { try await store.settle(evict: true) }
    }
    return images
}

/// Fails the test unless every image comes back byte for byte and the store finds nothing wrong with itself.
func expectWhole(_ store: Store, _ images: some Sequence<TestImage>, _ comment: String = "") async throws {
    for image in images {
        let differences = await store.differences(from: image)
        #expect(differences.isEmpty, "\(comment) \(image.repository):\(image.tag), seed \(SeededBytes.seed)")
    }
}
