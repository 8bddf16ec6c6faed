// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

// Keys of objects may be longer than the 511 bytes that LMDB allows, and must be listed in the order of their bytes. So
// a key is cut into segments of 400 bytes, and every segment but the last leads to a node of its own:
//
//     bucket ‖ 0 ‖ namespace ‖ node (8, big endian) ‖ segment shorter than 400                → object row
//     bucket ‖ 0 ‖ namespace ‖ node ‖ segment of 400 ‖ 0                                      → object row: the key ends
//     bucket ‖ 0 ‖ namespace ‖ node ‖ segment of 400 ‖ 1                                      → number of the next node
//
// The root is node 0. Within a node byte order is key order; a key that ends with a full segment comes before all that
// go on from it. Nearly all keys are short: for them this is a plain table.

/// Spells the keys of the table `objects`.
enum ObjectKeyCoding {
    static let segmentBytes = 400
    /// Longest key of an object, in bytes.
    static let maximumBytes = 4096

    static func header(_ bucket: String, _ namespace: UInt8, node: UInt64) -> [UInt8] {
        header(space: space(bucket, namespace), node: node)
    }

    /// What all keys of a bucket begin with.
    static func bucket(_ bucket: String) -> [UInt8] { Array(bucket.utf8) + [0] }

    /// What all keys of a bucket's namespace begin with.
    static func space(_ bucket: String, _ namespace: UInt8) -> [UInt8] { Self.bucket(bucket) + [namespace] }

    static func header(space: [UInt8], node: UInt64) -> [UInt8] {
        var writer = RowWriter(capacity: 80)
        writer.raw(space)
        writer.ordered(node)
        return writer.bytes
    }

    /// The number of the node that a row leads to.
    static func child(_ value: UnsafeRawBufferPointer, key: [UInt8]) throws(IndexError) -> UInt64 {
        var reader = RowReader(try TransactionAccess.checked(value, key: key, "node row"), of: "node row")
        let node = try reader.fixed(UInt64.self)
        try reader.end()
        return node
    }
}

/// A walk over the objects of one namespace in the order of their keys, within one transaction.
package final class ObjectScan {
    private let cursor: CursorBox
    private let space: [UInt8]
    /// The nodes from the root to where the walk is, with the bytes of the key before each.
    private var path: [(header: [UInt8], prefix: [UInt8])] = []

    /// A cursor that a class can hold.
    private final class CursorBox {
        let cursor: Cursor
        init(_ access: TransactionAccess) throws(IndexError) { cursor = try Cursor(access, access.tables.objects) }
    }

    /// What the walk finds.
    package typealias Found = (key: [UInt8], row: ObjectRow)

    init(_ access: TransactionAccess, _ bucket: String, _ namespace: UInt8) throws(IndexError) {
        cursor = try CursorBox(access)
        space = ObjectKeyCoding.space(bucket, namespace)
    }

    /// The first object whose key is not before `key`.
    package func seek(_ key: [UInt8]) throws(IndexError) -> Found? {
        path = []
        var node: UInt64 = 0
        var rest = key[...]
        while true {
            let header = ObjectKeyCoding.header(space: space, node: node)
            path.append((header, Array(key[..<rest.startIndex])))
            guard rest.count >= ObjectKeyCoding.segmentBytes else {
                return try settle(cursor.cursor.seek(header + rest))
            }
            let segment = rest.prefix(ObjectKeyCoding.segmentBytes)
            rest = rest.dropFirst(ObjectKeyCoding.segmentBytes)
            // The key that ends here is before `key` if that goes on.
            let row = try cursor.cursor.seek(header + segment + [rest.isEmpty ? 0 : 1])
            let onward = header + segment + [1]
            guard !rest.isEmpty, let row, row.key.elementsEqual(onward) else { return try settle(row) }
            node = try ObjectKeyCoding.child(row.value, key: onward)
        }
    }

    /// The object behind the one found last.
    package func next() throws(IndexError) -> Found? { try settle(cursor.cursor.next()) }

    /// Goes down to, and up from, nodes until the cursor is at an object.
    private func settle(_ start: Cursor.Row?) throws(IndexError) -> Found? {
        var row = start
        while let here = path.last {
            guard let found = row, found.key.starts(with: here.header) else {
                // The node is at its end: behind the row that led to it.
                path.removeLast()
                guard let above = path.last else { return nil }
                let segment = here.prefix.suffix(ObjectKeyCoding.segmentBytes)
                _ = try cursor.cursor.seek(above.header + segment + [1])
                row = try cursor.cursor.next()
                continue
            }
            let key = Array(found.key)
            let segment = key[here.header.count...]
            guard segment.count > ObjectKeyCoding.segmentBytes else {
                return (here.prefix + segment, try ObjectRow(decoding: found.value, key: key))
            }
            let full = here.prefix + segment.dropLast()
            guard segment.last == 1 else { return (full, try ObjectRow(decoding: found.value, key: key)) }
            guard full.count <= ObjectKeyCoding.maximumBytes else { throw .corrupt("object key", "too long") }
            let header = ObjectKeyCoding.header(
                space: space, node: try ObjectKeyCoding.child(found.value, key: key))
            path.append((header, full))
            row = try cursor.cursor.seek(header)
        }
        return nil
    }
}
