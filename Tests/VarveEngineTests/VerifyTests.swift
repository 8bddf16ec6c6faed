// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel
import VarveTestKit

@testable import VarveEngine

@Suite("verifying")
struct VerifyTests {
    @Test("a store as it should be has no damage, and everything is read")
    func sound() async throws {
        let files = ImageStore()
        try await files.with { store in
            let images = try await pushVersions(to: store, salt: 41, files: 20, averageBytes: 10_000)
            _ = try await store.push(SeededBytes(42).copyOfBytes(200_000), to: name("app"))
            let report = try await store.verify()
            #expect(report.damage.isEmpty)
            let blobs = Set(images.flatMap(\.blobs.keys)).count + 1
            #expect(report.blobsChecked == UInt64(blobs))
            let stats = try await store.stats()
            #expect(report.chunksChecked == stats.chunksCount)
            #expect(report.bytesChecked > 1_000_000)
        }
    }

    private func expectSound(_ files: ImageStore) async throws {
        let damage = try await files.with { store in try await store.verify().damage }
        #expect(damage.isEmpty)
    }

    /// One image, settled with its raw bytes gone; a blob that stays raw; both known by name.
    private func prepared(_ files: ImageStore, salt: UInt64) async throws -> [TestImage] {
        try await files.with({ $0.packBytes = 64 << 20 }) { store in
            let shared = FileTree(salt, files: 12, averageBytes: 20_000).tar
            let first = try await store.pushImage(name("library/app"), tag("one"), layers: [shared])
            let second = try await store.pushImage(
                name("other"), tag("two"),
                layers: [shared, SeededBytes(salt + 1).copyOfBytes(100_000)])
            try await store.settle(evict: true)
            return [first, second]
        }
    }

    /// Flips a byte, looks at what `verify` says and at what is served, and flips it back.
    private func damaged(
        _ files: ImageStore, _ images: [TestImage], _ file: String, at offset: Int, mask: UInt8
    ) async throws -> [String] {
        files.directory.flip(mask, at: offset, of: file)
        defer { files.directory.flip(mask, at: offset, of: file) }
        return try await files.with { store in
            for image in images {
                for (digest, expected) in image.blobs {
                    // Raw bytes go out by sendfile as they are: those are what `verify` is for.
                    if case .file(let file)? = try? await store.openBlob(digest, in: image.repository) {
                        file.close()
                        continue
                    }
                    let found = try? await store.pull(digest, from: image.repository)
                    #expect(found == nil || found == expected, "a wrong byte was served, \(file) at \(offset)")
                }
            }
            return try await store.verify().damage
        }
    }

