// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc

/// What the kernel says of a running process.
package struct ProcessFigures: Sendable {
    /// User and system time of all its threads, those that ended included, in seconds. Steps of a clock tick (10 ms).
    package let cpuSeconds: Double
    /// The most that was resident at once, in bytes: mapped files included.
    package let peakResidentBytes: Int
    /// What is resident and not backed by a file, in bytes, now.
    package let anonymousBytes: Int

    package init(of identifier: Int32) throws {
        let stat = try Self.read("/proc/\(identifier)/stat")
        // The second field is the program's name in parentheses, and may hold spaces.
        guard let end = stat.lastIndex(of: ")") else { throw RigError("/proc/\(identifier)/stat is odd") }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            throw RigError("/proc/\(identifier)/stat is short")
        }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))

        let status = try Self.read("/proc/\(identifier)/status")
        func kibibytes(_ name: String) -> Int {
            for line in status.split(separator: "\n") where line.hasPrefix(name + ":") {
                return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).compactMap { Int($0) }.first ?? 0
            }
            return 0
        }
        peakResidentBytes = kibibytes("VmHWM") * 1024
        anonymousBytes = kibibytes("RssAnon") * 1024
    }

    private static func read(_ path: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw RigError("cannot read \(path)")
        }
        return text
    }
}
