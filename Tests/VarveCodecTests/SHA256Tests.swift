// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import COpenSSL
import CVarveKernels
import Testing
import VarveModel

@testable import VarveCodec

/// What OpenSSL says.
private func reference(_ function: OpaquePointer?, _ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    #expect(EVP_Digest(bytes.baseAddress, bytes.count, &out, &count, function, nil) == 1)
    return Array(out.prefix(Int(count)))
}

private func part(_ bytes: UnsafeRawBufferPointer, _ offset: UInt64, _ length: UInt32) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + Int(length)])
}

/// Pieces of a buffer, of lengths that meet every way in which a block can be filled.
private struct Pieces {
    var offsets: [UInt64] = []
    var lengths: [UInt32] = []

    init(in size: Int, count: Int, longest: Int, _ numbers: inout SeededNumbers) {
        for _ in 0..<count {
            let length =
                switch numbers.int(0...3) {
                case 0: numbers.int(0...130)
                case 1: 64 * numbers.int(0...longest / 64)
                default: numbers.int(0...longest)
                }
            lengths.append(UInt32(length))
            offsets.append(UInt64(numbers.int(0...size - length)))
        }
    }
}

@Suite("SHA-256")
struct SHA256Tests {
    @Test(
        "the examples of FIPS 180",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func examples(text: String, hex: String) {
        var state = SHA256State()
        Array(text.utf8).withUnsafeBytes { state.update($0) }
        #expect(state.finish().bytes.hex == hex)
    }

    @Test("a stream has the same digest however it is sliced")
    func slices() {
        var numbers = SeededNumbers(10)
        for longest in [1, 3, 63, 64, 65, 200, 5000] {
            let bytes = numbers.bytes(numbers.int(0...20000))
            var state = SHA256State()
            for slice in numbers.slices(of: bytes, longest: longest) { slice.withUnsafeBytes { state.update($0) } }
            let fork = state
            let expected = bytes.withUnsafeBytes { reference(EVP_sha256(), $0) }
            #expect(state.finish().bytes == expected, "seed \(SeededNumbers.seed)")
            var copy = fork
            #expect(copy.finish().bytes == expected, "a copy is a fork")
        }
    }

    @Test("pieces have the digests that OpenSSL gives them, at any length and alignment")
    func pieces() {
        var numbers = SeededNumbers(11)
        let bytes = numbers.bytes(300_000)
        var digests: [ChunkDigest] = []
        bytes.withUnsafeBytes { bytes in
            for round in 0..<60 {
                let pieces = Pieces(
                    in: bytes.count, count: round < 5 ? round : numbers.int(0...80),
                    longest: round % 8 == 0 ? 70_000 : 4_000, &numbers)
                SHA256Pieces.digests(of: bytes, offsets: pieces.offsets, lengths: pieces.lengths, into: &digests)
                #expect(digests.count == pieces.lengths.count)
                for (index, digest) in digests.enumerated() {
                    let piece = part(bytes, pieces.offsets[index], pieces.lengths[index])
                    #expect(
                        digest.bytes == reference(EVP_sha256(), piece),
                        "\(piece.count) bytes, seed \(SeededNumbers.seed)")
                }
            }
        }
    }

    @Test("pieces beside a stream change neither")
    func piecesAndStream() {
        var numbers = SeededNumbers(12)
        let bytes = numbers.bytes(200_000)
        var digests: [ChunkDigest] = []
        var alone: [ChunkDigest] = []
        bytes.withUnsafeBytes { bytes in
            for round in 0..<60 {
                var hash = SHA256State()
                var whole: [UInt8] = []
                for _ in 0...numbers.int(0...3) {
                    let pieces = Pieces(in: bytes.count, count: numbers.int(0...20), longest: 5_000, &numbers)
                    // Much longer than the pieces, much shorter, empty, and never a whole number of blocks for long.
                    let length = UInt32([0, numbers.int(0...300), numbers.int(0...100_000)][numbers.int(0...2)])
                    let stream = part(bytes, UInt64(numbers.int(0...bytes.count - Int(length))), length)
                    SHA256Pieces.digests(
                        of: bytes, offsets: pieces.offsets, lengths: pieces.lengths, into: &digests,
                        absorbing: stream, into: &hash)
                    SHA256Pieces.digests(of: bytes, offsets: pieces.offsets, lengths: pieces.lengths, into: &alone)
                    whole += stream
                    #expect(digests == alone, "seed \(SeededNumbers.seed)")
                }
                let expected = whole.withUnsafeBytes { reference(EVP_sha256(), $0) }
                #expect(hash.finish().bytes == expected, "round \(round), seed \(SeededNumbers.seed)")
            }
        }
    }

