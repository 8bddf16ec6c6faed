// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveCodec
import VarveModel

/// Cuts one stream of a blob into chunks and hashes them, about a mebibyte at a time.
///
/// Bytes are gathered in one buffer, so that a chunk is contiguous however the input was sliced; the piece behind the
/// last cut moves to the buffer's start. Nothing is allocated for a chunk: its offset, length and digest go into arrays
/// that are used again for the next batch.
final class ChunkStream {
    private static let batchBytes = 1 << 20

    private let cutter: ContentCutter
    private let buffer: UnsafeMutableRawBufferPointer
    private var filled = 0
    /// Where files end in the buffer, ascending.
    private var ends: [Int] = []
    private(set) var offsets: [UInt64] = []
    private(set) var lengths: [UInt32] = []
    private(set) var digests: [ChunkDigest] = []

    init(cutter: ContentCutter) {
        self.cutter = cutter
        buffer = .allocate(byteCount: Self.batchBytes + cutter.maximum, alignment: 64)
    }

    deinit { buffer.deallocate() }

    /// The bytes that `offsets` and `lengths` speak of.
    var base: UnsafeRawBufferPointer { UnsafeRawBufferPointer(buffer) }

    /// Takes as many of `bytes` as there is room for and says how many; when that is not all, or `isFull`, it is time
    /// to `cut`.
    func append(_ bytes: UnsafeRawBufferPointer, endsFile: Bool) -> Int {
        let count = min(bytes.count, buffer.count - filled)
        if count > 0 {
            UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            filled += count
        }
        if endsFile, count == bytes.count, filled > (ends.last ?? 0) { ends.append(filled) }
        return count
    }

    var isFull: Bool { filled >= Self.batchBytes }

    /// Cuts and hashes what is complete; with `atEnd`, everything. The batch lies in `base`, `offsets`, `lengths`,
    /// `digests` until `advance`.
    func cut(atEnd: Bool) {
        offsets.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        if atEnd, filled > (ends.last ?? 0) { ends.append(filled) }
        var position = 0
        for end in ends { position = cut(from: position, to: end, isWhole: true) }
        position = cut(from: position, to: filled, isWhole: false)
        cutEnd = position
        SHA256Pieces.digests(of: UnsafeRawBufferPointer(buffer), offsets: offsets, lengths: lengths, into: &digests)
    }

    private var cutEnd = 0

    private func cut(from start: Int, to end: Int, isWhole: Bool) -> Int {
        var position = start
        // Without the file's end in sight, a cut that could still move is left for the next batch.
        while position < end, isWhole || end - position >= cutter.maximum {
            let count = cutter.firstCut(UnsafeRawBufferPointer(rebasing: buffer[position..<end]))
            offsets.append(UInt64(position))
            lengths.append(UInt32(count))
            position += count
        }
        return position
    }

    /// Lets the batch go and moves what is left to the front.
    func advance() {
        let left = filled - cutEnd
        if left > 0, cutEnd > 0, let base = buffer.baseAddress {
            memmove(base, base + cutEnd, left)
        }
        filled = left
        cutEnd = 0
        ends.removeAll(keepingCapacity: true)
    }
}
