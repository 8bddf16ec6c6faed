// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveDeflate

@Suite("taking gzip files apart and putting them together")
struct DeflateAnalyzerTests {
    /// Analyses a file that must be taken apart.
    private func take(_ bytes: [UInt8], pieceMax: Int = .max) throws -> (
        plan: [UInt8], plain: [UInt8], summary: DeflateAnalyzer.Summary
    ) {
        var plain: [UInt8] = []
        let result = try DeflateAnalyzer(source: reader(bytes, pieceMax: pieceMax)).analyze { plain += [UInt8]($0) }
        switch result {
        case .plan(let plan, let summary): return (plan, plain, summary)
        case .unsupported(let reason): throw DeflateError(reason)
        }
    }

    @Test("every fixture comes back bit for bit", arguments: Fixtures.names.filter { !$0.hasPrefix("late") })
    func exact(_ name: String) throws {
        let bytes = try Fixtures.bytes(name)
        let (plan, plain, summary) = try take(bytes)
        #expect(summary.compressedBytes == bytes.count)
        #expect(summary.plainBytes == plain.count)
        #expect(try rebuild(plan: plan, plain: plain) == bytes)
        // Single members without trailing bytes end in their CRC and size.
        if !name.hasPrefix("members") {
            let end = bytes.count
            let crc = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[end - 8 + $1]) << UInt32(8 * $1) }
            #expect(Checksum.crc32(plain[...]) == crc)
        }
    }

    @Test(
        "known encoders are found and need no corrections",
        arguments: [
            ("go1.26-level-1.gz", "go1.26-6"), ("go1.26-level1.gz", "go1.26-1"), ("go1.26-level3.gz", "go1.26-3"),
            ("klauspost-level1.gz", "klauspost-1"), ("klauspost-level3.gz", "klauspost-3"),
            ("klauspost-level5.gz", "klauspost-5"), ("klauspost-level6.gz", "klauspost-6"),
            ("klauspost-old-level5.gz", "klauspost-5-old"), ("long-go1.26.gz", "go1.26-6"),
            ("long-klauspost.gz", "klauspost-5"), ("long-pgzip.gz", "klauspost-5"),
            ("klauspost-level4-1.17.gz", "klauspost-4-1.17"), ("long-klauspost-level4.gz", "klauspost-4"),
            ("long-pgzip-level4.gz", "klauspost-4"), ("klauspost-old-level7.gz", "klauspost-7-old"),
            ("klauspost-old-level8.gz", "klauspost-8-old"), ("klauspost-old-level9.gz", "klauspost-9-old"),
            ("klauspost-1.13-level3.gz", "klauspost-3-1.13"), ("klauspost-1.10-level1.gz", "klauspost-1-1.10"),
            ("klauspost-1.10-level3.gz", "klauspost-3-1.10"),
            ("libdeflate-1.gz", "libdeflate-1"), ("libdeflate-3.gz", "libdeflate-3"),
            ("libdeflate-6.gz", "libdeflate-6"), ("libdeflate-9.gz", "libdeflate-9"),
            ("long-libdeflate-7.gz", "libdeflate-7"), ("igzip-1.gz", "igzip-1"), ("igzip-2.gz", "igzip-2"),
            ("igzip-3.gz", "igzip-3"), ("igzip-3-avx512.gz", "igzip-3-avx512"),
            ("zlib-ng-1.gz", "zlib-ng-1"), ("zlib-ng-2.gz", "zlib-ng-2"), ("zlib-ng-3.gz", "zlib-ng-3"),
            ("zlib-ng-5.gz", "zlib-ng-5"), ("zlib-ng-6.gz", "zlib-ng-6"), ("zlib-ng-8.gz", "zlib-ng-8"),
            ("zlib-ng-9.gz", "zlib-ng-9"), ("zlib-ng-6-by4096.gz", "zlib-ng-6-by4096"),
            ("zlib-ng-3-2.1.gz", "zlib-ng-3-2.1"), ("zlib-ng-4-2.0.gz", "zlib-ng-4-2.0"),
            ("zlib-ng-9-2.0.gz", "zlib-ng-9-2.0"), ("zlib-ng-1-2.0.6.gz", "zlib-ng-1-2.1-win13"),
            ("parts-zlib-ng-1.gz", "zlib-ng-1"), ("long-zlib-ng-1.gz", "zlib-ng-1"),
            ("miniz-3.gz", "miniz-3"), ("long-miniz-1.gz", "miniz-1"), ("long-miniz-6.gz", "miniz-6"),
            ("chromium-1.gz", "chromium-1"), ("chromium-3.gz", "chromium-3"), ("chromium-6.gz", "chromium-6"),
        ])
    func identified(_ name: String, _ encoder: String) throws {
        let (plan, _, summary) = try take(try Fixtures.bytes(name))
        #expect(summary.encoder == encoder)
        #expect(summary.corrections == 0)
        #expect(summary.correctionBytes == 0)
        #expect(plan.count < 160)
    }

    @Test("igzip's fixed codes of level 0 are known, and what it does at the ends of its input costs next to nothing")
    func igzip() throws {
        let (plan, _, summary) = try take(try Fixtures.bytes("igzip-0.gz"))
        #expect(summary.encoder == "igzip-0")
        #expect(summary.corrections == 0)
        // The codes themselves are written down.
        #expect(plan.count < 256)
        let (_, _, long) = try take(try Fixtures.bytes("long-igzip-2.gz"))
        #expect(long.encoder == "igzip-2")
        #expect(long.corrections < 10)
    }

    @Test(
        "igzip's level 3 needs no corrections where its tool hands over the next mebibyte of input",
        arguments: ["igzip-3", "igzip-3-avx512"])
    func igzipMaps(_ encoder: String) throws {
        let (_, plain, summary) = try take(try Fixtures.bytes("long-\(encoder).gz"))
        #expect(summary.encoder == encoder)
        #expect(summary.corrections == 0)
        #expect(plain.count > 2 << 20)
    }

    @Test("how much input igzip's level 3 was given at a time is found where it was not the tool that did")
    func igzipPieces() throws {
        let bytes = try Fixtures.bytes("by65536-igzip-3-avx512.gz")
        let (plan, plain, summary) = try take(bytes)
        #expect(summary.encoder == "igzip-3-avx512-by65536")
        #expect(summary.corrections < 20)
        #expect(plan.count < 100)
        #expect(try rebuild(plan: plan, plain: plain) == bytes)
    }

    @Test(
        "flushes, at regular places or at any, need no corrections",
        arguments: [
            ("long-flush-go1.27.gz", "klauspost-6"), ("long-flushes-go1.27.gz", "klauspost-6"),
            ("long-flush-go1.26-1.gz", "go1.26-1"),
        ])
    func flushed(_ name: String, _ encoder: String) throws {
        let (plan, plain, summary) = try take(try Fixtures.bytes(name))
        #expect(summary.encoder == encoder)
        #expect(summary.corrections == 0)
        #expect(summary.segments >= 2)
        #expect(plan.count < 400)
        #expect(try rebuild(plan: plan, plain: plain) == Fixtures.bytes(name))
    }

    @Test("where pigz -R ends its input without a marker is seen, and plans that did not see it make the file still")
    func rsyncable() throws {
        let bytes = try Fixtures.bytes("rsyncable-pigz-6.gz")
        let old = try Fixtures.bytes("rsyncable-pigz-6.plan4")
        let (plan, plain, summary) = try take(bytes)
        #expect(summary.encoder == "zlib-6")
        #expect(summary.corrections == 0)
        #expect(plan.count < old.count)
        #expect(try rebuild(plan: old, plain: plain) == bytes)
    }

    @Test("where a job of pigz -R begins is known, which matters at its fast levels")
    func rsyncableJobs() throws {
        let bytes = try Fixtures.bytes("rsyncable-pigz-1.gz")
        let (plan, plain, summary) = try take(bytes)
        #expect(summary.encoder == "zlib-1")
        #expect(summary.corrections == 0)
        #expect(summary.segments == 2)
        #expect(try DeflatePlan(decoding: plan).parameters.map(\.jobSize) == [128 << 10])
        #expect(plan.count < 300)
        #expect(try rebuild(plan: plan, plain: plain) == bytes)
    }

    @Test("what zlib's fast levels hash at a flush is known, and plans that did not know make the file still")
    func fastFlushes() throws {
        let bytes = try Fixtures.bytes("flushes-zlib-1.gz")
        let old = try Fixtures.bytes("flushes-zlib-1.plan4")
        let (plan, plain, summary) = try take(bytes)
        #expect(summary.encoder == "zlib-1")
        #expect(summary.corrections == 0)
        #expect(plan.count < old.count)
        #expect(try rebuild(plan: old, plain: plain) == bytes)
    }

    @Test("7-Zip's fast levels need no corrections")
    func sevenZipFast() throws {
        let bytes = try Fixtures.bytes("long-7z-1.gz")
        let (plan, plain, summary) = try take(bytes)
        #expect(summary.encoder == "7zip-1")
        #expect(summary.corrections == 0)
        #expect(summary.correctionBytes == 0)
        #expect(summary.segments == 2)
        // The codes themselves are written down.
        #expect(plan.count < 256)
        #expect(try rebuild(plan: plan, plain: plain) == bytes)
    }

    @Test(
        "plans of version 3 make the file still",
        arguments: ["late-zlib-9", "members", "long-flushes-go1.27", "long-7z-9"])
    func versionThree(_ name: String) throws {
        let bytes = try Fixtures.bytes(name + ".gz")
        let plan = try Fixtures.bytes(name + ".plan3")
        #expect(plan[3] == 3)
        var plain: [UInt8] = []
        _ = try DeflateAnalyzer(source: reader(bytes)).decode { plain += [UInt8]($0) }
        #expect(try rebuild(plan: plan, plain: plain) == bytes)
    }

    @Test("plans of family 11, which is no longer written, make the file still")
    func oldCheapestWay() throws {
        let bytes = try Fixtures.bytes("long-7z-9.gz")
        let plan = try Fixtures.bytes("long-7z-9.plan4")
        #expect(try DeflatePlan(decoding: plan).parameters.map(\.model) == [.optimal(.init(depth: 512))])
        var plain: [UInt8] = []
        _ = try DeflateAnalyzer(source: reader(bytes)).decode { plain += [UInt8]($0) }
        #expect(try rebuild(plan: plan, plain: plain) == bytes)
    }

    @Test(
        "segments end where they are enough work, flushed blocks or not, and each costs few bytes",
        arguments: ["long-zlib-9.gz", "long-pigz-9.gz"])
    func segmentWork(_ name: String) throws {
        let (plan, plain, summary) = try take(try Fixtures.bytes(name))
        #expect(summary.segments > plain.count / (768 << 10))
        #expect(plan.count < 100 + 20 * summary.segments)
        // What a segment takes, but for its search, is below what is worth one and a quarter of it.
        let most = ModelChoice.chain(.init(level: 9)).segmentWork / 4 * 5
        for segment in try DeflateRebuilder(plan: plan).segments {
            #expect(Effort.work(plain: segment.plain.count, compressed: segment.compressed.count, steps: 0) < most)
            #expect(segment.plain.count < 768 << 10)
        }
        #expect(try rebuild(plan: plan, plain: plain) == Fixtures.bytes(name))
    }

    @Test("an encoder that begins anew for the first time in mid-stream is found to do so")
    func lateUnits() throws {
        let parameters = StreamParameters(
            model: .klauspost(.init(level: 5, era: .since1_15_11)), rule: .plain(65535), tree: .go)
        let bytes = try Fixtures.bytes("long-pgzip.gz")
        guard
            case .plan(let plan, _) = try DeflateAnalyzer(source: reader(bytes)).analyze(
                with: parameters, sink: { _ in })
        else { throw DeflateError("raw") }
        let decoded = try DeflatePlan(decoding: plan)
        #expect(decoded.parameters.last?.unitDictionary == 16384)
        #expect(decoded.segments.last?.tokensCount == 0)
    }

    @Test(
        "encoders that look for the cheapest way are described by how far from it they are, for a few percent",
        arguments: ["zopfli-5.gz", "7z-5.gz", "libdeflate-12.gz"])
    func cheapestWay(_ name: String) throws {
        let bytes = try Fixtures.bytes(name)
        let (plan, _, summary) = try take(bytes)
        #expect(summary.encoder.hasPrefix("optimal-"))
        #expect(plan.count * 100 < bytes.count * 5)
    }

    @Test("klauspost's encoder without state is known, whatever it was given at a time")
    func stateless() throws {
        for (name, encoder) in [
            ("long-klauspost-stateless.gz", "klauspost-stateless"),
            ("klauspost-1.13-stateless.gz", "klauspost-stateless-1.14"),
            ("klauspost-stateless-by5000.gz", "klauspost-stateless"),
        ] {
            let bytes = try Fixtures.bytes(name)
            let (plan, _, summary) = try take(bytes)
            #expect(summary.encoder == encoder, "\(name)")
            #expect(summary.corrections == 0, "\(name)")
            #expect(plan.count < bytes.count / 40, "\(name)")
        }
    }

    @Test("input in small pieces gives the same plan")
    func smallPieces() throws {
        let bytes = try Fixtures.bytes("long-pgzip.gz")
        #expect(try take(bytes, pieceMax: 777).plan == take(bytes).plan)
    }

    @Test(
        "segments can be made alone, in any order",
        arguments: [
            "long-go1.26.gz", "long-klauspost.gz", "long-pgzip.gz", "long-klauspost-level4.gz", "long-pgzip-level4.gz",
            "long-klauspost-stateless.gz", "long-libdeflate-7.gz",
            "long-zlib-ng-1.gz", "long-7z-9.gz",
        ])
    func segments(_ name: String) throws {
        let bytes = try Fixtures.bytes(name)
        let (plan, plain, _) = try take(bytes)
        let rebuilder = try DeflateRebuilder(plan: plan)
        #expect(rebuilder.segments.count >= 2)
        #expect(rebuilder.compressedCount == bytes.count)
        var expected = 0
        for segment in rebuilder.segments {
            #expect(segment.compressed.lowerBound == expected)
            #expect(segment.plainNeeded.lowerBound >= segment.plain.lowerBound - (1 << 20))
            expected = segment.compressed.upperBound
        }
        #expect(expected == bytes.count)
        for index in rebuilder.segments.indices.reversed() {
            let made = try rebuild(rebuilder, index, plain, .init())
            #expect(made == Array(bytes[rebuilder.segments[index].compressed]))
        }
    }

    @Test("a range of the file touches only the segments it lies in")
    func ranges() throws {
        let bytes = try Fixtures.bytes("long-pgzip.gz")
        let (plan, _, _) = try take(bytes)
        let rebuilder = try DeflateRebuilder(plan: plan)
        let first = rebuilder.segments[0].compressed
        #expect(rebuilder.segments(for: 0..<1) == 0..<1)
        #expect(rebuilder.segments(for: first.upperBound..<(first.upperBound + 1)) == 1..<2)
        #expect(rebuilder.segments(for: (first.upperBound - 1)..<(first.upperBound + 1)) == 0..<2)
        #expect(rebuilder.segments(for: 5..<5).isEmpty)
        #expect(rebuilder.segments(for: 0..<bytes.count) == rebuilder.segments.indices)
    }

    @Test("what is not gzip, cut off or damaged is refused by name")
    func refused() throws {
        let bytes = try Fixtures.bytes("gzip-6.gz")
        func reason(_ input: [UInt8]) throws -> String {
            guard case .unsupported(let reason) = try DeflateAnalyzer(source: reader(input)).analyze(sink: { _ in })
            else {
                return ""
            }
            return reason
        }
        #expect(try reason([]) == "not-gzip")
        #expect(try reason(Array("not a gzip file at all".utf8)) == "not-gzip")
        #expect(try reason(Array(bytes[0..<(bytes.count / 2)])) == "truncated")
        #expect(try reason(Array(bytes[0..<(bytes.count - 3)])) == "truncated")
        #expect(try reason(Array(bytes[0..<10]) + [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) == "bad-block-type")
    }

    @Test("an error of the source or the sink is passed on")
    func closures() throws {
        struct Broken: Error {}
        let bytes = try Fixtures.bytes("gzip-6.gz")
        #expect(throws: Broken.self) { try DeflateAnalyzer(source: { _, _ in throw Broken() }).analyze(sink: { _ in }) }
        #expect(throws: Broken.self) {
            try DeflateAnalyzer(source: reader(bytes)).analyze(sink: { _ in throw Broken() })
        }
    }

    @Test("every gzip file of the directory named by VARVE_DEFLATE_VECTORS comes back bit for bit")
    func vectors() throws {
        guard let directory = ProcessInfo.processInfo.environment["VARVE_DEFLATE_VECTORS"] else { return }
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name.hasSuffix(".gz") {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
            let (plan, plain, _) = try take(bytes)
            #expect(try rebuild(plan: plan, plain: plain) == bytes, "\(name)")
        }
    }
}
