// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc

// What cutting and hashing cost, each kernel as a multiple of the best known way without it, in one run.
//
//     kernel-benchmark [--repetitions N] [--skip-savings] FILE...
//
// Files are uncompressed tars, best several versions of one image's layer: the savings are those of cutting them one
// after the other. Without files, 32 MiB of seeded numbers are cut and hashed, which says nothing about savings.
// Speeds are bytes per CPU second of this thread, data in the cache; medians of N rounds in which the kernels take
// turns. The scalar loops are sensitive to where the linker puts them: factors below 1.7 between them prove nothing.

func logarithm(_ value: Double) -> Double { log2(value) }

func map(_ path: String) -> UnsafeRawBufferPointer? {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 0 else { return nil }
    let size = Int(status.st_size)
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
        return nil
    }
    return UnsafeRawBufferPointer(start: address, count: size)
}

func seeded(_ count: Int) -> UnsafeRawBufferPointer {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    var state: UInt64 = 1
    for index in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes[index] = UInt8(truncatingIfNeeded: state >> 56)
    }
    return UnsafeRawBufferPointer(bytes)
}

@main
enum KernelBenchmark {
    static func main() {
        var repetitions = 7
        var paths: [String] = []
        var savings = true
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--repetitions": repetitions = max(1, arguments.popFirst().flatMap { Int($0) } ?? repetitions)
            case "--skip-savings": savings = false
            default: paths.append(argument)
            }
        }
        var files: [UnsafeRawBufferPointer] = []
        for path in paths {
            guard let file = map(path) else {
                perror("kernel-benchmark: \(path)")
                exit(1)
            }
            files.append(file)
        }
        savings = savings && !files.isEmpty
        let sample = files.first.map { UnsafeRawBufferPointer(rebasing: $0.prefix(64 << 20)) } ?? seeded(32 << 20)
        for average in [4 << 10, 8 << 10, 16 << 10, 64 << 10] {
            let scalar =
                Cutting.gear(average: average, minimumDivisor: 4, maximumFactor: 4)
                + Cutting.gear(average: average, minimumDivisor: 2, maximumFactor: 8)
            Race.show(
                "Cutting, average \(average >> 10) KiB (multiples of the best FastCDC)",
                (scalar + Cutting.ours(average: average)).map(\.contestant), over: sample,
                repetitions: repetitions, references: scalar.count)
        }
        let hashing = Hashing()
        for (title, contestants) in [
            ("SHA-256, one message", hashing.streams), ("SHA-256, pieces of 4 to 16 KiB", hashing.manyPieces),
            ("SHA-256, the whole and its pieces (per input byte)", hashing.both), ("CRC-32C", hashing.checksums),
        ] {
            Race.show(title, contestants, over: sample, repetitions: repetitions, references: 1)
        }
        if savings { showSavings(files) }
    }

    static func showSavings(_ files: [UnsafeRawBufferPointer]) {
        let averages = [2, 4, 8, 16, 32, 64, 128].map { $0 << 10 }
        let curve = averages.map { average in
            Savings(of: Cutting.gear(average: average, minimumDivisor: 4, maximumFactor: 4)[0], on: files)
        }
        print(
            "\nSavings on \(files.count) files (chunks alone, no compression); points = against FastCDC min/4 at the same mean"
        )
        for (average, gear) in zip(averages, curve) {
            print("  FastCDC \(average >> 10) KiB: mean \(Int(gear.meanBytes)), \(decimals(gear.percent)) %")
        }
        for average in averages.dropLast() {
            guard let ours = Cutting.ours(average: average).last else { continue }
            let saved = Savings(of: ours, on: files)
            let points = saved.percent(on: curve).map { decimals(saved.percent - $0) } ?? "-"
            print(
                "  ours \(average >> 10) KiB: mean \(Int(saved.meanBytes)), \(decimals(saved.percent)) %, \(points) points"
            )
        }
    }
}
