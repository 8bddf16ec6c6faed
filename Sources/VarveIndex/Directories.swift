// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc
internal import Synchronization

/// Directories, made and changed so that a power failure does not undo it.
enum DurableDirectory {
    /// Makes the directory `path` if it is not there, and makes its entry durable.
    static func create(_ path: String) throws(IndexError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw .system("mkdir", path) }
        try synchronize(parent(of: path))
        try synchronize(path)
    }

    /// Makes durable which names the directory `path` holds.
    static func synchronize(_ path: String) throws(IndexError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
    }

    /// The names in the directory `path`, in no order.
    static func names(in path: String) throws(IndexError) -> [String] {
        guard let directory = opendir(path) else { throw .system("opendir", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw .system("readdir", path) }
                return names
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    static func parent(of path: String) -> String {
        var characters = Array(path.utf8)
        while characters.count > 1, characters.last == UInt8(ascii: "/") { characters.removeLast() }
        guard let slash = characters.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == 0 ? "/" : String(decoding: characters[..<slash], as: UTF8.self)
    }
}

/// The directories that this process has open as environments. Opening one twice would lose its locks: closing either
/// drops the POSIX locks of both. So it is refused, whatever name the directory goes by.
enum OpenDirectories {
    struct Identity: Hashable, Sendable {
        let device: UInt64
        let inode: UInt64
    }

    /// Each with a descriptor: while one is open, a directory that was removed keeps its inode number to itself, and a new
    /// one is not taken for it.
    private static let entered = Mutex<[Identity: Int32]>([:])

    static func enter(_ path: String) throws(IndexError) -> Identity {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", path) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let failure = IndexError.system("stat", path)
            close(descriptor)
            throw failure
        }
        let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        let isNew = entered.withLock { entered in
            if entered[identity] != nil { return false }
            entered[identity] = descriptor
            return true
        }
        guard isNew else {
            close(descriptor)
            throw IndexError(.alreadyOpen, call: "index", detail: path)
        }
        return identity
    }

    static func leave(_ identity: Identity) {
        if let descriptor = entered.withLock({ $0.removeValue(forKey: identity) }) { close(descriptor) }
    }
}
