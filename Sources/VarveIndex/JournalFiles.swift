// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

/// The system calls that make the journal durable; tests put failing ones in their place.
package struct JournalFiles: Sendable {
    /// Writes bytes at an offset of a descriptor: as `pwrite`, but a failure is the negative `errno`.
    package var write: @Sendable (Int32, UnsafeRawBufferPointer, UInt64) -> Int
    /// Makes the data of a descriptor durable: 0, or a positive `errno`.
    package var synchronize: @Sendable (Int32) -> Int32

    package init(
        write: @escaping @Sendable (Int32, UnsafeRawBufferPointer, UInt64) -> Int,
        synchronize: @escaping @Sendable (Int32) -> Int32
    ) {
        self.write = write
        self.synchronize = synchronize
    }

    /// `pwrite` and `fdatasync`.
    package static let system = JournalFiles(
        write: { descriptor, bytes, offset in
            let count = pwrite(descriptor, bytes.baseAddress, bytes.count, Int(clamping: offset))
            return count >= 0 ? count : -Int(errno)
        },
        synchronize: { fdatasync($0) == 0 ? 0 : errno })

    /// Writes all of `bytes`, however many calls that takes.
    func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(IndexError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = write(descriptor, rest, offset &+ UInt64(done))
            if count == -Int(EINTR) { continue }
            guard count > 0 else {
                throw IndexError(.returnCode(count == 0 ? EIO : Int32(clamping: -count)), call: "journal write")
            }
            done += count
        }
    }

    func synchronizeData(_ descriptor: Int32) throws(IndexError) {
        let code = synchronize(descriptor)
        guard code == 0 else { throw IndexError(.returnCode(code), call: "journal fdatasync") }
    }
}

/// An open file that closes itself.
struct JournalFile: ~Copyable {
    let descriptor: Int32

    init(_ path: String, flags: Int32) throws(IndexError) {
        descriptor = open(path, flags | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("open", path) }
    }

    deinit { close(descriptor) }

    func byteCount() throws(IndexError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("fstat") }
        return Int(status.st_size)
    }

    /// Lends the file's bytes to `body`. Nobody makes the file shorter meanwhile: the one process that may write to the
    /// store is this one.
    func withBytes<Value>(
        _ body: (UnsafeRawBufferPointer) throws(IndexError) -> Value
    ) throws(IndexError) -> Value {
        let count = try byteCount()
        guard count > 0 else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw .system("mmap")
        }
        defer { munmap(base, count) }
        return try body(UnsafeRawBufferPointer(start: base, count: count))
    }
}
