// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveHTTP

/// How the S3 front end listens and what it puts up with.
public struct S3Settings: Sendable {
    /// Where it listens, and its limits for connections, heads and bodies.
    public var http = HTTPSettings()
    /// Who may use it.
    public var credentials: S3Credentials
    /// Hosts below this name are buckets (`bucket.domain`), beside `/bucket` in the path; nil = none.
    public var domain: String?
    /// Threads for hashing bodies; 0 = as many as cores.
    public var hashThreads = 0
    /// Ranges in one request; with more, `Range` is ignored.
    public var rangesMax = 1024
    /// Bytes of one XML body, unless it is a list of objects to delete.
    public var xmlBytesMax = 2 << 20
    /// Bytes of a list of objects to delete: 1,000 keys of 1,024 bytes, each of which is written as a reference (`&quot;`,
    /// `&#x26;`), and room for the elements around them.
    public var deleteBytesMax = 8 << 20
    /// Bytes of XML bodies that are read at once, for all connections; who finds no room is told to slow down.
    public var xmlBytesInFlight = 64 << 20

    /// The defaults, for some credentials.
    public init(credentials: S3Credentials) {
        self.credentials = credentials
        http.port = 9000
    }
}
