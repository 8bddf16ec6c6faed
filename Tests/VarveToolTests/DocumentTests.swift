// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveEngine
import VarveModel

@testable import varve

@Suite("JSON documents")
struct DocumentTests {
    @Test("stats has every promised key, and numbers only")
    func stats() throws {
        var stats = StoreStats()
        stats.blobsCount = 3
        stats.blobsBytes = 1000
        stats.rawCount = 1
        stats.rawReasons = ["no-saving": 1]
        stats.storedBytes = 400
        let object = try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(StatsDocument(stats))) as? [String: Any])
        let paths = [
            "blobs.count", "blobs.bytes", "settled.count", "settled.bytes", "raw.count", "raw.bytes", "cache.bytes",
            "chunks.count", "packs.bytes", "packs.count", "index.bytes", "stored.bytes", "journal.bytes", "queue.count",
            "inline.count", "inline.bytes", "repositories.count", "manifests.count", "tags.count", "ratio",
            "raw.reasons.no-saving",
        ]
        for path in paths {
            let value = path.split(separator: ".").reduce(object as Any?) { ($0 as? [String: Any])?[String($1)] }
            #expect(value is NSNumber, "\(path)")
        }
        #expect(object["ratio"] as? Double == 2.5)
        #expect((object["blobs"] as? [String: Any])?["bytes"] as? Int == 1000)
    }

    @Test("the table names what is raw and why, and what was saved")
    func table() {
        var stats = StoreStats()
        stats.blobsBytes = 1_000_000
        stats.storedBytes = 250_000
        stats.rawReasons = ["tiny": 2, "gzip-pending": 5, "gone": 0]
        let text = StatsReport(stats).text
        #expect(text.contains("because: gzip-pending 5, tiny 2\n"))
        #expect(text.contains("25.0 % of what was pushed, ratio 4.00"))
    }
}

@Suite("how the tool ends")
struct ExitStatusTests {
    @Test("every kind of failure has a status that is no success", arguments: VarveError.Code.allCases)
    func codes(_ code: VarveError.Code) { #expect(ExitStatus(code) != .done) }

    @Test("the statuses that scripts rely on")
    func promised() {
        #expect(ExitStatus(VarveError.Code.notAStore).rawValue == 10)
        #expect(ExitStatus(VarveError.Code.inUse).rawValue == 11)
        #expect(ExitStatus(VarveError.Code.corrupted).rawValue == 12)
        #expect(ExitStatus(VarveError.Code.cancelled).rawValue == 130)
        #expect(ExitStatus(VarveError.Code.io).rawValue == 1)
        #expect(ExitStatus.usage.rawValue == 64)
        #expect(ExitStatus.partial.rawValue == 3)
    }
}
