// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc

/// `errno` of this thread, to be read before anything else is called.
var currentErrorNumber: Int32 { errno }

/// The system's sentence for an error number.
func systemMessage(_ number: Int32) -> String {
    String(cString: strerror(number))
}

/// Seconds of a clock that never goes back.
package func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// Lets the calling thread rest. Rigs poll other processes, which tell nobody when they are ready.
package func pause(seconds: Double) {
    var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    nanosleep(&wanted, nil)
}

/// Writes everything that is dirty to disk, so that one measurement does not pay for the writes of the one before it.
package func flushDisks() {
    sync()
}

/// Bytes under a folder: what the files hold, and what they occupy in disk blocks. Folders themselves are not counted.
package struct DiskUse: Sendable, Codable {
    package var files = 0
    package var bytes = 0
    package var allocatedBytes = 0

    package init(of path: String) throws {
        var pending = [path]
        while let folder = pending.popLast() {
            var status = stat()
            guard lstat(folder, &status) == 0 else { throw RigError.system("lstat \(folder)") }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                files += 1
                bytes += Int(status.st_size)
                allocatedBytes += Int(status.st_blocks) * 512
                continue
            }
            pending += try FileManager.default.contentsOfDirectory(atPath: folder).map { folder + "/" + $0 }
        }
    }
}

/// Where a program lies, looked up in `PATH`; nil when it is not installed.
package func locateProgram(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    for folder in path.split(separator: ":") {
        let candidate = "\(folder)/\(name)"
        if access(candidate, X_OK) == 0 { return candidate }
    }
    return nil
}

/// The machine a measurement was made on, as it goes into a report.
package struct Machine: Sendable, Codable {
    package let kernel: String
    package let processor: String
    package let cores: Int
    package let loadAverage: String

    package init() {
        func firstLine(_ path: String, prefix: String = "") -> String {
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            for line in text.split(separator: "\n") where line.hasPrefix(prefix) { return String(line) }
            return "unknown"
        }
        kernel = firstLine("/proc/sys/kernel/osrelease")
        let model = firstLine("/proc/cpuinfo", prefix: "model name")
        processor = model.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
        cores = ProcessInfo.processInfo.processorCount
        loadAverage = firstLine("/proc/loadavg")
    }
}
