// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDeflate

@Suite("making a part of a segment")
struct PartialRebuildTests {
    @Test(
        "the first bytes wanted are right, and one workspace makes whole segments after that",
        arguments: ["long-go1.26.gz", "long-pgzip.gz", "long-libdeflate-7.gz", "gzip-6.gz", "zlib-6-flushed.gz"])
    func partial(_ name: String) throws {
        let file = try Fixtures.bytes(name)
        var plain: [UInt8] = []
        guard
            case .plan(let plan, _) = try DeflateAnalyzer(source: reader(file)).analyze(sink: { plain += [UInt8]($0) })
        else { throw DeflateError("raw") }
        let rebuilder = try DeflateRebuilder(plan: plan)
        let workspace = DeflateRebuilder.Workspace()
        var stoppedEarly = false
        for (index, segment) in rebuilder.segments.enumerated() {
            let target = Array(file[segment.compressed])
            for enough in [0, 1, target.count / 3, target.count / 2, target.count - 1, target.count] {
                var made: [UInt8] = []
                try rebuilder.rebuild(
                    segment: index, using: workspace, enough: enough,
                    plain: { range, buffer in
                        plain.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
                    },
                    into: { made = [UInt8]($0) })
                #expect(made.count >= enough)
                #expect(target.starts(with: made))
                if made.count < target.count { stoppedEarly = true }
            }
            #expect(try rebuild(rebuilder, index, plain, workspace) == target)
        }
        #expect(stoppedEarly)
    }
}
