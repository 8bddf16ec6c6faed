// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// Bytes of a store's files change behind its back. Opening and reading then give a clear error or the right bytes;
/// raw files alone go out as they are, since sendfile looks at nothing: there `verify` tells.
@Suite("stores with damaged files", .serialized)
struct DamageTests {
    /// A store with something in every kind of file, closed.
    private func prepared(_ directory: TestDirectory, _ salt: UInt64) async throws -> Witness {
        let witness = try Witness()
        let store = try await openSmall(directory.path + "/store") { $0.packBytes = 256 << 10 }
        var numbers = SeededBytes(salt)
        var tree = FileTree(salt, files: 10, averageBytes: 15_000)
        for round in 0..<3 {
            try await witness.push(tree.tar, to: store)
            try await witness.push(numbers.text(3000 + 1000 * round), to: store)
            try await store.settle(evict: true)
            tree.change(percent: 40)
        }
        try await witness.push(numbers.bytes(50_000), to: store)
        try await witness.push(numbers.text(60_000), to: store)
        try await store.settle(evict: false)
        await store.close()
        return witness
    }

    /// What is wrong with a store of which bytes have changed: other bytes served, or an error of no kind.
    private func complaints(_ path: String, _ witness: Witness, next: [UInt8], servesRaw: Bool = false) async
        -> [String]
    {
        var found: [String] = []
        do throws(VarveError) {
            let store = try await openSmall(path)
            if servesRaw {
                if try await store.verify().damage.isEmpty { found.append("verify did not notice") }
                await store.close()
                return found
            }
            found += await witness.complaints(about: store, isWhole: false)
            // Whatever is refused now, what is accepted must come back.
            let digest = VarveTestKit.digest(of: next)
            do throws(VarveError) {
                try await store.push(next, to: witness.repository)
                try await store.settle(evict: true)
                if try await store.pull(digest, from: witness.repository) != next {
                    found.append("the next: other bytes")
                }
            } catch {
                if ![.corrupted, .io, .poisoned].contains(error.code) { found.append("the next: \(error)") }
            }
            _ = try? await store.verify()
            await store.close()
        } catch {
            if ![.corrupted, .notAStore, .unsupported].contains(error.code) { found.append("opening: \(error)") }
        }
        return found
    }

    private func flipMany(_ kind: String, count: Int, salt: UInt64, servesRaw: Bool = false) async throws {
        let original = TestDirectory()
        let witness = try await prepared(original, salt)
        var next = FileTree(salt, files: 10, averageBytes: 15_000)
        for _ in 0..<4 { next.change(percent: 40) }
        var numbers = SeededBytes(salt &+ 1)
        let files = original.files(below: "store/\(kind)")
        try #require(!files.isEmpty)
        for _ in 0..<count {
            let directory = TestDirectory()
            copyDirectory(original.path + "/store", to: directory.path + "/store")
            let file = files[numbers.int(0...files.count - 1)]
            let length = directory.read(file).count
            let offset = numbers.int(0...max(0, length - 1))
            let mask = UInt8(1) << UInt8(numbers.int(0...7))
            directory.flip(mask, at: offset, of: file)
            let found = await complaints(directory.path + "/store", witness, next: next.tar, servesRaw: servesRaw)
            #expect(found == [], "\(file) at \(offset) of \(length), mask \(mask), seed \(SeededBytes.seed)")
        }
    }

    @Test("packs", .timeLimit(.minutes(15)))
    func packs() async throws { try await flipMany("packs", count: 60, salt: 21) }

    @Test("the journal", .timeLimit(.minutes(15)))
    func journal() async throws { try await flipMany("journal", count: 40, salt: 22) }

    @Test("raw files", .timeLimit(.minutes(15)))
    func raw() async throws { try await flipMany("raw", count: 10, salt: 24, servesRaw: true) }

    @Test("the format file: any byte changed, cut anywhere, or gone")
    func formatFile() async throws {
        let directory = TestDirectory()
        let path = directory.path + "/store"
        let witness = try await prepared(directory, 25)
        let whole = directory.read("store/format")
        var versions = whole.indices.map { Array(whole[..<$0]) }
        for index in whole.indices {
            for mask: UInt8 in [1, 4, 0x80] {
                var changed = whole
                changed[index] ^= mask
                versions.append(changed)
            }
        }
        versions.append([UInt8](repeating: 0x20, count: 100_000))
        for version in versions {
            directory.write(version, to: "store/format")
            for isReadOnly in [true, false] {
                do throws(VarveError) {
                    let store = try await openSmall(path) { $0.readOnly = isReadOnly }
                    #expect(await witness.complaints(about: store) == [])
                    await store.close()
                } catch {
                    #expect([.notAStore, .unsupported, .corrupted].contains(error.code), "\(error)")
                }
            }
        }
        directory.remove("store/format")
        await #expect(throws: VarveError.self) { try await openSmall(path) }
        directory.write(whole, to: "store/format")
        let store = try await openSmall(path)
        #expect(await witness.complaints(about: store) == [])
        await store.close()
    }

