// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveZstd

@Suite("zstd files, taken apart and made again")
struct ZstdAnalyzerTests {
    @Test("a file comes back bit for bit, with next to no exceptions", arguments: Fixtures.names)
    func comesBack(name: String) throws {
        let file = try Fixtures.bytes(name)
        var plain: [UInt8] = []
        let result = try ZstdAnalyzer(source: source(file)).analyze { plain.append(contentsOf: $0) }
        guard case .plan(let plan, let summary) = result else {
            Issue.record("\(name): \(result)")
            return
        }
        #expect(summary.plainBytes == plain.count)
        #expect(summary.compressedBytes == file.count)
        // The short first block that some writers begin with; zstd 1.5.7's blocks have all sizes.
        #expect(summary.exceptions <= (name.contains("1.5.7") ? summary.blocks : 1))
        // Half a mebibyte has a wire point.
        #expect(plan.count < 60 + 30 * summary.frames + 120 * (plain.count >> 19))
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
    }

    @Test("small reads change nothing", arguments: Fixtures.names.prefix(1))
    func smallReads(name: String) throws {
        let file = try Fixtures.bytes(name)
        var plain: [UInt8] = []
        let result = try ZstdAnalyzer(source: source(file, pieceMax: 1000)).analyze { plain.append(contentsOf: $0) }
        guard case .plan(let plan, _) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
    }

