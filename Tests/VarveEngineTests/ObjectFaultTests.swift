// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import Testing
import VarveDrivers
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// What objects may be after some steps: what was acknowledged, and where a step failed, that or what it would have
/// made.
private struct Expectation: Sendable {
    /// For each key the contents it may have; nil = absent.
    var allowed: [String: [[UInt8]?]] = [:]
    /// Pairs of keys of which exactly one must be there: moves that were not followed by anything.
    var moves: [(from: String, to: String)] = []

    @discardableResult
    mutating func step(_ changes: [String: [UInt8]?], _ body: () async throws -> Void) async -> Bool {
        let before = allowed
        for (key, bytes) in changes { allowed[key, default: [nil]].append(bytes) }
        do {
            try await body()
            for (key, bytes) in changes { allowed[key] = [bytes] }
            return true
        } catch {
            // Refused before anything was done, most often; else either may be found when the store is opened again.
            if (error as? VarveError)?.code == .poisoned { allowed = before }
            return false
        }
    }

    /// What is not as it may be.
    func complaints(_ rig: ObjectRig, _ store: Store) async throws -> [String] {
        var complaints: [String] = []
        var present: Set<String> = []
        for (key, contents) in allowed {
            var found: [UInt8]?
            do {
                found = try await rig.bytes(try rig.address(key), of: store)
                present.insert(key)
            } catch let error as VarveError where error.code == .notFound || error.code == .bucketUnknown {
                found = nil
            } catch {
                complaints.append("\(key): \(error)")
                continue
            }
            if !contents.contains(found) {
                complaints.append("\(key) has \(found.map { "\($0.count) bytes" } ?? "nothing")")
            }
        }
        for (from, to) in moves where present.contains(from) == present.contains(to) {
            complaints.append("\(from) and \(to) are both \(present.contains(from) ? "there" : "gone")")
        }
        return complaints
    }
}

@Suite("file operations that fail, with objects", .serialized)
struct ObjectFaultTests {
    private struct Contents: Sendable {
        let layer = FileTree(501, files: 8, averageBytes: 12_000).tar
        let pieces = FileTree(502, files: 8, averageBytes: 12_000).tar
        let plain: [UInt8]
        let other: [UInt8]

        init() {
            var random = SeededBytes(503)
            plain = random.bytes(40_000)
            other = random.bytes(30_000)
        }

        func key(_ bytes: [UInt8]) -> String { "r/blobs/sha256/\(VarveTestKit.digest(of: bytes).hex)" }
    }

    /// Everything that is done with objects; a step that fails does not keep the next ones from being tried.
    private func scenario(_ rig: ObjectRig, _ store: Store, _ contents: Contents) async throws -> Expectation {
        var expectation = Expectation()
        func put(_ bytes: [UInt8], _ key: String) async throws {
            let writer = try await store.writer(for: try rig.address(key), resuming: false)
            do {
                for start in stride(from: 0, to: bytes.count, by: 15_000) {
                    try await writer.append(ByteBuffer(bytes: bytes[start..<min(start + 15_000, bytes.count)]))
                }
                _ = try await writer.commit(ObjectAttributes())
            } catch {
                await writer.cancel()
                throw error
            }
        }
        func compose(_ pieces: [ObjectPiece], _ key: String, removing: [ObjectAddress]) async throws {
            _ = try await store.compose(
                pieces, to: try rig.address(key), attributes: ObjectAttributes(), condition: .none, removing: removing)
        }
        let (plain, other, layer, cut) = (contents.plain, contents.other, contents.layer, contents.pieces)
        let (first, second) = (Array(cut[..<20_000]), Array(cut[20_000...]))
        await expectation.step(["plain": plain]) { try await put(plain, "plain") }
        await expectation.step(["plain": other]) { try await put(other, "plain") }
        await expectation.step(["small": [1, 2, 3]]) { try await put([1, 2, 3], "small") }
        await expectation.step(["layer": layer]) { try await put(layer, "layer") }
        await expectation.step(["layer": nil, contents.key(layer): layer]) {
            try await compose(
                [ObjectPiece(try rig.address("layer"))], contents.key(layer), removing: [try rig.address("layer")])
        }
        await expectation.step(["first": first]) { try await put(first, "first") }
        await expectation.step(["second": second]) { try await put(second, "second") }
        await expectation.step(["first": nil, "second": nil, contents.key(cut): cut]) {
            let pieces = [try rig.address("first"), try rig.address("second")]
            try await compose(pieces.map { ObjectPiece($0) }, contents.key(cut), removing: pieces)
        }
        try? await store.settle(evict: false)
        await expectation.step(["part": Array(layer[100..<9000])]) {
            try await compose(
                [ObjectPiece(try rig.address(contents.key(layer)), range: 100..<9000)], "part", removing: [])
        }
        try? await store.settle(evict: true)
        await expectation.step(["small": nil]) { try await store.delete([try rig.address("small")]) }
        _ = try? await store.collect(graceSeconds: 0)
        let isThere = await expectation.step(["last": plain]) { try await put(plain, "last") }
        await expectation.step(["last": nil, "moved": plain]) {
            try await compose([ObjectPiece(try rig.address("last"))], "moved", removing: [try rig.address("last")])
        }
        if isThere { expectation.moves.append(("last", "moved")) }
        return expectation
    }

