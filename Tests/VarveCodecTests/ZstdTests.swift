// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CZstd
import Testing

@testable import VarveCodec

@Suite("zstd frames")
struct ZstdTests {
    static func compress(_ raw: [UInt8], level: Int = 3, prefix: [UInt8] = []) throws(CodecError) -> [UInt8] {
        var compressor = try ZstdCompressor()
        var output = [UInt8](repeating: 0, count: ZstdCompressor.bound(raw.count))
        let count = try output.lendMutable { output throws(CodecError) in
            try raw.lend { raw throws(CodecError) in
                try prefix.lend { prefix throws(CodecError) in
                    try compressor.compress(raw, into: output, level: level, prefix: prefix)
                }
            }
        }
        return Array(output.prefix(count))
    }

    static func decompress(_ frame: [UInt8], count: Int, prefix: [UInt8] = []) throws(CodecError) -> [UInt8] {
        var decompressor = try ZstdDecompressor()
        return try decompress(frame, count: count, prefix: prefix, with: &decompressor)
    }

    static func decompress(
        _ frame: [UInt8], count: Int, prefix: [UInt8] = [], with decompressor: inout ZstdDecompressor
    ) throws(CodecError) -> [UInt8] {
        var output = [UInt8](repeating: 0xaa, count: count)
        try output.lendMutable { output throws(CodecError) in
            try frame.lend { frame throws(CodecError) in
                try prefix.lend { prefix throws(CodecError) in
                    try decompressor.decompress(frame, into: output, prefix: prefix)
                }
            }
        }
        return output
    }

    static func decompressPrefix(_ frame: [UInt8], count: Int, prefix: [UInt8] = []) throws(CodecError) -> [UInt8] {
        var decompressor = try ZstdDecompressor()
        var output = [UInt8](repeating: 0xaa, count: count)
        try output.lendMutable { output throws(CodecError) in
            try frame.lend { frame throws(CodecError) in
                try prefix.lend { prefix throws(CodecError) in
                    try decompressor.decompressPrefix(of: frame, into: output, prefix: prefix)
                }
            }
        }
        return output
    }

    @Test("bytes come back at every level", arguments: [-3, 1, 3, 9, 19, 30])
    func roundTrip(_ level: Int) throws {
        var numbers = SeededNumbers(20)
        for raw in [[], [1], numbers.bytes(70_000), numbers.text(70_000), [UInt8](repeating: 0, count: 300_000)] {
            let frame = try Self.compress(raw, level: level)
            #expect(try Self.decompress(frame, count: raw.count) == raw)
        }
    }

    @Test("frames have no checksum, content size or dictionary id")
    func frameHeader() throws {
        var numbers = SeededNumbers(21)
        let frame = try Self.compress(numbers.text(100_000))
        #expect(frame[4] == 0)  // the frame header descriptor of RFC 8878, 3.1.1.1.1
        #expect(ZSTD_getFrameContentSize(frame, frame.count) == UInt64.max)  // ZSTD_CONTENTSIZE_UNKNOWN
    }

    @Test("a prefix makes similar bytes small, and only the same prefix gives them back")
    func prefix() throws {
        var numbers = SeededNumbers(22)
        let base = numbers.bytes(200_000)
        var raw = base
        for _ in 0..<20 { raw[numbers.int(0...raw.count - 1)] ^= 1 }
        for level in [3, 9] {
            let frame = try Self.compress(raw, level: level, prefix: base)
            #expect(frame.count < 20_000)
            #expect(try Self.decompress(frame, count: raw.count, prefix: base) == raw)
            #expect(try Self.decompressPrefix(frame, count: 1000, prefix: base) == Array(raw.prefix(1000)))
            #expect((try? Self.decompress(frame, count: raw.count)) != raw)
        }
    }

