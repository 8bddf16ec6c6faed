// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveModel

@testable import VarveOCI

/// Small, fast and the same everywhere (Steele and Vigna's SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// `VARVE_TEST_SEED`, or one of the moment.
    static var seed: UInt64 {
        ProcessInfo.processInfo.environment["VARVE_TEST_SEED"].flatMap { UInt64($0) } ?? .random(in: .min ... .max)
    }
}

@Suite("mutated documents")
struct MutationTests {
    private static let seeds: [String] = [
        Samples.image(extra: #","subject":\#(Samples.descriptor(Samples.c)),"annotations":{"a":"b\n\u00e9"}"#),
        Samples.image(
            layers: "[\(Samples.descriptor(extra: #","urls":["x"],"data":"e30=""#)),\(Samples.descriptor())]"),
        Samples.index(extra: #","artifactType":"x/y""#),
        #"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["x/layer.tar"]}]"#,
        #"{"imageLayoutVersion":"1.0.0"}"#,
        #"{"a":[1,-2.5e3,true,false,null,"\ud83d\ude00"],"b":{"c":{}}}"#,
    ]

    private static func mutate(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let at = Int.random(in: 0...bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0 where at < bytes.count: bytes[at] = UInt8.random(in: .min ... .max, using: &generator)
            case 1 where at < bytes.count: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2 where at < bytes.count: bytes.remove(at: at)
            case 3:
                bytes.insert(contentsOf: Array("{}[]\",:\\0-9.eu".utf8).shuffled(using: &generator).prefix(2), at: at)
            case 4: bytes.removeLast(bytes.count - at)
            default:
                let from = Int.random(in: 0...bytes.count, using: &generator)
                bytes.insert(contentsOf: bytes[min(at, from)..<max(at, from)].prefix(40), at: at)
            }
            if bytes.isEmpty { break }
        }
        return bytes
    }

    @Test("10,000 of them are read or refused, and what is read is whole")
    func mutations() {
        let seed = SeededGenerator.seed
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for round in 0..<10_000 {
            let original = Array(Self.seeds[round % Self.seeds.count].utf8)
            let bytes = Self.mutate(original, &generator)
            for type in [nil, MediaType.ociManifest, MediaType.ociIndex, "application/vnd.example+json"] {
                guard let document = try? ManifestDocument(bytes, contentType: type) else { continue }
                read += 1
                let summary = document.summary
                let isTyped = document.kind == .image || document.kind == .index
                #expect(!isTyped || document.manifests.isEmpty || document.layers.isEmpty, "seed \(seed)")
                if let annotations = summary.annotationsJSON {
                    // It is going to stand in the middle of a referrers list.
                    var reader = try? JSONReader(annotations)
                    #expect(throws: Never.self, "seed \(seed)") {
                        try reader?.skip()
                        try reader?.finish()
                    }
                }
            }
            _ = try? OCILayout(index: bytes)
            try? OCILayout.check(marker: bytes)
            _ = try? DockerArchive(manifest: bytes)
        }
        #expect(read > 100, "seed \(seed)")
    }
}
