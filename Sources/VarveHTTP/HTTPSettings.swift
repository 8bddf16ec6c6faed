// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How an HTTP server listens and what it puts up with. Every value has a default that suits a fresh install.
public struct HTTPSettings: Sendable, Hashable {
    /// Address to listen on. There is no authentication yet, so the default is reachable from this machine alone.
    public var host = "127.0.0.1"
    /// Port to listen on; 0 = any free one (see ``RegistryServer/boundAddress``).
    public var port = 5000
    /// Connections at once; one more is answered 503 and closed.
    public var connectionsMax = 1024
    /// Bytes of a request's target (path and query); more is answered 414.
    public var targetBytesMax = 8 << 10
    /// Bytes of one header field, name and value; more is answered 431.
    public var headerFieldBytesMax = 32 << 10
    /// Bytes of a request's whole header block; more is answered 431.
    public var headerBytesMax = 64 << 10
    /// Header fields of a request; more is answered 431.
    public var headerFieldsMax = 100
    /// Requests that may wait on a connection for the one before them; a client that pipelines more is cut off.
    public var pipelinedMax = 32
    /// Seconds from the first byte of a request to the end of its header block; then 408.
    public var headerSeconds: Double = 10
    /// Seconds that a connection may be open without a request.
    public var idleSeconds: Double = 60
    /// A client that sends less than this, in bytes a second over ``rateWindowSeconds``, while we wait for it is cut off.
    /// The same holds for one that takes less of a response. 0 = no such limit.
    public var minimumBytesPerSecond = 1024
    /// The window of ``minimumBytesPerSecond``, in seconds.
    public var rateWindowSeconds: Double = 30
    /// Seconds that a request under way may take after a graceful shutdown began, before its connection is cut.
    public var shutdownSeconds: Double = 20
    /// Largest read from a socket, in bytes: bodies come in in such pieces while few of them come in.
    public var receiveBytesMax = 1 << 20
    /// What the reads of all bodies that are coming in may add up to, in bytes: the more there are, the smaller each
    /// one's reads, down to 64 KiB. Two or three times as much is held in memory.
    public var receiveBytesInFlight = 8 << 20
    /// Bytes of an unread request body that are taken and dropped so that a connection may be used again.
    public var drainBytesMax = 256 << 10

    /// The defaults.
    public init() {}
}
