// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1

/// Stands behind the decoder: keeps the connection's state, bounds what a client may pipeline, sizes the reads, and joins
/// body pieces.
///
/// A body in chunks arrives as one message a chunk, and a chunk may be one byte; handed on like that, each would cost a
/// hop and a hundred bytes of queue. Joined, a message is at most one read. A read is small (so are 256 KiB of pipelined
/// heads a way to make a server hold megabytes) until a body is coming that is worth a large one.
final class RequestGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// The largest read while heads are expected.
    static let headReadBytes = 16 << 10

    private let state: ConnectionState
    private let settings: RegistrySettings
    private var pending: ByteBuffer?
    private var pendingIsOwn = false
    private var readsLarge = false
    private var isCut = false

    init(state: ConnectionState, settings: RegistrySettings) {
        self.state = state
        self.settings = settings
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isCut else { return }
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            state.requestBegan()
            guard state.open <= settings.pipelinedMax else {
                isCut = true
                return context.close(mode: .all, promise: nil)
            }
            let length = head.headers.first(name: "content-length").flatMap { Int($0) }
            if head.headers.contains(name: "transfer-encoding") || (length ?? 0) > RequestGuard.headReadBytes {
                resizeReads(context, large: true)
            }
            context.fireChannelRead(data)
        case .body(let piece):
            join(context, piece)
        case .end:
            firePending(context)
            state.requestEnded()
            resizeReads(context, large: false)
            context.fireChannelRead(data)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        firePending(context)
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        firePending(context)
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        firePending(context)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        firePending(context)
        context.fireChannelInactive()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = Self.unwrapOutboundIn(data) { state.responseEnded(at: context.eventLoop.now) }
        context.write(data, promise: promise)
    }

    private func join(_ context: ChannelHandlerContext, _ piece: ByteBuffer) {
        guard var joined = pending else {
            pending = piece
            return
        }
        guard joined.readableBytes + piece.readableBytes <= settings.receiveBytesMax else {
            firePending(context)
            pending = piece
            return
        }
        pending = nil
        if !pendingIsOwn {
            var own = context.channel.allocator.buffer(capacity: settings.receiveBytesMax)
            own.writeImmutableBuffer(joined)
            joined = own
            pendingIsOwn = true
        }
        joined.writeImmutableBuffer(piece)
        pending = joined
    }

    private func firePending(_ context: ChannelHandlerContext) {
        guard let joined = pending else { return }
        pending = nil
        pendingIsOwn = false
        if !isCut { context.fireChannelRead(Self.wrapInboundOut(.body(joined))) }
    }

    private func resizeReads(_ context: ChannelHandlerContext, large: Bool) {
        guard large != readsLarge else { return }
        readsLarge = large
        try? context.channel.syncOptions?.setOption(
            .recvAllocator, value: RequestGuard.reads(large: large, settings: settings))
    }

    /// How reads are sized: adaptively, up to the setting for bodies and to ``headReadBytes`` else.
    static func reads(large: Bool, settings: RegistrySettings) -> AdaptiveRecvByteBufferAllocator {
        let most = large ? max(settings.receiveBytesMax, headReadBytes) : headReadBytes
        return AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: large ? most : 2048, maximum: most)
    }
}
