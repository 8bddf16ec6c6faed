// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A `Range` header, read (RFC 9110, section 14.1.2).
package struct ByteRanges: Equatable {
    /// One range as the client wrote it.
    package enum Part: Equatable {
        /// From an offset to an offset that is not before it, both included.
        case bounded(first: UInt64, last: UInt64)
        /// From an offset to the end.
        case from(UInt64)
        /// So many bytes at the end.
        case suffix(UInt64)
    }

    /// What a `Range` header comes to for a representation.
    package enum Outcome: Equatable {
        /// As if there were no `Range`.
        case whole
        /// Nothing of it can be given: 416.
        case unsatisfiable
        /// These bytes, in the order asked for; upper bounds are excluded.
        case parts([Range<UInt64>])
    }

    /// The ranges asked for.
    package var parts: [Part]

    /// Reads a header's value; nil if it is in another unit, malformed, or has more than `most` ranges: such a header is
    /// ignored. One range whose last byte lies before its first makes all of it malformed (RFC 9110, section 14.1.1).
    package init?(_ field: String, most: Int) {
        let unit = "bytes="
        guard field.utf8.count > unit.utf8.count, field.prefix(unit.count).lowercased() == unit else { return nil }
        parts = []
        for item in field.dropFirst(unit.count).split(separator: ",", omittingEmptySubsequences: true) {
            let text = item.utf8.drop { $0 == 0x20 || $0 == 0x09 }
            let ends = text.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
            guard ends.count == 2 else { return nil }
            var tail = ends[1]
            while let byte = tail.last, byte == 0x20 || byte == 0x09 { tail = tail.dropLast() }
            let first = ByteRanges.number(ends[0])
            let last = ByteRanges.number(tail)
            switch (ends[0].isEmpty, tail.isEmpty) {
            case (true, true): return nil
            case (true, false):
                guard let last else { return nil }
                parts.append(.suffix(last))
            case (false, true):
                guard let first else { return nil }
                parts.append(.from(first))
            case (false, false):
                guard let first, let last, first <= last else { return nil }
                parts.append(.bounded(first: first, last: last))
            }
            if parts.count > most { return nil }
        }
        if parts.isEmpty { return nil }
    }

    /// What the header comes to for `size` bytes. Ranges that overlap are answered as one, so that a short request can not
    /// ask for the same bytes a thousand times.
    package func resolve(size: UInt64) -> Outcome {
        var wanted: [Range<UInt64>] = []
        for part in parts {
            switch part {
            case .bounded(let first, let last):
                guard first <= last, first < size else { continue }
                wanted.append(first..<(min(last, size &- 1) &+ 1))
            case .from(let first):
                guard first < size else { continue }
                wanted.append(first..<size)
            case .suffix(let count):
                guard count > 0, size > 0 else { continue }
                wanted.append((size - min(count, size))..<size)
            }
        }
        if wanted.isEmpty { return .unsatisfiable }
        return .parts(ByteRanges.merged(wanted))
    }

    /// Joins those that overlap; each joined range stands where the first of its members stood.
    private static func merged(_ ranges: [Range<UInt64>]) -> [Range<UInt64>] {
        guard ranges.count > 1 else { return ranges }
        var groups: [(position: Int, range: Range<UInt64>)] = []
        for (position, range) in ranges.enumerated().sorted(by: { $0.element.lowerBound < $1.element.lowerBound }) {
            if let last = groups.last, range.lowerBound < last.range.upperBound {
                groups[groups.count - 1] = (
                    min(last.position, position),
                    last.range.lowerBound..<max(last.range.upperBound, range.upperBound)
                )
            } else {
                groups.append((position, range))
            }
        }
        return groups.sorted { $0.position < $1.position }.map(\.range)
    }

    /// Digits only. A number beyond 64 bits counts as the greatest one: it lies past every end all the same.
    private static func number(_ digits: Substring.UTF8View) -> UInt64? {
        guard !digits.isEmpty, digits.count <= 100 else { return nil }
        var value: UInt64 = 0
        for byte in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            value = overflow || carry || value == .max ? .max : sum
        }
        return value
    }
}
