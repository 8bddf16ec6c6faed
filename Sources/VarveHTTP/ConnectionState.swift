// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore

/// What the handlers of one connection know of each other. For its event loop alone.
final class ConnectionState {
    /// Requests whose head has come and whose response has not ended.
    private(set) var open = 0
    /// Whether a request's body is still coming.
    private(set) var isReceiving = false
    /// Since when there is no request.
    private(set) var idleSince: NIODeadline
    /// Since when the bytes of a head have been coming.
    private(set) var headSince: NIODeadline?
    /// Bytes of that head up to the end of its first line, as far as they have come.
    private(set) var requestLineBytes = 0
    private var isInRequestLine = false
    /// Whether a close should leave the peer time to read the last response (RFC 9112, section 9.6).
    var closesGently = false
    /// Whether the server is stopping: the connection closes when its request is answered.
    var isDraining = false

    /// The state of a connection that was opened at `now`.
    init(now: NIODeadline) { idleSince = now }

    /// Bytes have come. A head that began in the same read as the request before it ended counts from the next read on.
    func received(_ bytes: ByteBuffer, at now: NIODeadline) {
        guard isIdle else { return }
        if headSince == nil {
            headSince = now
            requestLineBytes = 0
            isInRequestLine = true
        }
        guard isInRequestLine else { return }
        let end = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "\n"))
        requestLineBytes += end.map { $0 - bytes.readerIndex } ?? bytes.readableBytes
        isInRequestLine = end == nil
    }

    /// A head has come.
    func requestBegan() {
        open += 1
        isReceiving = true
        headSince = nil
        isInRequestLine = false
        requestLineBytes = 0
    }

    /// A request's last byte has come.
    func requestEnded() { isReceiving = false }

    /// A response's last byte was written.
    func responseEnded(at now: NIODeadline) {
        open -= 1
        if open <= 0 { idleSince = now }
    }

    /// Whether nothing is going on.
    var isIdle: Bool { open <= 0 && !isReceiving }
}
