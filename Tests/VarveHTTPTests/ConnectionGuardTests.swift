// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOEmbedded
import Testing

@testable import VarveHTTP

/// The clocks of a connection, with time in the test's hand.
@Suite("connection guard")
struct ConnectionGuardTests {
    /// A channel with the guard alone in it.
    private final class Bench {
        let channel = EmbeddedChannel()
        let state: ConnectionState

        init(_ change: (inout HTTPSettings) -> Void = { _ in }) throws {
            var settings = HTTPSettings()
            settings.minimumBytesPerSecond = 1000
            settings.rateWindowSeconds = 10
            change(&settings)
            state = ConnectionState(now: channel.eventLoop.now)
            try channel.pipeline.syncOperations.addHandler(HalfClose())
            try channel.pipeline.syncOperations.addHandler(ConnectionGuard(state: state, settings: settings))
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func receive(_ count: Int) throws {
            channel.read()
            try channel.writeInbound(ByteBuffer(bytes: [UInt8](repeating: 65, count: count)))
        }

        func pass(_ seconds: Double) { channel.embeddedEventLoop.advanceTime(by: TimeAmount(fractional: seconds)) }

        deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }
    }

    /// Lets an embedded channel be closed by half, which it does not know.
    private final class HalfClose: ChannelOutboundHandler {
        typealias OutboundIn = IOData

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode == .output { promise?.succeed() } else { context.close(mode: mode, promise: promise) }
        }
    }

    @Test("a connection may be idle for a minute")
    func idle() throws {
        let bench = try Bench()
        bench.pass(59)
        #expect(bench.channel.isActive)
        bench.pass(3)
        #expect(!bench.channel.isActive)
    }

    @Test("a head has ten seconds from its first byte, however it dribbles")
    func head() throws {
        let bench = try Bench()
        bench.pass(40)
        for _ in 0..<9 {
            try bench.receive(1)
            bench.pass(1)
        }
        #expect(bench.channel.isActive)
        bench.pass(3)
        #expect(!bench.channel.isActive)
        let answer = try #require(try bench.channel.readOutbound(as: IOData.self))
        guard case .byteBuffer(let bytes) = answer else { return #expect(Bool(false)) }
        #expect(String(buffer: bytes).hasPrefix("HTTP/1.1 408 "))
    }

    @Test("a body may come at the least rate for ever, and below it for a window")
    func body() throws {
        let bench = try Bench()
        bench.state.requestBegan()
        for _ in 0..<100 {
            try bench.receive(1100)
            bench.channel.read()
            bench.pass(1)
        }
        #expect(bench.channel.isActive)
        for _ in 0..<22 where bench.channel.isActive {
            try bench.receive(400)
            bench.channel.read()
            bench.pass(1)
        }
        #expect(!bench.channel.isActive)
    }

    @Test("time for which we do not read is not the client's fault")
    func backPressure() throws {
        let bench = try Bench()
        bench.state.requestBegan()
        try bench.receive(10)
        bench.pass(1000)
        #expect(bench.channel.isActive)
        bench.channel.read()
        bench.pass(12)
        #expect(!bench.channel.isActive)
    }

    @Test("a request that is being worked on has no clock")
    func working() throws {
        let bench = try Bench()
        bench.state.requestBegan()
        bench.state.requestEnded()
        bench.channel.read()
        bench.pass(10_000)
        #expect(bench.channel.isActive)
        bench.state.responseEnded(at: bench.channel.eventLoop.now)
        bench.pass(59)
        #expect(bench.channel.isActive)
        bench.pass(3)
        #expect(!bench.channel.isActive)
    }

    @Test("a server that stops closes what is idle, at once, and what is busy when it is done")
    func draining() throws {
        let idle = try Bench()
        idle.channel.pipeline.fireUserInboundEventTriggered(DrainEvent())
        #expect(!idle.channel.isActive)
        let busy = try Bench()
        busy.state.requestBegan()
        busy.channel.pipeline.fireUserInboundEventTriggered(DrainEvent())
        #expect(busy.channel.isActive)
        busy.state.requestEnded()
        busy.state.responseEnded(at: busy.channel.eventLoop.now)
        busy.pass(3)
        #expect(!busy.channel.isActive)
    }

    @Test("a gentle close drops what comes for two seconds, and no more than 16 MiB")
    func lingering() throws {
        for bytes in [0, 17 << 20] {
            let bench = try Bench()
            bench.state.closesGently = true
            bench.channel.close(promise: nil)
            #expect(bench.channel.isActive)
            try bench.receive(1000)
            #expect(try bench.channel.readInbound(as: ByteBuffer.self) == nil)
            #expect(bench.channel.isActive)
            if bytes > 0 { try bench.receive(bytes) } else { bench.pass(3) }
            #expect(!bench.channel.isActive)
        }
    }
}
