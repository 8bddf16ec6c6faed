// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc

/// A directory that goes when nobody holds it any more; `KEEP_TEST_DIRS=1` leaves it to look at.
public final class TestDirectory: Sendable {
    /// Its path.
    public let path: String

    /// Makes one below `TMPDIR`, or the system's directory for such things.
    public init() {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/varve-test-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no test directory could be made in \(parent)")
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        if getenv("KEEP_TEST_DIRS") == nil { Self.remove(path) }
    }

    /// Paths of all regular files below `directory` of this one, relative to this one, in order.
    public func files(below directory: String = "") -> [String] {
        var found: [String] = []
        for name in Self.names(in: directory.isEmpty ? path : path + "/" + directory) {
            let child = directory.isEmpty ? name : directory + "/" + name
            var status = stat()
            guard lstat(path + "/" + child, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                found += files(below: child)
            } else if status.st_mode & S_IFMT == S_IFREG {
                found.append(child)
            }
        }
        return found
    }

    /// The bytes of a file; empty if it is not there.
    public func read(_ file: String) -> [UInt8] {
        guard let handle = fopen(path + "/" + file, "rb") else { return [] }
        defer { fclose(handle) }
        fseek(handle, 0, SEEK_END)
        let count = ftell(handle)
        rewind(handle)
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = fread(buffer.baseAddress, 1, count, handle)
        }
    }

    /// Writes a file whole, over one that is there.
    public func write(_ bytes: [UInt8], to file: String) {
        guard let handle = fopen(path + "/" + file, "wb") else { return }
        fwrite(bytes, 1, bytes.count, handle)
        fclose(handle)
    }

    /// Changes one byte of a file by flipping bits; a second call undoes it.
    public func flip(_ mask: UInt8, at offset: Int, of file: String) {
        guard let handle = fopen(path + "/" + file, "r+b") else { return }
        defer { fclose(handle) }
        fseek(handle, offset, SEEK_SET)
        let byte = fgetc(handle)
        guard byte >= 0 else { return }
        fseek(handle, offset, SEEK_SET)
        fputc(CInt(UInt8(truncatingIfNeeded: byte) ^ mask), handle)
    }

    /// Removes a file or a directory with everything in it.
    public func remove(_ file: String) { Self.remove(path + "/" + file) }

    /// Bytes of all files below a directory of this one.
    public func byteCount(below directory: String = "") -> Int {
        files(below: directory).reduce(0) { sum, file in
            var status = stat()
            return stat(path + "/" + file, &status) == 0 ? sum + status.st_size : sum
        }
    }

    private static func names(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private static func remove(_ path: String) {
        if unlink(path) == 0 || errno == ENOENT { return }
        for name in names(in: path) { remove(path + "/" + name) }
        rmdir(path)
    }
}
