// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveDeflate

//  deflate-table FILE...: for each gzip file the encoder found, the plan's size and the corrections' in percent of the file,
//  analysis and rebuild speed in plain MB/s, and whether the rebuilt bytes are the file's.

func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func readFile(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
        let got = fread(&buffer, 1, buffer.count, file)
        if got <= 0 { break }
        bytes.append(contentsOf: buffer[0..<got])
    }
    return bytes
}

func fixed(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    let text = String(rounded)
    guard let dot = text.firstIndex(of: ".") else { return text }
    let have = text.distance(from: dot, to: text.endIndex) - 1
    return have >= digits ? text : text + String(repeating: "0", count: digits - have)
}

print(
    "| file | encoder | gz bytes | plan % | corrections % | departures | decode MB/s | analyse MB/s | rebuild MB/s | exact |"
)
print("|---|---|---|---|---|---|---|---|---|---|")
for path in CommandLine.arguments.dropFirst() {
    guard let bytes = readFile(path) else {
        print("cannot read \(path)")
        continue
    }
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let analyzer = DeflateAnalyzer { offset, buffer in
        let count = max(min(buffer.count, bytes.count - offset), 0)
        if count > 0 {
            bytes.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + count)]))
            }
        }
        return count
    }
    var plain: [UInt8] = []
    plain.reserveCapacity(bytes.count * 5)
    let scan = seconds()
    _ = try? analyzer.decode { _ in }
    let begin = seconds()
    let result = try analyzer.analyze { plain.append(contentsOf: $0) }
    let analysed = seconds()
    guard case .plan(let plan, let summary) = result else {
        if case .unsupported(let reason) = result { print("| \(name) | raw: \(reason) | \(bytes.count) | | | | | | |") }
        continue
    }
    let rebuilder = try DeflateRebuilder(plan: plan)
    let workspace = DeflateRebuilder.Workspace()
    var exact = rebuilder.compressedCount == bytes.count
    let start = seconds()
    for index in rebuilder.segments.indices {
        let target = rebuilder.segments[index].compressed
        do {
            try rebuilder.rebuild(
                segment: index, using: workspace,
                plain: { range, buffer in
                    plain.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
                },
                into: { made in
                    bytes.withUnsafeBytes { whole in
                        guard let a = made.baseAddress, let b = whole.baseAddress, made.count == target.count else {
                            exact = false
                            return
                        }
                        if memcmp(a, b + target.lowerBound, target.count) != 0 { exact = false }
                    }
                })
        } catch {
            print("segment \(index) of \(rebuilder.segments.count): \(error)")
            exact = false
        }
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
