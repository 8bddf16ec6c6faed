// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveDeflate

/// Processor seconds of this process.
func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// A file's bytes, the first `most` of them; nil if it can not be read.
func readFile(_ path: String, most: Int = .max) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: min(most, 1 << 20))
    while bytes.count < most {
        let got = fread(&buffer, 1, buffer.count, file)
        if got <= 0 { break }
        bytes.append(contentsOf: buffer[0..<got])
    }
    return bytes
}

/// A number with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    let text = String(rounded)
    guard let dot = text.firstIndex(of: ".") else { return text }
    let have = text.distance(from: dot, to: text.endIndex) - 1
    return have >= digits ? text : text + String(repeating: "0", count: digits - have)
}

/// A file in memory, as the analyzer wants it.
func memoryReader(_ bytes: [UInt8]) -> CompressedReader {
    { offset, buffer in
        let count = max(min(buffer.count, bytes.count - offset), 0)
        if count > 0 {
            bytes.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + count)]))
            }
        }
        return count
    }
}

/// Makes one segment and says whether its bytes are the file's.
/// - Parameter end: Where in the file the bytes wanted end, if not with the segment.
func isExact(
    _ rebuilder: DeflateRebuilder, _ index: Int, _ workspace: DeflateRebuilder.Workspace, plain: [UInt8],
    file: [UInt8], end: Int = .max
) -> Bool {
    var exact = false
    let target = rebuilder.segments[index].compressed
    let wanted = min(end, target.upperBound) - target.lowerBound
    do {
        try rebuilder.rebuild(
            segment: index, using: workspace, enough: wanted,
            plain: { range, buffer in
                plain.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            },
            into: { made in
                file.withUnsafeBytes { whole in
                    guard let a = made.baseAddress, let b = whole.baseAddress, made.count >= wanted,
                        target.upperBound <= file.count
                    else { return }
                    exact = memcmp(a, b + target.lowerBound, wanted) == 0
                }
            })
    } catch {
        print("segment \(index) of \(rebuilder.segments.count): \(error)")
    }
    return exact
}

/// 100 ranges of 64 KiB at random places of a file of `count` bytes, the same ones each time.
func randomRanges(_ count: Int) -> [Range<Int>] {
    let size = 64 << 10
    var state: UInt64 = 1
    return (0..<100).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let start = Int(state >> 33) % max(count - size, 1)
        return start..<min(start + size, count)
    }
}

/// Median, 95th percentile and most of some seconds, in milliseconds.
func milliseconds(_ values: [Double]) -> String {
    let sorted = values.sorted()
    guard let most = sorted.last else { return "" }
    return [median(values), sorted[min(sorted.count * 95 / 100, sorted.count - 1)], most]
        .map { fixed($0 * 1e3, 1) }.joined(separator: ", ")
}

func median(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.sorted()[values.count / 2]
}
