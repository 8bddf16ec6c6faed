// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore

/// Stands next to the socket and cuts off clients that keep a connection without using it.
///
/// Three clocks, looked at a few times a window: idle, the time for a header block, and the rate of a body. The rate counts
/// only time for which *we* wait: while a read is asked for (back-pressure takes that away), or while bytes wait to be
/// taken. How much a reader has taken comes from TCP's own count of acknowledged bytes, because the system's socket
/// buffer hides what happens behind it; on a unix socket it is what left our queue.
///
/// It also closes gently: closing a socket with unread input sends a reset, and the reset may overtake the response that
/// says why. So after a refusal the output is closed first, and input is dropped for a little while.
final class ConnectionGuard: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let state: ConnectionState
    private let settings: HTTPSettings
    private var ticks: RepeatedTask?

    private var readAskedAt: NIODeadline?
    private var readWait: TimeAmount = .zero
    private var readBytes = 0

    private var written: UInt64 = 0
    private var sendWindow: (since: NIODeadline, taken: UInt64)?

    private var lingerUntil: NIODeadline?
    private var lingerBytes = 16 << 20
    private var closePromise: EventLoopPromise<Void>?

    init(state: ConnectionState, settings: HTTPSettings) {
        self.state = state
        self.settings = settings
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { startTicking(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        startTicking(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    func read(context: ChannelHandlerContext) {
        if readAskedAt == nil { readAskedAt = context.eventLoop.now }
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let received = Self.unwrapInboundIn(data)
        let bytes = received.readableBytes
        let now = context.eventLoop.now
        if let asked = readAskedAt { readWait = readWait + (now - asked) }
        readAskedAt = nil
        readBytes += bytes
        if lingerUntil != nil {
            lingerBytes -= bytes
            if lingerBytes < 0 { finishLinger(context) }
            return
        }
        state.received(received, at: now)
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if lingerUntil != nil {
            context.read()
        } else {
            context.fireChannelReadComplete()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if lingerUntil != nil, case .some(.inputClosed) = event as? ChannelEvent { return finishLinger(context) }
        if event is DrainEvent {
            state.isDraining = true
            if state.isIdle && state.headSince == nil { context.close(mode: .all, promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        written &+= UInt64(Self.unwrapOutboundIn(data).readableBytes)
        context.write(data, promise: promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all, state.closesGently, context.channel.isActive else {
            return context.close(mode: mode, promise: promise)
        }
        if let promise {
            if let closePromise { closePromise.futureResult.cascade(to: promise) } else { closePromise = promise }
        }
        guard lingerUntil == nil else { return }
        lingerUntil = context.eventLoop.now + .seconds(2)
        context.close(mode: .output, promise: nil)
        context.read()
    }

    private func finishLinger(_ context: ChannelHandlerContext) {
        state.closesGently = false
        let promise = closePromise
        closePromise = nil
        context.close(mode: .all, promise: promise)
    }

    private func startTicking(_ context: ChannelHandlerContext) {
        guard ticks == nil else { return }
        let shortest = min(settings.headerSeconds, settings.idleSeconds, settings.rateWindowSeconds)
        let tick = TimeAmount(fractional: min(1, max(0.01, shortest / 4)))
        let bound = context.loopBound
        let this = NIOLoopBound(self, eventLoop: context.eventLoop)
        ticks = context.eventLoop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { _ in
            this.value.tick(bound.value)
        }
    }

    private func stop() {
        ticks?.cancel()
        ticks = nil
        closePromise?.succeed()
        closePromise = nil
    }

    private func tick(_ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        let now = context.eventLoop.now
        if let lingerUntil {
            if now >= lingerUntil { finishLinger(context) }
        } else if let since = state.headSince, state.isIdle {
            if now - since > TimeAmount(fractional: settings.headerSeconds) { refuseSlowHead(context) }
        } else if state.isIdle {
            if state.isDraining || now - state.idleSince > TimeAmount(fractional: settings.idleSeconds) {
                context.close(mode: .all, promise: nil)
            }
        } else if settings.minimumBytesPerSecond > 0 {
            if state.isReceiving { checkSender(context, now) }
            checkReader(context, now)
        }
    }

    private func checkSender(_ context: ChannelHandlerContext, _ now: NIODeadline) {
        let waiting = readWait + (readAskedAt.map { now - $0 } ?? .zero)
        guard waiting > TimeAmount(fractional: settings.rateWindowSeconds) else { return }
        if Double(readBytes) < Double(settings.minimumBytesPerSecond) * settings.rateWindowSeconds {
            return cut(context)
        }
        readWait = .zero
        readBytes = 0
        if readAskedAt != nil { readAskedAt = now }
    }

    private func checkReader(_ context: ChannelHandlerContext, _ now: NIODeadline) {
        let queued = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        guard queued > 0 else {
            sendWindow = nil
            return
        }
        let left = written &- UInt64(max(0, queued))
        let bound = context.loopBound
        let this = NIOLoopBound(self, eventLoop: context.eventLoop)
        TCPProgress.acknowledged(context.channel).whenComplete { result in
            this.value.checkReader(bound.value, now, taken: (try? result.get()) ?? left)
        }
    }

    private func checkReader(_ context: ChannelHandlerContext, _ now: NIODeadline, taken: UInt64) {
        guard let window = sendWindow else {
            sendWindow = (now, taken)
            return
        }
        guard now - window.since > TimeAmount(fractional: settings.rateWindowSeconds) else { return }
        let bytes = Double(taken &- window.taken)
        if bytes < Double(settings.minimumBytesPerSecond) * settings.rateWindowSeconds { return cut(context) }
        sendWindow = (now, taken)
    }

    private func cut(_ context: ChannelHandlerContext) {
        state.closesGently = false
        context.close(mode: .all, promise: nil)
    }

    private func refuseSlowHead(_ context: ChannelHandlerContext) {
        let response = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        let bytes = context.channel.allocator.buffer(string: response)
        context.writeAndFlush(Self.wrapOutboundOut(.byteBuffer(bytes)), promise: nil)
        cut(context)
    }
}

/// How many bytes a TCP peer has acknowledged.
enum TCPProgress {
    /// The first 128 bytes of Linux' `struct tcp_info`; the kernel's interface is stable, glibc's header stops before the
    /// field that is wanted.
    private struct Info: Sendable {
        var before: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        var further: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
        var bytesAcknowledged: UInt64 = 0
    }

    /// Fails if the channel is no TCP socket.
    static func acknowledged(_ channel: any Channel) -> EventLoopFuture<UInt64> {
        guard let provider = channel as? any SocketOptionProvider, channel.remoteAddress?.port != nil else {
            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        let information = 11  // TCP_INFO
        let future: EventLoopFuture<Info> = provider.unsafeGetSocketOption(
            level: .tcp, name: NIOBSDSocket.Option(rawValue: CInt(information)))
        return future.map(\.bytesAcknowledged)
    }
}

extension TimeAmount {
    /// So many seconds, with fractions of one.
    init(fractional seconds: Double) { self = .nanoseconds(Int64(max(0, min(seconds, 1e9)) * 1e9)) }
}
