// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation

@testable import VarveDeflate

/// Small gzip files by real encoders (made-up text, tables, noise), named after who made them.
enum Fixtures {
    static let names: [String] = {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return all.filter { $0.hasSuffix(".gz") }.sorted()
    }()

    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures").path

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
    }
}

/// A file in memory, as the analyzer wants it.
func reader(_ bytes: [UInt8], pieceMax: Int = .max) -> CompressedReader {
    { offset, buffer in
        let count = max(min(buffer.count, bytes.count - offset, pieceMax), 0)
        if count > 0 {
            bytes.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + count)]))
            }
        }
        return count
    }
}

/// Makes one segment's bytes; asks for nothing but the announced plain bytes.
func rebuild(_ rebuilder: DeflateRebuilder, _ index: Int, _ plain: [UInt8], _ workspace: DeflateRebuilder.Workspace)
    throws -> [UInt8]
{
    var made: [UInt8] = []
    let needed = rebuilder.segments[index].plainNeeded
    try rebuilder.rebuild(
        segment: index, using: workspace,
        plain: { range, buffer in
            guard range == needed, range.upperBound <= plain.count else { throw DeflateError("asked-for-more") }
            plain.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
        },
        into: { made = [UInt8]($0) })
    return made
}

/// The whole file again.
func rebuild(plan: [UInt8], plain: [UInt8]) throws -> [UInt8] {
    let rebuilder = try DeflateRebuilder(plan: plan)
    let workspace = DeflateRebuilder.Workspace()
    var all: [UInt8] = []
    for index in rebuilder.segments.indices { all += try rebuild(rebuilder, index, plain, workspace) }
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
