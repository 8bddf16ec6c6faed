// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Takes the payloads of frames apart.
package enum FrameDecoder {
    /// Checks `payload` and decodes all of it.
    /// - Parameters:
    ///   - payload: The `header.payloadBytes` bytes behind the frame's table.
    ///   - output: `header.rawBytes` bytes.
    ///   - base: The base's bytes, for a frame that has one.
    /// - Throws: ``CodecError``: `truncated`, `checksumMismatch`, `malformed`; `invalidArgument` when `output` has
    ///   another length, or there is a base list and no base. `output` then holds anything.
    package static func decodePayload(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer,
        base: UnsafeRawBufferPointer? = nil, decompressor: inout ZstdDecompressor
    ) throws(CodecError) {
        guard output.count == header.rawBytes else {
            throw CodecError(.invalidArgument, "\(output.count) bytes of room for \(header.rawBytes)")
        }
        try decodePayloadPrefix(header, payload, into: output, base: base, decompressor: &decompressor)
    }

    /// Checks all of `payload` and decodes its first `output.count` bytes, stopping there.
    /// - Throws: as ``decodePayload(_:_:into:base:decompressor:)``.
    package static func decodePayloadPrefix(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer,
        base: UnsafeRawBufferPointer? = nil, decompressor: inout ZstdDecompressor
    ) throws(CodecError) {
        guard output.count <= header.rawBytes, (base != nil) == (header.baseListBytes > 0) else {
            throw CodecError(.invalidArgument, "the frame does not have what is asked for")
        }
        guard payload.count == header.payloadBytes else {
            throw CodecError(.truncated, "a payload has \(header.payloadBytes) bytes, \(payload.count) are here")
        }
        guard crc32c(payload) == header.payloadChecksum else {
            throw CodecError(.checksumMismatch, "a frame's payload is damaged")
        }
        switch header.codec {
        case .stored:
            guard payload.count >= output.count else {
                throw CodecError(.malformed, "a stored payload is shorter than what it holds")
            }
            output.copyMemory(from: UnsafeRawBufferPointer(rebasing: payload[..<output.count]))
        case .zstd:
            let prefix = base ?? UnsafeRawBufferPointer(start: nil, count: 0)
            if output.count == header.rawBytes {
                try decompressor.decompress(payload, into: output, prefix: prefix)
            } else {
                try decompressor.decompressPrefix(of: payload, into: output, prefix: prefix)
            }
        }
    }
}
