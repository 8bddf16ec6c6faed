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

    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures").path

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
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
