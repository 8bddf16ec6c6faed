// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc

/// Results, on standard output. Written whole or not at all as far as the caller can tell: a full disk behind a redirection
/// is an error and not a short file, and a reader that went away ends the program as it would end any other.
final class Output {
    private var buffered: [UInt8] = []
    private var failure: ToolError?

    init() {}

    /// Writes text at once.
    static func write(_ text: String) throws(ToolError) {
        try OutputChannel(1, name: "standard output").write(Array(text.utf8))
    }

    /// Writes one JSON document: two-space indentation, keys in order, slashes as they are, numbers as numbers.
    static func json(_ document: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try write(String(decoding: try encoder.encode(document), as: UTF8.self) + "\n")
    }

    /// Gathers a line, and writes what has gathered now and then.
    func line(_ text: String) throws(ToolError) {
        buffered.append(contentsOf: text.utf8)
        buffered.append(UInt8(ascii: "\n"))
        if buffered.count >= 1 << 16 { try flush() }
    }

    /// The same for a caller that can not throw: the first failure is kept for `flush()`, later lines are dropped.
    func lineOrRemember(_ text: String) {
        guard failure == nil else { return }
        do throws(ToolError) { try line(text) } catch { failure = error }
    }

    /// Writes what has gathered.
    /// - Throws: ``ToolError``, also one that was kept.
    func flush() throws(ToolError) {
        if let failure { throw failure }
        defer { buffered.removeAll(keepingCapacity: true) }
        try OutputChannel(1, name: "standard output").write(buffered)
    }

    /// A line on standard error, after `varve: `. Nothing is done about a failure to write it.
    static func note(_ text: String) {
        let bytes = Array("varve: \(text)\n".utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

/// A file descriptor that the tool writes to, with the name that messages use.
struct OutputChannel: Sendable {
    let number: CInt
    let name: String

    init(_ number: CInt, name: String) {
        self.number = number
        self.name = name
    }

    /// Writes all of `bytes`.
    func write(_ bytes: [UInt8]) throws(ToolError) { try write(bytes.span.bytes) }

    /// Writes all of `bytes`.
    /// - Throws: ``ToolError``; with the exit code of a broken pipe if the reader is gone.
    func write(_ bytes: RawSpan) throws(ToolError) {
        var done = 0
        while done < bytes.byteCount {
            let (written, code) = bytes.withUnsafeBytes { pointer in
                let written = Glibc.write(number, pointer.baseAddress.map { $0 + done }, pointer.count - done)
                return (written, errno)
            }
            if written > 0 {
                done += written
            } else if code == EPIPE {
                throw ToolError(.brokenPipe, "nobody reads \(name) any more")
            } else if code != EINTR {
                throw ToolError(.failed, "cannot write to \(name): \(ToolError.text(ofErrno: code))")
            }
        }
    }
}
