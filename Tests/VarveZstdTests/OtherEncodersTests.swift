// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveZstd

@Suite("files that are said to be of another encoder than theirs")
struct OtherEncodersTests {
    /// A frame of blocks of `blockBytes` each, without its size, with a window of 256 KiB.
    private func frame(_ text: [UInt8], blockBytes: Int) throws -> [UInt8] {
        var file: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x40]
        let header = try FrameHeader(file)
        let own = try #require(
            ZstdParameters.candidates(header).first { $0.name.hasPrefix("zstd-fast") && $0.jobBytes == 0 })
        let walk = FrameWalk(own)
        walk.begin(header)
        try text.withUnsafeBufferPointer { room in
            let base = try #require(room.baseAddress)
            for start in stride(from: 0, to: text.count, by: blockBytes) {
                let end = min(start + blockBytes, text.count)
                try walk.make(base, start, end, isLast: end == text.count, nil)
                file += walk.bytes
            }
        }
        return file
    }

    /// Text that comes again after 60000 bytes, but for some of them.
    private func text(_ count: Int) -> [UInt8] {
        var random = Seeded(state: 60)
        var text = (0..<count).map { $0 < 60_000 ? UInt8.random(in: 0...255, using: &random) : 0 }
        for index in 60_000..<count {
            text[index] = Int.random(in: 0..<400, using: &random) == 0 ? 7 : text[index - 60_000]
        }
        return text
    }

    // Blocks of 65600 bytes go over the place where libzstd's jobs would begin, and the next one begins right behind it.
    @Test("they come back all the same, whole and from anywhere", arguments: [65_600, 100_001])
    func comeBack(_ blockBytes: Int) throws {
        let plain = text(1_300_000)
        let file = try frame(plain, blockBytes: blockBytes)
        var jobs = 0
        var small = 0
        for parameters in ZstdParameters.candidates(try FrameHeader(Array(file.prefix(18))))
        where parameters.modelBytes <= 6 << 20 {
            let pass = ZstdPass(source: source(file), parameters: parameters)
            pass.isWhole = true
            pass.spacing = 1000
            pass.secondLooks = ZstdPass.secondLooksMax
            try pass.run(plainMax: .max) { _ in }
            let plan = pass.plan()
            let isSame = (try? rebuilt(plan: plan, plain: plain)) == file
            #expect(isSame, "\(parameters.name)")
            for start in stride(from: 7, to: file.count, by: file.count / 5) {
                let isSame = (try? rebuilt(plan: plan, plain: plain, from: start)) == Array(file[start...])
                #expect(isSame, "\(parameters.name) from \(start)")
            }
            if parameters.jobBytes > 0 { jobs += 1 }
            if parameters.windowBytes > 256 << 10 { small += 1 }
        }
        #expect(jobs > 2 && small > 2)
    }
}
