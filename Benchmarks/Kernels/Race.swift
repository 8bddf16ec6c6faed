// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc

/// CPU seconds that this thread has used.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// One thing that is measured: a name and what it does to one window of the data.
struct Contestant {
    let name: String
    let run: (UnsafeRawBufferPointer) -> Void
}

/// GB/s of each contestant over the same windows.
struct Race {
    /// Bytes of a window: about what the engine cuts and hashes at a time.
    static let windowBytes = 1 << 20

    /// Runs the contestants in turn, `repetitions` times over all of `data`, and returns the median of each.
    ///
    /// A window is read once before it is timed, as the engine's are in the cache when they are cut and hashed. Turns are
    /// interleaved, so that a busy neighbour hits all alike.
    static func medians(
        _ contestants: [Contestant], over data: UnsafeRawBufferPointer, repetitions: Int
    ) -> [(name: String, gigabytesPerSecond: Double)] {
        var samples = [[Double]](repeating: [], count: contestants.count)
        for _ in 0..<repetitions {
            for (index, contestant) in contestants.enumerated() {
                var seconds = 0.0
                var position = 0
                while position < data.count {
                    let end = min(data.count, position + windowBytes)
                    let window = UnsafeRawBufferPointer(rebasing: data[position..<end])
                    touch(window)
                    let start = threadSeconds()
                    contestant.run(window)
                    seconds += threadSeconds() - start
                    position = end
                }
                samples[index].append(Double(data.count) / seconds / 1e9)
            }
        }
        return contestants.indices.map { index in
            (contestants[index].name, samples[index].sorted()[samples[index].count / 2])
        }
    }

    /// Prints a race, each result also as a multiple of the best among the first `references` contestants.
    static func show(
        _ title: String, _ contestants: [Contestant], over data: UnsafeRawBufferPointer, repetitions: Int,
        references: Int
    ) {
        let results = medians(contestants, over: data, repetitions: repetitions)
        let best = results.prefix(references).map(\.gigabytesPerSecond).max() ?? 1
        print("\n\(title)")
        for (name, speed) in results {
            print("  \(padded(name, 44)) \(decimals(speed)) GB/s  \(decimals(speed / best))x")
        }
    }

    private static func touch(_ window: UnsafeRawBufferPointer) {
        var sum: UInt8 = 0
        for index in stride(from: 0, to: window.count, by: 64) { sum &+= window[index] }
        sink &+= Int(sum)
    }
}

/// Results that nobody needs, so that nothing is optimised away.
nonisolated(unsafe) var sink = 0  // One thread.

func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

/// Two decimals, right-aligned in seven columns.
func decimals(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    let fraction = abs(hundredths) % 100
    let sign = hundredths < 0 ? "-" : ""
    let text = "\(sign)\(abs(hundredths) / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    return String(repeating: " ", count: max(0, 7 - text.count)) + text
}
