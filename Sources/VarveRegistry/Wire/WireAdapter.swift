// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveEngine

/// The last handler before the connection's task: turns parser errors into a part that the task answers in its turn, and
/// the task's parts into HTTP, files by `sendfile` a part at a time.
final class WireAdapter: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = RequestPart
    typealias OutboundIn = ResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let state: ConnectionState
    private let sendFileBytes: Int
    private var isMalformed = false

    init(state: ConnectionState, sendFileBytes: Int) {
        self.state = state
        self.sendFileBytes = max(sendFileBytes, 4096)
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
            case .headerOverflow: .headersTooLarge
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
            let sending = FileSending(file, partBytes: sendFileBytes, promise: promise)
            sending.next(context)
        case .end:
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: promise)
        }
    }
}

/// One file on its way out.
private final class FileSending {
    private let handle: NIOFileHandle
    private var position: Int
    private let end: Int
    private let partBytes: Int
    private let promise: EventLoopPromise<Void>?
    // Keeps the descriptor open.
    private let file: BlobFile

    init(_ file: BlobFile, partBytes: Int, promise: EventLoopPromise<Void>?) {
        self.file = file
        handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: file.descriptor)
        position = Int(clamping: file.offset)
        end = Int(clamping: file.offset &+ file.length)
        self.partBytes = partBytes
        self.promise = promise
    }

    func next(_ context: ChannelHandlerContext) {
        guard position < end else { return finish(.success(())) }
        let upper = min(end, position + partBytes)
        let region = FileRegion(fileHandle: handle, readerIndex: position, endIndex: upper)
        position = upper
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(WireAdapter.wrapOutboundOut(.body(.fileRegion(region))), promise: written)
        let bound = context.loopBound
        let this = NIOLoopBound(self, eventLoop: context.eventLoop)
        written.futureResult.whenComplete { result in
            switch result {
            case .failure(let error): this.value.finish(.failure(error))
            case .success:
                // Not at once: the stack would grow by a frame a part, and other connections wait.
                bound.eventLoop.execute { this.value.next(bound.value) }
            }
        }
    }

    private func finish(_ result: Result<Void, any Error>) {
        // The descriptor is the BlobFile's; the handle only lent it to the socket.
        _ = try? handle.takeDescriptorOwnership()
        promise?.completeWith(result)
    }
}
