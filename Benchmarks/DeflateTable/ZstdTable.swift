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
        var exact = true
        var last: (rebuilder: ZstdRebuilder, plan: Int, summary: ZstdAnalyzer.Summary)?
        var unsupported = ""
        // Analysis, proof and rebuild in turn, so that a busy machine is equally bad to all.
        var analyses: [Double] = []
        var proofs: [Double] = []
        var rebuilds: [Double] = []
        for _ in 0..<zstdRounds {
            plain.removeAll(keepingCapacity: true)
            let begin = seconds()
            let result = try ZstdAnalyzer(source: memoryReader(bytes)).analyze { plain.append(contentsOf: $0) }
            let analysed = seconds()
            guard case .plan(let plan, let summary) = result else {
                if case .unsupported(let reason) = result { unsupported = "\(reason)" }
                break
            }
            let rebuilder = try ZstdRebuilder(plan: plan)
            let isProven = try rebuilder.makes(bytes, plain)
            let proven = seconds()
            let isExact = try rebuilder.makes(bytes, plain)
            exact = exact && isProven && isExact
            analyses.append(analysed - begin)
            proofs.append(proven - analysed)
            rebuilds.append(seconds() - proven)
            last = (rebuilder, plan.count, summary)
        }
        guard let (rebuilder, plan, summary) = last else {
            print("| \(name) | raw: \(unsupported) | \(bytes.count) | | | | | | | | |")
            continue
        }
        var ranges: [Double] = []
        for range in randomRanges(bytes.count) {
            let start = seconds()
            let made = try rebuilder.bytes(range, plain)
            ranges.append(seconds() - start)
            exact = exact && made.elementsEqual(bytes[range])
        }
        let megabytes = Double(plain.count) / 1e6
        let shares = rebuilds.indices.map { rebuilds[$0] / (analyses[$0] + proofs[$0]) }
        print(
            "| \(name) | \(summary.encoder) | \(bytes.count)"
                + " | \(fixed(Double(plan) * 100 / Double(bytes.count), 4)) | \(summary.exceptions)"
                + " | \(summary.frames) | \(fixed(megabytes / median(analyses), 1))"
                + " | \(fixed(megabytes / median(rebuilds), 1)) | \(fixed(median(shares), 2))"
                + " | \(milliseconds(ranges)) | \(exact ? "yes" : "NO") |"
        )
    }
}

private let zstdRounds = 3

extension ZstdRebuilder {
    /// Makes the file and compares it.
    fileprivate func makes(_ file: [UInt8], _ plain: [UInt8]) throws -> Bool {
        let stream = stream(from: 0)
        var at = 0
        while let piece = try stream.next(plain: { range, room in
            plain.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
        }) {
            let isEqual = file.withUnsafeBytes { all in
                guard at + piece.count <= all.count else { return false }
                guard let made = piece.baseAddress, let wanted = all.baseAddress else { return piece.isEmpty }
                return memcmp(made, wanted + at, piece.count) == 0
            }
            guard isEqual else { return false }
            at += piece.count
        }
        return at == file.count
    }

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
