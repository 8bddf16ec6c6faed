// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

@testable import VarveCodec

/// Chunks as an ingest would hand them over.
struct ChunkBatch {
    var raw: [UInt8]
    var digests: [ChunkDigest]
    var lengths: [UInt32]

    init(raw: [UInt8], lengths: [UInt32], firstDigest: Int = 0) {
        self.raw = raw
        self.lengths = lengths
        digests = lengths.indices.map { digest(of: firstDigest + $0) }
    }

    /// `count` chunks of `longest` bytes at most.
    init(_ numbers: inout SeededNumbers, count: Int, longest: Int = 3000, compressible: Bool = true) {
        let lengths = (0..<count).map { _ in UInt32(numbers.int(1...longest)) }
        let total = Int(lengths.reduce(0, +))
        self.init(raw: compressible ? numbers.text(total) : numbers.bytes(total), lengths: lengths)
    }

    @discardableResult
    func append(
        to output: inout [UInt8], kind: FrameKind = .content, firstOrdinal: UInt32 = 0,
        base: (list: [UInt8], bytes: [UInt8])? = nil,
        level: Int = 3
    ) throws(CodecError) -> FrameHeader {
        var compressor = try ZstdCompressor()
        return try raw.lend { raw throws(CodecError) in
            try (base?.bytes ?? []).lend { prefix throws(CodecError) in
                try FrameEncoder.append(
                    kind: kind, raw: raw, digests: digests, lengths: lengths, firstOrdinal: firstOrdinal,
                    base: base.map { FrameBase(list: $0.list, prefix: prefix) }, level: level, compressor: &compressor,
                    to: &output)
            }
        }
    }

    func frame(kind: FrameKind = .content, firstOrdinal: UInt32 = 0, level: Int = 3) throws(CodecError) -> [UInt8] {
        var output: [UInt8] = []
        try append(to: &output, kind: kind, firstOrdinal: firstOrdinal, level: level)
        return output
    }
}

/// A frame, taken apart.
struct DecodedTestFrame: Equatable {
    var header: FrameHeader
    var table: FrameTable
    var raw: [UInt8]

    init(_ bytes: [UInt8], base: [UInt8]? = nil) throws(CodecError) {
        let header = try bytes.lend { bytes throws(CodecError) in try FrameHeader(decoding: bytes) }
        guard bytes.count >= header.frameBytes else { throw CodecError(.truncated, "the frame is cut") }
        table = try bytes.lend { bytes throws(CodecError) in
            try FrameTable(
                decoding: UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.byteCount..<header.payloadOffset]),
                header: header)
        }
        raw = try Self.payload(of: bytes, header: header, count: header.rawBytes, base: base)
        self.header = header
    }

    static func payload(
        of bytes: [UInt8], header: FrameHeader, count: Int, base: [UInt8]? = nil
    ) throws(CodecError) -> [UInt8] {
        var decompressor = try ZstdDecompressor()
        var raw = [UInt8](repeating: 0xaa, count: count)
        try raw.lendMutable { raw throws(CodecError) in
            try bytes.lend { bytes throws(CodecError) in
                try (base ?? []).lend { lent throws(CodecError) in
                    let payload = UnsafeRawBufferPointer(rebasing: bytes[header.payloadOffset..<header.frameBytes])
                    let base = base == nil ? nil : lent
                    if count == header.rawBytes {
                        try FrameDecoder.decodePayload(
                            header, payload, into: raw, base: base, decompressor: &decompressor)
                    } else {
                        try FrameDecoder.decodePayloadPrefix(
                            header, payload, into: raw, base: base, decompressor: &decompressor)
                    }
                }
            }
        }
        return raw
    }
}
