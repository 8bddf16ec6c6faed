// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CVarveKernels
import Glibc
import Testing

@testable import VarveCodec

/// The rule of cut.h written once more, as plainly as its text and as slowly.
private struct PlainCutter {
    private let weights: [UInt16]
    let limits: varve_cut_limits

    init(_ limits: varve_cut_limits) {
        self.limits = limits
        let newest: [UInt16] = [61, 67, 127, 1]
        weights = (0..<32).map { index in
            var weight = newest[index % 4]
            if index & 4 != 0 { weight &*= 0x9e35 }
            if index & 8 != 0 { weight &*= 0xa4d3 }
            if index & 16 != 0 { weight &*= 0x6c8f }
            return weight
        }
    }

    private func passes(_ window: UnsafeRawBufferPointer, strength: Int) -> Bool {
        var hash: UInt16 = 0
        for index in 0..<32 { hash &+= weights[index] &* UInt16(window[31 - index]) }
        let accepted = 1 << (16 - min(strength, 16))
        guard Int(Int16(bitPattern: hash)) > 32767 - accepted else { return false }
        guard strength > 16 else { return true }
        var second: UInt32 = 2_166_136_261
        for byte in window { second = (second ^ UInt32(byte)) &* 16_777_619 }
        return second >> UInt32(48 - strength) == 0
    }

    func firstCut(_ bytes: UnsafeRawBufferPointer) -> Int {
        let minimum = max(64, Int(limits.minimum))
        let average = max(minimum, Int(limits.average))
        let maximum = max(minimum, Int(limits.maximum))
        let nominal = min(max(limits.average, 1 << 10), 1 << 20)
        let bits = 31 - nominal.leadingZeroBitCount
        guard bytes.count > minimum else { return bytes.count }
        let end = min(bytes.count, maximum)
        for position in minimum..<end {
            let window = UnsafeRawBufferPointer(rebasing: bytes[position - 32..<position])
            if passes(window, strength: position < average ? bits + 2 : bits - 2) { return position }
        }
        return end
    }
}

/// Bytes that never change, whatever seed the other tests run with: cuts are pinned to them.
private enum PinnedData: String, CaseIterable {
    case random, text, sparse, zeros

    func bytes(_ count: Int) -> [UInt8] {
        var state: UInt64 = 42
        func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var word = state
            word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
            word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
            return word ^ (word >> 31)
        }
        var bytes = [UInt8](repeating: 0, count: count)
        switch self {
        case .random: for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: next()) }
        case .text: for index in bytes.indices { bytes[index] = UInt8(97 + next() % 7) }
        case .sparse: for index in bytes.indices where next() % 61 == 0 { bytes[index] = UInt8(next() % 251) }
        case .zeros: break
        }
        return bytes
    }
}

private let kernels: [(varve_kernel, String)] = [
    (varve_kernel_best, "best"), (varve_kernel_portable, "portable"), (varve_kernel_avx2, "AVX2"),
    (varve_kernel_avx512, "AVX-512"),
].filter { varve_kernel_available($0.0) != 0 }

private func lengths(_ bytes: [UInt8], _ firstCut: (UnsafeRawBufferPointer) -> Int) -> [Int] {
    bytes.withUnsafeBytes { bytes in
        var cuts: [Int] = []
        var position = 0
        while position < bytes.count {
            let length = firstCut(UnsafeRawBufferPointer(rebasing: bytes[position...]))
            guard length > 0, length <= bytes.count - position else {
                Issue.record("a chunk of \(length) bytes at \(position)")
                break
            }
            cuts.append(length)
            position += length
        }
        return cuts
    }
}

private func kernelCut(_ kernel: varve_kernel, _ limits: varve_cut_limits, _ bytes: UnsafeRawBufferPointer) -> Int {
    guard let base = bytes.baseAddress else { return 0 }
    let answer = varve_cut_with(kernel, limits, base.assumingMemoryBound(to: UInt8.self), bytes.count)
    return Int(exactly: answer) ?? -1
}

/// A CRC-32C over chunk lengths, to pin many of them in one number.
private func fingerprint(_ lengths: [Int]) -> UInt32 {
    lengths.map { UInt32($0).littleEndian }.withUnsafeBytes { crc32c($0) }
}

@Suite("content cutter")
struct ContentCutterTests {
    struct Pin: Sendable, CustomStringConvertible {
        let data: String
        let average: Int
        let count: Int
        let first: [Int]
        let fingerprint: UInt32
        var description: String { "\(data) \(average)" }
    }

