// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

// Entry of coverage-guided runs over a decoder, its encoder models and its reader of plans: `make fuzz`. It is compiled
// into one module with VarveDeflate and DeflateFuzz.swift, and into another with VarveZstd and ZstdFuzz.swift, so that
// every branch of those counts.
//
// An input's first byte says what its bytes are, eight more seed what else has to be chosen.

import Foundation

/// What the bytes of an input are.
enum FuzzKind: UInt8, CaseIterable {
    /// A file, and an encoder that it is said to be of.
    case given
    /// A file whose encoder is looked for.
    case guessed
    /// The body of a plan, sealed anew, with plain bytes of our own.
    case plan
}

private let headBytes = 9

/// Called once by libFuzzer; only writes seeds if VARVE_FUZZ_SEEDS names a folder for them.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?) -> CInt {
    guard let folder = ProcessInfo.processInfo.environment["VARVE_FUZZ_SEEDS"] else { return 0 }
    for (name, file, plan) in fuzzSeeds() {
        for kind in FuzzKind.allCases {
            let head = [kind.rawValue] + (0..<8).map { UInt8(truncatingIfNeeded: file.count &* 31 &+ $0) }
            let bytes = head + (kind == .plan ? plan : file)
            _ = FileManager.default.createFile(atPath: "\(folder)/\(name)-\(kind.rawValue)", contents: Data(bytes))
        }
    }
    exit(0)
}

/// Called by libFuzzer with each input; returns unless something is wrong.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let data, count > headBytes else { return 0 }
    let input = [UInt8](UnsafeBufferPointer(start: data + headBytes, count: count - headBytes))
    var random = Seeded(state: (1...8).reduce(0) { $0 << 8 | UInt64(data[$1]) })
    switch FuzzKind(rawValue: data[0] % UInt8(FuzzKind.allCases.count)) {
    case .given: takeApart(input, &random)
    case .guessed: takeApart(input)
    case .plan, nil: follow(input, &random)
    }
    return 0
}

/// Text that repeats itself.
func fuzzText(_ count: Int, _ random: inout Seeded) -> [UInt8] {
    var text: [UInt8] = []
    while text.count < count {
        let distance = Int(random.next() % 300)
        for _ in 0...Int(random.next() % 40) {
            text.append(distance < text.count ? text[text.count - distance - 1] : UInt8(random.next() & 15) + 97)
        }
    }
    text.removeLast(text.count - count)
    return text
}
