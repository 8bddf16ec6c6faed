// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import VarveCodec
import VarveDrivers

/// One frame on its way into a pack: gathered by the thread that settles, compressed by a worker, written by the first
/// again. Used over and over, so that its buffers are allocated once.
final class FrameJob: @unchecked Sendable {  // the two threads take turns, handed over by `done`
    private let raw = UnsafeMutableRawBufferPointer.allocate(
        byteCount: PackWriter.frameBytes + FrameHeader.chunkByteLimit, alignment: 64)
    private(set) var rawCount = 0
    private(set) var kind = FrameKind.content
    private(set) var account: PackWriter.Account?
    private var firstOrdinal: UInt32 = 0
    private var digests: [ChunkDigest] = []
    private var lengths: [UInt32] = []
    private(set) var output: [UInt8] = []
    private(set) var result: Result<FrameHeader, CodecError>?
    private let done = ConditionLock(value: true)

    deinit { raw.deallocate() }

    func begin(kind: FrameKind, account: PackWriter.Account, firstOrdinal: UInt32) {
        self.kind = kind
        self.account = account
        self.firstOrdinal = firstOrdinal
        rawCount = 0
        digests.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        output.removeAll(keepingCapacity: true)
        result = nil
    }

    /// Appends a chunk. The frame must have room for it.
    func add(_ bytes: UnsafeRawBufferPointer, _ digest: ChunkDigest) {
        UnsafeMutableRawBufferPointer(rebasing: raw[rawCount..<rawCount + bytes.count]).copyMemory(from: bytes)
        rawCount += bytes.count
        digests.append(digest)
        lengths.append(UInt32(bytes.count))
    }

    /// - Parameter yields: Whether the worker's thread goes behind all others from then on.
    func start(on workers: BlockingPool, level: Int, yields: Bool) {
        done.lock()
        done.unlock(withValue: false)
        workers.submit { [self] isActive in
            if isActive {
                if yields { lowerPriority() }
                compress(level: level)
            }
            done.lock()
            done.unlock(withValue: true)
        }
    }

    /// Waits until the worker is through.
    func wait() {
        done.lock(whenValue: true)
        done.unlock()
    }

    private func compress(level: Int) {
        BackgroundTime.note()
        defer { BackgroundTime.note() }
        result = Result { () throws(CodecError) in
            try Compressors.shared.with { (compressor: inout ZstdCompressor) throws(CodecError) in
                try FrameEncoder.append(
                    kind: kind, raw: UnsafeRawBufferPointer(rebasing: raw[..<rawCount]), digests: digests,
                    lengths: lengths, firstOrdinal: firstOrdinal, level: level, compressor: &compressor, to: &output)
            }
        }
    }
}

/// zstd contexts for the workers.
final class Compressors: Sendable {
    static let shared = Compressors()
    /// A context at rest belongs to nobody; a taken one to the thread that took it.
    private final class Slot: @unchecked Sendable {
        var compressor: ZstdCompressor
        init() throws(CodecError) { compressor = try ZstdCompressor() }
    }
    private let free = NIOLockedValueBox([Slot]())

    func with<Value>(
        _ body: (inout ZstdCompressor) throws(CodecError) -> Value
    ) throws(CodecError) -> Value {
        let slot: Slot
        if let found = free.withLockedValue({ $0.popLast() }) { slot = found } else { slot = try Slot() }
        defer { free.withLockedValue { $0.append(slot) } }
        return try body(&slot.compressor)
    }
}

/// Lets this thread yield to those that serve clients.
func lowerPriority() {
    // On Linux this sets the calling thread's own nice value.
    _ = setpriority(__priority_which_t(0), 0, 10)
}
