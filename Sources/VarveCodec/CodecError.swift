// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What this module throws: a coarse, open code and one sentence.
///
/// Bytes that come from a disk or a wire end in one of these, never in a trap.
package struct CodecError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is. A struct, so that codes can be added later.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case malformed, truncated, checksumMismatch, limitExceeded, unsupported, invalidArgument, resources
        }
        private let value: Value

        /// The bytes break a rule of their format.
        package static let malformed = Code(value: .malformed)
        /// The bytes end before the format says they may.
        package static let truncated = Code(value: .truncated)
        /// The bytes are not the ones that were written.
        package static let checksumMismatch = Code(value: .checksumMismatch)
        /// A number is larger than this version accepts, or a stream decodes to more than it may.
        package static let limitExceeded = Code(value: .limitExceeded)
        /// A version, kind or codec that this build does not know.
        package static let unsupported = Code(value: .unsupported)
        /// The caller asked for something that the format can not hold.
        package static let invalidArgument = Code(value: .invalidArgument)
        /// A library or the system had no memory or no randomness to give.
        package static let resources = Code(value: .resources)

        package var description: String { value.rawValue }
    }

    package var code: Code
    /// What was wrong with what; no trailing period.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code): \(message)" }
}
