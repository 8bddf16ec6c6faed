// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What went wrong in a rig: with a server under test, a peer's program or a measurement. Never a verdict on the product;
/// verdicts are values in the reports.
package struct RigError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

    /// The failure of a system call, with what `errno` says.
    static func system(_ call: String) -> RigError {
        RigError("\(call): \(systemMessage(currentErrorNumber))")
    }
}
