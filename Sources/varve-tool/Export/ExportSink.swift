// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import VarveEngine
import VarveModel
import VarveOCI

/// Where the files of an OCI layout go: a directory or an archive.
protocol ExportSink: Sendable {
    /// Writes a small file.
    func file(_ path: String, _ bytes: [UInt8]) async throws
    /// Whether the blob is there already and need not be sent.
    func has(_ digest: Digest, size: UInt64) -> Bool
    /// Writes a blob under its digest.
    func blob(_ digest: Digest, size: UInt64, _ content: BlobContent, _ copier: BlobCopier) async throws
    /// What the sink holds already under the layout's `index.json`; nil for nothing.
    func existingIndex() throws -> [UInt8]?
    /// Everything is there: makes it whole.
    func finish() async throws
}

/// A file that has its name only once it is whole.
struct PendingFile: ~Copyable {
    let channel: OutputChannel
    private let path: String
    private var isOpen = true
    private var temporary: String { path + ".partial" }

    /// Opens the file that is to become `path`.
    init(_ path: String) throws(ToolError) {
        self.path = path
        let number = open(path + ".partial", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard number >= 0 else {
            throw ToolError(.failed, "cannot write \(path): \(ToolError.text(ofErrno: errno))")
        }
        channel = OutputChannel(number, name: path)
    }

    /// Gives the file its name. Nothing more can be written to it.
    mutating func commit() throws(ToolError) {
        isOpen = false
        guard close(channel.number) == 0, rename(temporary, path) == 0 else {
            let reason = ToolError.text(ofErrno: errno)
            unlink(temporary)
            throw ToolError(.failed, "cannot write \(path): \(reason)")
        }
    }

    deinit {
        guard isOpen else { return }
        close(channel.number)
        unlink(temporary)
    }
}

/// An OCI layout as a directory. One that is there already is added to.
struct DirectorySink: ExportSink {
    private let path: String

    /// Makes the directory, or takes one that is empty or holds a layout.
    init(_ path: String) throws {
        self.path = path
        let isThere = access(path, F_OK) == 0
        if isThere, access(path + "/oci-layout", F_OK) != 0 {
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: path), names.isEmpty else {
                throw ToolError(
                    .failed, "\(path) is there and no OCI layout",
                    advice: "name a directory that is new, empty or an OCI layout, or a file that ends in .tar")
            }
        }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func file(_ name: String, _ bytes: [UInt8]) async throws {
        let path = path
        try await Blocking.run {
            let target = "\(path)/\(name)"
            try FileManager.default.createDirectory(
                atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            var file = try PendingFile(target)
            try file.channel.write(bytes)
            try file.commit()
        }
    }

    func has(_ digest: Digest, size: UInt64) -> Bool {
        var status = stat()
        guard stat("\(path)/\(OCILayout.path(of: digest))", &status) == 0 else { return false }
        return status.st_mode & S_IFMT == S_IFREG && UInt64(exactly: status.st_size) == size
    }

    func blob(_ digest: Digest, size: UInt64, _ content: BlobContent, _ copier: BlobCopier) async throws {
        try FileManager.default.createDirectory(
            atPath: "\(path)/blobs/\(digest.algorithm.name)", withIntermediateDirectories: true)
        var file = try PendingFile("\(path)/\(OCILayout.path(of: digest))")
        try await copier.copy(content, of: digest, size: size, to: file.channel)
        try file.commit()
    }

    func existingIndex() throws -> [UInt8]? {
        FileManager.default.contents(atPath: path + "/index.json").map { [UInt8]($0) }
    }

    func finish() async throws {}
}

/// An OCI layout as a tar archive, written front to back.
struct ArchiveSink: ExportSink {
    let output: OutputChannel

    func file(_ name: String, _ bytes: [UInt8]) async throws {
        let whole =
            TarWriter.header(path: name, size: UInt64(bytes.count)) + bytes
            + TarWriter.padding(after: UInt64(bytes.count))
        let output = output
        try await Blocking.run { try output.write(whole) }
    }

    func has(_ digest: Digest, size: UInt64) -> Bool { false }

    func blob(_ digest: Digest, size: UInt64, _ content: BlobContent, _ copier: BlobCopier) async throws {
        let output = output
        try await Blocking.run {
            try output.write(TarWriter.header(path: OCILayout.path(of: digest), size: size))
        }
        try await copier.copy(content, of: digest, size: size, to: output)
        try await Blocking.run { try output.write(TarWriter.padding(after: size)) }
    }

    func existingIndex() throws -> [UInt8]? { nil }

    func finish() async throws {
        let output = output
        try await Blocking.run { try output.write(TarWriter.end) }
    }
}
