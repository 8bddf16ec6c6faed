// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveCodec

@Suite("packs")
struct PackTests {
    /// A pack in memory, and what went into it.
    struct TestPack {
        var bytes: [UInt8]
        var directory = FrameDirectory()
        var headers: [FrameHeader] = []
        let header: PackHeader

        init(_ numbers: inout SeededNumbers, frames: Int, longest: Int = 300) throws {
            header = PackHeader(id: PackID.random(), chunkerID: 3)
            bytes = header.encoded()
            var compressor = try ZstdCompressor()
            for _ in 0..<frames {
                let header: FrameHeader
                if numbers.int(0...3) == 0 {
                    let recipe = numbers.text(numbers.int(10...500))
                    var output: [UInt8] = []
                    header = try recipe.lend { recipe throws(CodecError) in
                        try FrameEncoder.append(
                            recipe: recipe, nextOrdinal: directory.chunkCount, level: 3, compressor: &compressor,
                            to: &output)
                    }
                    bytes += output
                } else {
                    let kind: FrameKind = [.content, .headers, .correction].randomElement(using: &numbers) ?? .content
                    let batch = ChunkBatch(&numbers, count: numbers.int(1...20), longest: longest)
                    header = try batch.append(to: &bytes, kind: kind, firstOrdinal: directory.chunkCount)
                }
                try directory.append(header)
                headers.append(header)
            }
        }

        /// The bytes with footer and trailer.
        func sealed() throws -> [UInt8] {
            var compressor = try ZstdCompressor()
            return bytes + (try directory.encodedSeal(compressor: &compressor))
        }
    }

    static func decodeSealed(_ bytes: [UInt8]) throws(CodecError) -> FrameDirectory {
        var decompressor = try ZstdDecompressor()
        return try bytes.lend { bytes throws(CodecError) in
            let trailer = try PackTrailer(
                decoding: UnsafeRawBufferPointer(rebasing: bytes.suffix(PackTrailer.byteCount)),
                fileBytes: UInt64(bytes.count))
            let range = Int(trailer.footerRange.lowerBound)..<Int(trailer.footerRange.upperBound)
            return try FrameDirectory(
                decodingFooter: UnsafeRawBufferPointer(rebasing: bytes[range]), trailer: trailer,
                decompressor: &decompressor)
        }
    }

    static func scan(
        _ bytes: [UInt8], upTo committed: Int? = nil, depth: FrameDirectory.ScanDepth = .headers
    ) -> FrameDirectory.ScanResult {
        FrameDirectory.scan(upTo: UInt64(committed ?? bytes.count), depth: depth) { offset, count in
            Array(bytes.dropFirst(Int(offset)).prefix(count))
        }
    }

    // MARK: Ids and headers

    @Test("ids are random, and the same in hex and in bytes")
    func ids() {
        let ids = Set((0..<100).map { _ in PackID.random() })
        #expect(ids.count == 100)
        for id in ids {
            #expect(id.hex.utf8.count == 32)
            #expect(PackID(hex: id.hex) == id)
            #expect(id.bytes.withUnsafeBytes { PackID(bytes: $0) } == id)
        }
        let sorted = ids.sorted()
        #expect(sorted.map(\.hex) == sorted.map(\.hex).sorted())
        let text = "00112233445566778899aabbccddeeff"
        #expect(PackID(hex: text)?.hex == text)
        for bad in ["", "0011", text + "0", text.uppercased(), "g" + text.dropFirst(), "../" + text.dropFirst(3)] {
            #expect(PackID(hex: bad) == nil)
        }
        #expect([UInt8](repeating: 0, count: 15).withUnsafeBytes { PackID(bytes: $0) } == nil)
    }

