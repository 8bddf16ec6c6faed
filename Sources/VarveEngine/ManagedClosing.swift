// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers

/// A file descriptor that is closed once, whoever asks first, and at the latest when nobody holds it any more.
final class ManagedClosing: Sendable {
    private let descriptor: NIOLockedValueBox<CInt?>

    init(_ descriptor: CInt) { self.descriptor = NIOLockedValueBox(descriptor) }

    /// The descriptor; nil once it is closed.
    var value: CInt? { descriptor.withLockedValue { $0 } }

    func close() {
        let open = descriptor.withLockedValue { value in
            defer { value = nil }
            return value
        }
        if let open { _ = Glibc.close(open) }
    }

    deinit { close() }
}
