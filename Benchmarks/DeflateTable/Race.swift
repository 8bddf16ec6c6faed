// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Dispatch
import Glibc
import Synchronization
import VarveDeflate

/// Runs encoders and our rebuild of what they wrote in turn, so that a busy machine is equally bad to both, and prints the
/// median ratio of processor time: above 1 the rebuild is the faster one.
///
/// Besides: two threads against one (wall time), the time of a range of 64 KiB at random places with nothing warm but the
/// plain bytes, that of the first segment, and what settling takes (analysis and proof) against the rebuild alone.
struct Race {
    static let commands = [
        "gzip -n -6", "gzip -n -9", "pigz -n -p 1 -6", "pigz -n -p 1 -R -6",
        "python3 -c 'import sys,zlib; c=zlib.compressobj(6,8,31); d=sys.stdin.buffer.read(); "
            + "sys.stdout.buffer.write(c.compress(d)+c.flush())'",
    ]
    private static let rounds = 5

    let file: String

    func run(_ commands: [String]) throws {
        print(
            "| encoder | model | encode MB/s | rebuild MB/s | ratio | two threads | 64 KiB ms: median, p95, most | first ms | settle |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for command in commands { try run(command) }
    }

    private func run(_ command: String) throws {
        let output = "/tmp/deflate-race.\(getpid()).gz"
        defer { unlink(output) }
        func encode() -> Double {
            let before = Self.childSeconds()
            let status = system("\(command) < '\(file)' > '\(output)' 2> /dev/null")
            return status == 0 ? Self.childSeconds() - before : -1
        }
        guard encode() > 0, let bytes = readFile(output) else {
            print("| \(command.prefix(40)) | not here | | | | | | | |")
            return
        }
        var plain: [UInt8] = []
        let begin = seconds()
        let result = try DeflateAnalyzer(source: memoryReader(bytes)).analyze { plain.append(contentsOf: $0) }
        let analysis = seconds() - begin
        guard case .plan(let plan, let summary) = result else {
            print("| \(command.prefix(40)) | raw | | | | | | | |")
            return
        }
        let rebuilder = try DeflateRebuilder(plan: plan)
        let workspace = DeflateRebuilder.Workspace()
        func rebuild() -> Double {
            let start = seconds()
            for index in rebuilder.segments.indices
            where !isExact(rebuilder, index, workspace, plain: plain, file: bytes) {
                print("segment \(index) is NOT exact")
            }
            return seconds() - start
        }
        var ratios: [Double] = []
        var encodes: [Double] = []
        var rebuilds: [Double] = []
        for _ in 0..<Self.rounds {
            encodes.append(encode())
            rebuilds.append(rebuild())
            ratios.append((encodes.last ?? 0) / (rebuilds.last ?? 1))
        }
        let megabytes = Double(plain.count) / 1e6
        let ours = median(rebuilds)
        let ranges = ranges(rebuilder, plain, bytes)
        print(
            "| \(command.prefix(40)) | \(summary.encoder) | \(fixed(megabytes / median(encodes), 1))"
                + " | \(fixed(megabytes / ours, 1)) | \(fixed(median(ratios), 2))"
                + " | \(fixed(twoThreads(rebuilder, plain, bytes), 2))"
                + " | \(milliseconds(ranges))"
                + " | \(fixed(range(rebuilder, 0..<1, plain, bytes) * 1e3, 1))"
                + " | \(fixed(ours / (analysis + ours), 2)) |")
    }

    /// How much faster two threads are than one, in wall time; the median of some pairs. Each takes the next segment as soon as
    /// it is done with one, as a server's do.
    private func twoThreads(_ rebuilder: DeflateRebuilder, _ plain: [UInt8], _ bytes: [UInt8]) -> Double {
        func wall(_ threads: Int) -> Double {
            let start = Self.wall()
            let next = Atomic(0)
            DispatchQueue.concurrentPerform(iterations: threads) { _ in
                let workspace = DeflateRebuilder.Workspace()
                while true {
                    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    if index >= rebuilder.segments.count { break }
                    _ = isExact(rebuilder, index, workspace, plain: plain, file: bytes)
                }
            }
            return Self.wall() - start
        }
        return median((0..<Self.rounds).map { _ in wall(1) / wall(2) })
    }

    /// Processor seconds for 64 KiB at 100 places, each with new memory for its models.
    private func ranges(_ rebuilder: DeflateRebuilder, _ plain: [UInt8], _ bytes: [UInt8]) -> [Double] {
        randomRanges(bytes.count).map { range(rebuilder, $0, plain, bytes) }
    }

    private func range(_ rebuilder: DeflateRebuilder, _ range: Range<Int>, _ plain: [UInt8], _ bytes: [UInt8]) -> Double
    {
        let start = seconds()
        let workspace = DeflateRebuilder.Workspace()
        for index in rebuilder.segments(for: range) {
            _ = isExact(rebuilder, index, workspace, plain: plain, file: bytes, end: range.upperBound)
        }
        return seconds() - start
    }

    private static func wall() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func childSeconds() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_CHILDREN.rawValue, &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}
