// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation

@testable import VarveZstd

/// Small zstd files by real encoders (made-up text, runs, noise), named after who made them.
enum Fixtures {
    static let names: [String] = {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return all.filter { $0.hasSuffix(".zst") }.sorted()
    }()

    /// Plans of real files as versions 4 to 7 wrote them.
    static let formerPlans = [
        "klauspost-v1.17.11.plan4", "klauspost-v1.17.11.plan6", "klauspost-v1.17.11.plan7", "zstd1.5.4-3-stdin.plan7",
    ]

    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures").path

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
    }

    /// A short file: the first two blocks of one, ended by an empty block.
    static func start(of file: [UInt8]) throws -> [UInt8] {
        let header = try FrameHeader(Array(file.prefix(18)))
        var head = header.bytes
        if header.contentBytes != nil { head = Array(file[..<4]) + [0, 0x58] }
        head[4] &= ~4
        var at = header.bytes.count
        var blocks: [UInt8] = []
        for _ in 0..<2 where at + 3 < file.count {
            let word = Int(file[at]) | Int(file[at + 1]) << 8 | Int(file[at + 2]) << 16
            let end = min(file.count, at + 3 + (word >> 1 & 3 == 1 ? 1 : word >> 3))
            var block = Array(file[at..<end])
            block[0] &= ~1
            blocks += block
            at = end
            if word & 1 != 0 { break }
        }
        return head + blocks + [1, 0, 0]
    }
}

/// A file in memory, as the analyzer wants it.
func source(_ bytes: [UInt8], pieceMax: Int = .max) -> ZstdSource {
    { offset, room in
        let count = max(min(room.count, bytes.count - offset, pieceMax), 0)
        if count > 0 {
            bytes.withUnsafeBytes {
                room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + count)]))
            }
        }
        return count
    }
}

/// The file's plain bytes.
func decoded(_ file: [UInt8]) throws -> [UInt8] {
    var plain: [UInt8] = []
    _ = try ZstdAnalyzer(source: source(file)).decode { plain.append(contentsOf: $0) }
    return plain
}

/// The bytes from `start` on, made again.
func rebuilt(plan: [UInt8], plain: [UInt8], from start: Int = 0) throws -> [UInt8] {
    let stream = try ZstdRebuilder(plan: plan).stream(from: start)
    var all: [UInt8] = []
    while let piece = try stream.next(plain: { range, room in
        guard range.upperBound <= plain.count else { throw ZstdError("asked-for-more") }
        plain.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }) {
        all.append(contentsOf: piece)
        guard all.count <= 64 << 20 else { throw ZstdError("too-much") }
    }
    return all
}

/// Whether they are the same. A failed expectation prints no file.
func isEqual(_ one: [UInt8]?, _ other: [UInt8]) -> Bool { one == other }

/// A zstd file of one frame of raw blocks, and its text, which repeats itself near and far.
func repetitiveFile(_ count: Int, seed: UInt64) -> (file: [UInt8], plain: [UInt8]) {
    var random = Seeded(state: seed)
    var plain: [UInt8] = []
    plain.reserveCapacity(count + 1000)
    while plain.count < count {
        if plain.count < 1000 || Int.random(in: 0..<4, using: &random) == 0 {
            for _ in 0..<Int.random(in: 1...40, using: &random) { plain.append(.random(in: 97...112, using: &random)) }
        } else {
            let distance = Int.random(
                in: 1...min(plain.count, 1 << Int.random(in: 4...23, using: &random)), using: &random)
            let from = plain.count - distance
            for index in 0..<Int.random(in: 4...400, using: &random) { plain.append(plain[from + index]) }
        }
    }
    plain.removeLast(plain.count - count)
    var file: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x70]
    var at = 0
    while at < count {
        let size = min(ZstdTables.blockMax, count - at)
        let word = (at + size == count ? 1 : 0) | size << 3
        file += [
            UInt8(truncatingIfNeeded: word), UInt8(truncatingIfNeeded: word >> 8),
            UInt8(truncatingIfNeeded: word >> 16),
        ]
        file += plain[at..<(at + size)]
        at += size
    }
    return (file, plain)
}

/// The plain bytes as the models would have them compressed, in one frame without a checksum.
func modelFile(_ plain: [UInt8], _ parameters: ZstdParameters) throws -> [UInt8] {
    var file: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x70]
    let walk = FrameWalk(parameters)
    walk.begin(try FrameHeader(file))
    try (plain + [UInt8](repeating: 0, count: 64)).withUnsafeBufferPointer { text in
        guard let base = text.baseAddress else { return }
        var at = 0
        while at < plain.count {
            let (count, isLast) = walk.usual(at: at, left: plain.count - at)
            try walk.make(base, at, at + count, isLast: isLast, nil)
            file.append(contentsOf: walk.bytes)
            at += count
        }
    }
    return file
}

/// Numbers that are the same in every run.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}
