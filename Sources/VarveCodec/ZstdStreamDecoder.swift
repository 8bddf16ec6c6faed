// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CZstd

/// Decodes zstd streams (RFC 8878) of any number of frames and skippable frames: slices of input in, plain bytes out.
///
/// Windows may have up to 128 MiB, which is allocated once and bounds the decoder's memory. Bytes behind a frame that do
/// not begin as another one end the stream; they are counted, not decoded, and are no error. Checksums of frames that have
/// them are verified; frames that need a dictionary are refused.
package struct ZstdStreamDecoder: ~Copyable, @unchecked Sendable {
    // @unchecked: the pointers have one owner, this value, and every use of them is exclusive (`mutating`).
    private let context: OpaquePointer
    private let output: UnsafeMutableRawBufferPointer
    private let limits: DecodeLimits
    private var summary = DecodeSummary()
    private var phase = Phase.boundary
    /// The first bytes of what may be a frame, gathered at a boundary, low byte first.
    private var magic: UInt32 = 0
    private var magicBytes = 0

    private enum Phase {
        case boundary, frame, trailing
    }

    private static let outputBytes = 256 << 10
    private static let windowLogMax: Int32 = 27

    /// - Throws: ``CodecError`` with code `resources` when there is no memory.
    package init(limits: DecodeLimits) throws(CodecError) {
        context = try Self.makeContext()
        output = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.outputBytes, alignment: 64)
        self.limits = limits
    }

    private static func makeContext() throws(CodecError) -> OpaquePointer {
        guard let context = ZSTD_createDCtx() else {
            throw CodecError(.resources, "no memory for a zstd decompression context")
        }
        guard ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, windowLogMax)) == 0 else {
            ZSTD_freeDCtx(context)
            throw CodecError(.resources, "zstd refused a window limit")
        }
        return context
    }

    deinit {
        ZSTD_freeDCtx(context)
        output.deallocate()
    }

    /// Decodes the next bytes of the stream; `sink` gets plain bytes, lent for the length of the call, in order.
    ///
    /// After an error the decoder is of no use any more.
    /// - Throws: ``CodecError``: `malformed`, also for windows that are too large; `limitExceeded`. Also what `sink` throws.
    package mutating func push(
        _ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var rest = input[...]
        while let next = rest.first {
            switch phase {
            case .boundary:
                magic |= UInt32(next) << UInt32(8 * magicBytes)
                magicBytes += 1
                rest = rest.dropFirst()
                if magicBytes == 4 { try endBoundary(sink) }
            case .frame:
                rest = rest.dropFirst(try decodeSome(UnsafeRawBufferPointer(rebasing: rest), sink))
            case .trailing:
                summary.trailingBytes += UInt64(rest.count)
                return
            }
        }
    }

    /// Ends the stream.
    /// - Throws: ``CodecError``: `truncated` if it ends inside a frame; `malformed` if there was none.
    package mutating func finish() throws(CodecError) -> DecodeSummary {
        switch phase {
        case .frame: throw CodecError(.truncated, "a zstd stream ends inside a frame")
        case .boundary:
            guard summary.memberCount > 0 else { throw CodecError(.malformed, "these bytes hold no zstd frame") }
            summary.trailingBytes = UInt64(magicBytes)
        case .trailing: break
        }
        phase = .trailing
        return summary
    }

    /// Four bytes at a boundary: another frame begins, or the stream is over.
    private mutating func endBoundary(_ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        let word = magic
        magic = 0
        magicBytes = 0
        guard StreamRecognizer.isZstdMagic(word) else {
            guard summary.memberCount > 0 else {
                throw CodecError(.malformed, "these bytes do not begin as a zstd frame")
            }
            summary.trailingBytes = 4
            phase = .trailing
            return
        }
        phase = .frame
        _ = try withUnsafeBytes(of: word.littleEndian) { try decodeSome($0, sink) }
    }

    /// Gives `input` to zstd until it is used up or the frame ends. Returns how much was taken.
    private mutating func decodeSome(
        _ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Int {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        while true {
            let before = source.pos
            var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
            let result = ZSTD_decompressStream(context, &target, &source)
            guard ZSTD_isError(result) == 0 else {
                throw CodecError(.malformed, "zstd: \(String(cString: ZSTD_getErrorName(result)))")
            }
            summary.inputBytes += UInt64(source.pos - before)
            summary.outputBytes += UInt64(target.pos)
            try limits.check(input: summary.inputBytes, output: summary.outputBytes)
            if target.pos > 0 { try sink(UnsafeRawBufferPointer(rebasing: output[..<target.pos])) }
            if result == 0 {
                summary.memberCount += 1
                phase = .boundary
                return source.pos
            }
            // With room left in the output, nothing more comes of this input.
            if target.pos < target.size, source.pos == source.size { return source.pos }
            if source.pos == before, target.pos == 0 { throw CodecError(.malformed, "zstd makes no progress") }
        }
    }
}
