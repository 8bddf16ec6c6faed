// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A `Content-Range` of an upload's piece: `<first>-<last>`, both included, without a unit (OCI distribution
/// specification, "Pushing a blob in chunks"). `bytes ` before it and `/<size>` behind it are tolerated.
struct UploadRange: Equatable {
    var first: UInt64
    var count: UInt64

    /// Reads a header's value; nil if it is malformed or runs backwards.
    init?(_ field: String) {
        var text = Substring(field)
        if text.hasPrefix("bytes ") || text.hasPrefix("bytes=") { text = text.dropFirst(6) }
        if let slash = text.firstIndex(of: "/") { text = text[..<slash] }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let first = UInt64(ends[0]), let last = UInt64(ends[1]), first <= last, last < UInt64(Int64.max)
        else { return nil }
        self.first = first
        count = last - first + 1
    }
}
