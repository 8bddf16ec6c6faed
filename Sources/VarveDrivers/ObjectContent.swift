// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
public import NIOCore
public import VarveModel

/// One version of an object, open for reading: what it gives does not change when the object is replaced or deleted
/// meanwhile. For any number of readers; dropped when nobody holds it.
public protocol OpenObject: Sendable {
    /// What is known of that version.
    var info: ObjectInfo { get }

    /// Opens its bytes or a range of them; may be called any number of times.
    /// - Parameter range: Byte offsets, upper bound excluded, within the object; nil = all.
    /// - Throws: `rangeNotSatisfiable`, `corrupted`, `io`.
    func content(in range: Range<UInt64>?) async throws(VarveError) -> ObjectContent
}

extension OpenObject {
    /// Checks a range against the object's size.
    /// - Throws: `rangeNotSatisfiable`.
    package func checked(_ range: Range<UInt64>?) throws(VarveError) -> Range<UInt64> {
        let range = range ?? 0..<info.size
        guard range.upperBound <= info.size else {
            throw VarveError(.rangeNotSatisfiable, "the object has \(info.size) bytes")
        }
        return range
    }
}

/// Where an object's bytes come from: each time exactly those asked for, in order.
public enum ObjectContent: Sendable {
    /// A region of an open file, for sendfile. Closing is up to the receiver (`ObjectFile.close()`), once.
    case file(ObjectFile)
    /// Bytes in memory.
    case bytes(ByteBuffer)
    /// Bytes that are made or read while they are asked for.
    case stream(ObjectStream)

    /// How many bytes it gives.
    public var length: UInt64 {
        switch self {
        case .file(let file): file.length
        case .bytes(let buffer): UInt64(buffer.readableBytes)
        case .stream(let stream): stream.length
        }
    }
}

/// A region of an open file.
public final class ObjectFile: Sendable {
    /// The open descriptor. Valid until ``close()``.
    public let descriptor: CInt
    /// First byte of the region in the file.
    public let offset: UInt64
    /// Length of the region in bytes.
    public let length: UInt64
    private let closing: @Sendable () -> Void

    /// - Parameter close: Closes the descriptor; may be called more than once, the last time when the region is dropped.
    package init(descriptor: CInt, offset: UInt64, length: UInt64, close: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
        closing = close
    }

    /// Reads a part of the region. Blocks.
    /// - Parameter position: Offset from the region's first byte.
    /// - Throws: `io`, also when the file has become shorter than the region.
    package func read(at position: UInt64, count: Int) throws(VarveError) -> ByteBuffer {
        var buffer = ByteBuffer()
        var failure: CInt = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            var done = 0
            while done < count {
                let got = pread(
                    descriptor, target.baseAddress.map { $0 + done }, count - done,
                    off_t(clamping: offset) + off_t(clamping: position) + off_t(done))
                if got < 0, errno == EINTR { continue }
                if got <= 0 {
                    failure = got < 0 ? errno : ENODATA
                    break
                }
                done += got
            }
            return done
        }
        guard failure == 0 else {
            throw VarveError(.io, "an object's file could not be read", cause: DriverError("pread", "", failure))
        }
        return buffer
    }

    /// Closes the descriptor. Further calls do nothing; a region that is dropped unclosed is closed then.
    public func close() { closing() }

    deinit { closing() }
}

/// Bytes in pieces. For one reader at a time.
public final class ObjectStream: Sendable {
    /// Bytes that the stream gives in all.
    public let length: UInt64
    private let pieces: @Sendable () async throws(VarveError) -> ByteBuffer?

    package init(length: UInt64, pieces: @escaping @Sendable () async throws(VarveError) -> ByteBuffer?) {
        self.length = length
        self.pieces = pieces
    }

    /// The next piece (about 1 MiB at most); nil at the end.
    /// - Throws: `corrupted`, `io`, `cancelled`: the response must then be cut off, not ended.
    public func next() async throws(VarveError) -> ByteBuffer? { try await pieces() }
}

/// An object in the making: bytes are appended, then it is committed whole or dropped. For one caller at a time.
///
/// A writer that is dropped without either leaves nothing that is ever seen; what it wrote goes when it is dropped, or
/// at the latest when the store is opened again.
public protocol ObjectWriter: Sendable {
    /// Bytes so far, those of the object that it continues included.
    var size: UInt64 { get }

    /// Appends bytes. They are not durable before ``commit(_:condition:)``.
    /// - Throws: `outOfSpace`, `poisoned`, `io`, `cancelled`.
    func append(_ bytes: ByteBuffer) async throws(VarveError)

    /// Makes the object, in place of one that is there, in one atomic step; durable when it returns. The writer is at
    /// its end then.
    /// - Throws: `preconditionFailed`, `uploadUnknown` (see ``WriteCondition``), `bucketUnknown`, `tooLarge`,
    ///   `outOfSpace`, `poisoned`, `io`. Nothing has changed then, and the writer may be committed again or cancelled.
    func commit(
        _ attributes: ObjectAttributes, condition: WriteCondition
    ) async throws(VarveError) -> ObjectInfo

    /// Drops what was written. Does nothing after a commit or a second time.
    func cancel() async
}

extension ObjectWriter {
    /// Commits whatever is at the address.
    public func commit(_ attributes: ObjectAttributes) async throws(VarveError) -> ObjectInfo {
        try await commit(attributes, condition: .none)
    }
}
