// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

/// LMDB's file, read page by page without mapping it: what is missing is an error here, and a signal there.
struct PageFile: ~Copyable {
    let path: String
    private let descriptor: Int32

    /// Opens the file; nil if there is none, or an empty one: LMDB makes a new one then.
    static func open(in directory: String) throws(IndexError) -> PageFile? {
        let path = directory + "/data.mdb"
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw .system("open", path)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = IndexError.system("fstat", path)
            close(descriptor)
            throw error
        }
        guard status.st_size > 0 else {
            close(descriptor)
            return nil
        }
        return PageFile(path, descriptor)
    }

    private init(_ path: String, _ descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    /// The file's length now; a process that writes makes it longer.
    func byteCount() throws(IndexError) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("fstat", path) }
        return UInt64(clamping: status.st_size)
    }

    deinit { close(descriptor) }

    /// Fills `room` from `offset` on; false if the file ends before.
    func read(at offset: UInt64, into room: UnsafeMutableRawBufferPointer) throws(IndexError) -> Bool {
        guard let start = off_t(exactly: offset), let base = room.baseAddress else { return false }
        var done = 0
        while done < room.count {
            let count = pread(descriptor, base + done, room.count - done, start &+ off_t(done))
            if count > 0 {
                done += count
            } else if count == 0 {
                return false
            } else if errno != EINTR {
                throw .system("pread", path)
            }
        }
        return true
    }

    /// Tells the kernel that these bytes will be wanted soon.
    func prefetch(at offset: UInt64, _ byteCount: UInt64) {
        guard let start = off_t(exactly: offset), let length = off_t(exactly: byteCount) else { return }
        posix_fadvise(descriptor, start, length, POSIX_FADV_WILLNEED)
    }
}
