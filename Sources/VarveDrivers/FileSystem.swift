// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers

/// Files below one directory. Paths are relative to it and made by the engine from hex and fixed words, never from a
/// client's text.
package struct FileSystem: Sendable {
    /// The directory.
    package let root: String
    /// Makes operations fail, in tests.
    package let faults: Faults?

    /// Directories whose names this process has made durable.
    private let durable = NIOLockedValueBox(Set<String>())

    package init(root: String, faults: Faults? = nil) {
        self.root = root
        self.faults = faults
    }

    /// The path as the system takes it.
    package func absolute(_ path: String) -> String { path.isEmpty ? root : root + "/" + path }

    package func open(_ path: String, _ mode: File.Mode) throws(DriverError) -> File {
        try File(path: absolute(path), mode: mode, faults: faults)
    }

    /// Makes a directory and those above it up to the root, durable when it returns. One that is there is not an error;
    /// whoever made it may have died before its name was durable, so its parent is synced too, once a process.
    package func makeDirectory(_ path: String) throws(DriverError) {
        if durable.withLockedValue({ $0.contains(path) }) { return }
        if mkdir(absolute(path), 0o755) != 0 {
            switch errno {
            case EEXIST: break
            case ENOENT where !path.isEmpty:
                try makeDirectory(parent(of: path))
                guard mkdir(absolute(path), 0o755) == 0 || errno == EEXIST else {
                    throw DriverError("mkdir", path, errno)
                }
            default: throw DriverError("mkdir", path.isEmpty ? root : path, errno)
            }
        }
        try syncDirectory(path.isEmpty ? ".." : parent(of: path))
        _ = durable.withLockedValue { $0.insert(path) }
    }

    /// Makes names in a directory durable.
    package func syncDirectory(_ path: String) throws(DriverError) {
        try faults?.check(.sync, "fsync", path)
        let descriptor = Glibc.open(absolute(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        // Not the harmless failure that opening a file is: what was done to the directory is not durable.
        guard descriptor >= 0 else { throw DriverError("fsync", path, errno) }
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw DriverError("fsync", path, errno) }
    }

    /// Renames over whatever is there. Durable only after `syncDirectory` of the new place.
    package func rename(_ old: String, to new: String) throws(DriverError) {
        try faults?.check(.rename, "rename", old)
        guard Glibc.rename(absolute(old), absolute(new)) == 0 else { throw DriverError("rename", old, errno) }
    }

    /// Gives a file a second name, which must be free. Durable only after `syncDirectory` of its place.
    package func link(_ path: String, to new: String) throws(DriverError) {
        try faults?.check(.rename, "link", path)
        guard Glibc.link(absolute(path), absolute(new)) == 0 else { throw DriverError("link", path, errno) }
    }

    /// Removes a file; one that is not there is not an error.
    package func remove(_ path: String) throws(DriverError) {
        try faults?.check(.remove, "unlink", path)
        guard unlink(absolute(path)) == 0 || errno == ENOENT else { throw DriverError("unlink", path, errno) }
    }

    /// Length of a file, nil if there is none.
    package func length(of path: String) throws(DriverError) -> UInt64? {
        var status = stat()
        guard stat(absolute(path), &status) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw DriverError("stat", path, errno)
        }
        return UInt64(clamping: status.st_size)
    }

    /// Names in a directory, in no order, without `.` and `..`; empty if there is no such directory.
    package func list(_ path: String) throws(DriverError) -> [String] {
        guard let directory = opendir(absolute(path)) else {
            if errno == ENOENT { return [] }
            throw DriverError("opendir", path, errno)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                if errno != 0 { throw DriverError("readdir", path, errno) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    /// Bytes of all regular files below a directory, by their lengths and by the disk blocks they hold.
    package func usage(of path: String) throws(DriverError) -> (bytes: UInt64, blocks: UInt64) {
        var status = stat()
        guard lstat(absolute(path), &status) == 0 else {
            if errno == ENOENT { return (0, 0) }
            throw DriverError("lstat", path, errno)
        }
        if status.st_mode & S_IFMT == S_IFREG { return (UInt64(status.st_size), UInt64(status.st_blocks) * 512) }
        guard status.st_mode & S_IFMT == S_IFDIR else { return (0, 0) }
        var total: (bytes: UInt64, blocks: UInt64) = (0, 0)
        for name in try list(path) {
            let part = try usage(of: path.isEmpty ? name : path + "/" + name)
            total.bytes += part.bytes
            total.blocks += part.blocks
        }
        return total
    }

    /// Writes a small file whole and durable: a new file beside it, renamed over it.
    package func replace(_ path: String, with bytes: [UInt8]) throws(DriverError) {
        let temporary = path + ".new"
        try remove(temporary)
        let file = try open(temporary, .create)
        var failure: DriverError?
        bytes.withUnsafeBytes { (buffer: UnsafeRawBufferPointer) in
            do throws(DriverError) { try file.write(buffer, at: 0) } catch { failure = error }
        }
        if let failure { throw failure }
        try file.sync()
        try rename(temporary, to: path)
        try syncDirectory(parent(of: path))
    }

    private func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return String(path[..<slash])
    }
}
