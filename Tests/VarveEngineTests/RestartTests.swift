// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveDrivers
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// A process that ends at any moment: before each write, sync, rename and removal of a scenario the directory is copied
/// as it is, and the copy must open by itself with everything that had been acknowledged by then.
///
/// Once as after `kill -9`, when all that was written is there; once as after a power cut, when of packs, raw files and
/// landing files nothing is certain but what was synced: the rest is cut off, or is zeros.
@Suite("ends at any moment", .serialized)
struct RestartTests {
    enum Loss: CaseIterable, Sendable { case nothing, unsyncedIsCut, unsyncedIsZero }

    /// Knows what of each file has been synced, and makes copies.
    private final class Copier: Sendable {
        struct Copy: Sendable {
            var path: String
            var kept: [Digest: [UInt8]]
            var comment: String
        }
        private struct State {
            var copies: [Copy] = []
            var syncedBytes: [UInt64: UInt64] = [:]
            /// A sync that is under way at the hook before; by the next one it is done.
            var pendingSync: String?
            var isCopying = false
        }
        private let state = Guarded(State())
        private let source: String
        private let target: TestDirectory
        private let loss: Loss
        private let witness: Witness

        init(source: String, target: TestDirectory, loss: Loss, witness: Witness) {
            self.source = source
            self.target = target
            self.loss = loss
            self.witness = witness
        }

        var copies: [Copy] { state.withLock { $0.copies } }

        func before(_ operation: Faults.Operation, _ path: String) {
            guard operation != .read, operation != .open else { return }
            state.withLock { state in
                if let file = state.pendingSync.take(), let (inode, length) = Self.identity(file) {
                    state.syncedBytes[inode] = length
                }
                let copy = Copy(
                    path: target.path + "/\(state.copies.count)", kept: witness.kept,
                    comment: "before \(operation) \(state.copies.count) of \(path)")
                copyDirectory(source, to: copy.path)
                if loss != .nothing {
                    for part in ["packs", "raw", "landing"] { lose(part, in: copy.path, state.syncedBytes) }
                }
                state.copies.append(copy)
                if operation == .sync, path.hasPrefix("/") { state.pendingSync = path }
            }
        }

        private static func identity(_ path: String) -> (inode: UInt64, length: UInt64)? {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            return (UInt64(status.st_ino), UInt64(status.st_size))
        }

        private func lose(_ part: String, in copy: String, _ synced: [UInt64: UInt64]) {
            var pending = [part]
            while let directory = pending.popLast() {
                guard let handle = opendir("\(source)/\(directory)") else { continue }
                defer { closedir(handle) }
                while let entry = readdir(handle) {
                    let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                    }
                    guard name != ".", name != ".." else { continue }
                    let path = "\(directory)/\(name)"
                    if entry.pointee.d_type == DT_DIR {
                        pending.append(path)
                    } else if let (inode, length) = Self.identity("\(source)/\(path)") {
                        let certain = min(length, synced[inode] ?? 0)
                        guard certain < length else { continue }
                        truncate("\(copy)/\(path)", off_t(certain))
                        if loss == .unsyncedIsZero { truncate("\(copy)/\(path)", off_t(length)) }
                    }
                }
            }
        }
    }

    @Test("everything acknowledged is whole", .timeLimit(.minutes(15)), arguments: Loss.allCases)
    func copies(_ loss: Loss) async throws {
        let directory = TestDirectory()
        let path = directory.path + "/store"
        let copies = TestDirectory()
        let witness = try Witness()
        let copier = Copier(source: path, target: copies, loss: loss, witness: witness)
        let faults = Faults()
        var numbers = SeededBytes(31)
        var tree = FileTree(31, files: 4, averageBytes: 8000)

        faults.observe { copier.before($0, $1) }
        let store = try await openSmall(path, faults: faults) {
            $0.packBytes = 96 << 10
            $0.workers = 1
        }
        try await witness.push(numbers.text(1000), to: store)
        for _ in 0..<3 {
            try await witness.push(tree.tar, to: store)
            try await witness.upload(numbers.bytes(30_000), pieces: 2, to: store)
            try await store.settle(evict: true)
            tree.change(percent: 50)
        }
        let gone = numbers.text(50_000)
        try await witness.push(gone, to: store)
        try await store.settle(evict: false)
        try await witness.remove(gone, from: store)
        _ = try await store.collect(graceSeconds: 0)
        try await store.settle(evict: true)
        faults.observe(nil)
        #expect(await witness.complaints(about: store) == [])
        await store.close()

        #expect(copier.copies.count > 40)
        for copy in copier.copies {
            let comment: Comment = "\(copy.comment), \(loss), seed \(SeededBytes.seed)"
            let opened = try await openSmall(copy.path)
            for (digest, bytes) in copy.kept {
                let found = try? await opened.pull(digest, from: witness.repository)
                // A removal may have been durable before anybody was told.
                if found == nil, bytes == gone { continue }
                #expect(found == bytes, comment)
            }
            #expect(try await opened.verify().damage == [], comment)
            // And it goes on.
            try await opened.push(tree.tar, to: witness.repository)
            try await opened.settle(evict: true)
            let digest = VarveTestKit.digest(of: tree.tar)
            #expect(try await opened.pull(digest, from: witness.repository) == tree.tar, comment)
            for (digest, bytes) in copy.kept where bytes != gone {
                #expect((try? await opened.pull(digest, from: witness.repository)) == bytes, comment)
            }
            await opened.close()
        }
    }
}
