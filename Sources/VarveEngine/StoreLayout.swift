// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveCodec
import VarveDrivers
import VarveModel

/// Where things lie below a store's directory, and the one file that says what the directory is.
///
/// Every name is made from hex digits and fixed words, so nothing a client says can become a path.
enum StoreLayout {
    static let format = "format"
    static let lock = "lock"
    static let index = "index"
    static let journal = "journal"
    static let landing = "landing"
    static let raw = "raw"
    static let packs = "packs"
    static let spool = "spool"

    /// The directories of every store.
    static let directories = [landing, raw, packs, spool, index, journal]

    static func raw(_ digest: Digest) -> (directory: String, path: String) {
        let hex = digest.hex
        let directory = "\(raw)/\(digest.algorithm.name)/\(hex.prefix(2))"
        return (directory, "\(directory)/\(hex)")
    }

    static func pack(_ hex: String) -> (directory: String, path: String) {
        let directory = "\(packs)/\(hex.prefix(2))"
        return (directory, "\(directory)/\(hex).pack")
    }

    static func spool(_ id: SIMD16<UInt8>) -> String { "\(spool)/\((0..<16).map { id[$0] }.hex)" }

    /// The id that a name in `spool/` stands for; nil for a name that is not the store's.
    static func spoolID(_ name: String) -> SIMD16<UInt8>? {
        // Names of packs are spelled alike.
        guard let id = PackID(hex: name)?.vector, spool(id) == "\(spool)/\(name)" else { return nil }
        return id
    }

    static func landingData(_ id: String) -> String { "\(landing)/\(id).data" }
    static func landingMeta(_ id: String) -> String { "\(landing)/\(id).meta" }
}

/// The `format` file: what is written once when a store is made and never changes.
struct StoreFormat {
    /// The version this code reads and writes.
    static let version = 1
    /// Random, 16 bytes in hex.
    var storeID: String
    /// Which chunker cuts this store's content: cuts are comparable only under the same one.
    var chunkerID: UInt16

    private static let firstLine = "varve store \(version)"

    var text: String {
        // The key slot names the key of a keyed chunker or of encryption; a plain store has none.
        "\(Self.firstLine)\nid: \(storeID)\nchunker: \(chunkerID)\nkey: none\n"
    }

    init(storeID: String, chunkerID: UInt16) {
        self.storeID = storeID
        self.chunkerID = chunkerID
    }

    init(parsing text: String) throws(VarveError) {
        let lines = text.split(separator: "\n")
        guard let first = lines.first, first.hasPrefix("varve store ") else {
            throw VarveError(.notAStore, "the format file is not a Varve store's")
        }
        guard first == Self.firstLine else {
            throw VarveError(.unsupported, "the store is of another version: \(first.prefix(64))")
        }
        var fields: [Substring: Substring] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { throw VarveError(.corrupted, "the format file has a damaged line") }
            fields[parts[0]] = parts[1].drop { $0 == " " }
        }
        guard let id = fields["id"], id.count == 32, let chunker = fields["chunker"].flatMap({ UInt16($0) }) else {
            throw VarveError(.corrupted, "the format file lacks the store's id or chunker")
        }
        guard fields["key"] == "none" else {
            throw VarveError(.unsupported, "the store is keyed, which this version can not open")
        }
        storeID = String(id)
        chunkerID = chunker
    }
}

/// `count` random bytes, from the system's generator.
func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}

/// Seconds since 1970. Shown to people and used for grace periods, never for order.
func now() -> UInt64 { UInt64(clamping: time(nil)) }
