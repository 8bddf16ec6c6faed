// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CZlib
import CZstd
import Testing

@testable import VarveCodec

@Suite("stream decoders")
struct StreamDecoderTests {
    static let wide = DecodeLimits(maximumOutput: 1 << 40, maximumRatio: 1 << 20)

    struct Outcome: Equatable {
        var plain: [UInt8]
        var summary: DecodeSummary
    }

    static func gunzip(_ slices: some Sequence<ArraySlice<UInt8>>, limits: DecodeLimits = wide) throws -> Outcome {
        var decoder = try GzipDecoder(limits: limits)
        var plain: [UInt8] = []
        for slice in slices { try slice.withUnsafeBytes { try decoder.push($0) { plain += $0 } } }
        return Outcome(plain: plain, summary: try decoder.finish())
    }

    static func unzstd(_ slices: some Sequence<ArraySlice<UInt8>>, limits: DecodeLimits = wide) throws -> Outcome {
        var decoder = try ZstdStreamDecoder(limits: limits)
        var plain: [UInt8] = []
        for slice in slices { try slice.withUnsafeBytes { try decoder.push($0) { plain += $0 } } }
        return Outcome(plain: plain, summary: try decoder.finish())
    }

    /// One gzip member, made by zlib.
    static func gzip(_ plain: [UInt8], level: Int32 = 6) -> [UInt8] {
        var stream = z_stream()
        let size = Int32(MemoryLayout<z_stream>.size)
        precondition(
            deflateInit2_(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK)
        defer { deflateEnd(&stream) }
        var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(plain.count))) + 64)
        var input = plain
        let count = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END)
                return output.count - Int(stream.avail_out)
            }
        }
        return Array(output.prefix(count))
    }

    /// One zstd frame with checksum and content size, as tools write it.
    static func zstd(_ plain: [UInt8], windowLog: Int32 = 0) -> [UInt8] {
        let context = ZSTD_createCCtx()
        defer { ZSTD_freeCCtx(context) }
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog)
        var output = [UInt8](repeating: 0, count: ZSTD_compressBound(plain.count))
        let count = ZSTD_compress2(context, &output, output.count, plain, plain.count)
        precondition(ZSTD_isError(count) == 0)
        return Array(output.prefix(count))
    }

    static let skippable: [UInt8] = [0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 7, 7, 7]

    // MARK: Recognising

    @Test("formats are told by their first bytes")
    func recognise() {
        let cases: [([UInt8], StreamFormat)] = [
            ([0x1f, 0x8b, 8, 0], .gzip), ([0x1f, 0x8b, 8, 0x1f, 1], .gzip), ([0x1f, 0x8b, 8, 0x20], .plain),
            ([0x1f, 0x8b, 7, 0], .plain), ([0x1f, 0x8b, 8], .plain), ([0x28, 0xb5, 0x2f, 0xfd], .zstd),
            ([0x50, 0x2a, 0x4d, 0x18], .zstd), ([0x5f, 0x2a, 0x4d, 0x18, 0], .zstd),
            ([0x60, 0x2a, 0x4d, 0x18], .plain),
            ([0x28, 0xb5, 0x2f], .plain), ([], .plain), ([0x42, 0x5a, 0x68, 0x39], .plain),
        ]
        for (bytes, format) in cases {
            #expect(bytes.withUnsafeBytes { StreamRecognizer.recognise($0) } == format, "\(bytes)")
        }
    }

    // MARK: Ordinary streams

    @Test("one or many members or frames decode, however they are sliced", arguments: [1, 3, 1000, 1 << 20])
    func slicing(_ longest: Int) throws {
        var numbers = SeededNumbers(30)
        let parts = [numbers.text(30_000), [], numbers.bytes(5000), [UInt8](repeating: 0, count: 300_000)]
        let plain = parts.flatMap { $0 }
        let gzip = parts.flatMap { Self.gzip($0) }
        let first = try Self.gunzip(numbers.slices(of: gzip, longest: longest))
        #expect(first.plain == plain)
        #expect(
            first.summary
                == DecodeSummary(
                    inputBytes: UInt64(gzip.count), outputBytes: UInt64(plain.count), memberCount: 4, trailingBytes: 0))
        let zstd = Self.skippable + parts.flatMap { Self.zstd($0) } + Self.skippable
        let second = try Self.unzstd(numbers.slices(of: zstd, longest: longest))
        #expect(second.plain == plain)
        #expect(
            second.summary
                == DecodeSummary(
                    inputBytes: UInt64(zstd.count), outputBytes: UInt64(plain.count), memberCount: 6, trailingBytes: 0))
    }

    @Test("what follows the last member is counted and not decoded", arguments: [1, 2, 3, 4096])
    func trailing(_ longest: Int) throws {
        var numbers = SeededNumbers(31)
        let plain = numbers.text(2000)
        for garbage: [UInt8] in [
            [0], [0, 0, 0, 0, 0, 0], [0x1f], [0x1f, 0], [0x28], [0x28, 0xb5, 0x2f], [0x50, 0x2a, 0x4d],
            Array("garbage".utf8),
        ] {
            let gzip = Self.gzip(plain)
            let first = try Self.gunzip(numbers.slices(of: gzip + garbage, longest: longest))
            #expect(first.plain == plain)
            #expect(first.summary.trailingBytes == UInt64(garbage.count))
            #expect(first.summary.inputBytes == UInt64(gzip.count))
            let zstd = Self.zstd(plain)
            let second = try Self.unzstd(numbers.slices(of: zstd + garbage, longest: longest))
            #expect(second.plain == plain)
            #expect(second.summary.trailingBytes == UInt64(garbage.count))
            #expect(second.summary.inputBytes == UInt64(zstd.count))
        }
    }

    // MARK: Broken streams

    @Test("cut streams are truncated")
    func truncated() {
        var numbers = SeededNumbers(32)
        let plain = numbers.text(2000)
        let gzip = Self.gzip(plain)
        for count in [0, 1, 9, 10, gzip.count / 2, gzip.count - 1] {
            #expect(codecErrorCode { _ = try Self.gunzip([gzip[..<count]]) } == .truncated)
        }
        let zstd = Self.zstd(plain)
        for count in [4, 5, 9, zstd.count / 2, zstd.count - 1] {
            #expect(codecErrorCode { _ = try Self.unzstd([zstd[..<count]]) } == .truncated)
        }
        for count in 0..<4 { #expect(codecErrorCode { _ = try Self.unzstd([zstd[..<count]]) } == .malformed) }
        #expect(codecErrorCode { _ = try Self.unzstd([Self.skippable.dropLast()[...]]) } == .truncated)
    }

    @Test("wrong checksums, wrong lengths and other formats are malformed")
    func malformed() {
        var numbers = SeededNumbers(33)
        let plain = numbers.text(2000)
        var sum = Self.gzip(plain)
        sum[sum.count - 8] ^= 1
        var length = Self.gzip(plain)
        length[length.count - 1] ^= 1
        let notGzip = Self.zstd(plain)
        let rawDeflate = Array(Self.gzip(plain).dropFirst(10))
        let secondIsBroken = Self.gzip(plain) + [0x1f, 0x8b, 9, 9, 9, 9]
        for stream in [sum, length, notGzip, rawDeflate, secondIsBroken] {
            #expect(codecErrorCode { _ = try Self.gunzip([stream[...]]) } == .malformed)
        }
        var zstdSum = Self.zstd(plain)
        zstdSum[zstdSum.count - 1] ^= 1
        for stream in [zstdSum, Self.gzip(plain), [0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]] {
            #expect(codecErrorCode { _ = try Self.unzstd([stream[...]]) } == .malformed)
        }
    }

    @Test("an error of the sink arrives as it is")
    func throwingSink() throws {
        struct Full: Error {}
        let bytes = Self.gzip([1, 2, 3])
        var gzip = try GzipDecoder(limits: Self.wide)
        #expect(throws: Full.self) { try bytes.withUnsafeBytes { try gzip.push($0) { _ in throw Full() } } }
        let frame = Self.zstd([1, 2, 3])
        var zstd = try ZstdStreamDecoder(limits: Self.wide)
        #expect(throws: Full.self) { try frame.withUnsafeBytes { try zstd.push($0) { _ in throw Full() } } }
    }

    // MARK: Bombs

    @Test("bombs end at the ratio or at the output limit, whichever comes first")
    func bombs() throws {
        let zeros = [UInt8](repeating: 0, count: 64 << 20)
        let gzip = Self.gzip(zeros, level: 9)
        let zstd = Self.zstd(zeros)
        #expect(gzip.count < 70_000)
        #expect(zstd.count < 10_000)
        for (limits, ceiling) in [
            (DecodeLimits(maximumOutput: 10 << 20, maximumRatio: 1 << 40), 10 << 20),
            (DecodeLimits(maximumOutput: 1 << 40, maximumRatio: 100), 8 << 20),
        ] {
            var count = 0
            #expect(
                codecErrorCode {
                    var decoder = try GzipDecoder(limits: limits)
                    try gzip.withUnsafeBytes { try decoder.push($0) { count += $0.count } }
                } == .limitExceeded)
            #expect(count <= ceiling && count > 0)
            count = 0
            #expect(
                codecErrorCode {
                    var decoder = try ZstdStreamDecoder(limits: limits)
                    try zstd.withUnsafeBytes { try decoder.push($0) { count += $0.count } }
                } == .limitExceeded)
            #expect(count <= ceiling && count > 0)
        }
        // Enough allowed: everything comes.
        let exact = DecodeLimits(maximumOutput: 64 << 20, maximumRatio: .max)
        #expect(try Self.gunzip([gzip[...]], limits: exact).summary.outputBytes == 64 << 20)
        #expect(try Self.unzstd([zstd[...]], limits: exact).summary.outputBytes == 64 << 20)
    }

    @Test("many small members that are bombs together are bombs")
    func manyMembers() {
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        let limits = DecodeLimits(maximumOutput: 1 << 40, maximumRatio: 200)
        let gzip = Array(repeatElement(Self.gzip(zeros, level: 9), count: 20).joined())
        #expect(codecErrorCode { _ = try Self.gunzip([gzip[...]], limits: limits) } == .limitExceeded)
        let zstd = Array(repeatElement(Self.zstd(zeros), count: 20).joined())
        #expect(codecErrorCode { _ = try Self.unzstd([zstd[...]], limits: limits) } == .limitExceeded)
    }

    @Test("small streams of zeros are free of the ratio")
    func freeOutput() throws {
        let limits = DecodeLimits(maximumOutput: 1 << 30, maximumRatio: 2)
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        #expect(try Self.gunzip([Self.gzip(zeros)[...]], limits: limits).plain == zeros)
        #expect(try Self.unzstd([Self.zstd(zeros)[...]], limits: limits).plain == zeros)
    }

    @Test("windows up to 128 MiB are accepted, larger ones are not")
    func windows() throws {
        func frame(_ descriptor: UInt8) -> [UInt8] { [0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor, 0x01, 0x00, 0x00] }
        #expect(try Self.unzstd([frame(17 << 3)[...]]).plain.isEmpty)  // 2^27
        #expect(codecErrorCode { _ = try Self.unzstd([frame(17 << 3 | 1)[...]]) } == .malformed)
        #expect(codecErrorCode { _ = try Self.unzstd([frame(0xff)[...]]) } == .malformed)
    }

    @Test("10,000 mutated streams decode or are refused")
    func mutations() {
        var numbers = SeededNumbers(34)
        let plain = numbers.text(1500)
        let gzip = Self.gzip(plain) + Self.gzip(plain)
        let zstd = Self.zstd(plain) + Self.skippable + Self.zstd(plain)
        let limits = DecodeLimits(maximumOutput: 1 << 20, maximumRatio: 1000)
        let allowed: Set<CodecError.Code> = [.malformed, .truncated, .limitExceeded]
        for round in 0..<10_000 {
            let brokenGzip = numbers.mutation(of: gzip)
            let brokenZstd = numbers.mutation(of: zstd)
            let codes = [
                codecErrorCode { _ = try Self.gunzip(numbers.slices(of: brokenGzip, longest: 700), limits: limits) },
                codecErrorCode { _ = try Self.unzstd(numbers.slices(of: brokenZstd, longest: 700), limits: limits) },
            ]
            for case let code? in codes {
                #expect(allowed.contains(code), "seed \(SeededNumbers.seed), round \(round)")
            }
        }
    }
}
