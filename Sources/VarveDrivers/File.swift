// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CVarveKernels
import Glibc

/// An open file. Reads and writes say where; there is no position to share, so any thread may use it.
///
/// Closed when nobody holds it any more, or earlier by `close()`.
package final class File: Sendable {
    /// Opened how.
    package enum Mode: Sendable {
        case read
        /// Read and write, made if absent.
        case write
        /// Read and write, made now; fails if there is one.
        case create
    }

    /// The descriptor. Valid while this object is held.
    package let descriptor: CInt
    /// The path, for messages.
    package let path: String
    private let faults: Faults?

    init(path: String, mode: Mode, faults: Faults?) throws(DriverError) {
        try faults?.check(.open, "open", path)
        let flags: CInt =
            switch mode {
            case .read: O_RDONLY | O_CLOEXEC
            case .write: O_RDWR | O_CREAT | O_CLOEXEC
            case .create: O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
            }
        let descriptor = Glibc.open(path, flags, 0o644)
        guard descriptor >= 0 else { throw DriverError("open", path, errno) }
        self.descriptor = descriptor
        self.path = path
        self.faults = faults
    }

    deinit { _ = Glibc.close(descriptor) }

    /// Reads into `buffer` from `offset`.
    /// - Returns: Bytes read; fewer than asked for only at the file's end.
    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(DriverError) -> Int {
        try faults?.check(.read, "pread", path)
        guard let base = buffer.baseAddress, let start = off_t(exactly: offset) else { return 0 }
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, base + done, buffer.count - done, start &+ off_t(done))
            if count < 0 {
                if errno == EINTR { continue }
                throw DriverError("pread", path, errno)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Reads `count` bytes from `offset`; a file that ends before is an error (`ENODATA`).
    package func read(at offset: UInt64, count: Int) throws(DriverError) -> [UInt8] {
        var failure: DriverError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(DriverError) {
                initialized = try read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        guard bytes.count == count else { throw DriverError("pread", path, ENODATA) }
        return bytes
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DriverError) {
        try faults?.check(.write, "pwrite", path)
        guard let base = bytes.baseAddress, let start = off_t(exactly: offset) else { return }
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, base + done, bytes.count - done, start &+ off_t(done))
            if count < 0 {
                if errno == EINTR { continue }
                throw DriverError("pwrite", path, errno)
            }
            done += count
        }
    }

    /// Lets the disk begin with what was written there, so that a later ``sync()`` has less to wait for. Says nothing of
    /// success, and takes no error away from `sync()`.
    package func startWriting(at offset: UInt64, count: Int) {
        guard let start = Int64(exactly: offset) else { return }
        varve_start_writing(descriptor, start, Int64(count))
    }

    /// Makes what was written durable (contents and length).
    package func sync() throws(DriverError) {
        try faults?.check(.sync, "fdatasync", path)
        // Not tried again after EIO: the kernel marks the pages clean, and a second call would lie.
        guard fdatasync(descriptor) == 0 else { throw DriverError("fdatasync", path, errno) }
    }

    /// Cuts the file to `length`.
    package func truncate(to length: UInt64) throws(DriverError) {
        try faults?.check(.write, "ftruncate", path)
        guard ftruncate(descriptor, off_t(clamping: length)) == 0 else { throw DriverError("ftruncate", path, errno) }
    }

    /// The file's length in bytes.
    package func length() throws(DriverError) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw DriverError("fstat", path, errno) }
        return UInt64(clamping: status.st_size)
    }

    /// A second descriptor for the same open file, to be closed by whoever asked.
    package func duplicate() throws(DriverError) -> CInt {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw DriverError("fcntl", path, errno) }
        return copy
    }

    /// Takes the file's exclusive lock (`flock`) without waiting; false if another process holds it.
    package func tryLock() throws(DriverError) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw DriverError("flock", path, errno)
    }

    /// Lets the lock go. Closing the file does so too, but not while a child process that is just being started has a
    /// copy of the descriptor.
    package func unlock() { flock(descriptor, LOCK_UN) }
}
