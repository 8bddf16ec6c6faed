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
        #expect(summary.exceptions <= 1, "the short first block that some writers begin with")
        #expect(plan.count < 60 + 30 * summary.frames)
        #expect(try rebuilt(plan: plan, plain: plain) == file)
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
        #expect(try rebuilt(plan: plan, plain: plain) == file)
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
            #expect(try rebuilt(plan: plan, plain: plain, from: start) == Array(file[start...]), "\(start)")
        }
    }

    @Test("wrong models cost bytes, never the file", arguments: Fixtures.names)
    func wrongModels(name: String) throws {
        let file = try Fixtures.bytes(name)
        let header = try FrameHeader(Array(file.prefix(18)))
        for parameters in ZstdParameters.candidates(header) {
            var plain: [UInt8] = []
            let pass = ZstdPass(source: source(file), parameters: parameters)
            try pass.run(plainMax: .max) { plain.append(contentsOf: $0) }
            let plan = pass.plan()
            #expect(try rebuilt(plan: plan, plain: plain) == file, "\(parameters.name)")
        }
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