    @Test(
        "every way to hash pieces gives the same digests",
        arguments: [varve_sha256_portable, varve_sha256_openssl, varve_sha256_one_lane])
    func ways(_ way: varve_sha256_kernel) {
        var numbers = SeededNumbers(13)
        let bytes = numbers.bytes(100_000)
        let pieces = Pieces(in: bytes.count, count: 300, longest: 3_000, &numbers)
        var best: [ChunkDigest] = []
        bytes.withUnsafeBytes {
            SHA256Pieces.digests(of: $0, offsets: pieces.offsets, lengths: pieces.lengths, into: &best)
        }
        var out = [UInt8](repeating: 0, count: 32 * pieces.lengths.count)
        let done = varve_sha256_pieces_with(way, bytes, pieces.offsets, pieces.lengths, pieces.lengths.count, &out)
        // Only the way that needs SHA instructions may be missing.
        #expect(done == 1 || way == varve_sha256_one_lane)
        if done == 1 { #expect(out == best.flatMap(\.bytes), "seed \(SeededNumbers.seed)") }
    }

    @Test("a running hash names a blob in both algorithms", arguments: Digest.Algorithm.allCases)
    func runningHash(_ algorithm: Digest.Algorithm) throws {
        var numbers = SeededNumbers(14)
        for count in [0, 1, 111, 112, 128, 4096, 30_001] {
            let bytes = numbers.bytes(count)
            var hash = try RunningHash(algorithm)
            for slice in numbers.slices(of: bytes, longest: 1000) { slice.withUnsafeBytes { hash.update($0) } }
            let function = algorithm == .sha256 ? EVP_sha256() : EVP_sha512()
            let expected = bytes.withUnsafeBytes { reference(function, $0) }
            #expect(hash.finish() == Digest(algorithm, bytes: expected), "seed \(SeededNumbers.seed)")
        }
    }

    @Test("a digest keeps its bytes and shows the index's key")
    func digestValue() {
        let bytes = (0..<33).map { UInt8($0) }
        let digest = bytes.withUnsafeBytes { ChunkDigest(loading: $0.baseAddress.unsafelyUnwrapped + 1) }
        #expect(digest.bytes == Array(bytes[1...]))
        #expect(digest.prefix16 == (0x0807_0605_0403_0201, 0x100f_0e0d_0c0b_0a09))
        var copy = [UInt8](repeating: 0, count: 34)
        copy.withUnsafeMutableBytes { digest.store(to: $0.baseAddress.unsafelyUnwrapped + 1) }
        #expect(copy == [0] + bytes[1...] + [0])
    }
}

@Suite("CRC-32C")
struct CRC32CTests {
    /// RFC 3720, appendix B.4 (which writes the bytes of the CRC in the order in which they are sent).
    static let examples: [(String, [UInt8], UInt32)] = [
        ("zeros", [UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ("ones", [UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        ("ascending", (0..<32).map { UInt8($0) }, 0x46dd_794e),
        ("descending", (0..<32).map { UInt8(31 - $0) }, 0x113f_db5c),
        (
            "SCSI read (10)",
            [
                0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
            ], 0xd996_3a56
        ),
        ("digits", Array("123456789".utf8), 0xe306_9283),
    ]

    @Test("the examples of RFC 3720", arguments: examples)
    func known(name: String, bytes: [UInt8], expected: UInt32) {
        #expect(bytes.withUnsafeBytes { crc32c($0) } == expected)
        #expect(varve_crc32c_portable(0, bytes, bytes.count) == expected)
    }

    @Test("with and without instructions, in one go and in parts, it is the same")
    func parts() {
        var numbers = SeededNumbers(20)
        for longest in [1, 7, 100, 3071, 3072, 9000] {
            // Long enough for the three lanes of 1 KiB, with something left over.
            let bytes = numbers.bytes(numbers.int(0...20_000))
            let whole = bytes.withUnsafeBytes { crc32c($0) }
            #expect(varve_crc32c_portable(0, bytes, bytes.count) == whole, "seed \(SeededNumbers.seed)")
            var crc: UInt32 = 0
            for slice in numbers.slices(of: bytes, longest: longest) {
                slice.withUnsafeBytes { crc = crc32c($0, continuing: crc) }
            }
            #expect(crc == whole, "\(bytes.count) bytes, seed \(SeededNumbers.seed)")
        }
    }
}
