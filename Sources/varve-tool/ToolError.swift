// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveModel

/// How the tool ended, for the scripts that call it.
enum ExitStatus: Int32, Sendable, CaseIterable {
    /// Done.
    case done = 0
    /// Failed; the reason is on standard error.
    case failed = 1
    /// Some of what was asked for was done, some was not.
    case partial = 3
    /// There is no store there.
    case noStore = 10
    /// Another process has the store open for writing.
    case inUse = 11
    /// Something in the store is not what it was when it was written.
    case damaged = 12
    /// The command line makes no sense (sysexits' EX_USAGE).
    case usage = 64
    /// Interrupted (128 + SIGINT).
    case interrupted = 130
    /// The reader of our output went away (128 + SIGPIPE).
    case brokenPipe = 141
    /// Told to end (128 + SIGTERM).
    case terminated = 143

    /// The status that tells best what kind of failure `code` is.
    init(_ code: VarveError.Code) {
        self =
            switch code {
            case .notAStore: .noStore
            case .inUse: .inUse
            case .corrupted: .damaged
            case .cancelled: .interrupted
            default: .failed
            }
    }

    /// The list that stands in the help.
    static let explanation = """
        Exit codes: 0 done, 1 failed, 3 done in part, 10 no store there, 11 store in use by another process, 12 store \
        damaged, 64 usage, 130 interrupted.
        """
}

/// A failure as the user sees it: how the tool ends, one sentence, and what to do about it if that is known.
struct ToolError: Error, Sendable, CustomStringConvertible {
    var status: ExitStatus
    /// One sentence without a period at its end.
    var message: String
    /// What to do; nil if nothing useful is known.
    var advice: String?

    init(_ status: ExitStatus, _ message: String, advice: String? = nil) {
        self.status = status
        self.message = message
        self.advice = advice
    }

    /// What the engine says, in the tool's words.
    init(_ error: VarveError) {
        self.init(
            ExitStatus(error.code), error.message + (error.cause.map { " (\($0))" } ?? ""),
            advice: Self.advice(for: error.code))
    }

    /// Whatever was thrown.
    init(_ error: any Error) {
        switch error {
        case let error as ToolError: self = error
        case let error as VarveError: self.init(error)
        case is CancellationError: self.init(.interrupted, "interrupted")
        default: self.init(.failed, "\(error)")
        }
    }

    private static func advice(for code: VarveError.Code) -> String? {
        switch code {
        case .outOfSpace: "free some space and try again; nothing that was acknowledged is lost"
        case .poisoned: "look at the disk, then open the store again (restart the server)"
        case .corrupted: "'varve verify' lists what is damaged; an index that is, 'varve rebuild-index' makes anew"
        default: nil
        }
    }

    /// Message and advice, as they are printed after `varve: `.
    var description: String { message + (advice.map { "\n  \($0)" } ?? "") }

    /// The operating system's words for an error number.
    static func text(ofErrno code: CInt) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
        let text = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return text.isEmpty ? "error \(code)" : text
    }
}
