// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CZstd

/// A zstd compression context, made once for a worker and used for one frame after the other.
///
/// Frames are ordinary zstd frames (RFC 8878) with their magic number, without checksum, content size and dictionary id:
/// lengths and checksums lie in the frame header of the pack. Leaving the magic out as well would save four bytes in a
/// quarter of a megabyte, but only through an interface that libzstd does not promise to keep.
package struct ZstdCompressor: ~Copyable, @unchecked Sendable {
    // @unchecked: the context has one owner, this value, and every use of it is exclusive (`mutating`).
    private let context: OpaquePointer

    /// The levels that may be asked for. Above 19, windows would be larger than readers promise to accept.
    package static let levels: ClosedRange<Int> = 1...19

    /// - Throws: ``CodecError`` with code `resources` when there is no memory.
    package init() throws(CodecError) {
        context = try Self.makeContext()
    }

    private static func makeContext() throws(CodecError) -> OpaquePointer {
        guard let context = ZSTD_createCCtx() else {
            throw CodecError(.resources, "no memory for a zstd compression context")
        }
        for parameter in [ZSTD_c_checksumFlag, ZSTD_c_contentSizeFlag, ZSTD_c_dictIDFlag] {
            // Parameters that every version of the library has, set to values that they may have: never refused.
            ZSTD_CCtx_setParameter(context, parameter, 0)
        }
        return context
    }

    deinit { ZSTD_freeCCtx(context) }

    /// The room that compressing `rawBytes` bytes may need.
    package static func bound(_ rawBytes: Int) -> Int { ZSTD_compressBound(rawBytes) }

    /// Compresses `raw` as one frame to the start of `output` and returns the frame's length.
    /// - Parameters:
    ///   - level: Clamped to ``levels``.
    ///   - prefix: Bytes that the reader will have too (the base of a frame); empty for none. They are lent, not kept.
    ///   - output: ``bound(_:)`` bytes are always enough.
    /// - Throws: ``CodecError`` with code `resources`: `output` is too short, or there is no memory.
    package mutating func compress(
        _ raw: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, level: Int,
        prefix: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) throws(CodecError) -> Int {
        let level = min(max(level, Self.levels.lowerBound), Self.levels.upperBound)
        try Self.check(ZSTD_CCtx_reset(context, ZSTD_reset_session_only), "resetting a zstd context")
        try Self.check(
            ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level)), "setting the zstd level")
        // The window has to reach over the prefix; without one, zstd takes what the level and the length ask for.
        let windowLog = prefix.isEmpty ? 0 : ZstdWindow.log(covering: raw.count + prefix.count)
        try Self.check(
            ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, Int32(windowLog)), "setting the zstd window")
        if !prefix.isEmpty {
            try Self.check(ZSTD_CCtx_refPrefix(context, prefix.baseAddress, prefix.count), "lending zstd a prefix")
        }
        let count = ZSTD_compress2(context, output.baseAddress, output.count, raw.baseAddress, raw.count)
        return try Self.check(count, "compressing \(raw.count) bytes")
    }

    @discardableResult
    private static func check(_ result: Int, _ action: @autoclosure () -> String) throws(CodecError) -> Int {
        guard ZSTD_isError(result) == 0 else {
            throw CodecError(.resources, "\(action()): \(String(cString: ZSTD_getErrorName(result)))")
        }
        return result
    }
}

/// The windows of zstd frames inside packs.
enum ZstdWindow {
    /// The largest window that is written, and that is accepted where one has to be allocated: 8 MiB.
    static let logLimit = 23

    /// The smallest window, at least 1 KiB, that reaches over `bytes`, as far as the limit allows.
    static func log(covering bytes: Int) -> Int {
        let log = Int.bitWidth - max(bytes - 1, 0).leadingZeroBitCount
        return min(max(log, 10), logLimit)
    }
}
