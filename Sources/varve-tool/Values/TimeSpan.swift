// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser

/// A length of time as people write it: `0`, `30s`, `15m`, `24h`, `7d`, `1h30m`. Whole seconds.
struct TimeSpan: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    var seconds: UInt64

    init(seconds: UInt64) { self.seconds = seconds }

    /// Parses a span; nil for anything that is not one or does not fit 64 bits. A bare number other than 0 has no unit
    /// and is refused: nobody should have to guess whether `24` means seconds or hours.
    init?(_ text: some StringProtocol) {
        guard text != "0" else {
            seconds = 0
            return
        }
        var total: UInt64 = 0
        var rest = text[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard let count = UInt64(digits) else { return nil }
            rest = rest.dropFirst(digits.count)
            guard let unit = rest.popFirst(), let scale = Self.scale(of: unit) else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: scale)
            let (sum, carried) = total.addingReportingOverflow(product)
            guard !overflow, !carried else { return nil }
            total = sum
        }
        seconds = total
    }

    init?(argument: String) { self.init(argument) }

    private static func scale(of unit: Character) -> UInt64? {
        switch unit {
        case "s": 1
        case "m": 60
        case "h": 3600
        case "d": 86400
        case "w": 7 * 86400
        default: nil
        }
    }

    var description: String {
        guard seconds > 0 else { return "0" }
        for (unit, scale) in [("h", 3600), ("m", 60)] as [(String, UInt64)] where seconds % scale == 0 {
            return "\(seconds / scale)\(unit)"
        }
        return "\(seconds)s"
    }

    var defaultValueDescription: String { description }
}