    @Test("one context does frames with and without prefix, after good and bad ones, in any order")
    func reuse() throws {
        var numbers = SeededNumbers(23)
        let base = numbers.bytes(50_000)
        let plain = try Self.compress(base)
        let based = try Self.compress(base, prefix: base)
        var decompressor = try ZstdDecompressor()
        for _ in 0..<100 {
            switch numbers.int(0...3) {
            case 0:
                #expect(try Self.decompress(plain, count: base.count, with: &decompressor) == base)
            case 1:
                #expect(try Self.decompress(based, count: base.count, prefix: base, with: &decompressor) == base)
            case 2:
                let broken = numbers.mutation(of: based)
                _ = try? Self.decompress(broken, count: base.count, prefix: base, with: &decompressor)
            default:
                #expect(
                    codecErrorCode {
                        _ = try Self.decompress([1, 2, 3, 4, 5], count: 9, prefix: base, with: &decompressor)
                    } == .malformed)
            }
        }
    }

    @Test("a partial decode gives the first bytes")
    func partial() throws {
        var numbers = SeededNumbers(24)
        let raw = numbers.text(500_000)
        let frame = try Self.compress(raw)
        for count in [0, 1, 4096, 131_072, 131_073, 499_999, 500_000] {
            #expect(try Self.decompressPrefix(frame, count: count) == Array(raw.prefix(count)))
        }
        #expect(codecErrorCode { _ = try Self.decompressPrefix(frame, count: 500_001) } == .truncated)
        #expect(
            codecErrorCode { _ = try Self.decompressPrefix(Array(frame.dropLast(9)), count: 500_000) } == .truncated)
    }

    @Test("only exactly one frame of exactly the right length is accepted")
    func strictness() throws {
        var numbers = SeededNumbers(25)
        let raw = numbers.text(10_000)
        let frame = try Self.compress(raw)
        let skippable: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2]
        #expect(codecErrorCode { _ = try Self.decompress(frame, count: raw.count - 1) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decompress(frame, count: raw.count + 1) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decompress(frame + [0], count: raw.count) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decompress(frame + frame, count: 2 * raw.count) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decompress(frame + skippable, count: raw.count) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decompress(skippable, count: 0) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decompress([], count: 0) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decompressPrefix(skippable, count: 1) } == .malformed)
        // zstd 0.7's magic number
        #expect(
            codecErrorCode { _ = try Self.decompress([0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0], count: 1) } == .malformed)
    }

    @Test("a window that is larger than ours is not allocated")
    func hostileWindow() {
        // Window descriptor 0x88: 128 MiB; then one empty last block.
        let frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00]
        #expect(codecErrorCode { _ = try Self.decompressPrefix(frame, count: 10) } == .malformed)
    }

    @Test("too little room is an error, not an overrun")
    func room() throws {
        var numbers = SeededNumbers(26)
        let raw = numbers.bytes(10_000)
        var compressor = try ZstdCompressor()
        var output = [UInt8](repeating: 0, count: 100)
        #expect(
            codecErrorCode {
                try raw.withUnsafeBytes { raw in
                    _ = try output.withUnsafeMutableBytes { try compressor.compress(raw, into: $0, level: 3) }
                }
            } == .resources)
        #expect(try Self.decompress(try Self.compress(raw), count: raw.count) == raw)
    }

    @Test("10,000 mutated frames give the right number of bytes or an error")
    func mutations() throws {
        var numbers = SeededNumbers(27)
        let raw = numbers.text(3000)
        let frame = try Self.compress(raw)
        var decompressor = try ZstdDecompressor()
        var refused = 0
        for round in 0..<10_000 {
            let broken = numbers.mutation(of: frame)
            let code = codecErrorCode { _ = try Self.decompress(broken, count: raw.count, with: &decompressor) }
            if code != nil { refused += 1 }
            #expect(code == nil || code == .malformed, "seed \(SeededNumbers.seed), round \(round)")
            _ = try? Self.decompressPrefix(broken, count: raw.count / 2)
        }
        #expect(refused > 5000)
    }

    @Test("the window covers the bytes, within bounds")
    func windowLog() {
        #expect(ZstdWindow.log(covering: 0) == 10)
        #expect(ZstdWindow.log(covering: 1024) == 10)
        #expect(ZstdWindow.log(covering: 1025) == 11)
        #expect(ZstdWindow.log(covering: 1 << 20) == 20)
        #expect(ZstdWindow.log(covering: 1 << 40) == 23)
    }
}
