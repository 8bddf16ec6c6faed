// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveModel

/// An open raw file and the part of it that is a blob's range.
public final class BlobFile: Sendable {
    /// The open descriptor, for `sendfile`. Valid until `close()`.
    public let descriptor: CInt
    /// First byte of the range in the file.
    public let offset: UInt64
    /// Length of the range in bytes.
    public let length: UInt64
    private let isOpen: ManagedClosing

    init(descriptor: CInt, offset: UInt64, length: UInt64) {
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
        isOpen = ManagedClosing(descriptor)
    }

    /// Closes the descriptor. Further calls do nothing; a file that is dropped unclosed is closed then.
    public func close() { isOpen.close() }
}

/// A blob's bytes, rebuilt piece by piece. For one reader at a time.
public final class BlobStream: Sendable {
    /// Bytes that the stream will give in all.
    public let length: UInt64

    /// The next piece (up to about 1 MiB), verified; nil at the end.
    /// - Throws: `corrupted` if a chunk is not what its digest says, or the whole is not what the blob's says: the
    ///   response must then be cut off, not ended. `io`.
    public func next() async throws(VarveError) -> ByteBuffer? { throw VarveError(.unsupported, "not yet") }

    init() { length = 0 }
}
