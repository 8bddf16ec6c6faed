// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveEngine
import VarveModel

@testable import VarveRegistry

/// Blobs whose raw bytes are gone, as clients see them.
@Suite("rebuilt blobs", .timeLimit(.minutes(15)))
struct RebuiltBlobTests {
    /// Bytes that settling makes smaller, and that are nowhere the same.
    private func compressible(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 100)
        var line = 0
        while bytes.count < count {
            bytes +=
                "line \(line) of some text that is like the others but not the same, \(line &* 2_654_435_761)\n".utf8
            line += 1
        }
        return Array(bytes.prefix(count))
    }

    @Test("end-2: whole, by ranges and by several ranges, byte for byte")
    func ranges() async throws {
        try await TestServer.run { server in
            let bytes = compressible(5_000_000)
            let digest = try await server.push(bytes, to: "a")
            try await server.store.settle(evict: true)
            let info = try await server.store.blob(digest, in: nil)
            try #require(info.isSettled && !info.isRaw)
            let target = "/v2/a/blobs/\(digest)"
            #expect(try await server.send("GET", target).body == bytes)
            for range in [0...0, 0...999, 1_000_000...3_500_000, 4_999_999...4_999_999] {
                let part = try await server.send(
                    "GET", target, [("Range", "bytes=\(range.lowerBound)-\(range.upperBound)")])
                #expect(part.status == 206)
                #expect(part.body == Array(bytes[range]))
            }
            let several = try await server.send("GET", target, [("Range", "bytes=4000000-4000009,5-6")])
            #expect(several.status == 206)
            #expect(several.body.firstRange(of: Array(bytes[4_000_000...4_000_009])) != nil)
            #expect(several.body.firstRange(of: Array(bytes[5...6])) != nil)
            #expect(several.header("Content-Length") == String(several.body.count))
        }
    }

    @Test("damage found on the way ends the connection, never a response that looks whole")
    func damage() async throws {
        var settings = StoreSettings()
        // What lies in memory would hide the damage.
        settings.frameCacheBytes = 0
        try await TestServer.run(store: settings) { server in
            let bytes = compressible(8_000_000)
            let digest = try await server.push(bytes, to: "a")
            try await server.store.settle(evict: true)
            let packs = server.path + "/packs"
            let names = try FileManager.default.subpathsOfDirectory(atPath: packs).filter { $0.hasSuffix(".pack") }
            #expect(!names.isEmpty)
            for name in names {
                let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(packs)/\(name)"))
                let size = try file.seekToEnd()
                // A little everywhere in the second half.
                for offset in stride(from: size / 2, to: size, by: 4096) {
                    try file.seek(toOffset: offset)
                    try file.write(contentsOf: [0xA5, 0x5A, 0xA5])
                }
                try file.close()
            }
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.write("GET /v2/a/blobs/\(digest) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                let answer = await connection.untilClosed()
                if answer.starts(with: Array("HTTP/1.1 200".utf8)) {
                    let end = try #require(answer.firstRange(of: Array("\r\n\r\n".utf8)))
                    let body = answer[end.upperBound...]
                    #expect(body.count < bytes.count)
                    #expect(bytes.starts(with: body), "what came is right")
                } else {
                    #expect(answer.starts(with: Array("HTTP/1.1 500".utf8)))
                }
            }
            #expect(try await server.send("GET", "/v2/").status == 200)
        }
    }
}
