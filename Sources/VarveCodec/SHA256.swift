// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CVarveKernels
import Glibc

/// A running SHA-256. A value: a copy is a fork of the digest.
package struct SHA256State: Sendable {
    private var digest = varve_sha256()

    /// The state before the first byte.
    package init() { varve_sha256_init(&digest) }

    /// Takes more bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        varve_sha256_update(&digest, base.assumingMemoryBound(to: UInt8.self), bytes.count)
    }

    /// The digest of everything taken. The state is spent afterwards.
    package mutating func finish() -> ChunkDigest {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 16) { room in
            guard let base = room.baseAddress else { preconditionFailure("32 bytes have an address") }
            varve_sha256_finish(&digest, base.assumingMemoryBound(to: UInt8.self))
            return ChunkDigest(loading: base)
        }
    }

    fileprivate mutating func withDigest(_ body: (UnsafeMutablePointer<varve_sha256>) -> Void) {
        withUnsafeMutablePointer(to: &digest, body)
    }
}

/// Digests of many pieces at once, several at a time where the CPU has SHA instructions.
package enum SHA256Pieces {
    /// Replaces `digests` by those of the pieces of `base` that begin at `offsets` and have `lengths` bytes.
    ///
    /// Every piece lies within `base`. Pieces may overlap and be empty.
    package static func digests(
        of base: UnsafeRawBufferPointer, offsets: [UInt64], lengths: [UInt32], into digests: inout [ChunkDigest]
    ) {
        compute(of: base, offsets: offsets, lengths: lengths, into: &digests) { start, out in
            varve_sha256_pieces(start, offsets, lengths, lengths.count, out)
        }
    }

    /// The same, while `stream` goes into `hash` beside it: over the same bytes the two cost 1.5 to 2 times less than
    /// one after the other.
    package static func digests(
        of base: UnsafeRawBufferPointer, offsets: [UInt64], lengths: [UInt32], into digests: inout [ChunkDigest],
        absorbing stream: UnsafeRawBufferPointer, into hash: inout SHA256State
    ) {
        guard !lengths.isEmpty else {
            digests.removeAll(keepingCapacity: true)
            return hash.update(stream)
        }
        compute(of: base, offsets: offsets, lengths: lengths, into: &digests) { start, out in
            hash.withDigest { digest in
                varve_sha256_pieces_and_stream(
                    start, offsets, lengths, lengths.count, out, digest,
                    stream.baseAddress?.assumingMemoryBound(to: UInt8.self), stream.count)
            }
        }
    }

    /// Whether every chunk of `table` in `base`, or those named, has its digest; meanwhile `stream` goes into `hash` beside it.
    ///
    /// When the answer is no, how much of `stream` went into `hash` is not said.
    /// - Parameter base: The frame's bytes, up to the last of these chunks at least.
    package static func matches(
        _ table: FrameTable, _ chunks: Range<Int>? = nil, in base: UnsafeRawBufferPointer,
        absorbing stream: UnsafeRawBufferPointer, into hash: inout SHA256State
    ) -> Bool {
        let chunks = chunks ?? 0..<table.count
        let count = chunks.count
        guard chunks.upperBound <= table.count, base.count >= table.range(of: chunks).upperBound else { return false }
        guard count > 0, let start = base.baseAddress else {
            hash.update(stream)
            return count == 0
        }
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: count) { offsets in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { lengths in
                for index in 0..<count {
                    let range = table.range(chunks.lowerBound + index)
                    offsets.initializeElement(at: index, to: UInt64(range.lowerBound))
                    lengths.initializeElement(at: index, to: UInt32(range.count))
                }
                return withDigestRoom(count) { out in
                    hash.withDigest { digest in
                        varve_sha256_pieces_and_stream(
                            start.assumingMemoryBound(to: UInt8.self), offsets.baseAddress, lengths.baseAddress, count,
                            out, digest, stream.baseAddress?.assumingMemoryBound(to: UInt8.self), stream.count)
                    }
                    return table.withDigests { digests in
                        guard let expected = digests.baseAddress, digests.count == 32 * table.count else {
                            return false
                        }
                        return memcmp(out, expected + 32 * chunks.lowerBound, 32 * count) == 0
                    }
                }
            }
        }
    }

    private static func compute(
        of base: UnsafeRawBufferPointer, offsets: [UInt64], lengths: [UInt32], into digests: inout [ChunkDigest],
        _ kernel: (UnsafePointer<UInt8>, UnsafeMutablePointer<UInt8>) -> Void
    ) {
        let count = lengths.count
        let size = UInt64(base.count)
        precondition(offsets.count == count, "every piece has an offset and a length")
        for index in 0..<count {
            let offset = offsets[index]
            precondition(offset <= size && UInt64(lengths[index]) <= size - offset, "a piece lies within the bytes")
        }
        digests.removeAll(keepingCapacity: true)
        withDigestRoom(count) { out in
            // Without an address all pieces are empty, and any address serves for them.
            kernel(base.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(out), out)
            for index in 0..<count { digests.append(ChunkDigest(loading: out + 32 * index)) }
        }
    }

    private static func withDigestRoom<Result>(
        _ count: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(byteCount: 32 * max(count, 1), alignment: 32) { room in
            guard let base = room.baseAddress else { preconditionFailure("a room has an address") }
            return body(base.assumingMemoryBound(to: UInt8.self))
        }
    }
}
