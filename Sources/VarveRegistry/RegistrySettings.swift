// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveHTTP

/// How the registry listens and what it puts up with. Every value has a default that suits a fresh install.
public struct RegistrySettings: Sendable, Hashable {
    /// Where the registry listens, and its limits for connections, heads and bodies.
    public var http = HTTPSettings()
    /// Ranges in one request; with more, `Range` is ignored (RFC 9110, section 14.2).
    public var rangesMax = 1024
    /// Entries in one page of tags, repositories or referrers.
    public var pageMax = 1000
    /// Bytes of manifests that are being received and checked at once, for all connections; more of them wait.
    public var manifestBytesInFlight = 32 << 20

    /// The defaults.
    public init() {}
}
