// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc

/// Random numbers from a seed, which `VARVE_TEST_SEED` sets. Tests name `SeededBytes.seed` when they fail.
public struct SeededBytes: RandomNumberGenerator, Sendable {
    /// The seed of this run.
    public static let seed: UInt64 = getenv("VARVE_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_250_923
    private var state: UInt64

    /// - Parameter salt: Sets sequences apart: the same salt gives the same numbers.
    public init(_ salt: UInt64) {
        // The sequence steps through its states evenly: salts side by side must not begin a few steps apart.
        state = Self.mix(Self.seed &+ Self.mix(salt &+ 0x5851_f42d_4c95_7f2d))
    }

    /// The next number (SplitMix64).
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var word = value
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// A number of a range.
    public mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    /// Bytes that nothing makes smaller.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            var index = 0
            while index < count {
                var word = next()
                for _ in 0..<min(8, count - index) {
                    buffer[index] = UInt8(truncatingIfNeeded: word)
                    word >>= 8
                    index += 1
                }
            }
            initialized = count
        }
    }

    /// Bytes that zstd makes smaller by a factor of about four: words of a small vocabulary.
    public mutating func text(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 16)
        while bytes.count < count {
            let word = Self.words[Int(next() % UInt64(Self.words.count))]
            bytes.append(contentsOf: word)
            if next() % 8 == 0 { bytes.append(contentsOf: String(next() % 100_000).utf8) }
        }
        bytes.removeSubrange(count...)
        return bytes
    }

    private static let words: [[UInt8]] = [
        "the ", "library ", "of ", "a ", "layer ", "holds ", "files ", "that ", "were ", "there ", "before\n",
        "import ",
        "return ", "if (", ") {\n    ", "}\n", "0x", "module ", "version ", "static ", "const char *", "error: ",
    ].map { Array($0.utf8) }
}
