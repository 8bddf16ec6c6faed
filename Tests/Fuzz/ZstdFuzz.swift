// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

private let plainMax = 8 << 20

/// What is taken apart must come back.
func takeApart(_ file: [UInt8], _ random: inout Seeded) {
    guard let header = try? FrameHeader(Array(file.prefix(18))) else { return }
    // Large tables cost more time to make than everything else.
    let models = ZstdParameters.candidates(header).filter { $0.modelBytes <= 6 << 20 }
    guard let parameters = models.randomElement(using: &random) else { return }
    let pass = ZstdPass(source: source(file), parameters: parameters)
    pass.isWhole = Bool.random(using: &random)
    // In the wide one points have many hints.
    pass.spacing = [1000, 250_000].randomElement(using: &random)
    var plain: [UInt8] = []
    guard (try? pass.run(plainMax: plainMax) { plain.append(contentsOf: $0) }) != nil, plain.count < plainMax else {
        return
    }
    let plan = pass.plan()
    let made = try? rebuilt(plan: plan, plain: plain)
    precondition(made == file, "not the same: \(parameters.name)")
    for _ in 0..<2 {
        let start = Int.random(in: 0...file.count, using: &random)
        let rest = try? rebuilt(plan: plan, plain: plain, from: start)
        precondition(rest == Array(file[start...]), "not the same from \(start) on: \(parameters.name)")
    }
}

func takeApart(_ file: [UInt8]) {
    struct Enough: Error {}
    var plain: [UInt8] = []
    let result = try? ZstdAnalyzer(source: source(file)).analyze { bytes in
        plain.append(contentsOf: bytes)
        if plain.count > plainMax { throw Enough() }
    }
    guard case .plan(let plan, _)? = result else { return }
    precondition((try? rebuilt(plan: plan, plain: plain)) == file, "not the same")
}

/// What a plan says is done within its bounds, or refused.
func follow(_ body: [UInt8], _ random: inout Seeded) {
    // Of former versions, too.
    let version = Bool.random(using: &random) ? ZstdPlan.version : UInt8.random(in: 4...7, using: &random)
    let plan = ZstdPlan.seal(body, version: version)
    guard let rebuilder = try? ZstdRebuilder(plan: plan), rebuilder.plainCount <= 1 << 20,
        rebuilder.compressedCount <= 4 << 20
    else { return }
    let plain = fuzzText(rebuilder.plainCount, &random)
    if let made = try? rebuilt(plan: plan, plain: plain) {
        precondition(made.count == rebuilder.compressedCount, "another size than announced")
    }
    for segment in rebuilder.segments.dropFirst().prefix(3) {
        _ = try? rebuilt(plan: plan, plain: plain, from: segment.compressed.lowerBound)
    }
    // From wire points, which lie within segments.
    for _ in 0..<3 {
        let start = Int.random(in: 0...rebuilder.compressedCount, using: &random)
        let end = min(start + 1000, rebuilder.compressedCount)
        _ = try? rebuilt(plan: plan, plain: plain, from: start)
        _ = rebuilder.text(for: start..<end)
    }
}

/// Short files, the first blocks of the fixtures, and the bodies of their plans, with points; and some whole ones, of which points
/// have many hints; and former plans.
func fuzzSeeds() -> [(name: String, file: [UInt8], plan: [UInt8])] {
    let whole = ["klauspost-fastest.zst", "zstd1.5.4-1-stdin.zst", "zstd1.5.4-4-stdin.zst"]
    let files = Fixtures.names.map { ($0, 1000) } + whole.map { ($0, 250_000) }
    let former = Fixtures.formerPlans.compactMap { name -> (name: String, file: [UInt8], plan: [UInt8])? in
        guard let plan = try? Fixtures.bytes(name) else { return nil }
        return (name, [], Array(plan[8...]))
    }
    return former
        + files.compactMap { (name, spacing) in
            guard let all = try? Fixtures.bytes(name), let start = try? Fixtures.start(of: all) else { return nil }
            let file = spacing > 1000 ? all : start
            guard
                let header = try? FrameHeader(Array(file.prefix(FrameHeader.bytesMax))),
                let parameters = try? ZstdAnalyzer.identify(source(file), ZstdParameters.candidates(header))?.parameters
            else { return nil }
            let pass = ZstdPass(source: source(file), parameters: parameters)
            pass.isWhole = true
            pass.spacing = spacing
            guard (try? pass.run(plainMax: .max) { _ in }) != nil else { return nil }
            return (spacing > 1000 ? name + "-whole" : name, file, Array(pass.plan()[8...]))
        }
}