    /// Cuts of a mebibyte: how many, the first of them, and a CRC-32C over all. They may never change.
    static let pins: [Pin] = [
        Pin(
            data: "random", average: 4096, count: 213, first: [8164, 4461, 6623, 4752, 4351, 4550, 6231, 4084],
            fingerprint: 0x55eb_2343),
        Pin(
            data: "text", average: 4096, count: 207, first: [4716, 5922, 4209, 4560, 6379, 5950, 4811, 4624],
            fingerprint: 0xa9f6_e0e9),
        Pin(
            data: "sparse", average: 4096, count: 137, first: [9166, 10872, 6147, 4854, 7131, 5878, 11375, 4306],
            fingerprint: 0xa526_99cf),
        Pin(
            data: "zeros", average: 4096, count: 32, first: [32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768],
            fingerprint: 0x23a2_4507),
        Pin(
            data: "random", average: 8192, count: 107, first: [8407, 11842, 9703, 9180, 9706, 13187, 13315, 9529],
            fingerprint: 0xc6fa_63d4),
        Pin(
            data: "text", average: 8192, count: 102, first: [8788, 9130, 8309, 9495, 9291, 8411, 13489, 8776],
            fingerprint: 0x28b3_377a),
        Pin(
            data: "sparse", average: 8192, count: 42, first: [31039, 13491, 65536, 21115, 38935, 10901, 32703, 34277],
            fingerprint: 0x515d_60b6),
        Pin(
            data: "zeros", average: 8192, count: 16, first: [65536, 65536, 65536, 65536, 65536, 65536, 65536, 65536],
            fingerprint: 0xd74a_464e),
        Pin(
            data: "random", average: 16384, count: 52, first: [20249, 18883, 9706, 17845, 25910, 16660, 17790, 21081],
            fingerprint: 0x3244_40e9),
        Pin(
            data: "text", average: 16384, count: 51, first: [17918, 8309, 16647, 17111, 8839, 17824, 24922, 17577],
            fingerprint: 0x3bf5_fa5c),
        Pin(
            data: "sparse", average: 16384, count: 23,
            first: [31039, 100142, 82539, 34277, 41794, 59167, 59557, 46998],
            fingerprint: 0x7778_59ef),
        Pin(
            data: "zeros", average: 16384, count: 8,
            first: [131072, 131072, 131072, 131072, 131072, 131072, 131072, 131072],
            fingerprint: 0x9bc4_de82),
        Pin(
            data: "random", average: 65536, count: 14,
            first: [96534, 69540, 71971, 71311, 71023, 63220, 106457, 75609],
            fingerprint: 0xfcc8_eb80),
        Pin(
            data: "text", average: 65536, count: 13, first: [68824, 125007, 95137, 90952, 69277, 113524, 83486, 66465],
            fingerprint: 0xaf84_b761),
        Pin(
            data: "sparse", average: 65536, count: 6, first: [213720, 241793, 92595, 75437, 417824, 7207],
            fingerprint: 0x21cb_6b59),
        Pin(
            data: "zeros", average: 65536, count: 2, first: [524288, 524288],
            fingerprint: 0x713a_692d),
    ]

    @Test("cuts are where they always were", arguments: pins)
    func pinned(_ pin: Pin) throws {
        let data = try #require(PinnedData(rawValue: pin.data))
        let cutter = ContentCutter(average: pin.average)
        let cuts = lengths(data.bytes(1 << 20)) { cutter.firstCut($0) }
        #expect(cuts.count == pin.count)
        #expect(Array(cuts.prefix(pin.first.count)) == pin.first)
        #expect(fingerprint(cuts) == pin.fingerprint)
    }

    @Test("every kernel follows the rule, on any content, length and limits")
    func kernelsAgree() {
        var numbers = SeededNumbers(1)
        for round in 0..<150 {
            var limits = varve_cut_limits()
            // Past 64 KiB the second hash decides too; limits out of order are brought into order.
            let bits = numbers.int(10...18)
            limits.average = 1 << UInt32(bits)
            limits.minimum = limits.average >> UInt32(numbers.int(0...4))
            limits.maximum = limits.average << UInt32(numbers.int(0...3))
            if round % 10 == 0 {
                limits.minimum = UInt32(numbers.int(0...3000))
                limits.average = UInt32(numbers.int(0...9000))
                limits.maximum = UInt32(numbers.int(0...20000))
            }
            let count = numbers.int(0...numbers.int(1...40000))
            var bytes = numbers.bytes(count)
            switch round % 4 {
            case 1: for index in bytes.indices { bytes[index] &= 3 }
            case 2: for index in bytes.indices where bytes[index] > 3 { bytes[index] = 0 }
            default: break
            }
            let expected = lengths(bytes) { PlainCutter(limits).firstCut($0) }
            for (kernel, name) in kernels {
                let cuts = lengths(bytes) { kernelCut(kernel, limits, $0) }
                #expect(cuts == expected, "\(name), \(limits), \(count) bytes, seed \(SeededNumbers.seed)")
            }
        }
    }

