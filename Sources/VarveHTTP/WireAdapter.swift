// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1

/// The last handler before the connection's task: turns parser errors into a part that the task answers in its turn, and
/// the task's parts into HTTP, files by `sendfile`.
final class WireAdapter: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = RequestPart
    typealias OutboundIn = ResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let state: ConnectionState
    private let settings: HTTPSettings
    private var isMalformed = false

    init(state: ConnectionState, settings: HTTPSettings) {
        self.state = state
        self.settings = settings
    }

    /// The connection's next close leaves the peer time to read what was sent last.
    func closesGently() { state.closesGently = true }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part: RequestPart =
            switch Self.unwrapInboundIn(data) {
            case .head(let head): .head(head)
            case .body(let piece): .body(piece)
            case .end: .end
            }
        context.fireChannelRead(Self.wrapInboundOut(part))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError || error is ByteToMessageDecoderError else {
            return context.fireErrorCaught(error)
        }
        guard !isMalformed else { return }
        isMalformed = true
        state.closesGently = true
        let reason: RequestPart.Malformed =
            switch error as? HTTPParserError {
            // The parser holds a target to the length of a header field, and says the same of both.
            case .headerOverflow:
                state.requestLineBytes > settings.headerFieldBytesMax ? .targetTooLong : .headersTooLarge
            case .invalidEOFState: .cutOff
            default: .syntax
            }
        context.fireChannelRead(Self.wrapInboundOut(.malformed(reason)))
        context.fireChannelReadComplete()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .whole(let head, let body):
            context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
            if let body { context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: promise)
        case .head(let head):
            context.writeAndFlush(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .body(let piece):
            context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(piece))), promise: promise)
        case .file(let file):
            send(file, context, promise)
        case .end:
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: promise)
        }
    }

    /// One region for the whole file: each `sendfile` takes what the socket's buffer holds, so other connections get
    /// their turn all the same, and every end of a shorter region would cost a push and a wake-up of its own (measured:
    /// 1 MiB at a time takes 1.3 to 1.5 times the processor time).
    private func send(_ file: any FileContent, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: file.descriptor)
        let region = FileRegion(
            fileHandle: handle, readerIndex: Int(clamping: file.offset),
            endIndex: Int(clamping: file.offset &+ file.length))
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { result in
            // The descriptor is the file's; the handle only lent it to the socket.
            _ = try? handle.takeDescriptorOwnership()
            promise?.completeWith(result)
            withExtendedLifetime(file) {}
        }
        context.writeAndFlush(Self.wrapOutboundOut(.body(.fileRegion(region))), promise: written)
    }
}
