// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveModel

@testable import VarveIndex

@Suite("tables")
struct TableTests {
    private let directory: TemporaryDirectory
    private let environment: IndexEnvironment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try IndexEnvironment(path: directory.path + "/index")
    }

    private static let longest = repository(String(repeating: "a", count: 255))

    @Test("the longest names fit, and are listed")
    func longestNames() throws {
        let wide = certain(Digest(.sha512, bytes: [UInt8](repeating: 200, count: 64)))
        let label = tag(String(repeating: "t", count: 128))
        try environment.write { (transaction) throws(IndexError) in
            try transaction.link(wide, in: TableTests.longest, at: 1)
            try transaction.setTag(label, in: TableTests.longest, TagRow(digest: wide, mediaType: "m"))
            try transaction.putManifest(
                wide, in: TableTests.longest, ManifestRow(mediaType: "m", size: 2, subject: wide),
                referrer: ReferrerRow(mediaType: "m", size: 2))
        }
        try environment.read { (transaction) throws(IndexError) in
            #expect(try transaction.repositories(limit: 9) == [TableTests.longest])
            #expect(try transaction.links(in: TableTests.longest, limit: 9).map(\.digest) == [wide])
            #expect(try transaction.holders(of: wide, limit: 9) == [TableTests.longest])
            #expect(try transaction.tags(in: TableTests.longest, limit: 9) == [label])
            #expect(try transaction.tags(of: wide, in: TableTests.longest) == [label])
            #expect(try transaction.manifests(in: TableTests.longest, limit: 9).map(\.digest) == [wide])
            #expect(try transaction.referrers(of: wide, in: TableTests.longest, limit: 9).map(\.digest) == [wide])
            let endless = String(repeating: "z", count: 10_000)
            #expect(try transaction.repositories(after: endless, limit: 9).isEmpty)
            #expect(try transaction.tags(in: TableTests.longest, after: endless, limit: 9).isEmpty)
        }
    }

    @Test("pages join without gap or repetition, from names that are not there too")
    func pages() throws {
        let all = (0..<57).map { tag("v\($0)") }.sorted()
        try environment.write { (transaction) throws(IndexError) in
            for tag in all {
                try transaction.setTag(tag, in: repository("b"), TagRow(digest: digest(1), mediaType: "m"))
            }
            // Neighbours by name, whose rows lie beside those of `b`.
            for name in ["a", "b-b", "b/b", "b.b", "c"] {
                try transaction.setTag(tag("zz"), in: repository(name), TagRow(digest: digest(1), mediaType: "m"))
            }
        }
        for limit in [1, 7, 56, 57, 58] {
            var found: [VarveModel.Tag] = []
            while true {
                let page = try environment.read { (transaction) throws(IndexError) in
                    try transaction.tags(in: repository("b"), after: found.last?.description, limit: limit)
                }
                found += page
                if page.count < limit { break }
            }
            #expect(found == all)
        }
        try environment.read { (transaction) throws(IndexError) in
            #expect(try transaction.tags(in: repository("b"), limit: 0).isEmpty)
            #expect(
                try transaction.tags(in: repository("b"), after: "v2", limit: 3).map(\.description)
                    == ["v20", "v21", "v22"])
            #expect(
                try transaction.tags(in: repository("b"), after: "v2zzz", limit: 2).map(\.description) == ["v3", "v30"])
            #expect(try transaction.tags(in: repository("b"), after: "", limit: 1) == [all[0]])
            // A text that begins with 128 bytes of a tag is behind that tag.
            #expect(
                try transaction.repositories(limit: 99).map(\.description) == ["a", "b", "b-b", "b.b", "b/b", "c"])
            #expect(try transaction.repositories(after: "b-", limit: 1).map(\.description) == ["b-b"])
        }
    }

    @Test("removing a repository removes everything of it and nothing else")
    func removeRepository() throws {
        let names = ["b", "b-b", "b/b", "bb"].map { repository($0) }
        try environment.write { (transaction) throws(IndexError) in
            for name in names {
                for number in 0..<5 {
                    try transaction.link(digest(number), in: name, at: 3)
                    try transaction.setTag(tag("t\(number)"), in: name, TagRow(digest: digest(number), mediaType: "m"))
                    try transaction.putManifest(
                        digest(number), in: name, ManifestRow(mediaType: "m", size: 1, subject: digest(9)),
                        referrer: ReferrerRow(mediaType: "m", size: 1))
                }
            }
            #expect(try transaction.removeRepository(repository("b")))
            #expect(try !transaction.removeRepository(repository("b")))
        }
        try environment.read { (transaction) throws(IndexError) in
            #expect(try transaction.repositories(limit: 9) == Array(names[1...]))
            #expect(try transaction.links(in: names[0], limit: 9).isEmpty)
            #expect(try transaction.tags(in: names[0], limit: 9).isEmpty)
            #expect(try transaction.manifests(in: names[0], limit: 9).isEmpty)
            #expect(try transaction.referrers(of: digest(9), in: names[0], limit: 9).isEmpty)
            for name in names[1...] {
                #expect(try transaction.links(in: name, limit: 9).count == 5)
                #expect(try transaction.tags(in: name, limit: 9).count == 5)
                #expect(try transaction.manifests(in: name, limit: 9).count == 5)
                #expect(try transaction.referrers(of: digest(9), in: name, limit: 9).count == 5)
            }
            #expect(try transaction.holders(of: digest(3), limit: 9) == Array(names[1...]))
        }
        #expect(try brokenInvariants(of: environment).isEmpty)
        let statistics = try environment.statistics()
        #expect(statistics.links == 15 && statistics.tags == 15 && statistics.manifests == 15)
    }

    @Test("a manifest that is put again leaves the referrers of its old subject")
    func subjectChanges() throws {
        let name = repository("a")
        try environment.write { (transaction) throws(IndexError) in
            let referrer = ReferrerRow(mediaType: "m", size: 1)
            try transaction.putManifest(
                digest(1), in: name, ManifestRow(mediaType: "m", size: 1, subject: digest(8)), referrer: referrer)
            try transaction.putManifest(
                digest(1), in: name, ManifestRow(mediaType: "m", size: 1, subject: digest(9)), referrer: referrer)
            #expect(try transaction.referrers(of: digest(8), in: name, limit: 9).isEmpty)
            #expect(try transaction.referrers(of: digest(9), in: name, limit: 9).count == 1)
            #expect(try transaction.removeManifest(digest(1), in: name))
            #expect(try transaction.referrers(of: digest(9), in: name, limit: 9).isEmpty)
            #expect(try !transaction.removeManifest(digest(1), in: name))
        }
    }

    @Test("small blobs keep their bytes apart from their row")
    func inlineBlobs() throws {
        try environment.write { (transaction) throws(IndexError) in
            try transaction.putInlineBlob(digest(1), bytes: [1, 2, 3], landedAt: 5)
            #expect(try transaction.blob(digest(1))?.flags == .inline)
            // Whoever writes the row can not lose the flag, nor claim it.
            try transaction.putBlob(digest(1), BlobRow(size: 3, flags: .rawFile))
            #expect(try transaction.blob(digest(1))?.flags == [.rawFile, .inline])
            try transaction.putBlob(digest(2), BlobRow(size: 3, flags: .inline))
            #expect(try transaction.blob(digest(2))?.flags == [])
            #expect(try transaction.inlineBytes(of: digest(1)) == [1, 2, 3])
            #expect(try transaction.inlineBytes(of: digest(2)) == nil)
            try transaction.putInlineBlob(digest(3), bytes: [], landedAt: 5)
            #expect(try transaction.inlineBytes(of: digest(3)) == [])
            try transaction.enqueue(digest(1))
            #expect(try transaction.removeBlob(digest(1)))
            #expect(try !transaction.removeBlob(digest(1)))
            #expect(try transaction.inlineBytes(of: digest(1)) == nil)
            #expect(try transaction.queue(limit: 9).isEmpty)
        }
        let error = #expect(throws: IndexError.self) {
            try environment.write { (transaction) throws(IndexError) in
                let bytes = [UInt8](repeating: 0, count: WriteTransaction.inlineMaximumBytes + 1)
                try transaction.putInlineBlob(digest(4), bytes: bytes, landedAt: 0)
            }
        }
        #expect(error?.reason == .invalidArgument)
    }

    @Test("blobs are walked in order from any digest")
    func blobs() throws {
        let digests = (0..<200).map { digest($0) }
        try environment.write { (transaction) throws(IndexError) in
            for (index, digest) in digests.enumerated() {
                try transaction.putBlob(digest, BlobRow(size: UInt64(index)))
            }
        }
        var found: [Digest] = []
        repeat {
            let page = try environment.read { (transaction) throws(IndexError) in
                try transaction.blobs(after: found.last, limit: 13)
            }
            found += page.map(\.digest)
            if page.count < 13 { break }
        } while true
        #expect(found == digests.sorted())
    }

    @Test("packs have numbers that are never used again")
    func packs() throws {
        try environment.write { (transaction) throws(IndexError) in
            let first = try transaction.allocatePackNumber()
            let second = try transaction.allocatePackNumber()
            #expect(first == 1 && second == 2)
            try transaction.putPack(first, PackRow(id: SIMD16(repeating: 1)))
            try transaction.putPack(second, PackRow(id: SIMD16(repeating: 2)))
            try transaction.putPack(second, PackRow(id: SIMD16(repeating: 2), state: .sealed, committedBytes: 9))
            #expect(try transaction.packNumber(of: SIMD16(repeating: 2)) == 2)
            #expect(try transaction.pack(2)?.state == .sealed)
            #expect(try transaction.packs(after: 1, limit: 9).map(\.number) == [2])
            #expect(try transaction.packs(limit: 9).map(\.number) == [1, 2])
            #expect(try transaction.removePack(2))
            #expect(try !transaction.removePack(2))
            #expect(try transaction.packNumber(of: SIMD16(repeating: 2)) == nil)
            #expect(try transaction.allocatePackNumber() == 3)
            #expect(try transaction.verify().damage.isEmpty)
        }
        let error = #expect(throws: IndexError.self) {
            try environment.write { (transaction) throws(IndexError) in
                try transaction.putPack(7, PackRow(id: SIMD16(repeating: 1)))
            }
        }
        #expect(error?.reason == .invalidArgument)
    }

    @Test("the queue holds a blob once, in the order of arrival")
    func queue() throws {
        try environment.write { (transaction) throws(IndexError) in
            for number in [3, 1, 2, 1, 3] { try transaction.enqueue(digest(number)) }
            #expect(try transaction.queue(limit: 9).map(\.digest) == [3, 1, 2].map { digest($0) })
            try transaction.requeue(digest(3))
            #expect(try transaction.queue(limit: 9).map(\.digest) == [1, 2, 3].map { digest($0) })
            #expect(try transaction.dequeue(digest(2)))
            #expect(try !transaction.dequeue(digest(2)))
            let entries = try transaction.queue(limit: 9)
            #expect(entries.map(\.digest) == [1, 3].map { digest($0) })
            #expect(try transaction.queue(after: entries[0].sequence, limit: 9).map(\.digest) == [digest(3)])
            #expect(try transaction.queueSequence(of: digest(1)) == entries[0].sequence)
            #expect(try transaction.queueSequence(of: digest(2)) == nil)
            #expect(try transaction.verify().damage.isEmpty)
        }
    }

    @Test("links and tags follow a model through 5,000 random changes")
    func model() throws {
        var generator = SeededGenerator(3)
        var links: [String: Set<Digest>] = [:]
        var tags: [String: [String: Digest]] = [:]
        try environment.write { (transaction) throws(IndexError) in
            for _ in 0..<5_000 {
                let name = "r\(generator.next() % 5)"
                let item = digest(Int(generator.next() % 20))
                let label = "t\(generator.next() % 9)"
                switch generator.next() % 12 {
                case 0...4:
                    let isNew = links[name, default: []].insert(item).inserted
                    #expect(try transaction.link(item, in: repository(name), at: 1) == isNew)
                case 5...6:
                    let wasThere = links[name]?.remove(item) != nil
                    #expect(try transaction.unlink(item, in: repository(name)) == wasThere)
                case 7...9:
                    tags[name, default: [:]][label] = item
                    try transaction.setTag(tag(label), in: repository(name), TagRow(digest: item, mediaType: "m"))
                case 10:
                    let wasThere = tags[name]?.removeValue(forKey: label) != nil
                    #expect(try transaction.removeTag(tag(label), in: repository(name)) == wasThere)
                default:
                    guard generator.next() % 20 == 0 else { continue }
                    try transaction.removeRepository(repository(name))
                    links[name] = nil
                    tags[name] = nil
                }
            }
            for number in 0..<5 {
                let name = "r\(number)"
                let found = try transaction.links(in: repository(name), limit: .max).map(\.digest)
                #expect(found == (links[name] ?? []).sorted(), "seed \(SeededGenerator.seed)")
                let labels = try transaction.tags(in: repository(name), limit: .max)
                #expect(labels.map(\.description) == (tags[name] ?? [:]).keys.sorted())
                for label in labels {
                    #expect(try transaction.tag(label, in: repository(name))?.digest == tags[name]?[label.description])
                }
            }
            #expect(try transaction.verify().damage.isEmpty)
            for number in 0..<20 {
                let holders = links.filter { $0.value.contains(digest(number)) }.keys.sorted()
                #expect(try transaction.holders(of: digest(number), limit: .max).map(\.description) == holders)
            }
        }
    }

    @Test("rows that contradict each other are found", arguments: Contradiction.allCases)
    func contradictions(_ contradiction: Contradiction) throws {
        let name = repository("a/b")
        let subject = digest(3)
        try environment.write { (transaction) throws(IndexError) in
            try transaction.putInlineBlob(digest(1), bytes: [1, 2], landedAt: 1)
            try transaction.link(digest(1), in: name, at: 1)
            try transaction.setTag(tag("t"), in: name, TagRow(digest: digest(1), mediaType: "m"))
            try transaction.putManifest(
                digest(1), in: name, ManifestRow(mediaType: "m", size: 2, subject: subject),
                referrer: ReferrerRow(mediaType: "m", size: 2))
            try transaction.enqueue(digest(1))
            try transaction.putPack(5, PackRow(id: SIMD16(repeating: 5)))
            let verification = try transaction.verify()
            #expect(verification.damage.isEmpty)
            #expect(verification.rows >= 12)
        }
        let found = try environment.write { (transaction) throws(IndexError) in
            let access = transaction.access
            let key = Key.digest(digest(1))
            switch contradiction {
            case .inline: try access.delete(access.tables.inline, key)
            case .blobs: try access.delete(access.tables.blobs, key)
            case .holders: try access.delete(access.tables.holders, Key.holder(of: digest(1), name))
            case .links: try access.delete(access.tables.links, Key.within(name, digest(1)))
            case .repositories: try access.delete(access.tables.repositories, Key.repository(name))
            case .manifests: try access.delete(access.tables.manifests, Key.within(name, digest(1)))
            case .referrers: try access.delete(access.tables.referrers, Key.referrer(name, of: subject, digest(1)))
            case .queue: try access.delete(access.tables.queue, Key.number(1 as UInt64))
            case .queued: try access.delete(access.tables.queued, key)
            case .packs: try access.delete(access.tables.packs, Key.number(5 as UInt32))
            case .forwards: try transaction.putForward(SIMD16(repeating: 6), ForwardRow(pack: 6, runs: []))
            case .packIDs: try access.delete(access.tables.packIDs, Key.pack(SIMD16(repeating: 5)))
            case .tags: try access.put(access.tables.tags, Key.within(name, tag("t")), [1, 2, 3, 4, 5, 6])
            case .chunks: try access.put(access.tables.chunks, [1, 2, 3, 4, 5, 6, 7, 8], [1])
            case .meta: try access.put(access.tables.meta, [65], [1, 2, 3, 4, 5])
            }
            return try transaction.verify().damage
        }
        #expect(!found.isEmpty)
    }

    enum Contradiction: CaseIterable {
        case inline, blobs, holders, links, repositories, manifests, referrers, queue, queued, packs, packIDs, tags
        case chunks, meta, forwards
    }
}
