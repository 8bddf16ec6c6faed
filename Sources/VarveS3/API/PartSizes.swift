// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveDrivers

/// How long the parts were that an object was made of: clients may read an object part by part (`partNumber`), as it was
/// uploaded.
///
/// Kept as text in the object's attributes, `5242880*102,77`: parts but the last are as a rule all of one size. An object
/// whose parts would need a long text keeps none of it, and is read as one part.
struct PartSizes: Equatable {
    /// Most bytes of the text.
    static let textBytesMax = 1024

    private struct Run: Equatable {
        var size: UInt64
        var count: UInt64
    }

    private var runs: [Run] = []

    init(_ sizes: some Sequence<UInt64>) {
        for size in sizes {
            if let last = runs.last, last.size == size {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(Run(size: size, count: 1))
            }
        }
    }

    /// Reads the text; nil if it is none, or not that of an object of `total` bytes.
    init?(_ text: String, total: UInt64) {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        var sum: UInt64 = 0
        var parts: UInt64 = 0
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = item.split(separator: "*", omittingEmptySubsequences: false)
            guard (1...2).contains(pair.count), let size = UInt64(digits: pair[0]),
                let count = pair.count == 2 ? UInt64(digits: pair[1]) : 1, count > 0, count <= UploadName.partNumberMax
            else { return nil }
            let (bytes, isTooLong) = size.multipliedReportingOverflow(by: count)
            let (next, isTooMuch) = sum.addingReportingOverflow(bytes)
            guard !isTooLong, !isTooMuch else { return nil }
            sum = next
            parts += count
            runs.append(Run(size: size, count: count))
        }
        guard sum == total, parts <= UploadName.partNumberMax else { return nil }
    }

    /// What is kept; nil if there is no part, or it would be too long.
    var text: String? {
        guard !runs.isEmpty else { return nil }
        let text = runs.map { $0.count == 1 ? "\($0.size)" : "\($0.size)*\($0.count)" }.joined(separator: ",")
        return text.utf8.count <= Self.textBytesMax ? text : nil
    }

    /// How many parts there are.
    var count: Int { Int(clamping: runs.reduce(0) { $0 + $1.count }) }

    /// The bytes of a part, counted from 1; nil if there is no such part.
    func range(of part: UInt64) -> Range<UInt64>? {
        guard part >= 1 else { return nil }
        var before = part - 1
        var start: UInt64 = 0
        for run in runs {
            if before < run.count {
                start += before * run.size
                return start..<start + run.size
            }
            before -= run.count
            start += run.count * run.size
        }
        return nil
    }
}