    @Test("tests so rare that a second hash is asked follow the rule too")
    func rareTests() {
        var numbers = SeededNumbers(2)
        let bytes = numbers.bytes(3 << 20)
        // Before 64 KiB one position in 2^18 passes: a few of the chunks end there.
        let limits = varve_cut_limits(minimum: 64, average: 64 << 10, maximum: 512 << 10)
        let expected = lengths(bytes) { PlainCutter(limits).firstCut($0) }
        #expect(expected.dropLast().contains { $0 < 64 << 10 }, "seed \(SeededNumbers.seed)")
        for (kernel, name) in kernels {
            #expect(lengths(bytes) { kernelCut(kernel, limits, $0) } == expected, "\(name), \(SeededNumbers.seed)")
        }
    }

    @Test("runs of one byte become chunks of the maximum", arguments: [10, 13, 16])
    func runs(bits: Int) {
        let cutter = ContentCutter(average: 1 << bits)
        for byte in UInt8.min...UInt8.max {
            let bytes = [UInt8](repeating: byte, count: cutter.maximum + 1)
            #expect(bytes.withUnsafeBytes { cutter.firstCut($0) } == cutter.maximum)
        }
    }

    @Test("content no longer than the minimum is one chunk")
    func short() {
        let cutter = ContentCutter.standard
        var numbers = SeededNumbers(3)
        for count in [0, 1, 31, 63, 64, 65, 4095, 4096] {
            #expect(numbers.bytes(count).withUnsafeBytes { cutter.firstCut($0) } == count)
        }
    }

    @Test("a cut depends on no byte behind it and on no address")
    func locality() {
        let cutter = ContentCutter.standard
        var numbers = SeededNumbers(4)
        var bytes = numbers.bytes(cutter.maximum + 256)
        let whole = bytes.withUnsafeBytes { cutter.firstCut($0) }
        #expect(whole < cutter.maximum)
        for index in whole..<bytes.count { bytes[index] = 0 }
        #expect(bytes.withUnsafeBytes { cutter.firstCut($0) } == whole)
        #expect(bytes.withUnsafeBytes { cutter.firstCut(UnsafeRawBufferPointer(rebasing: $0[..<whole])) } == whole)
        for shift in 1...65 {
            let moved = [UInt8](repeating: 0xff, count: shift) + bytes
            let cut = moved.withUnsafeBytes { cutter.firstCut(UnsafeRawBufferPointer(rebasing: $0[shift...])) }
            #expect(cut == whole, "shifted by \(shift)")
        }
    }

    @Test("bytes put in front move only the first cuts")
    func resynchronises() {
        let cutter = ContentCutter.standard
        var numbers = SeededNumbers(5)
        let bytes = numbers.bytes(1 << 20)
        func ends(_ bytes: [UInt8]) -> Set<Int> {
            var end = 0
            return Set(
                lengths(bytes) { cutter.firstCut($0) }.map { length in
                    end += length
                    return bytes.count - end
                })
        }
        let before = ends(bytes)
        let after = ends(numbers.bytes(777) + bytes)
        #expect(before.intersection(after).count * 10 > before.count * 9, "seed \(SeededNumbers.seed)")
    }

    @Test("the mean length is about 1.2 averages", arguments: [10, 12, 13, 14])
    func mean(bits: Int) {
        let cutter = ContentCutter(average: 1 << bits)
        var numbers = SeededNumbers(6)
        let bytes = numbers.bytes(512 << bits)
        let mean = Double(bytes.count) / Double(lengths(bytes) { cutter.firstCut($0) }.count)
        #expect((1.1...1.35).contains(mean / Double(cutter.average)), "\(mean), seed \(SeededNumbers.seed)")
    }

    @Test("no kernel reads outside of the bytes")
    func bounds() throws {
        // The bytes lie against a page that must not be touched, at their start or at their end.
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let room = 24 * page
        let map = try #require(
            mmap(nil, room + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        defer { munmap(map, room + 2 * page) }
        let usable = UnsafeMutableRawBufferPointer(start: map + page, count: room)
        var numbers = SeededNumbers(7)
        usable.copyBytes(from: numbers.bytes(room))
        #expect(mprotect(map, page, PROT_NONE) == 0 && mprotect(map + page + room, page, PROT_NONE) == 0)
        for _ in 0..<400 {
            let count = numbers.int(1...room)
            let start = numbers.int(0...1) == 0 ? 0 : room - count
            let bytes = UnsafeRawBufferPointer(rebasing: usable[start..<start + count])
            let bits = UInt32(numbers.int(10...15))
            let limits = varve_cut_limits(minimum: UInt32(numbers.int(0...300)), average: 1 << bits, maximum: 8 << bits)
            let cuts = kernels.map { kernelCut($0.0, limits, bytes) }
            #expect(cuts.allSatisfy { $0 == cuts[0] && $0 >= 1 && $0 <= count }, "seed \(SeededNumbers.seed)")
        }
    }
}
