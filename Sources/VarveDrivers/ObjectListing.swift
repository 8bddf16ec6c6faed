// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What to list of a bucket's namespace.
public struct ListRequest: Hashable, Sendable {
    /// Where a page begins.
    public enum Start: Hashable, Sendable {
        /// At the first key.
        case beginning
        /// Behind a key, whether it is there or not.
        case after([UInt8])
        /// Behind every key with this prefix: how a page goes on whose last entry was a common prefix.
        case afterPrefix([UInt8])
    }
    /// Only keys that begin with these bytes.
    public var prefix: [UInt8]
    /// Keys that have these bytes somewhere behind the prefix are rolled up into their common prefix, which ends with
    /// the first such place; empty = none are.
    public var delimiter: [UInt8]
    /// Where to begin.
    public var start: Start
    /// Most objects and common prefixes together; 0 gives an empty page that does not go on.
    public var limit: Int

    /// A request of its parts.
    public init(prefix: [UInt8] = [], delimiter: [UInt8] = [], start: Start = .beginning, limit: Int = 1000) {
        self.prefix = prefix
        self.delimiter = delimiter
        self.start = start
        self.limit = limit
    }
}

/// A page of a listing: objects and common prefixes, each in the order of their bytes.
public struct ObjectPage: Hashable, Sendable {
    /// The objects.
    public var objects: [ObjectInfo] = []
    /// The common prefixes, each once, none without an object below it.
    public var commonPrefixes: [[UInt8]] = []
    /// Where the next page begins; nil if there is nothing more.
    public var next: ListRequest.Start?

    /// An empty page.
    public init() {}
}

extension ListRequest {
    /// Makes a page out of keys in order. A common prefix costs one look-up, however many keys it stands for.
    /// - Parameter seek: Gives the first object whose key is not before these bytes.
    /// - Parameter next: Gives the object behind the one given last.
    package func page<Failure: Error>(
        seek: ([UInt8]) throws(Failure) -> ObjectInfo?, next: () throws(Failure) -> ObjectInfo?
    ) throws(Failure) -> ObjectPage {
        var page = ObjectPage()
        guard limit > 0 else { return page }
        var first = prefix
        switch start {
        case .beginning: break
        case .after(let key):
            if !key.lexicographicallyPrecedes(prefix) { first = key + [0] }
        case .afterPrefix(let covered):
            guard let behind = Self.successor(of: covered) else { return page }
            if prefix.lexicographicallyPrecedes(behind) { first = behind }
        }
        var count = 0
        var last = start
        var current = try seek(first)
        while let object = current, object.key.bytes.starts(with: prefix) {
            if count == limit {
                page.next = last
                return page
            }
            count += 1
            if let end = commonPrefixEnd(in: object.key.bytes) {
                let common = Array(object.key.bytes[..<end])
                page.commonPrefixes.append(common)
                last = .afterPrefix(common)
                guard let behind = Self.successor(of: common) else { return page }
                current = try seek(behind)
            } else {
                page.objects.append(object)
                last = .after(object.key.bytes)
                current = try next()
            }
        }
        return page
    }

    private func commonPrefixEnd(in key: [UInt8]) -> Int? {
        guard !delimiter.isEmpty, key.count >= prefix.count + delimiter.count else { return nil }
        for start in prefix.count...(key.count - delimiter.count)
        where key[start] == delimiter[0] && key[start...].starts(with: delimiter) {
            return start + delimiter.count
        }
        return nil
    }

    /// The first bytes behind everything that begins with `prefix`; nil if nothing is.
    private static func successor(of prefix: [UInt8]) -> [UInt8]? {
        var bytes = prefix
        while let last = bytes.last {
            if last < .max {
                bytes[bytes.count - 1] = last + 1
                return bytes
            }
            bytes.removeLast()
        }
        return nil
    }
}
