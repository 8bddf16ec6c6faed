// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers

/// A file descriptor that is closed once, whoever asks first, and at the latest when nobody holds it any more.
final class ManagedClosing: Sendable {
    private let descriptor: NIOLockedValueBox<CInt?>

    init(_ descriptor: CInt) { self.descriptor = NIOLockedValueBox(descriptor) }

    func close() {
        let open = descriptor.withLockedValue { value in
            defer { value = nil }
            return value
        }
        if let open { _ = Glibc.close(open) }
    }

    deinit { close() }
}
