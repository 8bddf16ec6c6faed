// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc

/// A program that was started, with its output in files. It is waited for exactly once.
package final class ChildProcess {
    /// How a program ended and what it cost, its own children included.
    package struct Ending: Sendable {
        /// The exit code; nil when a signal ended it.
        package let exitCode: Int32?
        /// The signal that ended it.
        package let signal: Int32?
        package let cpuSeconds: Double
        package let wallSeconds: Double
        package let peakBytes: Int
    }

    package let identifier: Int32
    private let started: Double
    private var ending: Ending?

    /// Starts `arguments[0]`, looked up in `PATH`.
    /// - Parameters:
    ///   - environment: Added to this process's own.
    ///   - output: File that gets stdout; nil is `/dev/null`. Likewise `errors`.
    package init(
        _ arguments: [String], environment: [String: String] = [:], output: String? = nil, errors: String? = nil
    ) throws {
        guard let name = arguments.first, let program = locateProgram(name) else {
            throw RigError("no program \(arguments.first ?? "")")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, errors ?? "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0o644)

        let values = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var environmentPointers: [UnsafeMutablePointer<CChar>?] = values.map { strdup("\($0)=\($1)") } + [nil]
        defer {
            for pointer in argumentPointers + environmentPointers { free(pointer) }
        }
        var identifier: pid_t = 0
        started = monotonicSeconds()
        let code = posix_spawn(&identifier, program, &actions, nil, &argumentPointers, &environmentPointers)
        guard code == 0 else { throw RigError("posix_spawn \(program): \(systemMessage(code))") }
        self.identifier = identifier
    }

    /// Sends a signal; nothing happens when the process has been waited for.
    package func signal(_ number: Int32) {
        if ending == nil { _ = Glibc.kill(identifier, number) }
    }

    /// Whether it ended already. Does not wait.
    package var hasEnded: Bool { collect(WNOHANG) != nil }

    /// Waits for its end.
    @discardableResult
    package func wait() -> Ending {
        while true {
            if let ending = collect(0) { return ending }
        }
    }

    /// Waits for its end, but not for longer than `seconds`; then it is killed.
    package func wait(atMost seconds: Double) -> Ending? {
        let deadline = monotonicSeconds() + seconds
        while monotonicSeconds() < deadline {
            if let ending = collect(WNOHANG) { return ending }
            pause(seconds: 0.005)
        }
        signal(SIGKILL)
        wait()
        return nil
    }

    private func collect(_ options: Int32) -> Ending? {
        if let ending { return ending }
        var status: Int32 = 0
        var usage = rusage()
        let result = wait4(identifier, &status, options, &usage)
        guard result == identifier else { return nil }
        let number = status & 0x7f
        func seconds(_ value: timeval) -> Double { Double(value.tv_sec) + Double(value.tv_usec) / 1e6 }
        let value = Ending(
            exitCode: number == 0 ? (status >> 8) & 0xff : nil, signal: number == 0 ? nil : number,
            cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            wallSeconds: monotonicSeconds() - started, peakBytes: usage.ru_maxrss * 1024)
        ending = value
        return value
    }
}

/// Runs a program to its end.
/// - Throws: ``RigError`` when it does not exit with 0, with the last lines it wrote to stderr.
@discardableResult
package func run(
    _ arguments: [String], environment: [String: String] = [:], output: String? = nil
) throws -> ChildProcess.Ending {
    let errors = FileManager.default.temporaryDirectory.appendingPathComponent("rig-\(UUID().uuidString).err").path
    defer { try? FileManager.default.removeItem(atPath: errors) }
    let child = try ChildProcess(
        arguments, environment: environment, output: output, errors: errors)
    let ending = child.wait()
    guard ending.exitCode == 0 else {
        let text = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
        let how = ending.exitCode.map { "exit code \($0)" } ?? "signal \(ending.signal ?? 0)"
        throw RigError("\(arguments.joined(separator: " ")): \(how): \(text.suffix(800))")
    }
    return ending
}