    @Test("a damaged table behind a known run does not keep a whole blob from settling")
    func damagedNeighbour() async throws {
        let directory = TestDirectory()
        let path = directory.path + "/store"
        let witness = try Witness()
        let store = try await openSmall(path) { $0.packBytes = 64 << 20 }
        var numbers = SeededBytes(26)
        let layer = numbers.text(3 << 20)
        try await witness.push(layer, to: store)
        try await store.settle(evict: false)
        await store.close()
        // In the middle of the pack lies the second frame or a later one; a digest of its table is changed.
        let pack = try #require(directory.files(below: "store/packs").first)
        let bytes = directory.read(pack)
        let frames = bytes.indices.dropLast(4).filter { bytes[$0..<$0 + 4].elementsEqual("VFRM".utf8) }
        try #require(frames.count > 2)
        directory.flip(1, at: frames[1] + 48 + 5, of: pack)
        let again = try await openSmall(path) { $0.packBytes = 64 << 20 }
        let next = Array(layer.dropLast(100_000)) + numbers.text(50_000)
        try await witness.push(next, to: again)
        try await again.settle(evict: false)
        #expect(try await again.blob(VarveTestKit.digest(of: next), in: witness.repository).isSettled)
        #expect(await witness.complaints(about: again) == [])
        try await again.settle(evict: true)
        #expect(try await again.pull(VarveTestKit.digest(of: next), from: witness.repository) == next)
        await again.close()
    }

    @Test("a damaged open pack is read up to the damage, and settling goes on in another", arguments: [true, false])
    func openPack(_ isMissing: Bool) async throws {
        let directory = TestDirectory()
        let path = directory.path + "/store"
        let witness = try Witness()
        var numbers = SeededBytes(29)
        let store = try await openSmall(path) { $0.packBytes = 64 << 20 }
        let (first, second) = (numbers.text(60_000), numbers.text(60_000))
        try await witness.push(first, to: store)
        try await store.settle(evict: true)
        try await store.push(second, to: witness.repository)
        try await store.settle(evict: true)
        await store.close()
        let pack = try #require(directory.files(below: "store/packs").first)
        let bytes = directory.read(pack)
        let frames = bytes.indices.dropLast(4).filter { bytes[$0..<$0 + 4].elementsEqual("VFRM".utf8) }
        try #require(frames.count == 4, "two of content, two of recipes")
        if isMissing { directory.remove(pack) } else { directory.flip(1, at: frames[2] + 9, of: pack) }

        let again = try await openSmall(path) { $0.packBytes = 64 << 20 }
        if !isMissing { #expect(await witness.complaints(about: again) == []) }
        await #expect(throws: VarveError.self) {
            try await again.pull(VarveTestKit.digest(of: second), from: witness.repository)
        }
        // Also what was in the damaged part is stored once more.
        let next = second + numbers.text(50_000)
        try await again.push(next, to: witness.repository)
        try await again.settle(evict: true)
        let digest = VarveTestKit.digest(of: next)
        #expect(try await again.blob(digest, in: witness.repository).isSettled)
        #expect(try await again.pull(digest, from: witness.repository) == next)
        #expect(try await again.verify().damage.isEmpty == false)
        if isMissing { #expect(directory.read(pack).isEmpty) }
        await again.close()
        let last = try await openSmall(path)
        #expect(try await last.pull(digest, from: witness.repository) == next)
        #expect(try await last.verify().damage.isEmpty == false)
        await last.close()
    }

    @Test("bytes that rot between landing and settling are not settled")
    func rotBeforeSettling() async throws {
        let directory = TestDirectory()
        let witness = try Witness()
        let store = try await openSmall(directory.path + "/store")
        try await witness.push(FileTree(28, files: 10, averageBytes: 10_000).tar, to: store)
        let raw = try #require(directory.files(below: "store/raw").first)
        let length = directory.read(raw).count
        directory.flip(1, at: length / 2, of: raw)
        try await store.settle(evict: true)
        #expect(try await store.stats().rawReasons == ["proof-failed": 1])
        #expect(try await store.verify().damage.count == 1)
        directory.flip(1, at: length / 2, of: raw)
        #expect(await witness.complaints(about: store) == [])
        await store.close()
    }

    @Test("frames that were taken back are not matched")
    func takenBack() async throws {
        let directory = TestDirectory()
        let witness = try Witness()
        let store = try await openSmall(directory.path + "/store") { $0.packBytes = 64 << 20 }
        var numbers = SeededBytes(27)
        let known = numbers.text(17_000)
        try await witness.push(known, to: store)
        try await store.settle(evict: false)
        // A layer that saves nothing. Its second file is known, and ends where its own frames begin; so the third one
        // is found as what follows there.
        let fresh = numbers.bytes(4 << 20)
        func layer(_ first: [UInt8]) -> [UInt8] {
            TarMaker.tar([
                TarMaker.File(path: "first", bytes: first), TarMaker.File(path: "known", bytes: known),
                TarMaker.File(path: "start", bytes: Array(fresh.prefix(12_000))),
            ])
        }
        try await witness.push(layer(fresh), to: store)
        try await store.settle(evict: false)
        #expect(try await store.stats().rawReasons == ["no-saving": 1])
        try await witness.push(layer(numbers.text(3 << 20)), to: store)
        try await store.settle(evict: true)
        let stats = try await store.stats()
        #expect(stats.rawReasons == ["no-saving": 1])
        #expect(await witness.complaints(about: store) == [])
        await store.close()
    }
}
