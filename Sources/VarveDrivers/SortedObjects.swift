// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Objects of one namespace in memory, sorted by key: what the drivers without an index of their own look things up in.
struct SortedObjects<Value: Sendable>: Sendable {
    private(set) var keys: [ObjectKey] = []
    private var values: [ObjectKey: Value] = [:]

    subscript(key: ObjectKey) -> Value? { values[key] }

    var isEmpty: Bool { keys.isEmpty }

    /// Where the first key that is not before `bytes` is.
    func index(notBefore bytes: [UInt8]) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].bytes.lexicographicallyPrecedes(bytes) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Puts a value under a key.
    /// - Returns: What was there.
    @discardableResult
    mutating func put(_ value: Value, _ key: ObjectKey) -> Value? {
        let old = values.updateValue(value, forKey: key)
        if old == nil { keys.insert(key, at: index(notBefore: key.bytes)) }
        return old
    }

    /// - Returns: What was there.
    @discardableResult
    mutating func remove(_ key: ObjectKey) -> Value? {
        guard let old = values.removeValue(forKey: key) else { return nil }
        keys.remove(at: index(notBefore: key.bytes))
        return old
    }

    /// A page of a listing.
    func page(_ request: ListRequest, _ info: (Value) -> ObjectInfo) -> ObjectPage {
        var index = 0
        func here() -> ObjectInfo? { index < keys.count ? values[keys[index]].map(info) : nil }
        return request.page {
            index = self.index(notBefore: $0)
            return here()
        } next: {
            index += 1
            return here()
        }
    }
}
