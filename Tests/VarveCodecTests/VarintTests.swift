// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveCodec

@Suite("variable-length numbers and the byte reader")
struct VarintTests {
    static let edges: [UInt64] = {
        var values: [UInt64] = [0, 255, 16_383, .max, .max - 1]
        for shift: UInt64 in 0..<64 { values += [1 << shift, (1 << shift) - 1] }
        return values
    }()

    @Test("come back as they went in, in the shortest form")
    func roundTrips() throws {
        for value in Self.edges { try roundTrip(value) }
    }

    private func roundTrip(_ value: UInt64) throws {
        var writer = ByteWriter()
        writer.writeVarint(value)
        #expect(writer.count == ByteWriter.varintByteCount(value))
        #expect(writer.count == max(1, (64 - value.leadingZeroBitCount + 6) / 7))
        let read = try writer.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let value = try reader.readVarint()
            #expect(reader.isAtEnd)
            return value
        }
        #expect(read == value)
    }

    @Test("longer forms of up to ten bytes are understood")
    func tolerance() throws {
        let forms: [([UInt8], UInt64)] = [
            ([0x80, 0x00], 0), ([0x81, 0x80, 0x00], 1),
            ([0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5),
            ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], .max),
        ]
        for (bytes, value) in forms {
            let read = try bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                return try reader.readVarint()
            }
            #expect(read == value)
        }
    }

    @Test("numbers beyond 64 bits, and cut ones, are refused")
    func refusals() {
        let tooLarge: [[UInt8]] = [
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0x00],
        ]
        for bytes in tooLarge { #expect(readVarintCode(bytes) == .malformed) }
        for bytes: [UInt8] in [[], [0x80], [0xff, 0xff]] { #expect(readVarintCode(bytes) == .truncated) }
    }

    @Test("bounds are checked for every kind of read")
    func bounds() throws {
        let bytes: [UInt8] = [1, 2, 3]
        try bytes.withUnsafeBytes { (buffer) throws in
            var reader = ByteReader(buffer)
            #expect(codecErrorCode { _ = try reader.readUInt32() } == .truncated)
            #expect(codecErrorCode { _ = try reader.readUInt64() } == .truncated)
            #expect(codecErrorCode { _ = try reader.readBytes(4) } == .truncated)
            #expect(codecErrorCode { _ = try reader.readBytes(-1) } == .truncated)
            #expect(codecErrorCode { _ = try reader.readPackID() } == .truncated)
            #expect(reader.position == 0)
            #expect(try reader.readUInt16() == 0x0201)
            #expect(codecErrorCode { _ = try reader.readUInt16() } == .truncated)
            #expect(try reader.readUInt8() == 3)
            #expect(codecErrorCode { _ = try reader.readUInt8() } == .truncated)
            #expect(try reader.readBytes(0).isEmpty)
        }
    }

    @Test("a count that the remaining bytes can not hold is refused, and so is one above a limit")
    func counts() throws {
        var writer = ByteWriter()
        writer.writeVarint(UInt64(3))
        writer.writeZeros(32)
        try writer.bytes.withUnsafeBytes { (buffer) throws in
            var reader = ByteReader(buffer)
            #expect(codecErrorCode { _ = try reader.readCount(bytesEach: 16, "things") } == .truncated)
            reader = ByteReader(buffer)
            #expect(try reader.readCount(bytesEach: 10, "things") == 3)
            reader = ByteReader(buffer)
            #expect(codecErrorCode { _ = try reader.readVarint(atMost: 2, "a thing") } == .limitExceeded)
            reader = ByteReader(buffer)
            #expect(try reader.readVarint(atMost: 3, "a thing") == 3)
        }
    }

    @Test("numbers are little endian")
    func endianness() {
        var writer = ByteWriter()
        writer.write(UInt8(1))
        writer.write(UInt16(0x0203))
        writer.write(UInt32(0x0405_0607))
        writer.write(UInt64(0x0809_0a0b_0c0d_0e0f))
        #expect(writer.bytes == [1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8])
    }

    private func readVarintCode(_ bytes: [UInt8]) -> CodecError.Code? {
        bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            return codecErrorCode { _ = try reader.readVarint() }
        }
    }
}
