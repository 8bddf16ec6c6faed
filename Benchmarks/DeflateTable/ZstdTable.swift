// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveZstd

/// As ``printTable(_:)`` for zstd files.
func printZstdTable(_ files: [String]) throws {
    print(
        "| file | encoder | zst bytes | plan % | exceptions | frames | analyse MB/s | rebuild MB/s | settle / rebuild"
            + " | 64 KiB ms: median, p95, most | exact |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for path in files {
        guard let bytes = readFile(path) else {
            print("cannot read \(path)")
            continue
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        // Once without a clock, for the memory: who settles a layer has no room for all of its text.
        var plain: [UInt8] = []
        _ = try? ZstdAnalyzer(source: memoryReader(bytes)).decode { plain.append(contentsOf: $0) }
        plain.removeAll(keepingCapacity: true)
        let begin = seconds()
        let result = try ZstdAnalyzer(source: memoryReader(bytes)).analyze { plain.append(contentsOf: $0) }
        let analysed = seconds()
        guard case .plan(let plan, let summary) = result else {
            if case .unsupported(let reason) = result {
                print("| \(name) | raw: \(reason) | \(bytes.count) | | | | | | | | |")
            }
            continue
        }
        let rebuilder = try ZstdRebuilder(plan: plan)
        let stream = rebuilder.stream(from: 0)
        var at = 0
        var exact = true
        while let piece = try stream.next(plain: { range, room in
            plain.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
        }) {
            let end = at + piece.count
            exact =
                exact && end <= bytes.count
                && bytes.withUnsafeBytes { all in
                    guard let made = piece.baseAddress, let wanted = all.baseAddress else { return piece.isEmpty }
                    return memcmp(made, wanted + at, piece.count) == 0
                }
            at = end
        }
        let done = seconds()
        var ranges: [Double] = []
        for range in randomRanges(bytes.count) {
            let start = seconds()
            let made = try rebuilder.bytes(range, plain)
            ranges.append(seconds() - start)
            exact = exact && made.elementsEqual(bytes[range])
        }
        let megabytes = Double(plain.count) / 1e6
        print(
            "| \(name) | \(summary.encoder) | \(bytes.count)"
                + " | \(fixed(Double(plan.count) * 100 / Double(bytes.count), 4)) | \(summary.exceptions)"
                + " | \(summary.frames) | \(fixed(megabytes / (analysed - begin), 1))"
                + " | \(fixed(megabytes / (done - analysed), 1)) | \(fixed((done - analysed) / (done - begin), 2))"
                + " | \(milliseconds(ranges)) | \(exact && at == bytes.count ? "yes" : "NO") |"
        )
    }
}

extension ZstdRebuilder {
    /// A range of the file, with new memory for the models.
    fileprivate func bytes(_ range: Range<Int>, _ plain: [UInt8]) throws -> [UInt8] {
        let stream = stream(from: range.lowerBound)
        var bytes: [UInt8] = []
        while bytes.count < range.count,
            let piece = try stream.next(plain: { range, room in
                plain.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            })
        {
            bytes.append(contentsOf: piece.prefix(range.count - bytes.count))
        }
        return bytes
    }
}
