// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CZlib
import VarveCodec
import VarveModel

/// The checksums that S3 clients may send with a body.
enum ChecksumAlgorithm: String, CaseIterable {
    case crc32 = "CRC32"
    case crc32c = "CRC32C"
    case crc64nvme = "CRC64NVME"
    case sha1 = "SHA1"
    case sha256 = "SHA256"

    /// The header, trailer and field that carry it.
    var header: String { "x-amz-checksum-" + rawValue.lowercased() }
    /// The XML element.
    var element: String { "Checksum" + rawValue }

    /// Bytes of a value.
    var byteCount: Int {
        switch self {
        case .crc32, .crc32c: 4
        case .crc64nvme: 8
        case .sha1: 20
        case .sha256: 32
        }
    }

    /// Whether the checksum of a whole can be made of those of its parts.
    var isLinear: Bool {
        switch self {
        case .crc32, .crc32c, .crc64nvme: true
        case .sha1, .sha256: false
        }
    }

    init?(name: String) { self.init(rawValue: name.uppercased()) }

    init?(header: String) {
        guard let known = Self.allCases.first(where: { $0.header == header.lowercased() }) else { return nil }
        self = known
    }

    /// Joins two checksums to that of the bytes one after another; nil if the algorithm can not.
    func combine(_ first: [UInt8], _ second: [UInt8], secondLength: UInt64) -> [UInt8]? {
        let polynomial: UInt64
        switch self {
        case .crc32: polynomial = 0xEDB8_8320
        case .crc32c: polynomial = 0x82F6_3B78
        case .crc64nvme: polynomial = CRC64NVME.polynomial
        case .sha1, .sha256: return nil
        }
        guard first.count == byteCount, second.count == byteCount else { return nil }
        let number = { (bytes: [UInt8]) in bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        let joined = CRCShift.advance(number(first), by: secondLength, polynomial, bits: byteCount * 8) ^ number(second)
        return (0..<byteCount).reversed().map { UInt8(truncatingIfNeeded: joined >> (8 * UInt64($0))) }
    }
}

/// A checksum in the making.
enum RunningChecksum {
    case crc32(UInt32)
    case crc32c(UInt32)
    case crc64nvme(CRC64NVME)
    /// SHA-1, and MD5, which is no checksum to choose but Content-MD5 and ETag.
    case legacy(LegacyHash)
    case sha256(SHA256State)

    init(_ algorithm: ChecksumAlgorithm) throws(VarveError) {
        switch algorithm {
        case .crc32: self = .crc32(0)
        case .crc32c: self = .crc32c(0)
        case .crc64nvme: self = .crc64nvme(CRC64NVME())
        case .sha1: self = .legacy(try LegacyHash(.sha1))
        case .sha256: self = .sha256(SHA256State())
        }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        switch self {
        case .crc32(let crc):
            self = .crc32(
                UInt32(truncatingIfNeeded: crc32_z(UInt(crc), base.assumingMemoryBound(to: UInt8.self), bytes.count)))
        case .crc32c(let crc): self = .crc32c(VarveCodec.crc32c(bytes, continuing: crc))
        case .crc64nvme(var crc):
            crc.update(bytes)
            self = .crc64nvme(crc)
        case .legacy(let hash): hash.update(bytes)
        case .sha256(var state):
            state.update(bytes)
            self = .sha256(state)
        }
    }

    /// The value, highest byte first.
    func finish() -> [UInt8] {
        switch self {
        case .crc32(let crc), .crc32c(let crc): withUnsafeBytes(of: crc.bigEndian) { Array($0) }
        case .crc64nvme(let crc): withUnsafeBytes(of: crc.value.bigEndian) { Array($0) }
        case .legacy(let hash): hash.finish()
        case .sha256(var state): state.finish().bytes
        }
    }
}

/// CRC-64/NVME (NVM Express NVM Command Set Specification, section 5.2.1.3.4), eight bytes at a step.
struct CRC64NVME {
    /// Reflected.
    static let polynomial: UInt64 = 0x9A6C_9329_AC4B_C9B5
    private var state = UInt64.max

    var value: UInt64 { ~state }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var crc = state
        Self.tables.withUnsafeBufferPointer { tables in
            var index = 0
            while index + 8 <= bytes.count {
                let word = crc ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                var next: UInt64 = 0
                for step in 0..<8 {
                    next ^= tables[(7 - step) * 256 + Int(word >> UInt64(8 * step) & 0xFF)]
                }
                crc = next
                index += 8
            }
            while index < bytes.count {
                crc = tables[Int((crc ^ UInt64(bytes[index])) & 0xFF)] ^ crc >> 8
                index += 1
            }
        }
        state = crc
    }

    private static let tables: [UInt64] = {
        var tables = [UInt64](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var crc = UInt64(index)
            for _ in 0..<8 { crc = crc & 1 == 1 ? polynomial ^ crc >> 1 : crc >> 1 }
            tables[index] = crc
        }
        for index in 256..<8 * 256 {
            let last = tables[index - 256]
            tables[index] = tables[Int(last & 0xFF)] ^ last >> 8
        }
        return tables
    }()
}

/// What a CRC becomes when zero bytes follow: multiplication by a power of x, modulo the polynomial.
enum CRCShift {
    /// - Parameter polynomial: Reflected.
    static func advance(_ crc: UInt64, by bytes: UInt64, _ polynomial: UInt64, bits: Int) -> UInt64 {
        // x^8, then squared for each bit of the length; the highest bit of a reflected number is x^0.
        var power = UInt64(1) << UInt64(bits - 1 - 8)
        var factor = UInt64(1) << UInt64(bits - 1)
        var left = bytes
        while left > 0 {
            if left & 1 == 1 { factor = multiply(factor, power, polynomial, bits) }
            power = multiply(power, power, polynomial, bits)
            left >>= 1
        }
        return multiply(factor, crc, polynomial, bits)
    }

    private static func multiply(_ left: UInt64, _ right: UInt64, _ polynomial: UInt64, _ bits: Int) -> UInt64 {
        var product: UInt64 = 0
        var right = right
        var bit = UInt64(1) << UInt64(bits - 1)
        while bit > 0 {
            if left & bit != 0 { product ^= right }
            right = right & 1 == 1 ? right >> 1 ^ polynomial : right >> 1
            bit >>= 1
        }
        return product
    }
}
