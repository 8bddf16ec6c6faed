// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveDeflate

/// For each gzip file the encoder found, the plan's size and the corrections' in percent of the file, decoding, analysis and
/// rebuild speed in plain MB per processor second, and whether the rebuilt bytes are the file's.
func printTable(_ files: [String]) throws {
    print(
        "| file | encoder | gz bytes | plan % | corrections % | departures | decode MB/s | analyse MB/s | rebuild MB/s | exact |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for path in files {
        guard let bytes = readFile(path) else {
            print("cannot read \(path)")
            continue
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let analyzer = DeflateAnalyzer(source: memoryReader(bytes))
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count * 5)
        let scan = seconds()
        _ = try? analyzer.decode { _ in }
        let begin = seconds()
        let result = try analyzer.analyze { plain.append(contentsOf: $0) }
        let analysed = seconds()
        guard case .plan(let plan, let summary) = result else {
            if case .unsupported(let reason) = result {
                print("| \(name) | raw: \(reason) | \(bytes.count) | | | | | | |")
            }
            continue
        }
        let rebuilder = try DeflateRebuilder(plan: plan)
        let workspace = DeflateRebuilder.Workspace()
        var exact = rebuilder.compressedCount == bytes.count
        let start = seconds()
        for index in rebuilder.segments.indices
        where !isExact(rebuilder, index, workspace, plain: plain, file: bytes) {
            exact = false
        }
        let done = seconds()
        let megabytes = Double(plain.count) / 1e6
        let percent = 100.0 / Double(bytes.count)
        print(
            "| \(name) | \(summary.encoder) | \(bytes.count) | \(fixed(Double(plan.count) * percent, 4))"
                + " | \(fixed(Double(summary.correctionBytes) * percent, 4)) | \(summary.corrections)"
                + " | \(fixed(megabytes / (begin - scan), 0)) | \(fixed(megabytes / (analysed - begin), 1)) | \(fixed(megabytes / (done - start), 1))"
                + " | \(exact ? "yes" : "NO") |")
    }
}
