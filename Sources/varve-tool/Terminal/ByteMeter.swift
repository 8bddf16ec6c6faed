// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Synchronization

/// Counts bytes of one activity and shows them on a bar.
final class ByteMeter: Sendable {
    private let activity: String
    private let total: UInt64
    private let bar: ProgressBar
    private let done = Atomic<UInt64>(0)

    init(activity: String, total: UInt64, bar: ProgressBar) {
        self.activity = activity
        self.total = total
        self.bar = bar
    }

    /// Notes that `bytes` more are done.
    func add(_ bytes: Int) {
        let done = done.wrappingAdd(UInt64(max(0, bytes)), ordering: .relaxed).newValue
        bar.update(ProgressStep(activity: activity, done: done, total: total))
    }
}
