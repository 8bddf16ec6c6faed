// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveDrivers
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// The n-th file operation of a kind fails, for n = 1, 2, 3 … until none fails any more: every error path of pushing,
/// settling, evicting, reading and collecting, one after the other.
@Suite("file operations that fail", .serialized)
struct FaultTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var operation: Faults.Operation
        var number: CInt
        var isLasting: Bool
        /// After such a failure nothing more may be written.
        var poisons: Bool
        var testDescription: String { "\(operation), \(reason(of: number))\(isLasting ? ", from then on" : "")" }
    }

    static let cases = [
        Case(operation: .write, number: EIO, isLasting: false, poisons: true),
        Case(operation: .write, number: ENOSPC, isLasting: true, poisons: true),
        Case(operation: .sync, number: EIO, isLasting: false, poisons: true),
        Case(operation: .rename, number: EIO, isLasting: false, poisons: true),
        Case(operation: .rename, number: ENOSPC, isLasting: true, poisons: true),
        Case(operation: .open, number: EMFILE, isLasting: false, poisons: false),
        Case(operation: .open, number: EMFILE, isLasting: true, poisons: false),
        Case(operation: .read, number: EIO, isLasting: false, poisons: false),
        Case(operation: .read, number: EIO, isLasting: true, poisons: false),
        Case(operation: .remove, number: EIO, isLasting: false, poisons: false),
    ]

    /// What is pushed: a small blob, two versions of a layer, bytes that save nothing, and one that comes in pieces.
    private struct Blobs {
        let small: [UInt8]
        let layer: [UInt8]
        let nextLayer: [UInt8]
        let random: [UInt8]
        let pieces: [UInt8]
        let last: [UInt8]

        init(_ salt: UInt64) {
            var numbers = SeededBytes(salt)
            var tree = FileTree(salt, files: 6, averageBytes: 6000)
            small = numbers.text(1000)
            layer = tree.tar
            tree.change(percent: 30)
            nextLayer = tree.tar
            random = numbers.bytes(20_000)
            pieces = numbers.text(40_000)
            last = numbers.text(30_000)
        }
    }

    /// Everything that is done with a store; a step that fails does not keep the next ones from being tried.
    private func scenario(_ store: Store, _ witness: Witness, _ blobs: Blobs) async -> [String] {
        var complaints: [String] = []
        func attempt(_ step: () async throws(VarveError) -> Void) async { try? await step() }
        await attempt { () throws(VarveError) in try await witness.push(blobs.small, to: store) }
        await attempt { () throws(VarveError) in try await witness.push(blobs.layer, to: store) }
        await attempt { () throws(VarveError) in try await witness.upload(blobs.pieces, pieces: 3, to: store) }
        await attempt { () throws(VarveError) in try await store.settle(evict: false) }
        await attempt { () throws(VarveError) in try await witness.push(blobs.nextLayer, to: store) }
        await attempt { () throws(VarveError) in try await witness.push(blobs.random, to: store) }
        await attempt { () throws(VarveError) in try await store.settle(evict: true) }
        complaints += await witness.complaints(about: store, isWhole: false)
        await attempt { () throws(VarveError) in try await witness.remove(blobs.layer, from: store) }
        await attempt { () throws(VarveError) in _ = try await store.collect(graceSeconds: 0) }
        await attempt { () throws(VarveError) in try await witness.push(blobs.last, to: store) }
        await attempt { () throws(VarveError) in try await store.settle(evict: true) }
        complaints += await witness.complaints(about: store, isWhole: false)
        return complaints
    }

    @Test(
        "loses nothing, serves nothing wrong, and goes on after reopening", .timeLimit(.minutes(15)), arguments: cases)
    func everyOperation(_ fault: Case) async throws {
        let blobs = Blobs(7)
        var fired = 1
        var n = 0
        while fired > 0 {
            n += 1
            let comment: Comment = "\(fault.testDescription), operation \(n), seed \(SeededBytes.seed)"
            let directory = TestDirectory()
            let faults = Faults()
            let witness = try Witness()
            let store = try await openSmall(directory.path + "/store", faults: faults)
            faults.fail(fault.operation, at: n, with: fault.number, lasting: fault.isLasting)
            var complaints = await scenario(store, witness, blobs)
            fired = faults.fired
            faults.clear()

            // Reads go on.
            complaints += await witness.complaints(about: store)
            #expect(complaints == [], comment)
            if fired > 0, fault.poisons {
                #expect(store.poisonReason != nil, comment)
                var refusal: VarveError.Code?
                do throws(VarveError) { try await witness.push([1, 2, 3], to: store) } catch { refusal = error.code }
                #expect(refusal == .poisoned, comment)
            } else {
                #expect(store.poisonReason == nil, comment)
            }
            await store.close()

            try await goesOn(directory.path + "/store", witness, comment)
        }
        #expect(n > 3, "the scenario has such operations")
    }

    /// Opened again, a store has everything that was acknowledged, and takes, settles and collects as ever.
    private func goesOn(_ path: String, _ witness: Witness, _ comment: Comment) async throws {
        let store = try await openSmall(path)
        #expect(await witness.complaints(about: store) == [], comment)
        var numbers = SeededBytes(8)
        try await witness.push(numbers.text(30_000), to: store)
        try await store.settle(evict: true)
        let stats = try await store.stats()
        #expect(stats.queuedCount == 0, comment)
        #expect(stats.cacheBytes == 0, comment)
        _ = try await store.collect(graceSeconds: 0)
        #expect(try await store.verify().damage == [], comment)
        #expect(await witness.complaints(about: store) == [], comment)
        await store.close()
    }

    @Test(
        "an opening that fails in the middle can be repeated", .timeLimit(.minutes(15)),
        arguments: [Faults.Operation.write, .sync, .rename, .open, .read, .remove])
    func opening(_ operation: Faults.Operation) async throws {
        var fired = 1
        var n = 0
        while fired > 0 {
            n += 1
            let comment: Comment = "\(operation) \(n)"
            let directory = TestDirectory()
            let path = directory.path + "/store"
            let witness = try Witness()
            fired = 0
            // Of a new store and of one that is there.
            for _ in 0..<2 {
                let faults = Faults()
                faults.fail(operation, at: n, with: EIO)
                let store = try? await openSmall(path, faults: faults)
                #expect((store == nil) == (faults.fired > 0), comment)
                fired += faults.fired
                await store?.close()
                let whole = try await openSmall(path)
                try await witness.push([UInt8](repeating: UInt8(truncatingIfNeeded: n), count: 100), to: whole)
                #expect(await witness.complaints(about: whole) == [], comment)
                await whole.close()
            }
        }
    }
}
