// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CZstd

/// A zstd decompression context, made once for a worker and used for one frame after the other.
package struct ZstdDecompressor: ~Copyable, @unchecked Sendable {
    // @unchecked: the context has one owner, this value, and every use of it is exclusive (`mutating`).
    private let context: OpaquePointer

    /// - Throws: ``CodecError`` with code `resources` when there is no memory.
    package init() throws(CodecError) {
        context = try Self.makeContext()
    }

    private static func makeContext() throws(CodecError) -> OpaquePointer {
        guard let context = ZSTD_createDCtx() else {
            throw CodecError(.resources, "no memory for a zstd decompression context")
        }
        let result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(ZstdWindow.logLimit))
        guard ZSTD_isError(result) == 0 else { throw CodecError(.resources, "zstd refused a window limit") }
        return context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Decodes `frame`, which must be exactly one zstd frame that gives exactly `output.count` bytes.
    ///
    /// Writes nothing behind `output` and allocates nothing that depends on `frame`.
    /// - Parameter prefix: The bytes that were given when the frame was compressed; empty for none.
    /// - Throws: ``CodecError`` with code `malformed`; `output` then holds anything.
    package mutating func decompress(
        _ frame: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer,
        prefix: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) throws(CodecError) {
        try Self.checkMagic(frame)
        guard ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count) == frame.count else {
            throw CodecError(.malformed, "\(frame.count) bytes are not one zstd frame")
        }
        try begin(prefix)
        let count = ZSTD_decompressDCtx(context, output.baseAddress, output.count, frame.baseAddress, frame.count)
        guard ZSTD_isError(count) == 0 else { throw failure(count) }
        guard count == output.count else {
            throw CodecError(.malformed, "a zstd frame gave \(count) bytes instead of \(output.count)")
        }
    }

    /// Decodes the first `output.count` bytes of `frame` and stops there, which costs about that share of the whole.
    /// - Parameter prefix: The bytes that were given when the frame was compressed; empty for none.
    /// - Throws: ``CodecError``: `malformed`; `truncated` if the frame gives fewer bytes.
    package mutating func decompressPrefix(
        of frame: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer,
        prefix: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) throws(CodecError) {
        try Self.checkMagic(frame)
        try begin(prefix)
        var source = ZSTD_inBuffer(src: frame.baseAddress, size: frame.count, pos: 0)
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        while target.pos < target.size {
            let before = (source.pos, target.pos)
            let result = ZSTD_decompressStream(context, &target, &source)
            guard ZSTD_isError(result) == 0 else { throw failure(result) }
            if target.pos == target.size { return }
            if result == 0 || (source.pos, target.pos) == before {
                throw CodecError(.truncated, "a zstd frame gave \(target.pos) bytes, \(output.count) were expected")
            }
        }
    }

    /// Keeps skippable frames and the formats from before zstd 1.0 away from the library.
    private static func checkMagic(_ frame: UnsafeRawBufferPointer) throws(CodecError) {
        guard frame.count >= 4, frame.loadUnaligned(as: UInt32.self) == UInt32(ZSTD_MAGICNUMBER).littleEndian else {
            throw CodecError(.malformed, "\(frame.count) bytes do not begin as a zstd frame")
        }
    }

    private mutating func begin(_ prefix: UnsafeRawBufferPointer) throws(CodecError) {
        let reset = ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
        guard ZSTD_isError(reset) == 0 else { throw failure(reset) }
        // A null prefix takes away one that an earlier, failed call left.
        let result = ZSTD_DCtx_refPrefix(context, prefix.isEmpty ? nil : prefix.baseAddress, prefix.count)
        guard ZSTD_isError(result) == 0 else { throw failure(result) }
    }

    private func failure(_ result: Int) -> CodecError {
        CodecError(.malformed, "zstd: \(String(cString: ZSTD_getErrorName(result)))")
    }
}
