// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
import Glibc
package import VarveModel

/// What a file operation said when it failed: the call, what it was done to, and `errno`.
package struct DriverError: Error, Sendable, CustomStringConvertible {
    /// The system call's name.
    package let call: String
    /// The file, relative to the store's directory where there is one.
    package let path: String
    /// The system's error number.
    package let number: CInt

    /// An error of a call on a path.
    package init(_ call: String, _ path: String, _ number: CInt) {
        self.call = call
        self.path = path
        self.number = number
    }

    /// `call path: reason`.
    package var description: String { "\(call) \(path): \(reason(of: number))" }

    /// Whether the disk, a quota or a size limit is what stood in the way.
    package var isOutOfSpace: Bool { number == ENOSPC || number == EDQUOT || number == EFBIG }

    /// Whether the file is not there.
    package var isMissing: Bool { number == ENOENT || number == ENOTDIR }

    /// Whether a file could not be opened for want of descriptors or memory: nothing was changed, and it may go well the
    /// next time.
    package var isTransient: Bool { call == "open" && (number == EMFILE || number == ENFILE || number == ENOMEM) }

    /// The same for callers of the engine.
    package var asVarveError: VarveError {
        VarveError(isOutOfSpace ? .outOfSpace : .io, "\(call) \(path) failed", cause: self)
    }
}

/// The system's text for an error number.
package func reason(of number: CInt) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
    return buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
}
