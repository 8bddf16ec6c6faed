// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// A disk that really is full, index and journal included: a small file system in memory, filled up to so many pages.
@Suite("full disks", .serialized)
struct FullDiskTests {
    /// A file system of its own; nil where mounting is not allowed.
    private final class SmallDisk {
        let directory = TestDirectory()
        var path: String { directory.path + "/disk" }

        init?(bytes: Int) {
            mkdir(path, 0o755)
            guard mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0 else {
                print("not tested on a full disk: mounting one failed (\(String(cString: strerror(errno))))")
                return nil
            }
        }

        deinit { umount2(path, CInt(MNT_DETACH)) }

        var freeBytes: Int {
            var status = statvfs()
            guard statvfs(path, &status) == 0 else { return 0 }
            return Int(status.f_bavail) * Int(status.f_frsize)
        }

        /// Leaves so many bytes.
        func fill(leaving bytes: Int) {
            let file = open(path + "/ballast", O_CREAT | O_WRONLY, 0o600)
            defer { close(file) }
            let size = freeBytes - bytes
            if size > 0 { posix_fallocate(file, 0, off_t(size)) }
        }

        func relieve() { unlink(path + "/ballast") }
    }

    private func fillOnce(_ disk: SmallDisk, leaving bytes: Int, isNew: Bool) async throws {
        let comment: Comment = "\(bytes) bytes left, seed \(SeededBytes.seed)"
        let path = disk.path + "/store\(bytes)\(isNew)"
        let witness = try Witness()
        var numbers = SeededBytes(UInt64(bytes))
        var tree = FileTree(3, files: 5, averageBytes: 6000)
        if !isNew {
            let store = try await openSmall(path)
            try await witness.push(tree.tar, to: store)
            try await store.settle(evict: true)
            await store.close()
            tree.change(percent: 50)
        }
        disk.fill(leaving: bytes)
        do throws(VarveError) {
            let store = try await openSmall(path)
            var refusals: [VarveError] = []
            func attempt(_ step: () async throws(VarveError) -> Void) async {
                do throws(VarveError) { try await step() } catch { refusals.append(error) }
            }
            let (small, next) = (numbers.text(2000), numbers.text(40_000))
            await attempt { () throws(VarveError) in try await witness.push(small, to: store) }
            let layer = tree.tar
            await attempt { () throws(VarveError) in try await witness.push(layer, to: store) }
            await attempt { () throws(VarveError) in try await store.settle(evict: false) }
            await attempt { () throws(VarveError) in try await witness.upload(next, pieces: 2, to: store) }
            await attempt { () throws(VarveError) in try await store.settle(evict: true) }
            await attempt { () throws(VarveError) in _ = try await store.collect(graceSeconds: 0) }
            for error in refusals {
                #expect([.outOfSpace, .poisoned].contains(error.code), "\(comment): \(error)")
            }
            if !refusals.isEmpty { #expect(store.poisonReason != nil, comment) }
            #expect(await witness.complaints(about: store) == [], comment)
            await store.close()
        } catch {
            #expect(error.code == .outOfSpace, "\(comment), opening: \(error)")
        }
        // Still full: it can be read, and opened for writing or refused.
        if let beside = try? await openSmall(path, { $0.readOnly = true }) {
            #expect(await witness.complaints(about: beside) == [], comment)
            await beside.close()
        } else {
            #expect(witness.kept.isEmpty, comment)
        }
        do throws(VarveError) {
            let store = try await openSmall(path)
            #expect(await witness.complaints(about: store) == [], comment)
            await store.close()
        } catch {
            #expect(error.code == .outOfSpace, "\(comment), opening again: \(error)")
        }
        disk.relieve()
        let store = try await openSmall(path)
        #expect(await witness.complaints(about: store) == [], comment)
        try await witness.push(numbers.text(50_000), to: store)
        try await store.settle(evict: true)
        #expect(try await store.verify().damage == [], comment)
        #expect(await witness.complaints(about: store) == [], comment)
        await store.close()
        disk.directory.remove("disk/store\(bytes)\(isNew)")
    }

    @Test("lose nothing, are said to be full, and once there is room everything goes on", .timeLimit(.minutes(15)))
    func fill() async throws {
        guard let disk = SmallDisk(bytes: 16 << 20) else { return }
        for pages in stride(from: 0, through: 120, by: 3) {
            try await fillOnce(disk, leaving: pages * 4096, isNew: pages % 2 == 0)
        }
    }

    @Test("a new store is made, or the disk is said to be full, whatever its last pages were good for")
    func last() async throws {
        guard let disk = SmallDisk(bytes: 4 << 20) else { return }
        var made = 0
        for pages in 0..<64 {
            disk.fill(leaving: pages * 4096)
            do throws(VarveError) {
                let store = try await openSmall(disk.path + "/store")
                await store.close()
                made += 1
            } catch {
                #expect(error.code == .outOfSpace, "\(pages) pages left: \(error)")
            }
            disk.relieve()
            disk.directory.remove("disk/store")
        }
        #expect(made > 0 && made < 64)
    }

    @Test("any number of readers needs no room on it")
    func readers() async throws {
        guard let disk = SmallDisk(bytes: 4 << 20) else { return }
        let store = try await openSmall(disk.path + "/store")
        disk.fill(leaving: 0)
        // Readers of one thread count like those of many.
        func read(_ depth: Int) throws(VarveError) -> Int {
            if depth == 0 { return 0 }
            return try store.core.read { _ in try read(depth - 1) + 1 }
        }
        #expect(try read(900) == 900)
        await store.close()
    }
}
