// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How figures are written for people. Sizes are powers of 1000 (1 MB = 10^6 bytes), as disks and networks count; JSON
/// output has exact numbers instead.
enum Units {
    /// `0 B`, `999 B`, `1.2 kB`, `345 MB`: three significant digits at least, one digit behind the point at most.
    static func bytes(_ count: UInt64) -> String {
        let names = ["kB", "MB", "GB", "TB", "PB", "EB"]
        guard count >= 1000 else { return "\(count) B" }
        var value = Double(count) / 1000
        var unit = 0
        // 999.95 would be written 1000.0: the next unit says it better.
        while value >= 999.95, unit + 1 < names.count {
            value /= 1000
            unit += 1
        }
        return "\(decimal(value, digits: 1)) \(names[unit])"
    }

    /// `1 blob`, `2 blobs`.
    static func count(_ count: UInt64, _ noun: String, plural: String? = nil) -> String {
        "\(grouped(count)) \(count == 1 ? noun : plural ?? noun + "s")"
    }

    /// `1 234 567`: groups of three, from 10 000 on.
    static func grouped(_ count: UInt64) -> String {
        let digits = Array(String(count))
        guard digits.count > 4 else { return String(digits) }
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(" ") }
            text.append(digit)
        }
        return text
    }

    /// `12.3 %` of `whole`; `–` where there is no whole.
    static func percent(_ part: UInt64, of whole: UInt64) -> String {
        whole == 0 ? "–" : "\(decimal(100 * Double(part) / Double(whole), digits: 1)) %"
    }

    /// A number with exactly `digits` digits behind the point, rounded half away from zero.
    static func decimal(_ value: Double, digits: Int) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return "–" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((value * scale).rounded(.toNearestOrAwayFromZero))
        guard digits > 0 else { return "\(scaled)" }
        let fraction = String(scaled.magnitude % UInt64(scale))
        let padding = String(repeating: "0", count: max(0, digits - fraction.count))
        return "\(scaled < 0 ? "-" : "")\(scaled.magnitude / UInt64(scale)).\(padding)\(fraction)"
    }

    /// `0:07`, `12:34`, `3:07:09`.
    static func clock(seconds: UInt64) -> String {
        func two(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let (minutes, rest) = (seconds / 60, seconds % 60)
        return minutes < 60
            ? "\(minutes):\(two(rest))" : "\(minutes / 60):\(two(minutes % 60)):\(two(rest))"
    }
}