    @Test("any flipped byte of a pack is named with what it touches, and never served")
    func packs() async throws {
        let files = ImageStore()
        let images = try await prepared(files, salt: 51)
        let packs = files.directory.files(below: "store/packs")
        let pack = try #require(packs.first)
        let length = files.directory.read(pack).count
        let id = String(try #require(pack.split(separator: "/").last).dropLast(5))
        var numbers = SeededBytes(52)
        let offsets =
            [0, 8, 30, 63, 64, 68, 90, 111, length - 1, length - 20] + (0..<40).map { _ in numbers.int(0...length - 1) }
        var named = 0
        for offset in offsets {
            let damage = try await damaged(files, images, pack, at: offset, mask: 1 << UInt8(numbers.int(0...7)))
            #expect(damage.contains { $0.contains(id) }, "offset \(offset) of \(length), seed \(SeededBytes.seed)")
            if damage.contains(where: { $0.contains("library/app:one") && $0.contains("other:two") }) { named += 1 }
        }
        #expect(named > offsets.count * 3 / 4, "the shared layer is most of the pack")
        try await expectSound(files)
    }

    @Test("any flipped byte of a sealed pack is named, that of a footer harms nobody")
    func sealed() async throws {
        let files = ImageStore()
        let image = try await files.with { store in
            let image = try await store.pushImage(
                name("app"), tag("one"),
                layers: [
                    FileTree(61, files: 40, averageBytes: 30_000).tar,
                    FileTree(62, files: 40, averageBytes: 30_000).tar,
                ])
            try await store.settle(evict: true)
            return image
        }
        let pack = try #require(
            files.directory.files(below: "store/packs").first {
                files.directory.read($0).suffix(8).elementsEqual("VARVSEAL".utf8)
            })
        let length = files.directory.read(pack).count
        let id = String(try #require(pack.split(separator: "/").last).dropLast(5))
        for offset in [length - 1, length - 30, length - 40] {
            let damage = try await damaged(files, [image], pack, at: offset, mask: 4)
            #expect(damage.contains { $0.contains(id) }, "offset \(offset) of \(length)")
            files.directory.flip(4, at: offset, of: pack)
            try await files.with { try await expectWhole($0, [image], "with a damaged footer") }
            files.directory.flip(4, at: offset, of: pack)
        }
        var numbers = SeededBytes(63)
        for _ in 0..<20 {
            let offset = numbers.int(0...length - 1)
            let damage = try await damaged(files, [image], pack, at: offset, mask: 1 << UInt8(numbers.int(0...7)))
            #expect(damage.contains { $0.contains(id) }, "offset \(offset) of \(length), seed \(SeededBytes.seed)")
        }
    }

    @Test("damaged, short and missing raw files are named with their image")
    func rawFiles() async throws {
        let files = ImageStore()
        let images = try await prepared(files, salt: 71)
        let raw = try #require(files.directory.files(below: "store/raw").first)
        let hex = String(try #require(raw.split(separator: "/").last))
        let bytes = files.directory.read(raw)
        var numbers = SeededBytes(72)
        for _ in 0..<10 {
            let damage = try await damaged(files, images, raw, at: numbers.int(0...bytes.count - 1), mask: 16)
            #expect(damage.count == 1)
            #expect(damage.first?.contains(hex) == true)
            #expect(damage.first?.contains("other:two") == true)
            #expect(damage.first?.contains("library/app") == false)
        }
        files.directory.write(Array(bytes.dropLast()), to: raw)
        try await files.with { store in
            let damage = try await store.verify().damage
            #expect(damage.filter { $0.contains(hex) }.count == 1)
        }
        files.directory.remove(raw)
        try await files.with { store in
            let damage = try await store.verify().damage
            #expect(damage.filter { $0.contains(hex) }.count == 1)
            #expect(await store.differences(from: images[1]).count == 1)
        }
        files.directory.write(bytes, to: raw)
        try await expectSound(files)
    }

    @Test("a missing pack is named, with every image that it touches")
    func missingPack() async throws {
        let files = ImageStore()
        let images = try await prepared(files, salt: 81)
        let pack = try #require(files.directory.files(below: "store/packs").first)
        let bytes = files.directory.read(pack)
        files.directory.remove(pack)
        try await files.with { store in
            let damage = try await store.verify().damage
            #expect(damage.contains { $0.contains("missing") && $0.contains("library/app:one") })
            #expect(await store.differences(from: images[0]).count == 1)
        }
        files.directory.write(bytes, to: pack)
        try await expectSound(files)
    }

    @Test("bytes of small blobs in the index are checked, and never served damaged")
    func inlineBytes() async throws {
        let files = ImageStore()
        var text = SeededBytes(91)
        let config = text.text(9000)
        let digest = try await files.with { store in try await store.push(config, to: name("app")) }
        // The bytes lie somewhere in the index's file, in one piece on pages of their own.
        let index = files.directory.read("store/index/data.mdb")
        let starts = index.indices.filter { index[$0...].starts(with: config.prefix(64)) }
        #expect(!starts.isEmpty)
        for start in starts { files.directory.flip(2, at: start + 100, of: "store/index/data.mdb") }
        try await files.with { store in
            let damage = try await store.verify().damage
            #expect(damage.contains { $0.contains(digest.hex) || $0.contains("inline") })
            await #expect(throws: VarveError.self) { try await store.pull(digest, from: name("app")) }
        }
    }

    @Test("beside a process that writes, evicts and collects, nothing is called damaged")
    func besideWriter() async throws {
        let files = ImageStore()
        let store = try await files.open()
        _ = try await pushVersions(to: store, salt: 95, files: 15, averageBytes: 8000)
        async let writing: Void = {
            for round in 0..<6 {
                let layer = FileTree(UInt64(200 + round), files: 10, averageBytes: 20_000).tar
                let image = try await store.pushImage(name("busy"), tag("t\(round)"), layers: [layer])
                try await store.settle(evict: round % 2 == 0)
                if round % 3 == 2 {
                    try await store.removeManifest(.digest(image.manifest), from: image.repository)
                    _ = try await store.collect(graceSeconds: 0)
                }
            }
        }()
        var rounds = 0
        for _ in 0..<6 {
            let damage = try await store.verify().damage
            #expect(damage.isEmpty)
            rounds += 1
        }
        try await writing
        #expect(rounds == 6)
        await store.close()
    }
}

extension SeededBytes {
    /// Bytes from the beginning of the sequence.
    fileprivate func copyOfBytes(_ count: Int) -> [UInt8] {
        var numbers = self
        return numbers.bytes(count)
    }
}
