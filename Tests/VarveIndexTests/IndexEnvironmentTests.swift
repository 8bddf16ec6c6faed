// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Testing
import VarveModel

@testable import VarveIndex

@Suite("index environment")
struct IndexEnvironmentTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.path + "/index" }

    init() throws { directory = try TemporaryDirectory() }

    @Test("what was committed is there after reopening")
    func reopen() throws {
        let environment = try IndexEnvironment(path: path)
        try environment.write { (transaction) throws(IndexError) in
            try transaction.putBlob(digest(1), BlobRow(size: 7, flags: .rawFile))
        }
        environment.close()
        let again = try IndexEnvironment(path: path)
        let row = try again.read { (transaction) throws(IndexError) in try transaction.blob(digest(1)) }
        #expect(row == BlobRow(size: 7, flags: .rawFile))
    }

    @Test("a body that throws leaves no trace")
    func abort() throws {
        let environment = try IndexEnvironment(path: path)
        let error = #expect(throws: IndexError.self) {
            try environment.write { (transaction) throws(IndexError) in
                try transaction.putBlob(digest(1), BlobRow(size: 7))
                throw IndexError(.invalidArgument, call: "test")
            }
        }
        #expect(error?.reason == .invalidArgument)
        #expect(try environment.statistics().blobs == 0)
        #expect(environment.poisoned == nil)
    }

    @Test("the same directory is opened once, by whatever name")
    func openTwice() throws {
        let environment = try IndexEnvironment(path: path)
        let alias = directory.path + "/alias"
        #expect(symlink(path, alias) == 0)
        for name in [path, alias, path + "/"] {
            let error = #expect(throws: IndexError.self) { _ = try IndexEnvironment(path: name) }
            #expect(error?.reason == .alreadyOpen)
        }
        environment.close()
        try IndexEnvironment(path: alias).close()
    }

    @Test("an open directory is held, so that no other gets its inode number, and let go when it is closed")
    func holdsDirectory() throws {
        func isHeld() throws -> Bool {
            try DurableDirectory.names(in: "/proc/self/fd").contains { name in
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + name)
                return target == path + " (deleted)"
            }
        }
        let first = try IndexEnvironment(path: path)
        TemporaryDirectory.remove(path)
        #expect(try isHeld())
        let second = try IndexEnvironment(path: path)
        first.close()
        #expect(try !isHeld())
        #expect(throws: IndexError.self) { _ = try IndexEnvironment(path: path) }
        second.close()
    }

    @Test("after closing, reads and writes are refused")
    func closed() throws {
        let environment = try IndexEnvironment(path: path)
        environment.close()
        environment.close()
        let read = #expect(throws: IndexError.self) { _ = try environment.statistics() }
        #expect(read?.reason == .closed)
        let write = #expect(throws: IndexError.self) {
            try environment.write { (transaction) throws(IndexError) in try transaction.setMeta("a", [1]) }
        }
        #expect(write?.reason == .closed)
    }

    @Test("an environment for reading makes nothing and writes nothing")
    func readOnly() throws {
        var options = IndexEnvironment.Options()
        options.isReadOnly = true
        #expect(throws: IndexError.self) { _ = try IndexEnvironment(path: path, options: options) }
        #expect(access(path, F_OK) != 0)
        let environment = try IndexEnvironment(path: path)
        try environment.write { (transaction) throws(IndexError) in try transaction.setMeta("a", [1]) }
        environment.close()
        let reader = try IndexEnvironment(path: path, options: options)
        #expect(try reader.read { (transaction) throws(IndexError) in try transaction.meta("a") } == [1])
        let error = #expect(throws: IndexError.self) {
            try reader.write { (transaction) throws(IndexError) in try transaction.setMeta("a", [2]) }
        }
        #expect(error?.reason == .readOnly)
    }

    @Test("a later format is refused")
    func laterFormat() throws {
        let environment = try IndexEnvironment(path: path)
        try environment.write { (transaction) throws(IndexError) in
            try transaction.setMeta(IndexEnvironment.formatKey, [2, 0, 0, 0])
        }
        environment.close()
        let error = #expect(throws: IndexError.self) { _ = try IndexEnvironment(path: path) }
        #expect(error?.reason == .unsupportedVersion)
    }

    @Test("the map grows while readers come and go")
    func growth() async throws {
        var options = IndexEnvironment.Options()
        options.mapSizeBytes = 256 << 10
        let environment = try IndexEnvironment(path: path, options: options)
        let before = try environment.statistics().mapBytes
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    var reads = 0
                    while try environment.statistics().blobs < 20 {
                        // Nested on purpose: the inner one must not wait for growth that waits for the outer one.
                        reads += try environment.read { (outer) throws(IndexError) in
                            let blobs = try outer.blobs(limit: 3).count
                            return try environment.read { (inner) throws(IndexError) in
                                try inner.blobs(limit: 3).count >= blobs ? 1 : 0
                            }
                        }
                    }
                    return reads
                }
            }
            for number in 0..<20 {
                try environment.write { (transaction) throws(IndexError) in
                    let bytes = [UInt8](repeating: UInt8(number), count: 1 << 20)
                    try transaction.putInlineBlob(digest(number), bytes: bytes, landedAt: 0)
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<20 {
            let bytes = try environment.read { (transaction) throws(IndexError) in
                try transaction.inlineBytes(of: digest(number))
            }
            #expect(bytes == [UInt8](repeating: UInt8(number), count: 1 << 20))
        }
        #expect(before <= 1 << 20)
        #expect(try environment.statistics().mapBytes >= 20 << 20)
        #expect(environment.poisoned == nil)
    }

    @Test("behind its largest size the map is full, and the reads go on")
    func fullMap() throws {
        var options = IndexEnvironment.Options()
        options.mapSizeBytes = 1 << 20
        options.maximumMapSizeBytes = 4 << 20
        let environment = try IndexEnvironment(path: path, options: options)
        try environment.write { (transaction) throws(IndexError) in try transaction.setMeta("a", [1]) }
        let error = #expect(throws: IndexError.self) {
            try environment.write { (transaction) throws(IndexError) in
                try transaction.putInlineBlob(digest(1), bytes: [UInt8](repeating: 1, count: 8 << 20), landedAt: 0)
            }
        }
        #expect(error?.isFull == true)
        #expect(try environment.read { (transaction) throws(IndexError) in try transaction.meta("a") } == [1])
    }

    @Test("a flipped bit in the file is told to be damage")
    func flippedBit() throws {
        let environment = try IndexEnvironment(path: path)
        let marker = SeededGenerator(7).marker
        try environment.write { (transaction) throws(IndexError) in
            try transaction.putInlineBlob(digest(1), bytes: marker, landedAt: 0)
        }
        environment.close()
        var file = try TemporaryDirectory.read(path + "/data.mdb")
        let place = try #require(file.indices.first { file[$0...].starts(with: marker) })
        file[place + 20] ^= 4
        try TemporaryDirectory.write(file, to: path + "/data.mdb")
        let again = try IndexEnvironment(path: path)
        let error = #expect(throws: IndexError.self) {
            _ = try again.read { (transaction) throws(IndexError) in try transaction.inlineBytes(of: digest(1)) }
        }
        #expect(error?.isCorrupt == true)
    }

    @Test("a poisoned environment refuses writes and goes on reading")
    func poisoned() throws {
        let environment = try IndexEnvironment(path: path)
        try environment.write { (transaction) throws(IndexError) in try transaction.setMeta("a", [1]) }
        environment.poison(IndexError(.returnCode(EIO), call: "first"))
        environment.poison(IndexError(.returnCode(ENOSPC), call: "second"))
        let error = #expect(throws: IndexError.self) {
            try environment.write { (transaction) throws(IndexError) in try transaction.setMeta("a", [2]) }
        }
        #expect(error?.isPoisoned == true)
        #expect(error?.call == "first")
        #expect(try environment.read { (transaction) throws(IndexError) in try transaction.meta("a") } == [1])
        #expect(try environment.statistics().blobs == 0)
    }
}

extension SeededGenerator {
    fileprivate var marker: [UInt8] {
        var copy = self
        return copy.bytes(100)
    }
}
