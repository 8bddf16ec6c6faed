// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveCodec

/// Random numbers from a seed. `VARVE_TEST_SEED` sets it; every failure names it.
struct SeededNumbers: RandomNumberGenerator {
    static let seed = ProcessInfo.processInfo.environment["VARVE_TEST_SEED"].flatMap { UInt64($0) } ?? 20_240_917
    private var state: UInt64

    /// - Parameter salt: Sets the sequences of different tests apart.
    init(_ salt: UInt64) {
        // The sequence steps through its states evenly: salts side by side must not begin a few steps apart.
        state = Self.mix(Self.seed &+ Self.mix(salt &+ 0x5851_f42d_4c95_7f2d))
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var word = value
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: next()) }
        return bytes
    }

    /// Bytes that zstd makes smaller: words from a small vocabulary.
    mutating func text(_ count: Int) -> [UInt8] {
        let words = ["layer ", "chunk ", "frame ", "pack\n", "recipe ", "of the ", "0123", "tar "].map {
            Array($0.utf8)
        }
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += words[int(0...words.count - 1)] }
        return Array(bytes.prefix(count))
    }

    /// `bytes` with a few of them changed, removed, repeated or made up; never the same as before.
    mutating func mutation(of bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        repeat {
            for _ in 0..<int(1...4) {
                let at = result.isEmpty ? 0 : int(0...result.count - 1)
                switch int(0...6) {
                case 0 where !result.isEmpty: result[at] ^= 1 << UInt8(int(0...7))
                case 1 where !result.isEmpty: result[at] = UInt8(truncatingIfNeeded: next())
                case 2 where !result.isEmpty: result[at] = [0, 0x7f, 0x80, 0xff].randomElement(using: &self) ?? 0
                case 3: result.removeSubrange(at..<min(result.count, at + int(1...8)))
                case 4: result.insert(contentsOf: self.bytes(int(1...8)), at: at)
                case 5: result.removeSubrange(at...)
                default: result.insert(contentsOf: result[at..<min(result.count, at + int(1...32))], at: at)
                }
            }
        } while result == bytes
        return result
    }

    /// `bytes` cut into slices of random lengths up to `longest`.
    mutating func slices(of bytes: [UInt8], longest: Int) -> [ArraySlice<UInt8>] {
        var slices: [ArraySlice<UInt8>] = []
        var at = 0
        while at < bytes.count {
            let end = min(bytes.count, at + int(1...longest))
            slices.append(bytes[at..<end])
            at = end
        }
        return slices
    }
}

/// Runs `body` and returns the code of the ``CodecError`` that it throws; nil if it throws none. Any other error fails
/// the test.
func codecErrorCode(_ body: () throws -> Void) -> CodecError.Code? {
    do {
        try body()
        return nil
    } catch let error as CodecError {
        return error.code
    } catch {
        Issue.record("not a codec error: \(error)")
        return nil
    }
}

/// Replaces the last four bytes by the CRC-32C of those before, so that a change is not found out by the checksum.
func resealed(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 4 else { return bytes }
    var writer = ByteWriter(Array(bytes.dropLast(4)))
    writer.writeChecksum()
    return writer.bytes
}

func digest(of index: Int) -> ChunkDigest {
    var numbers = SeededNumbers(UInt64(index) &+ 77)
    let bytes = numbers.bytes(32)
    return bytes.withUnsafeBytes { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("32 bytes have an address") }
        return ChunkDigest(loading: base)
    }
}
