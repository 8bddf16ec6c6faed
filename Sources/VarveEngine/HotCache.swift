// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveModel

/// Which settled blobs still have their raw bytes, in order of use, and which must go to stay within the budget.
///
/// Only bookkeeping: whoever asks for victims removes them, index first, file after.
final class HotCache: Sendable {
    private struct State {
        var entries: [Digest: (size: UInt64, use: UInt64)] = [:]
        var bytes: UInt64 = 0
        var settledBytes: UInt64 = 0
        var clock: UInt64 = 0
    }
    private let state = NIOLockedValueBox(State())
    private let budget: StoreSettings.CacheBudget

    init(budget: StoreSettings.CacheBudget) { self.budget = budget }

    /// A blob has settled; `isRaw` if its raw bytes are still there.
    func settled(_ digest: Digest, size: UInt64, isRaw: Bool) {
        state.withLockedValue {
            $0.settledBytes += size
            guard isRaw, $0.entries[digest] == nil else { return }
            $0.clock += 1
            $0.entries[digest] = (size, $0.clock)
            $0.bytes += size
        }
    }

    /// A blob's raw bytes were sent.
    func used(_ digest: Digest) {
        state.withLockedValue {
            guard let entry = $0.entries[digest] else { return }
            $0.clock += 1
            $0.entries[digest] = (entry.size, $0.clock)
        }
    }

    /// A blob's raw bytes are gone, or the blob is; `settledBytes` if it no longer counts as settled.
    func removed(_ digest: Digest, settledBytes: UInt64 = 0) {
        state.withLockedValue {
            $0.settledBytes -= min($0.settledBytes, settledBytes)
            if let entry = $0.entries.removeValue(forKey: digest) { $0.bytes -= entry.size }
        }
    }

    /// Raw bytes of settled blobs on disk.
    var bytes: UInt64 { state.withLockedValue { $0.bytes } }

    /// The least recently used blobs that must go to come within the budget (or within `limit`).
    func victims(limit: UInt64? = nil) -> [Digest] {
        state.withLockedValue { state in
            let allowed =
                limit
                ?? {
                    switch budget {
                    case .bytes(let bytes): bytes
                    case .percentOfSettled(let percent):
                        state.settledBytes / 100 * UInt64(clamping: percent)
                            + state.settledBytes % 100 * UInt64(clamping: percent) / 100
                    }
                }()
            guard state.bytes > allowed else { return [] }
            var left = state.bytes
            var victims: [Digest] = []
            for (digest, entry) in state.entries.sorted(by: { $0.value.use < $1.value.use }) {
                if left <= allowed { break }
                victims.append(digest)
                left -= entry.size
            }
            return victims
        }
    }
}
