// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import VarveModel

/// An open file to import from. Its length is taken once; a file that becomes shorter while it is read is an error.
final class SourceFile: Sendable {
    let descriptor: CInt
    let path: String
    let size: UInt64

    /// Opens a regular file.
    init(_ path: String) throws(ToolError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw ToolError(.failed, "cannot read \(path): \(ToolError.text(ofErrno: errno))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size >= 0 else {
            close(descriptor)
            throw ToolError(.failed, "cannot import \(path): it is not a regular file")
        }
        self.descriptor = descriptor
        self.path = path
        size = UInt64(status.st_size)
    }

    deinit { close(descriptor) }

    /// Reads up to `buffer.count` bytes at `offset`; fewer only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(ToolError) -> Int {
        guard let start = off_t(exactly: offset) else { return 0 }
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, start + done)
            if count > 0 {
                done += count
            } else if count == 0 {
                break
            } else if errno != EINTR {
                throw ToolError(.failed, "cannot read \(path): \(ToolError.text(ofErrno: errno))")
            }
        }
        return done
    }

    /// The whole file as a source.
    var whole: ByteSource { ByteSource(file: self, offset: 0, size: size) }
}

/// A part of a file that is one blob or document.
struct ByteSource: Sendable {
    let file: SourceFile
    let offset: UInt64
    let size: UInt64

    /// The first bytes, at most `count`.
    func prefix(_ count: Int) throws(ToolError) -> [UInt8] {
        let wanted = Int(min(UInt64(count), size))
        var bytes = [UInt8](repeating: 0, count: wanted)
        let result = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(ToolError) in try file.read(into: buffer, at: offset) }
        }
        return Array(bytes.prefix(try result.get()))
    }

    /// All bytes of a small document.
    /// - Throws: ``ToolError`` above `limit` bytes.
    func document(_ name: String, limit: Int = 4 << 20) throws(ToolError) -> [UInt8] {
        guard size <= UInt64(limit) else {
            throw ToolError(.failed, "\(name) in \(file.path) has \(Units.bytes(size)), at most 4 MiB are taken")
        }
        return try prefix(limit)
    }

    /// The digest of all bytes.
    /// - Parameter read: Called with the number of bytes read, after each piece.
    func digest(_ algorithm: Digest.Algorithm = .sha256, read: @escaping @Sendable (Int) -> Void) async throws -> Digest
    {
        try await Blocking.run {
            var hash = try Hashing(algorithm)
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
            defer { piece.deallocate() }
            var done: UInt64 = 0
            while done < size {
                guard Interrupts.shared.status == nil else { throw CancellationError() }
                let wanted = UnsafeMutableRawBufferPointer(rebasing: piece[..<Int(min(size - done, 1 << 20))])
                let count = try file.read(into: wanted, at: offset &+ done)
                guard count > 0 else { throw tooShort }
                hash.update(UnsafeRawBufferPointer(rebasing: wanted[..<count]))
                done += UInt64(count)
                read(count)
            }
            return hash.finish()
        }
    }

    var tooShort: ToolError { ToolError(.failed, "\(file.path) is shorter than it was when it was opened") }
}

/// A source's bytes in buffers of about a mebibyte, as the store takes them.
struct SourceBody: AsyncSequence, Sendable {
    let source: ByteSource
    /// Called with the number of bytes handed over, after each buffer.
    let read: @Sendable (Int) -> Void

    struct AsyncIterator: AsyncIteratorProtocol {
        let body: SourceBody
        private var done: UInt64 = 0

        init(_ body: SourceBody) { self.body = body }

        mutating func next() async throws -> ByteBuffer? {
            let source = body.source
            let left = source.size - done
            guard left > 0 else { return nil }
            try Task.checkCancellation()
            let start = source.offset &+ done
            let buffer = try await Blocking.run {
                let wanted = Int(Swift.min(left, 1 << 20))
                var buffer = ByteBufferAllocator().buffer(capacity: wanted)
                try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { pointer in
                    try source.file.read(into: UnsafeMutableRawBufferPointer(rebasing: pointer[..<wanted]), at: start)
                }
                return buffer
            }
            guard buffer.readableBytes > 0 else { throw source.tooShort }
            done += UInt64(buffer.readableBytes)
            body.read(buffer.readableBytes)
            return buffer
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}
