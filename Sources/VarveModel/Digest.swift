// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The name of some bytes: an algorithm and the hash of those bytes (OCI image specification, descriptor, "Digests").
///
/// Text is parsed once, at the edge; behind it a digest is this value and never a string, so it can not become a path,
/// a header or a key without having been checked.
public struct Digest: Hashable, Sendable {
    /// The hash functions that the OCI image specification registers.
    public enum Algorithm: UInt8, Sendable, CaseIterable {
        case sha256 = 1
        case sha512 = 2

        /// The algorithm's registered name, `sha256` or `sha512`.
        public var name: String {
            switch self {
            case .sha256: "sha256"
            case .sha512: "sha512"
            }
        }

        /// Length of the hash in bytes.
        public var byteCount: Int {
            switch self {
            case .sha256: 32
            case .sha512: 64
            }
        }

        /// The algorithm with that registered name, or nil.
        public init?(name: some StringProtocol) {
            switch name {
            case "sha256": self = .sha256
            case "sha512": self = .sha512
            default: return nil
            }
        }
    }

    /// The hash function.
    public let algorithm: Algorithm
    private let words: Words

    /// Eight words. Not `SIMD8`: that is aligned to 64 bytes, but the frames of async functions are allocated with 16, and
    /// code compiled by Swift 6.3 then writes past them.
    private struct Words: Hashable, Sendable {
        var first = SIMD2<UInt64>.zero
        var second = SIMD2<UInt64>.zero
        var third = SIMD2<UInt64>.zero
        var fourth = SIMD2<UInt64>.zero

        subscript(index: Int) -> UInt64 {
            get {
                switch index / 2 {
                case 0: first[index % 2]
                case 1: second[index % 2]
                case 2: third[index % 2]
                default: fourth[index % 2]
                }
            }
            set {
                switch index / 2 {
                case 0: first[index % 2] = newValue
                case 1: second[index % 2] = newValue
                case 2: third[index % 2] = newValue
                default: fourth[index % 2] = newValue
                }
            }
        }
    }

    /// A digest of `algorithm.byteCount` bytes; nil if `bytes` has another length.
    public init?(_ algorithm: Algorithm, bytes: some Collection<UInt8>) {
        guard bytes.count == algorithm.byteCount else { return nil }
        var words = Words()
        var index = 0
        for byte in bytes {
            words[index / 8] |= UInt64(byte) << UInt64(8 * (index % 8))
            index += 1
        }
        self.algorithm = algorithm
        self.words = words
    }

    /// Parses `algorithm:hex` with lower-case hex of exactly the algorithm's length; nil for anything else.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.firstIndex(of: ":"),
            let algorithm = Algorithm(name: text[..<colon])
        else { return nil }
        let hex = text[text.index(after: colon)...].utf8
        guard hex.count == 2 * algorithm.byteCount else { return nil }
        var words = Words()
        var index = 0
        for character in hex {
            let nibble: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = character - UInt8(ascii: "a") + 10
            default: return nil
            }
            let byte = index / 2
            let shift = UInt64(8 * (byte % 8) + (index % 2 == 0 ? 4 : 0))
            words[byte / 8] |= UInt64(nibble) << shift
            index += 1
        }
        self.algorithm = algorithm
        self.words = words
    }

    /// The hash, `algorithm.byteCount` bytes.
    public var bytes: [UInt8] {
        (0..<algorithm.byteCount).map { UInt8(truncatingIfNeeded: words[$0 / 8] >> UInt64(8 * ($0 % 8))) }
    }

    /// The hash in lower-case hex.
    public var hex: String { bytes.hex }
}

extension Digest: CustomStringConvertible, Comparable {
    /// `algorithm:hex`.
    public var description: String { "\(algorithm.name):\(hex)" }

    /// By algorithm, then by the hash's bytes.
    public static func < (left: Digest, right: Digest) -> Bool {
        if left.algorithm != right.algorithm { return left.algorithm.rawValue < right.algorithm.rawValue }
        return left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

extension Collection<UInt8> {
    /// The bytes in lower-case hex.
    package var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(2 * count)
        for byte in self {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
