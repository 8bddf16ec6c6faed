// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import Synchronization

/// Stands behind the decoder: keeps the connection's state, bounds what a client may pipeline, sizes the reads, and joins
/// body pieces.
///
/// A body in chunks arrives as one message a chunk, and a chunk may be one byte; handed on like that, each would cost a
/// hop and a hundred bytes of queue. Joined, a message is at most one read. A read is small, because a mebibyte of pipelined
/// heads would be many times that in memory, until a body is coming that is worth a large one; and then it is this
/// connection's share of what all of them may have.
final class RequestGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// The largest read while heads are expected.
    static let headReadBytes = 16 << 10

    private let state: ConnectionState
    private let settings: HTTPSettings
    private let receivers: ReceiveShare
    private var pending: ByteBuffer?
    private var pendingIsOwn = false
    /// The largest read at present; nil while heads are expected.
    private var bodyReadBytes: Int?
    private var isCut = false

    init(state: ConnectionState, settings: HTTPSettings, receivers: ReceiveShare) {
        self.state = state
        self.settings = settings
        self.receivers = receivers
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
                receivers.add()
                resizeReads(context, to: receivers.share)
            }
            context.fireChannelRead(data)
        case .body(let piece):
            if bodyReadBytes != nil { resizeReads(context, to: receivers.share) }
            join(context, piece)
        case .end:
            firePending(context)
            state.requestEnded()
            endBody(context)
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
        if bodyReadBytes != nil { receivers.remove() }
        bodyReadBytes = nil
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
        guard joined.readableBytes + piece.readableBytes <= joinedBytesMax else {
            firePending(context)
            pending = piece
            return
        }
        pending = nil
        if !pendingIsOwn {
            var own = context.channel.allocator.buffer(capacity: joinedBytesMax)
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

    private var joinedBytesMax: Int { bodyReadBytes ?? RequestGuard.headReadBytes }

    private func endBody(_ context: ChannelHandlerContext) {
        guard bodyReadBytes != nil else { return }
        receivers.remove()
        bodyReadBytes = nil
        setReads(context, most: RequestGuard.headReadBytes, initial: RequestGuard.firstReadBytes)
    }

    private func resizeReads(_ context: ChannelHandlerContext, to bytes: Int) {
        guard bytes != bodyReadBytes else { return }
        bodyReadBytes = bytes
        setReads(context, most: bytes, initial: bytes)
    }

    private func setReads(_ context: ChannelHandlerContext, most: Int, initial: Int) {
        try? context.channel.syncOptions?.setOption(
            .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: initial, maximum: most))
    }

    /// The size of a connection's first read.
    static let firstReadBytes = 2048
}

/// Shares the memory for reads among the bodies that are coming in.
final class ReceiveShare: Sendable {
    /// The smallest share.
    static let leastBytes = 64 << 10

    private let receivers = Atomic<Int>(0)
    private let most: Int
    private let all: Int

    init(_ settings: HTTPSettings) {
        most = max(settings.receiveBytesMax, ReceiveShare.leastBytes)
        all = settings.receiveBytesInFlight
    }

    func add() { receivers.add(1, ordering: .relaxed) }

    func remove() { receivers.subtract(1, ordering: .relaxed) }

    /// The largest read of each, in bytes: a power of two, so that it does not change with every newcomer.
    var share: Int {
        let each = all / max(1, receivers.load(ordering: .relaxed))
        var share = ReceiveShare.leastBytes
        while share * 2 <= min(each, most) { share *= 2 }
        return share
    }
}