    @Test("a stream may begin anywhere", arguments: Fixtures.names)
    func ranges(name: String) throws {
        let one = try Fixtures.bytes(name)
        let skippable: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5]
        let file = one + skippable + one + [9, 9, 9]
        var plain: [UInt8] = []
        guard
            case .plan(let plan, let summary) = try ZstdAnalyzer(source: source(file)).analyze(sink: {
                plain.append(contentsOf: $0)
            })
        else {
            Issue.record("not taken apart")
            return
        }
        #expect(summary.frames >= 2)
        for start in [0, 1, 17, one.count - 1, one.count, one.count + 3, one.count + 14, file.count - 2, file.count] {
            #expect(try isEqual(rebuilt(plan: plan, plain: plain, from: start), Array(file[start...])), "\(start)")
        }
    }

    @Test("encoders that differ behind a window of text are told apart", arguments: ["-stream", ""])
    func lateDifferences(kind: String) throws {
        let header = try FrameHeader([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70])
        let candidates = ZstdParameters.candidates(header)
        let name = kind.isEmpty ? "zstd-fast-19-14" : "zstd-dfast-21-17-stream"
        let parameters = try #require(candidates.first { $0.name == name })
        let jobs = try #require(candidates.first { $0.name.hasPrefix(name.dropLast(kind.count)) && $0.jobBytes > 0 })
        #expect(jobs.kin(among: candidates).contains(parameters))
        #expect(jobs.kin(among: candidates).first?.name.hasSuffix("-stream") == !kind.isEmpty)
        let (_, plain) = repetitiveFile(kind.isEmpty ? 2_300_000 : 2_700_000, seed: 28)
        let file = try modelFile(plain, parameters)
        var text: [UInt8] = []
        let result = try ZstdAnalyzer(source: source(file)).analyze { text.append(contentsOf: $0) }
        guard case .plan(let plan, let summary) = result else {
            Issue.record("\(result)")
            return
        }
        // One encoder, and no exceptions, from the beginning on.
        #expect(summary.encoder == name)
        #expect(summary.exceptions == 0)
        #expect(isEqual(text, plain))
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
    }

    /// One of each model, as candidates are.
    static let models = [
        ZstdParameters(.klauspost(level: 1, era: 3, windowLog: 17)),
        ZstdParameters(.klauspost(level: 2, era: 0, windowLog: 18)),
        ZstdParameters(.klauspost(level: 3, era: 3, windowLog: 18)),
        ZstdParameters(.klauspost(level: 4, era: 3, windowLog: 18)),
        ZstdParameters(.klauspost(level: 4, era: 0, windowLog: 17)),
        ZstdParameters(.klauspost(level: 4, era: 1, windowLog: 18)),
        ZstdParameters(
            .reference(strategy: 1, ReferenceModel.Settings(windowLog: 17, longLog: 13, shortLog: 13, shortBytes: 7))),
        ZstdParameters(
            .reference(strategy: 2, ReferenceModel.Settings(windowLog: 16, longLog: 14, shortLog: 13, shortBytes: 4)),
            endsFull: true),
        ZstdParameters(
            .reference(
                strategy: 2,
                ReferenceModel.Settings(windowLog: 16, longLog: 14, shortLog: 13, shortBytes: 5, jobLog: 20))),
    ]

    @Test("wrong models cost bytes, never the file", arguments: ["klauspost-frames.zst", "zstd1.5.4-4-stdin.zst"])
    func wrongModels(name: String) throws {
        let file = try Fixtures.bytes(name)
        for parameters in Self.models {
            var plain: [UInt8] = []
            let pass = ZstdPass(source: source(file), parameters: parameters)
            try pass.run(plainMax: .max) { plain.append(contentsOf: $0) }
            let plan = pass.plan()
            #expect(try isEqual(rebuilt(plan: plan, plain: plain), file), "\(parameters.name)")
        }
    }

    @Test("a frame is made from its restart points as from its beginning", arguments: models)
    func restarts(parameters: ZstdParameters) throws {
        // Raw blocks: every proposal of the models has to be undone, so that one that is not the same breaks the file.
        let (file, plain) = repetitiveFile(3 * parameters.windowBytes + 100_000 + 2 * parameters.jobBytes, seed: 9)
        let pass = ZstdPass(source: source(file), parameters: parameters)
        pass.isWhole = true
        pass.spacing = max(100_000, parameters.windowBytes)
        try pass.run(plainMax: .max) { _ in }
        #expect(pass.summary.points >= 2)
        let plan = pass.plan()
        let segments = try ZstdRebuilder(plan: plan).segments
        #expect(segments.count == pass.summary.points + 1)
        #expect(segments.last?.compressed.upperBound == file.count)
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
        for segment in segments.dropFirst() {
            let start = segment.compressed.lowerBound
            for start in [start, start + 1, start + 70_000] where start < file.count {
                #expect(try isEqual(rebuilt(plan: plan, plain: plain, from: start), Array(file[start...])), "\(start)")
            }
        }
    }

    @Test("a frame of tiny blocks is given up before it ends, once its exceptions are many and dear")
    func endlessFrame() throws {
        // A window of 16 KiB, and blocks of one byte each, the last one marked so.
        let blocks = 20_000
        var file: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x20]
        for index in 0..<blocks {
            file += [index == blocks - 1 ? 9 : 8, 0, 0, UInt8(truncatingIfNeeded: index &* 151 ^ index >> 5)]
        }
        let whole = ZstdPass(source: source(file), parameters: Self.models[0])
        try whole.run(plainMax: .max) { _ in }
        #expect(whole.cost > file.count / 5)
        let pass = ZstdPass(source: source(file), parameters: Self.models[0])
        pass.frameCostMost = 4096
        #expect(throws: ZstdError("cost")) { try pass.run(plainMax: .max) { _ in } }
        #expect(pass.input.offset < file.count / 4)
    }

    @Test("a restart asks for a window of text and no more")
    func restartReach() throws {
        let parameters = Self.models[6]
        let (file, plain) = repetitiveFile(900_000, seed: 10)
        let pass = ZstdPass(source: source(file), parameters: parameters)
        pass.isWhole = true
        pass.spacing = 200_000
        try pass.run(plainMax: .max) { _ in }
        let rebuilder = try ZstdRebuilder(plan: pass.plan())
        let segment = try #require(rebuilder.segments.last)
        let stream = rebuilder.stream(from: segment.compressed.lowerBound)
        var lowest = Int.max
        _ = try stream.next { range, room in
            lowest = min(lowest, range.lowerBound)
            plain.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
        }
        #expect(lowest >= segment.plain.lowerBound - parameters.windowBytes - ZstdTables.blockMax)
    }

    @Test("files of two encoders have both")
    func twoEncoders() throws {
        let one = try Fixtures.bytes("klauspost-v1.17.11.zst")
        let two = try Fixtures.bytes("zstd1.5.4-3-file.zst")
        let file = one + two + one
        var plain: [UInt8] = []
        guard
            case .plan(let plan, let summary) = try ZstdAnalyzer(source: source(file)).analyze(sink: {
                plain.append(contentsOf: $0)
            })
        else {
            Issue.record("not taken apart")
            return
        }
        #expect(summary.encoder.contains("+"))
        #expect(plan.count < 600)
        #expect(try isEqual(rebuilt(plan: plan, plain: plain), file))
    }

    @Test("plans of version 1 are read")
    func firstVersion() throws {
        let file = try Fixtures.bytes("klauspost-better.zst")
        let plain = try decoded(file)
        let header = try FrameHeader(Array(file.prefix(18)))
        var body: [UInt8] = []
        for number in [file.count, plain.count, 1, 4, 1, 0, 3, 3, 1, 1] { PlanBytes.put(&body, number) }
        PlanBytes.put(&body, header.bytes)
        PlanBytes.put(&body, file.count)
        PlanBytes.put(&body, plain.count)
        PlanBytes.put(&body, Array(file.suffix(4)))
        PlanBytes.put(&body, [])
        #expect(try isEqual(rebuilt(plan: ZstdPlan.seal(body, version: 1), plain: plain), file))
        #expect(throws: ZstdError("plan-version")) {
            try ZstdRebuilder(plan: ZstdPlan.seal(body, version: ZstdPlan.version + 1))
        }
    }

    @Test("small frames cost little more than their sizes", arguments: ["klauspost-best-frames.zst"])
    func smallFrames(name: String) throws {
        let file = try Fixtures.bytes(name)
        guard case .plan(let plan, let summary) = try ZstdAnalyzer(source: source(file)).analyze(sink: { _ in }) else {
            Issue.record("not taken apart")
            return
        }
        #expect(plan.count < 60 + 4 * summary.frames)
    }

    @Test("other plain bytes give other files, and no trap")
    func otherPlainBytes() throws {
        var random = Seeded(state: 77)
        for name in Fixtures.names {
            let file = try Fixtures.bytes(name)
            var plain: [UInt8] = []
            guard
                case .plan(let plan, _) = try ZstdAnalyzer(source: source(file)).analyze(sink: {
                    plain.append(contentsOf: $0)
                })
            else { continue }
            for _ in 0..<4 {
                var other = plain
                for _ in 0..<50 {
                    other[Int.random(in: 0..<plain.count, using: &random)] = .random(in: 0...255, using: &random)
                }
                let made = try? rebuilt(plan: plan, plain: other)
                #expect(made != file)
            }
        }
    }
}
