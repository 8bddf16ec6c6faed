// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveDrivers

@Suite("files of a store")
struct FileSystemTests: ~Copyable {
    let root: String

    init() throws {
        root = NSTemporaryDirectory() + "varve-files-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    @Test("what replace wrote is what a reader finds")
    func replace() throws {
        let files = FileSystem(root: root)
        try files.replace("note", with: Array("one".utf8))
        try files.replace("note", with: Array("three".utf8))
        #expect(try files.open("note", .read).read(at: 0, count: 5) == Array("three".utf8))
        #expect(try files.list("") == ["note"])
    }

    @Test("directories are made with those above them")
    func directories() throws {
        let files = FileSystem(root: root)
        try files.makeDirectory("a/b/c")
        try files.makeDirectory("a/b/c")
        #expect(try files.list("a/b") == ["c"])
    }

    @Test("reading past the end is an error that says so")
    func shortRead() throws {
        let files = FileSystem(root: root)
        try files.replace("short", with: [1, 2, 3])
        let file = try files.open("short", .read)
        #expect(throws: DriverError.self) { try file.read(at: 1, count: 3) }
    }

    @Test("the n-th operation fails, and only it")
    func faults() throws {
        let faults = Faults()
        let files = FileSystem(root: root, faults: faults)
        faults.fail(.sync, at: 2, with: EIO)
        try files.syncDirectory("")
        #expect(throws: DriverError.self) { try files.syncDirectory("") }
        try files.syncDirectory("")
        #expect(faults.fired == 1)
    }

    @Test("what is not there is nothing, not an error, where that is the contract")
    func missing() throws {
        let files = FileSystem(root: root)
        #expect(try files.list("nothing") == [])
        #expect(try files.length(of: "nothing") == nil)
        try files.remove("nothing")
    }
}