    @Test(
        "loses nothing, serves nothing wrong, and goes on after reopening", .timeLimit(.minutes(15)),
        arguments: [
            (Faults.Operation.write, EIO, false), (.write, ENOSPC, true), (.sync, EIO, false), (.rename, EIO, false),
            (.open, EMFILE, false), (.read, EIO, false), (.remove, EIO, false),
        ])
    func everyOperation(_ operation: Faults.Operation, _ number: CInt, _ isLasting: Bool) async throws {
        let contents = Contents()
        var fired = 1
        var n = 0
        while fired > 0 {
            n += 1
            let comment: Comment = "\(operation) \(n), seed \(SeededBytes.seed)"
            let rig = try ObjectRig()
            let faults = Faults()
            var store = try await rig.open(faults: faults)
            faults.fail(operation, at: n, with: number, lasting: isLasting)
            let expectation = try await scenario(rig, store, contents)
            fired = faults.fired
            faults.clear()
            #expect(try await expectation.complaints(rig, store) == [], comment)
            if fired > 0, [.write, .sync, .rename].contains(operation) {
                #expect(store.poisonReason != nil, comment)
                await #expect(throws: VarveError.self) { try await store.delete([try rig.address("plain")]) }
            } else {
                #expect(store.poisonReason == nil, comment)
            }
            await store.close()
            store = try await rig.open()
            #expect(try await expectation.complaints(rig, store) == [], comment)
            #expect(try await store.verify().damage == [], comment)
            try await store.settle(evict: true)
            _ = try await store.collect(graceSeconds: 0)
            #expect(try await store.stats().adoptingCount == 0, comment)
            #expect(try await expectation.complaints(rig, store) == [], comment)
            #expect(try await store.verify().damage == [], comment)
            await store.close()
        }
        #expect(n > 3, "the scenario has such operations")
    }

    @Test("a process that ends before any file operation leaves what was acknowledged", .timeLimit(.minutes(15)))
    func ended() async throws {
        let contents = Contents()
        let layer = contents.layer
        let cut = contents.pieces
        let rig = try ObjectRig()
        let faults = Faults()
        let store = try await rig.open(faults: faults)
        // What was acknowledged when the copies were made.
        func put(_ bytes: [UInt8], _ key: String) async throws {
            _ = try await store.put(ByteBuffer(bytes: bytes), to: try rig.address(key), attributes: ObjectAttributes())
        }
        try await put(layer, contents.key(layer))
        try await put(Array(cut[..<20_000]), "first")
        try await put(Array(cut[20_000...]), "second")
        let pieces = [try rig.address("first"), try rig.address("second")]
        _ = try await store.compose(
            pieces.map { ObjectPiece($0) }, to: try rig.address(contents.key(cut)), attributes: ObjectAttributes(),
            condition: .none, removing: pieces)
        for _ in 0..<16 { await store.core.pool.runAlways {} }
        let copies = NIOLockedValueBox([ObjectRig]())
        // On the thread that adopts and settles, while nothing else is done: removing spool files waits for it.
        faults.observe { operation, _ in
            guard operation != .read, operation != .open else { return }
            // Locked, so that another thread's operation waits: a process ends with all files as they are at one moment.
            copies.withLockedValue {
                guard let copy = try? ObjectRig() else { return }
                copyDirectory(rig.directory.path + "/store", to: copy.directory.path + "/store")
                $0.append(copy)
            }
        }
        try await store.settle(evict: true)
        faults.observe(nil)
        await store.close()
        let all = copies.withLockedValue { $0 }
        #expect(all.count > 10)
        for (number, copy) in all.enumerated() {
            let store = try await copy.open()
            for bytes in [layer, cut] {
                let key = try copy.address(contents.key(bytes))
                #expect(try await copy.bytes(key, of: store) == bytes, "before operation \(number)")
            }
            #expect(try await store.verify().damage == [], "before operation \(number)")
            try await store.settle(evict: true)
            _ = try await store.collect(graceSeconds: 0)
            for bytes in [layer, cut] {
                let key = try copy.address(contents.key(bytes))
                #expect(try await copy.bytes(key, of: store) == bytes, "before operation \(number), settled")
                #expect(try await store.blob(VarveTestKit.digest(of: bytes), in: nil).isSettled)
            }
            #expect(await copy.spoolFiles(of: store) == [], "before operation \(number)")
            await store.close()
        }
    }
}