    @Test("a pack's header has 64 bytes as the format says, and comes back")
    func header() throws {
        let id = try #require(PackID(hex: "00112233445566778899aabbccddeeff"))
        let bytes = PackHeader(id: id, chunkerID: 0x0102).encoded()
        #expect(bytes.count == 64)
        #expect(Array(bytes[..<16]) == Array("VARVPACK".utf8) + [1, 0, 0, 0, 2, 1, 0, 0])
        #expect(Array(bytes[16..<32]) == id.bytes)
        #expect(bytes[32..<60].allSatisfy { $0 == 0 })
        #expect(bytes == resealed(bytes))
        #expect(
            try bytes.lend { bytes throws(CodecError) in try PackHeader(decoding: bytes) }
                == PackHeader(id: id, chunkerID: 0x0102))
    }

    @Test("damaged, cut, foreign and future headers are told apart")
    func badHeaders() {
        let bytes = PackHeader(id: .random(), chunkerID: 1).encoded()
        func code(_ bytes: [UInt8]) -> CodecError.Code? {
            codecErrorCode { try bytes.withUnsafeBytes { _ = try PackHeader(decoding: $0) } }
        }
        func changed(_ offset: Int) -> [UInt8] {
            var other = bytes
            other[offset] ^= 2
            return other
        }
        #expect(code(Array(bytes.dropLast())) == .truncated)
        #expect(code([]) == .truncated)
        for offset in 0..<8 { #expect(code(resealed(changed(offset))) == .malformed) }
        for offset in 8..<64 { #expect(code(changed(offset)) == .checksumMismatch) }
        for offset in [8, 10, 14, 32, 47, 48, 59] { #expect(code(resealed(changed(offset))) == .unsupported) }
        for offset in [12, 16, 31] { #expect(code(resealed(changed(offset))) == nil) }
    }

    // MARK: Directory

    @Test("frames are found by ordinal, raw address and offset")
    func lookups() throws {
        var numbers = SeededNumbers(50)
        let pack = try TestPack(&numbers, frames: 60)
        let directory = pack.directory
        #expect(directory.endOffset == UInt64(pack.bytes.count))
        var ordinal: UInt32 = 0
        var address: UInt64 = 0
        for (index, header) in pack.headers.enumerated() {
            let entry = directory.entries[index]
            #expect(directory.frame(atOffset: entry.offset) == index)
            #expect(directory.frame(atOffset: entry.offset + 1) == nil)
            let encoded = Array(pack.bytes[Int(entry.offset)..<Int(entry.endOffset)])
            #expect(try DecodedTestFrame(encoded).header == header)
            guard header.kind.holdsChunks else {
                #expect(entry.ordinals.isEmpty && entry.rawAddresses.isEmpty)
                continue
            }
            for _ in 0..<header.chunkCount {
                #expect(directory.frame(holdingOrdinal: ordinal) == index)
                ordinal += 1
            }
            #expect(entry.rawAddress == address)
            #expect(directory.frame(holdingRawAddress: address) == index)
            address += UInt64(header.rawBytes)
            #expect(directory.frame(holdingRawAddress: address - 1) == index)
        }
        #expect(directory.chunkCount == ordinal)
        #expect(directory.rawBytes == address)
        #expect(directory.frame(holdingOrdinal: ordinal) == nil)
        #expect(directory.frame(holdingOrdinal: .max) == nil)
        #expect(directory.frame(holdingRawAddress: address) == nil)
        #expect(directory.frame(atOffset: 0) == nil)
        #expect(directory.frame(atOffset: directory.endOffset) == nil)
    }

    @Test("a frame with a wrong first ordinal is not taken")
    func wrongOrdinal() throws {
        var directory = FrameDirectory()
        var bytes: [UInt8] = []
        let header = try ChunkBatch(raw: [1], lengths: [1]).append(to: &bytes, firstOrdinal: 1)
        #expect(codecErrorCode { try directory.append(header) } == .malformed)
        #expect(directory == FrameDirectory())
    }

    @Test("a sealed pack's directory is the one that was written", arguments: [0, 1, 200])
    func sealed(_ frames: Int) throws {
        var numbers = SeededNumbers(51)
        let pack = try TestPack(&numbers, frames: frames, longest: 50)
        let bytes = try pack.sealed()
        #expect(try Self.decodeSealed(bytes) == pack.directory)
        #expect(Array(bytes.suffix(8)) == Array("VARVSEAL".utf8))
        let trailer = try bytes.suffix(32).withUnsafeBytes {
            try PackTrailer(decoding: $0, fileBytes: UInt64(bytes.count))
        }
        #expect(trailer.footerOffset == UInt64(pack.bytes.count))
        #expect(trailer.frameCount == frames)
        #expect(trailer.chunkCount == pack.directory.chunkCount)
    }

    @Test("a wrong trailer or footer is refused")
    func badSeals() throws {
        var numbers = SeededNumbers(52)
        let pack = try TestPack(&numbers, frames: 5)
        let bytes = try pack.sealed()
        let footer = pack.bytes.count
        #expect(codecErrorCode { _ = try Self.decodeSealed(pack.bytes) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decodeSealed(Array(bytes.dropLast())) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decodeSealed([0] + bytes) } == .malformed)
        #expect(codecErrorCode { _ = try Self.decodeSealed(Array(bytes.suffix(80))) } == .truncated)
        for offset in footer..<bytes.count {
            var damaged = bytes
            damaged[offset] ^= 1
            #expect(codecErrorCode { _ = try Self.decodeSealed(damaged) } != nil, "byte \(offset)")
        }
    }

    @Test("a footer may have 16 MiB")
    func footerLimit() {
        func code(_ footerBytes: Int) -> CodecError.Code? {
            var writer = ByteWriter()
            PackTrailer(footerOffset: 64, footerBytes: footerBytes, frameCount: 0, chunkCount: 0, footerChecksum: 0)
                .encode(into: &writer)
            return codecErrorCode {
                try writer.bytes.withUnsafeBytes {
                    _ = try PackTrailer(decoding: $0, fileBytes: UInt64(64 + footerBytes + 32))
                }
            }
        }
        #expect(code(16 << 20) == nil)
        #expect(code(16 << 20 + 1) == .limitExceeded)
        #expect(code(Int(UInt32.max)) == .limitExceeded)
    }

    /// The error for a directory of these numbers, wrapped in a footer and a trailer that fit it.
    private func code(
        directory numbers: [UInt64], frameCount: Int, chunkCount: UInt32 = 1, forwarding: UInt64 = 0,
        claims: Int? = nil,
        footerOffset: UInt64
    ) throws -> CodecError.Code? {
        var directory = ByteWriter()
        for number in numbers { directory.writeVarint(number) }
        var footer = ByteWriter()
        footer.writeVarint(forwarding)
        footer.write(UInt32(claims ?? directory.count))
        footer.write(try ZstdTests.compress(directory.bytes))
        let checksum = footer.bytes.withUnsafeBytes { crc32c($0) }
        let trailer = PackTrailer(
            footerOffset: footerOffset, footerBytes: footer.count, frameCount: frameCount, chunkCount: chunkCount,
            footerChecksum: checksum)
        return codecErrorCode {
            var decompressor = try ZstdDecompressor()
            try footer.bytes.lend { footer throws(CodecError) in
                _ = try FrameDirectory(decodingFooter: footer, trailer: trailer, decompressor: &decompressor)
            }
        }
    }

    @Test("numbers in a directory are checked against one another and the file")
    func badDirectories() throws {
        // head (48 + 33), payload, raw, chunks, kind
        let good: [UInt64] = [81, 10, 10, 1, 1]
        #expect(try code(directory: good, frameCount: 1, footerOffset: 64 + 91) == nil)
        #expect(try code(directory: good, frameCount: 1, footerOffset: 64 + 92) == .malformed)
        #expect(try code(directory: good, frameCount: 1, chunkCount: 2, footerOffset: 64 + 91) == .malformed)
        #expect(try code(directory: good, frameCount: 0, footerOffset: 64 + 91) == .malformed)
        #expect(try code(directory: good + [1], frameCount: 1, footerOffset: 64 + 91) == .malformed)
        #expect(try code(directory: good, frameCount: 2, footerOffset: 64 + 91) == .limitExceeded)
        #expect(try code(directory: good + good, frameCount: 2, footerOffset: 64 + 31) == .limitExceeded)
        #expect(try code(directory: good, frameCount: 1, forwarding: 1, footerOffset: 64 + 91) != nil)
        #expect(try code(directory: good, frameCount: 1, claims: 6, footerOffset: 64 + 91) == .malformed)
        #expect(try code(directory: good, frameCount: 1, claims: 1 << 31, footerOffset: 64 + 91) == .limitExceeded)
        for (place, values) in [
            (0, [0, 47, 48, 80, .max, 1 << 32]), (1, [0, 11, .max]), (2, [0, 9, 4 << 20 + 1, .max]),
            (3, [0, 2, 65_537, .max]), (4, [2 + 256]),
        ] as [(Int, [UInt64])] {
            for value in values {
                var bad = good
                bad[place] = value
                #expect(try code(directory: bad, frameCount: 1, footerOffset: 64 + 91) != nil, "\(place): \(value)")
            }
        }
        for kind: UInt64 in [0, 5] {
            #expect(try code(directory: [81, 10, 10, 1, kind], frameCount: 1, footerOffset: 64 + 91) == .unsupported)
        }
        #expect(try code(directory: [48, 10, 10, 0, 3], frameCount: 1, chunkCount: 0, footerOffset: 64 + 58) == nil)
        #expect(
            try code(directory: [49, 10, 10, 0, 3], frameCount: 1, chunkCount: 0, footerOffset: 64 + 59) == .malformed)
    }

    // MARK: Scanning

    @Test(
        "walking an open pack finds what was written",
        arguments: [FrameDirectory.ScanDepth.headers, .tables, .payloads])
    func scan(_ depth: FrameDirectory.ScanDepth) throws {
        var numbers = SeededNumbers(53)
        let pack = try TestPack(&numbers, frames: 30)
        let scan = Self.scan(pack.bytes, depth: depth)
        #expect(scan.header == pack.header)
        #expect(scan.directory == pack.directory)
        #expect(scan.validBytes == UInt64(pack.bytes.count))
        #expect(scan.damage == nil)
        let empty = Self.scan(PackHeader(id: .random(), chunkerID: 1).encoded(), depth: depth)
        #expect(empty.damage == nil && empty.validBytes == 64 && empty.directory == FrameDirectory())
    }

    @Test("a torn tail is found wherever it was torn, and nothing behind the committed length is looked at")
    func tornTail() throws {
        var numbers = SeededNumbers(54)
        let pack = try TestPack(&numbers, frames: 6, longest: 60)
        let ends = [64] + pack.directory.entries.map { Int($0.endOffset) }
        for length in 0...pack.bytes.count {
            let whole = ends.last { $0 <= length } ?? 0
            let torn = Self.scan(Array(pack.bytes[..<length]))
            #expect(torn.validBytes == UInt64(whole))
            #expect((torn.damage == nil) == ends.contains(length))
            #expect(torn.directory.entries.count == max(0, ends.prefix { $0 <= length }.count - 1))
            // The file is longer than what was committed: the same answer, from the committed part alone.
            var read = 0
            let committed = FrameDirectory.scan(upTo: UInt64(length), depth: .payloads) { offset, count in
                read = max(read, Int(offset) + count)
                return Array(pack.bytes.dropFirst(Int(offset)).prefix(count))
            }
            #expect(committed.validBytes == UInt64(whole))
            #expect(read <= length)
        }
    }

    @Test("damage in header, table or payload is found at the depth that looks there")
    func depths() throws {
        var numbers = SeededNumbers(55)
        let pack = try TestPack(&numbers, frames: 8)
        let index = 4
        let entry = pack.directory.entries[index]
        for (offset, depth) in [
            (entry.offset + 9, FrameDirectory.ScanDepth.headers), (entry.payloadOffset, .payloads),
        ] + (entry.tableBytes > 0 ? [(entry.tableOffset, .tables)] : []) {
            var bytes = pack.bytes
            bytes[Int(offset)] ^= 0x10
            for tried: FrameDirectory.ScanDepth in [.headers, .tables, .payloads] {
                let scan = Self.scan(bytes, depth: tried)
                if tried >= depth {
                    #expect(scan.damage?.code == .checksumMismatch)
                    #expect(scan.validBytes == entry.offset)
                    #expect(scan.directory.entries == Array(pack.directory.entries[..<index]))
                } else {
                    #expect(scan.damage == nil && scan.directory == pack.directory)
                }
            }
        }
    }

    @Test("a sealed pack without its footer is walked up to where the footer begins")
    func sealedScan() throws {
        var numbers = SeededNumbers(56)
        let pack = try TestPack(&numbers, frames: 8)
        let scan = Self.scan(try pack.sealed())
        #expect(scan.directory == pack.directory)
        #expect(scan.validBytes == UInt64(pack.bytes.count))
        #expect(scan.damage != nil)
    }

    @Test("what the reader throws arrives as it is")
    func throwingReader() {
        struct Gone: Error {}
        #expect(throws: Gone.self) {
            _ = try FrameDirectory.scan(upTo: 100) { (_, _) throws(Gone) -> [UInt8] in throw Gone() }
        }
    }

    @Test("10,000 mutated packs, sealed and walked, are refused or decode")
    func mutations() throws {
        var numbers = SeededNumbers(57)
        let pack = try TestPack(&numbers, frames: 4, longest: 40)
        let sealed = try pack.sealed()
        let tail = Array(sealed[pack.bytes.count...])
        for round in 0..<10_000 {
            let bytes = numbers.mutation(of: pack.bytes)
            let scan = Self.scan(bytes, depth: .payloads)
            #expect(scan.validBytes <= UInt64(bytes.count))
            #expect(scan.validBytes == 0 || scan.validBytes == scan.directory.endOffset)
            // The seal, with its checksums made right half of the time.
            var seal = numbers.mutation(of: tail)
            if round % 2 == 0, seal.count >= 32 {
                let footer = Array(seal.dropLast(32))
                var trailer = ByteWriter()
                trailer.write(UInt64(pack.bytes.count))
                trailer.write(UInt32(footer.count))
                trailer.write(Array(seal.suffix(32)[(seal.endIndex - 20)..<(seal.endIndex - 12)]))
                trailer.write(footer.withUnsafeBytes { crc32c($0) })
                trailer.write(PackTrailer.magic)
                seal = footer + trailer.bytes
            }
            if let directory = try? Self.decodeSealed(pack.bytes + seal) {
                #expect(directory.endOffset == UInt64(pack.bytes.count), "seed \(SeededNumbers.seed), round \(round)")
            }
        }
    }
}
