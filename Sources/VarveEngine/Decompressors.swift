// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveCodec

/// zstd contexts for whoever needs one now: making one costs more than decoding a small frame with it.
final class Decompressors: Sendable {
    static let shared = Decompressors()
    /// A context at rest belongs to nobody; a taken one to the thread that took it.
    private final class Slot: @unchecked Sendable {
        var decompressor: ZstdDecompressor
        init() throws(CodecError) { decompressor = try ZstdDecompressor() }
    }
    private let free = NIOLockedValueBox([Slot]())

    func with<Value>(
        _ body: (inout ZstdDecompressor) throws(CodecError) -> Value
    ) throws(CodecError) -> Value {
        let slot: Slot
        if let found = free.withLockedValue({ $0.popLast() }) { slot = found } else { slot = try Slot() }
        defer { free.withLockedValue { $0.append(slot) } }
        return try body(&slot.decompressor)
    }
}
