// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing
import VarveRig

@Suite("made-up layers")
struct SampleLayersTests {
    @Test("are the same for the same seed, and others for another")
    func seeded() {
        func layer(seed: UInt64) -> [UInt8] {
            var random = SeededRandom(seed: seed)
            return SampleLayers(seed: seed).layer(files: 9, &random)
        }
        #expect(layer(seed: 3) == layer(seed: 3))
        #expect(layer(seed: 3) != layer(seed: 4))
    }

    @Test("are tars that tar itself reads")
    func readable() throws {
        var random = SeededRandom(seed: 5)
        let layer = SampleLayers(seed: 5).layer(files: 23, &random)
        let folder = try TemporaryFolder(prefix: "varve-layers-test")
        let tar = folder.path(of: "layer.tar")
        let list = folder.path(of: "list")
        try Data(layer).write(to: URL(fileURLWithPath: tar))
        try VarveRig.run(["tar", "-tf", tar], output: list)
        let names = try String(contentsOfFile: list, encoding: .utf8).split(separator: "\n")
        #expect(names.count == 23)
        #expect(names.first == "usr/lib/part-0/file")
    }

    @Test("digests are SHA-256")
    func digests() throws {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(try sha256([UInt8]()) == empty)
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(try sha256(Array("abc".utf8)) == abc)
    }
}
