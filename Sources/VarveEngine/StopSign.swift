// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveModel

/// Tells work on a blocking thread that whoever asked for it does not want it any more.
final class StopSign: Sendable {
    private let isSet = NIOLockedValueBox(false)

    func set() { isSet.withLockedValue { $0 = true } }

    /// - Throws: `cancelled` once it is set.
    func check() throws(VarveError) {
        if isSet.withLockedValue({ $0 }) { throw VarveError(.cancelled, "the caller went away") }
    }
}
