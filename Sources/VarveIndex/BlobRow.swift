// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where a recipe lies: bytes of a recipe frame in a pack.
package struct RecipePlace: Sendable, Equatable {
    /// The pack's number on this node.
    package var pack: UInt32
    /// Offset of the recipe's frame in the pack's file, in bytes.
    package var offset: UInt64
    /// Length of the frame, in bytes.
    package var byteCount: UInt32

    package init(pack: UInt32, offset: UInt64, byteCount: UInt32) {
        self.pack = pack
        self.offset = offset
        self.byteCount = byteCount
    }
}

/// What is known of a blob. Its bytes are in one or more of three places: a raw file, this index (small ones), a recipe.
package struct BlobRow: Sendable, Equatable {
    /// Which places hold the bytes as they were pushed.
    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }
        /// There is a file of these bytes under `raw/`.
        package static let rawFile = Flags(rawValue: 1)
        /// The bytes lie in the table `inline`, and in the journal.
        package static let inline = Flags(rawValue: 2)
    }

    /// Length of `reason` in UTF-8 bytes, at most.
    package static let reasonMaximumBytes = 32

    /// The blob's length in bytes.
    package var size: UInt64
    /// Where the bytes lie as they are.
    package var flags: Flags
    /// The recipe that rebuilds the blob, proven; nil while it is not settled.
    package var recipe: RecipePlace?
    /// Why it is not settled: an open code such as `gzip-pending`; empty where there is nothing to say.
    package var reason: String
    /// When it came, in seconds since 1970.
    package var landedAt: UInt64
    /// When it was last read, in seconds since 1970; kept coarsely.
    package var lastUsed: UInt64
    /// What kind of plain data the raw bytes hold; a code of the engine's.
    package var rawKind: UInt8
    /// Bytes that settling this blob added to the packs.
    package var settledBytes: UInt64
    /// Length of the data inside the outer encoding, in bytes; 0 while unknown.
    package var plainSize: UInt64

    package init(
        size: UInt64, flags: Flags = [], recipe: RecipePlace? = nil, reason: String = "", landedAt: UInt64 = 0,
        lastUsed: UInt64 = 0, rawKind: UInt8 = 0, settledBytes: UInt64 = 0, plainSize: UInt64 = 0
    ) {
        self.size = size
        self.flags = flags
        self.recipe = recipe
        self.reason = reason
        self.landedAt = landedAt
        self.lastUsed = lastUsed
        self.rawKind = rawKind
        self.settledBytes = settledBytes
        self.plainSize = plainSize
    }

    /// Whether there is a proven recipe.
    package var isSettled: Bool { recipe != nil }
}

extension BlobRow: CodedRow {
    static var rowName: StaticString { "blob row" }

    func write(to writer: inout RowWriter) {
        writer.fixed(flags.rawValue)
        writer.varint(size)
        if let recipe {
            writer.byte(1)
            writer.varint(UInt64(recipe.pack))
            writer.varint(recipe.offset)
            writer.varint(UInt64(recipe.byteCount))
        } else {
            writer.byte(0)
        }
        writer.string(Array(reason.utf8.prefix(BlobRow.reasonMaximumBytes)))
        writer.varint(landedAt)
        writer.varint(lastUsed)
        writer.byte(rawKind)
        writer.varint(settledBytes)
        writer.varint(plainSize)
    }

    init(from reader: inout RowReader) throws(IndexError) {
        let flags = Flags(rawValue: try reader.fixed(UInt16.self))
        let size = try reader.varint()
        var recipe: RecipePlace?
        switch try reader.byte() {
        case 0: break
        case 1:
            recipe = RecipePlace(
                pack: try reader.varint32(), offset: try reader.varint(), byteCount: try reader.varint32())
        default: throw reader.damaged("an unknown recipe place")
        }
        let reason = try reader.text()
        guard reason.utf8.count <= 3 * BlobRow.reasonMaximumBytes else { throw reader.damaged("a reason too long") }
        self.init(
            size: size, flags: flags, recipe: recipe, reason: reason, landedAt: try reader.varint(),
            lastUsed: try reader.varint(), rawKind: try reader.byte(), settledBytes: try reader.varint(),
            plainSize: try reader.varint())
    }
}
