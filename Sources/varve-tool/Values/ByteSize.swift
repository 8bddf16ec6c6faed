// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser

/// A number of bytes as people write it: `0`, `512`, `64MiB`, `1.5GB`, `10k`.
///
/// `kB`, `MB`, `GB`, `TB` are powers of 1000, `KiB`, `MiB`, `GiB`, `TiB` powers of 1024; the case of the letters does not
/// matter and the `B` may be left out (`64M` is 64 000 000, `64Mi` is 67 108 864).
struct ByteSize: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    var bytes: UInt64

    init(_ bytes: UInt64) { self.bytes = bytes }

    /// Parses a size; nil for anything that is not one, is negative, or does not fit 64 bits.
    init?(_ text: some StringProtocol) {
        let split = text.firstIndex { !($0.isASCII && ($0.isNumber || $0 == ".")) } ?? text.endIndex
        let number = text[..<split]
        let unit = text[split...].drop { $0 == " " }.lowercased()
        guard let scale = Self.scale(of: unit) else { return nil }
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let whole = UInt64(parts[0]) else { return nil }
        let (product, overflow) = whole.multipliedReportingOverflow(by: scale)
        guard !overflow else { return nil }
        guard parts.count == 2 else {
            bytes = product
            return
        }
        // The fraction in whole bytes, rounded down: at most 9 digits, so that nothing overflows below 2^60.
        guard (1...9).contains(parts[1].utf8.count), let digits = UInt64(parts[1]) else { return nil }
        let base = parts[1].reduce(UInt64(1)) { power, _ in power &* 10 }
        let high = digits.multipliedFullWidth(by: scale)
        let (fraction, _) = base.dividingFullWidth(high)
        let (sum, carried) = product.addingReportingOverflow(fraction)
        guard !carried else { return nil }
        bytes = sum
    }

    init?(argument: String) { self.init(argument) }

    private static func scale(of unit: String) -> UInt64? {
        switch unit {
        case "", "b": 1
        case "k", "kb": 1000
        case "m", "mb": 1_000_000
        case "g", "gb": 1_000_000_000
        case "t", "tb": 1_000_000_000_000
        case "ki", "kib": 1 << 10
        case "mi", "mib": 1 << 20
        case "gi", "gib": 1 << 30
        case "ti", "tib": 1 << 40
        default: nil
        }
    }

    /// Exact, in the largest unit that divides it: what the help shows as a default.
    var description: String {
        guard bytes > 0 else { return "0" }
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes % (1 << shift) == 0 {
            return "\(bytes >> UInt64(shift))\(unit)"
        }
        return "\(bytes)"
    }

    var defaultValueDescription: String { description }
}
