// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB

/// The tables of the environment. All are opened once, when the environment is.
struct Tables: Sendable {
    /// A named table. None allows duplicate keys: such tables have lost data in LMDB and its kin.
    enum Name: String, CaseIterable {
        case meta, blobs, inline, chunks, packs, packIDs, repositories, links, holders, manifests, tags, referrers
        case queue, queued, forwards
        case buckets, objects, spools, objectBlobs, adoptions

        /// Flags beyond the default. The chunks' keys are numbers compared as such: a lookup takes a tenth less time
        /// than with byte strings of the same length.
        var flags: UInt32 { self == .chunks ? UInt32(MDB_INTEGERKEY) : 0 }
    }

    private(set) var meta: MDB_dbi = 0
    private(set) var blobs: MDB_dbi = 0
    private(set) var inline: MDB_dbi = 0
    private(set) var chunks: MDB_dbi = 0
    private(set) var packs: MDB_dbi = 0
    private(set) var packIDs: MDB_dbi = 0
    private(set) var repositories: MDB_dbi = 0
    private(set) var links: MDB_dbi = 0
    private(set) var holders: MDB_dbi = 0
    private(set) var manifests: MDB_dbi = 0
    private(set) var tags: MDB_dbi = 0
    private(set) var referrers: MDB_dbi = 0
    private(set) var queue: MDB_dbi = 0
    private(set) var queued: MDB_dbi = 0
    private(set) var forwards: MDB_dbi = 0
    private(set) var buckets: MDB_dbi = 0
    private(set) var objects: MDB_dbi = 0
    private(set) var spools: MDB_dbi = 0
    private(set) var objectBlobs: MDB_dbi = 0
    private(set) var adoptions: MDB_dbi = 0

    /// Opens every table in `transaction`; makes those that are missing if `creating`.
    init(opening transaction: OpaquePointer, creating: Bool) throws(IndexError) {
        for name in Name.allCases {
            let flags = name.flags | (creating ? UInt32(MDB_CREATE) : 0)
            var handle: MDB_dbi = 0
            let returnCode = mdb_dbi_open(transaction, name.rawValue, flags, &handle)
            guard returnCode == MDB_SUCCESS else {
                throw IndexError(.returnCode(returnCode), call: "mdb_dbi_open", detail: name.rawValue)
            }
            self[name] = handle
        }
    }

    subscript(_ name: Name) -> MDB_dbi {
        get {
            switch name {
            case .meta: meta
            case .blobs: blobs
            case .inline: inline
            case .chunks: chunks
            case .packs: packs
            case .packIDs: packIDs
            case .repositories: repositories
            case .links: links
            case .holders: holders
            case .manifests: manifests
            case .tags: tags
            case .referrers: referrers
            case .queue: queue
            case .queued: queued
            case .forwards: forwards
            case .buckets: buckets
            case .objects: objects
            case .spools: spools
            case .objectBlobs: objectBlobs
            case .adoptions: adoptions
            }
        }
        set {
            switch name {
            case .meta: meta = newValue
            case .blobs: blobs = newValue
            case .inline: inline = newValue
            case .chunks: chunks = newValue
            case .packs: packs = newValue
            case .packIDs: packIDs = newValue
            case .repositories: repositories = newValue
            case .links: links = newValue
            case .holders: holders = newValue
            case .manifests: manifests = newValue
            case .tags: tags = newValue
            case .referrers: referrers = newValue
            case .queue: queue = newValue
            case .queued: queued = newValue
            case .forwards: forwards = newValue
            case .buckets: buckets = newValue
            case .objects: objects = newValue
            case .spools: spools = newValue
            case .objectBlobs: objectBlobs = newValue
            case .adoptions: adoptions = newValue
            }
        }
    }
}
