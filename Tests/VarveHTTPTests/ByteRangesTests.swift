// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveHTTP

@Suite("byte ranges")
struct ByteRangesTests {
    private func resolve(_ field: String, size: UInt64 = 1000) -> ByteRanges.Outcome? {
        ByteRanges(field, most: 8)?.resolve(size: size)
    }

    @Test("RFC 9110, section 14.1.2")
    func single() {
        #expect(resolve("bytes=0-499") == .parts([0..<500]))
        #expect(resolve("bytes=500-") == .parts([500..<1000]))
        #expect(resolve("bytes=-300") == .parts([700..<1000]))
        #expect(resolve("bytes=-3000") == .parts([0..<1000]))
        #expect(resolve("bytes=999-5000") == .parts([999..<1000]))
        #expect(resolve("Bytes=0-0") == .parts([0..<1]))
        #expect(resolve("bytes=0-99999999999999999999999999") == .parts([0..<1000]))
    }

    @Test("what can not be satisfied")
    func unsatisfiable() {
        for field in ["bytes=1000-", "bytes=-0", "bytes=5000-10000", "bytes=99999999999999999999-"] {
            #expect(resolve(field) == .unsatisfiable)
        }
        #expect(resolve("bytes=0-", size: 0) == .unsatisfiable)
        #expect(resolve("bytes=-1", size: 0) == .unsatisfiable)
    }

    @Test(
        "what is ignored",
        arguments: [
            "", "bytes", "bytes=", "bytes=a-b", "bytes=1", "bytes=-", "items=0-1", "bytes=0-1-2", "bytes=+1-2",
            "bytes= - ", "bytes=0-1,x", "bytes=5-2", "bytes=0-1,5-2", "bytes=5000-1", "bytes=0x1-2", "bytes=,",
            "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8",
        ])
    func ignored(_ field: String) { #expect(ByteRanges(field, most: 8) == nil) }

    @Test("several keep their order, overlapping ones become one")
    func several() {
        #expect(resolve("bytes=10-19, 0-4,5-6") == .parts([10..<20, 0..<5, 5..<7]))
        #expect(resolve("bytes=0-9,5-14,100-,50-59") == .parts([0..<15, 100..<1000, 50..<60]))
        #expect(resolve("bytes=0-,0-,0-,-1000,1-2") == .parts([0..<1000]))
        #expect(resolve("bytes=0-0,2000-,-1") == .parts([0..<1, 999..<1000]))
    }

    @Test("10,000 headers are resolved to ranges within the blob, or not at all")
    func mutations() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("bytes=-,0123456789 x")
        for _ in 0..<10_000 {
            let tail = String(
                (0..<Int.random(in: 0...24)).map { _ in alphabet.randomElement(using: &generator) ?? "-" })
            let size = UInt64.random(in: 0...200)
            guard case .parts(let parts)? = ByteRanges("bytes=" + tail, most: 16)?.resolve(size: size) else { continue }
            #expect(!parts.isEmpty, "\(tail)")
            for part in parts { #expect(!part.isEmpty && part.upperBound <= size, "\(tail) of \(size)") }
            let sum = parts.reduce(0) { $0 + UInt64($1.count) }
            #expect(sum <= size, "\(tail) of \(size)")
        }
    }
}
